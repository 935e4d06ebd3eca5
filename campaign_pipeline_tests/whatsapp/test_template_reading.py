"""Reading templates from the Graph API: every page of them, and one sentence for each way in which it fails."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from campaign_pipeline.whatsapp import template_reading
from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.template_reading import ReadFault, TemplateReadError, read_templates
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.sending import account_of
from campaign_pipeline_tests.support.templates import body, raw_template
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.test_connection import answering

TOKEN = "EAAG-secret-token"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator that has the same template in many languages, and others beside it."""
    with SimulatorProcess(simulator_options(tmp_path_factory.mktemp("simulator"))) as process:
        for letter in "abcdefg":
            process.create_template(language=f"x{letter}", body="Hi {{1}}")
        process.create_template("spring_sale_2026", body="Hi")
        process.create_template("autumn", body="Hi")
        yield process


def read(simulator: SimulatorProcess, name: str = "spring_sale", **changes: str) -> list[str]:
    account = replace(account_of(simulator), **changes)
    return [template.language for template in read_templates(account, simulator.options.business_account_id, name)]


def test_every_language_of_a_template_is_read_over_all_pages(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The language that a campaign wants is on the second page, and a careful marketer is told that it is missing."""
    monkeypatch.setattr(template_reading, "TEMPLATES_PER_PAGE", 2)
    assert read(simulator) == [f"x{letter}" for letter in "abcdefg"]
    assert read(simulator, "autumn") == ["en_US"]
    assert read(simulator, "winter") == []


def test_pages_without_an_end_are_given_up(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always has another page would be asked for ever."""
    monkeypatch.setattr(template_reading, "TEMPLATES_PER_PAGE", 1)
    monkeypatch.setattr(template_reading, "MOST_PAGES", 3)
    with pytest.raises(TemplateReadError, match="more than 3 pages") as failed:
        read(simulator)
    assert failed.value.fault is ReadFault.UNREADABLE


def test_a_wrong_token_and_a_strange_account_are_told_apart(simulator: SimulatorProcess) -> None:
    """One is mended in the settings, the other at Meta."""
    with pytest.raises(TemplateReadError, match="set WHATSAPP_ACCESS_TOKEN anew") as no_token:
        read(simulator, access_token=TOKEN)
    assert (no_token.value.fault, no_token.value.code) == (ReadFault.TOKEN, 190)
    with pytest.raises(TemplateReadError, match="whatsapp_business_management") as no_permission:
        read_templates(account_of(simulator), "7", "spring_sale")
    assert (no_permission.value.fault, no_permission.value.code) == (ReadFault.PERMISSION, 100)
    assert TOKEN not in str(no_token.value)


def test_nothing_there_is_a_sentence_without_the_token() -> None:
    """The words of an error in making a request quote the request."""
    for base_url in (f"http://127.0.0.1:{free_port()}", "http://[", "http://host.invalid"):
        account = CloudApiAccount(base_url, "v25.0", "1", TOKEN)
        with pytest.raises(TemplateReadError, match="cannot be reached: look at the network") as failed:
            read_templates(account, "102290129340398", "spring_sale")
        assert failed.value.fault is ReadFault.UNREACHABLE
        assert TOKEN not in str(failed.value)


def graph(code: int) -> dict[str, object]:
    return {"error": {"message": "(#1) Something", "code": code}}


@pytest.mark.parametrize(
    ("status", "content", "fault"),
    [
        ("200 OK", "<html>", ReadFault.UNREADABLE),
        ("200 OK", "[]", ReadFault.UNREADABLE),
        ("200 OK", '{"data": {}}', ReadFault.UNREADABLE),
        ("200 OK", '{"data": [], "paging": {"next": "https://x"}}', ReadFault.UNREADABLE),
        ("302 Found", "[]", ReadFault.UNREADABLE),
        ("502 Bad Gateway", "<html>", ReadFault.UNREADABLE),
        ("200 OK", json.dumps(graph(190)), ReadFault.TOKEN),
        ("403 Forbidden", json.dumps(graph(200)), ReadFault.PERMISSION),
        ("403 Forbidden", json.dumps(graph(10)), ReadFault.PERMISSION),
        ("429 Too Many", json.dumps(graph(80007)), ReadFault.TOO_FAST),
        ("500 Error", json.dumps(graph(1)), ReadFault.REFUSED),
    ],
)
def test_every_other_answer_is_a_fault_of_a_kind(status: str, content: str, fault: ReadFault) -> None:
    """An activation that was refused has to say what to do about it."""
    with answering(status, content, "Location: http://127.0.0.1:1/") as server:
        account = CloudApiAccount(server.base_url, "v25.0", "1", TOKEN)
        with pytest.raises(TemplateReadError) as failed:
            read_templates(account, "102290129340398", "spring_sale")
    assert failed.value.fault is fault


def test_what_no_database_keeps_is_taken_out() -> None:
    """A NUL in a template's text would stop the activation with an error of PostgreSQL's."""
    shown = json.dumps({"data": [raw_template(body("a\0b\ud800c")), "no template"]})
    with answering("200 OK", shown) as server:
        (template,) = read_templates(CloudApiAccount(server.base_url, "v25.0", "1", TOKEN), "1", "spring_sale")
    assert template.body == "a b?c"


def test_the_record_of_a_simulator_is_not_needed_to_read(tmp_path: Path) -> None:
    """A simulator that was just started has no templates, and says so."""
    with SimulatorProcess(simulator_options(tmp_path)) as fresh:
        assert read(fresh) == []
