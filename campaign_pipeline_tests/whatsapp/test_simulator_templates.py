"""The simulator's registry of templates: what a message is refused for, and what the business is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.judge import TemplateMessage
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.templates import RegisteredTemplate, TemplateRegistry
from campaign_pipeline_tests.support.templates import (
    COPY_CODE,
    PLAIN_URL,
    QUICK_REPLY,
    URL,
    body,
    buttons,
    header,
    media,
)
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

POSITIONAL, NAMED = "POSITIONAL", "NAMED"


def texts(*values: str, **named: str) -> list[dict[str, str]]:
    positional = [{"type": "text", "text": value} for value in values]
    return positional + [{"type": "text", "parameter_name": name, "text": value} for name, value in named.items()]


def sent(kind: str, parameters: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters, **more}


def button(sub_type: str, index: int, *parameters: dict[str, Any]) -> dict[str, Any]:
    return sent("button", list(parameters), sub_type=sub_type, index=str(index))


def judged(
    components: list[dict[str, Any]], message: list[dict[str, Any]], parameter_format: str = POSITIONAL, **changes: str
) -> GraphError | None:
    registry = TemplateRegistry(unknown_are_approved=True)
    registry.put(
        RegisteredTemplate("spring_sale", "en_US", parameter_format=parameter_format, components=components, **changes)
    )
    return registry.judge(TemplateMessage("+447700900001", "spring_sale", "en_US", list(message), None))


IMAGE = {"type": "image", "image": {"id": "1"}}
PAYLOAD = {"type": "payload", "payload": "STOP"}
COUPON = {"type": "coupon_code", "coupon_code": "SAVE20"}


@pytest.mark.parametrize(
    ("components", "message", "parameter_format"),
    [
        ([body("Hi")], [], POSITIONAL),
        ([body("{{1}} {{2}}")], [sent("body", texts("a", "b"))], POSITIONAL),
        ([body("{{who}} {{city}}")], [sent("body", texts(city="Bern", who="Ada"))], NAMED),
        ([media("IMAGE"), body("Hi")], [sent("header", [IMAGE])], POSITIONAL),
        ([header("For {{1}}")], [sent("header", texts("Ada"))], POSITIONAL),
        ([buttons(URL, QUICK_REPLY)], [button("url", 0, *texts("x")), button("quick_reply", 1, PAYLOAD)], POSITIONAL),
        ([buttons(QUICK_REPLY, PLAIN_URL)], [], POSITIONAL),
        ([buttons(COPY_CODE)], [button("copy_code", 0, COUPON)], POSITIONAL),
    ],
)
def test_a_message_that_fits_its_template_is_taken(
    components: list[dict[str, Any]], message: list[dict[str, Any]], parameter_format: str
) -> None:
    """A judge that is stricter than Meta fails a campaign in tests that would run in earnest."""
    assert judged(components, message, parameter_format) is None


@pytest.mark.parametrize(
    ("components", "message", "parameter_format", "code", "details"),
    [
        (
            [body("{{1}} {{2}} {{3}}")],
            [sent("body", texts("a"))],
            POSITIONAL,
            132000,
            "body: number of localizable_params (1) does not match the expected number of params (3)",
        ),
        ([body("Hi")], [sent("body", texts("a"))], POSITIONAL, 132000, "body: number of localizable_params (1)"),
        ([body("{{1}}")], [], POSITIONAL, 132000, "body: number of localizable_params (0)"),
        ([header("For {{1}}")], [], POSITIONAL, 132000, "header: number of localizable_params (0)"),
        ([body("{{1}}")], [sent("body", texts(who="a"))], POSITIONAL, 132012, "the template is positional"),
        ([body("{{who}}")], [sent("body", texts("a"))], NAMED, 132012, "Parameter name is missing or empty: who"),
        ([body("{{who}}")], [sent("body", texts(name="a"))], NAMED, 132012, "missing or empty: who"),
        ([body("{{1}}")], [sent("body", [IMAGE])], POSITIONAL, 132012, "expected parameters of type text"),
        ([media("IMAGE")], [], POSITIONAL, 132012, "header: Format mismatch, expected IMAGE, received UNKNOWN"),
        ([media("VIDEO")], [sent("header", [IMAGE])], POSITIONAL, 132012, "expected VIDEO, received IMAGE"),
        ([buttons(URL)], [], POSITIONAL, 131008, "Button at index 0 of type Url requires a parameter"),
        ([buttons(COPY_CODE)], [], POSITIONAL, 131008, "requires a parameter"),
        ([buttons(PLAIN_URL)], [button("url", 0, *texts("x"))], POSITIONAL, 132000, "takes no parameter"),
        ([buttons(URL)], [button("quick_reply", 0, PAYLOAD)], POSITIONAL, 132012, "is of type url, not quick_reply"),
        ([body("Hi")], [button("url", 0, *texts("x"))], POSITIONAL, 132012, "is of type None, not url"),
    ],
)
def test_a_message_that_does_not_fit_is_refused_as_meta_would(
    components: list[dict[str, Any]], message: list[dict[str, Any]], parameter_format: str, code: int, details: str
) -> None:
    """What the simulator lets pass here is refused by Meta for 250 people."""
    refusal = judged(components, message, parameter_format)
    assert refusal is not None
    assert (refusal.code, details in (refusal.details or "")) == (code, True)


@pytest.mark.parametrize(
    ("status", "code"), [("PAUSED", 132015), ("DISABLED", 132016), ("PENDING", 132001), ("REJECTED", 132001)]
)
def test_a_template_that_is_not_approved_is_refused(status: str, code: int) -> None:
    """A campaign whose template Meta pauses on day three has to be seen to stop."""
    refusal = judged([body("Hi")], [], status=status)
    assert refusal is not None
    assert refusal.code == code


def test_templates_that_nobody_created_are_approved_unless_they_shall_not_be() -> None:
    """Every test that needs no template would have to create one; a trial that is meant in earnest wants it so."""
    message = TemplateMessage("+447700900001", "spring_sale", "de", [], None)
    assert TemplateRegistry(unknown_are_approved=True).judge(message) is None
    strict = TemplateRegistry(unknown_are_approved=False)
    refusal = strict.judge(message)
    assert refusal is not None
    assert (refusal.code, refusal.details) == (132001, "template name (spring_sale) does not exist in de")
    strict.put(RegisteredTemplate("spring_sale", "en_US", components=[]))
    assert strict.judge(message) == refusal
    # Whoever has created it in one language means it.
    lenient = TemplateRegistry(unknown_are_approved=True)
    lenient.put(RegisteredTemplate("spring_sale", "en_US", components=[]))
    assert lenient.judge(message) == refusal


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    options = simulator_options(tmp_path_factory.mktemp("simulator"), unknown_templates="refused")
    with SimulatorProcess(options) as process:
        yield process


def asked(simulator: SimulatorProcess, path: str = "", **query: str) -> requests.Response:
    options = simulator.options
    url = f"{simulator.base_url}/v25.0/{path or options.business_account_id}/message_templates"
    headers = {"Authorization": f"Bearer {options.access_token}"}
    return requests.get(url, params=query, headers=headers, timeout=300)


def test_the_list_is_answered_as_meta_does(simulator: SimulatorProcess) -> None:
    """A reader that was tried on another form than Meta's was not tried."""
    simulator.clear_templates()
    simulator.create_template("b_sale", body="Hi {{1}}", quality="GREEN")
    simulator.create_template("a_sale", body="Hi", category="UTILITY")
    answer = asked(simulator, fields="id,name,status,category,quality_score", limit="1").json()
    (first,) = answer["data"]
    assert (first["name"], first["status"], first["category"]) == ("a_sale", "APPROVED", "UTILITY")
    assert first["id"].isdigit()
    following = asked(simulator, after=answer["paging"]["cursors"]["after"]).json()
    assert [each["name"] for each in following["data"]] == ["b_sale"]
    assert following["data"][0]["components"] == [{"type": "BODY", "text": "Hi {{1}}"}]
    assert "quality_score" not in following["data"][0]
    assert "next" not in following["paging"]
    # Meta's own link holds the token.
    assert "access_token=simulator-token" in answer["paging"]["next"]
    assert requests.get(answer["paging"]["next"], headers={"Authorization": "Bearer simulator-token"}, timeout=300).ok
    assert asked(simulator, name="winter").json() == {"data": []}


def test_the_list_is_for_those_who_may_see_it(simulator: SimulatorProcess) -> None:
    """A reader that forgets its token, or asks for a field that is not there, would be refused by Meta."""
    nobody = requests.get(f"{simulator.base_url}/v25.0/102290129340398/message_templates", timeout=300)
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, 190)
    assert asked(simulator, "7").json()["error"]["error_subcode"] == 33
    assert asked(simulator, fields="colour").json()["error"]["code"] == 100
    assert asked(simulator, after="???").json()["error"]["code"] == 100


def webhooks(options: SimulatorOptions) -> list[dict[str, Any]]:
    lines = [
        line
        for path in sorted(options.inbox.glob("templates-*.ndjson"))
        for line in path.read_text(encoding="ascii").splitlines()
    ]
    return [json.loads(line)["entry"][0]["changes"][0] for line in lines]


def test_the_business_is_told_when_status_or_quality_changes(simulator: SimulatorProcess) -> None:
    """These webhooks pause and unpause campaigns."""
    simulator.create_template("told", body="Hi", quality="GREEN")
    simulator.set_template_status("told", "paused", webhook=True)
    simulator.set_template_quality("told", "RED", webhook=True)
    simulator.set_template_status("told", "APPROVED")
    status, quality = webhooks(simulator.options)
    assert status["field"] == "message_template_status_update"
    assert status["value"]["event"] == "PAUSED"
    assert status["value"]["other_info"]["title"] == "FIRST_PAUSE"
    assert isinstance(status["value"]["message_template_id"], int)
    assert quality["field"] == "message_template_quality_update"
    scores = quality["value"]["previous_quality_score"], quality["value"]["new_quality_score"]
    assert scores == ("GREEN", "RED")
    with pytest.raises(ValueError, match="There is no template winter"):
        simulator.set_template_status("winter", "PAUSED")


def test_unknown_templates_are_refused_over_http_when_they_shall_be(simulator: SimulatorProcess) -> None:
    """The option has to reach the process."""
    options = simulator.options
    message = {
        "messaging_product": "whatsapp",
        "to": "+447700900001",
        "type": "template",
        "template": {"name": "never_made", "language": {"code": "en_US"}},
    }
    url = f"{simulator.base_url}/v25.0/{options.phone_number_id}/messages"
    headers = {"Authorization": f"Bearer {options.access_token}"}
    assert requests.post(url, json=message, headers=headers, timeout=300).json()["error"]["code"] == 132001
    simulator.create_template("never_made")
    assert requests.post(url, json=message, headers=headers, timeout=300).ok
