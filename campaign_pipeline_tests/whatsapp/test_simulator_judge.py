"""Meta's rules as the simulator applies them, without a server."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.judge import SendRequest, TemplateMessage, judge

PHONE_NUMBER_ID = "106540352242922"
TOKEN = "simulator-token"


def body_parameter(text: object, **more: object) -> dict[str, object]:
    return {"type": "text", "text": text, **more}


def payload(**changes: object) -> dict[str, Any]:
    message: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+447700900123",
        "type": "template",
        "biz_opaque_callback_data": "attempt-1",
        "template": {
            "name": "spring_sale",
            "language": {"code": "en_GB"},
            "components": [
                {"type": "header", "parameters": [{"type": "image", "image": {"id": "2871834006348767"}}]},
                {"type": "body", "parameters": [body_parameter("Ada")]},
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "0",
                    "parameters": [{"type": "payload", "payload": "STOP_MARKETING"}],
                },
            ],
        },
    }
    return {name: value for name, value in (message | changes).items() if value is not None}


def template(**changes: object) -> dict[str, Any]:
    whole = {"name": "spring_sale", "language": {"code": "en_GB"}} | changes
    return payload(template={name: value for name, value in whole.items() if value is not None})


def body(*parameters: dict[str, object]) -> dict[str, Any]:
    return template(components=[{"type": "body", "parameters": list(parameters)}])


def judged(
    message: object,
    *,
    version: str = "v25.0",
    phone_number_id: str = PHONE_NUMBER_ID,
    authorization: str | None = f"Bearer {TOKEN}",
) -> TemplateMessage | GraphError:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return judge(SendRequest(version, phone_number_id, authorization, raw), PHONE_NUMBER_ID, TOKEN)


def refusal(judgement: TemplateMessage | GraphError) -> GraphError:
    assert isinstance(judgement, GraphError)
    return judgement


def test_a_well_formed_template_is_taken_as_it_was_given() -> None:
    """A judge that changes what it read would hide from a test what the sender really sent."""
    judgement = judged(payload())
    assert judgement == TemplateMessage(
        to="+447700900123",
        template="spring_sale",
        language="en_GB",
        components=payload()["template"]["components"],
        biz_opaque_callback_data="attempt-1",
    )


@pytest.mark.parametrize(
    "message",
    [
        template(),
        template(components=[]),
        payload(biz_opaque_callback_data=None, recipient_type=None),
        payload(biz_opaque_callback_data="x" * 512),
        template(name="x" * 512),
        template(language={"code": "fil"}),
        body(body_parameter("four    spaces")),
        body(body_parameter("a", parameter_name="first"), body_parameter("b", parameter_name="second")),
    ],
)
def test_everything_that_meta_takes_is_taken(message: dict[str, Any]) -> None:
    """A judge that is stricter than Meta fails a campaign in tests that would run in earnest."""
    assert isinstance(judged(message), TemplateMessage)


@pytest.mark.parametrize("version", ["25.0", "v25", "vNN.0", "v25.0.1", "v२५.0"])
def test_a_path_without_a_version_is_unknown(version: str) -> None:
    """An address with a misspelled version would work in tests and nowhere else."""
    assert refusal(judged(payload(), version=version)).http_status == 400


@pytest.mark.parametrize("authorization", [None, "", TOKEN, "Bearer", "Bearer wrong", f"bearer  {TOKEN}", "Bearer ä"])
def test_a_missing_or_wrong_token_is_an_account_fault(authorization: str | None) -> None:
    """A sender that forgets its token would pass every test and be refused by Meta."""
    error = refusal(judged(payload(), authorization=authorization))
    assert (error.http_status, error.code, error.error_type) == (401, 190, "OAuthException")


def test_an_unknown_phone_number_is_code_100_with_subcode_33() -> None:
    """A mistyped phone number id must look as it does at Meta, or its advice is never tested."""
    error = refusal(judged(payload(), phone_number_id="1"))
    assert (error.http_status, error.code, error.subcode) == (400, 100, 33)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"text"', b"\xff\xfe\x00", b"null"])
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    """Half a request must be a refusal, not a crash that looks like a server error."""
    error = refusal(judged(raw))
    assert (error.http_status, error.code) == (400, 100)


def test_a_missing_recipient_gets_the_answer_that_meta_prints() -> None:
    """Meta's answer to this has no error_data; a client that relies on it must fail here, not in production."""
    error = refusal(judged(payload(to=None))).envelope("trace")["error"]
    assert error.pop("fbtrace_id")
    assert error == {"message": "The parameter to is required.", "type": "OAuthException", "code": 100}


@pytest.mark.parametrize(
    "to",
    ["447700900123", "+44 7700 900123", "+123456", "+1234567890123456", "+0447700900", "+४४७७००९००", 44770, ["+1"]],
)
def test_a_number_that_is_not_e164_with_its_plus_is_refused(to: object) -> None:
    """Without the plus Meta puts the business's own country code in front, and a stranger gets the message."""
    error = refusal(judged(payload(to=to)))
    assert (error.http_status, error.code) == (400, 100)
    assert error.details is not None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (payload(messaging_product=None), 100),
        (payload(messaging_product="sms"), 100),
        (payload(recipient_type="group"), 100),
        (payload(type=None), 131051),
        (payload(type="text"), 131051),
        (payload(template=None), 131008),
        (template(name=None), 131008),
        (template(language=None), 131008),
        (template(language="en_GB"), 131008),
        (template(language={"code": "en-GB"}), 132001),
        (template(name="Spring Sale"), 132001),
        (template(name="x" * 513), 132001),
        (payload(biz_opaque_callback_data="x" * 513), 100),
        (payload(biz_opaque_callback_data=7), 100),
    ],
)
def test_a_malformed_message_is_refused_with_its_code(message: dict[str, Any], code: int) -> None:
    """The sender's classes of errors are only as true as the codes that they are tested with."""
    error = refusal(judged(message))
    assert error.code == code
    assert 400 <= error.http_status < 500


@pytest.mark.parametrize("text", ["", None, 7, "two\nlines", "a\ttab", "a\rreturn", "five     spaces"])
def test_a_text_that_meta_refuses_is_a_fault_of_its_format(text: object) -> None:
    """One customer with a line break in the name must fail alone, with the code that says so."""
    error = refusal(judged(body(body_parameter("Ada"), body_parameter(text))))
    assert error.code == 132012


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (body({"type": "currency", "currency": {}}), 132012),
        (body(body_parameter("a", parameter_name="first"), body_parameter("b")), 132000),
        (body(body_parameter("a", parameter_name="x"), body_parameter("b", parameter_name="x")), 132000),
        (template(components={}), 100),
        (template(components=["body"]), 100),
        (template(components=[{"type": "footnote"}]), 100),
        (template(components=[{"type": "body", "parameters": "Ada"}]), 100),
        (template(components=[{"type": "header", "parameters": [{"type": "image", "image": {}}]}]), 132012),
        (template(components=[{"type": "button", "sub_type": "knob", "index": "0"}]), 131009),
        (template(components=[{"type": "button", "sub_type": "url", "index": "10"}]), 131009),
    ],
)
def test_a_malformed_component_is_refused_with_its_code(message: dict[str, Any], code: int) -> None:
    """A template that is filled wrongly must stop a campaign here as it would at Meta."""
    assert refusal(judged(message)).code == code


def test_every_refusal_wears_the_envelope_of_the_graph_api() -> None:
    """A 4xx counts as definite only with a Graph body; without one the sender holds the recipient in doubt."""
    checks: list[Callable[[], TemplateMessage | GraphError]] = [
        lambda: judged(payload(), authorization=None),
        lambda: judged(payload(), phone_number_id="1"),
        lambda: judged(body(body_parameter(""))),
    ]
    for check in checks:
        error = refusal(check()).envelope("trace")["error"]
        assert set(error) - {"error_subcode"} == {"message", "type", "code", "error_data", "fbtrace_id"}
        assert set(error["error_data"]) == {"messaging_product", "details"}
