"""A campaign's template on the command line: preflight, activation and test sends, against the simulator."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.schema import test_sends as sends
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.templates import QUICK_REPLY, URL, body, buttons, media
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess
from campaign_pipeline_tests.whatsapp.test_connection import answering

TESTER = phone(90_001)


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess, installation: Installation) -> Iterator[SimulatorProcess]:
    """The simulator, to which the installation's settings point."""
    options = shared_simulator.options
    installation.set("WHATSAPP_BASE_URL", shared_simulator.base_url)
    installation.set("WHATSAPP_PHONE_NUMBER_ID", options.phone_number_id)
    installation.set("WHATSAPP_BUSINESS_ACCOUNT_ID", options.business_account_id)
    installation.set("WHATSAPP_ACCESS_TOKEN", options.access_token)
    yield shared_simulator
    shared_simulator.clear_faults()
    shared_simulator.clear_templates()


@pytest.fixture
def draft(installation: Installation) -> Installation:
    """An installation with a draft of three people, whose template needs a name."""
    installation.must("create", "Spring Sale", "--template", "spring_sale", "--parameter", "1=first_name")
    installation.must("add", "spring-sale", installation.list_of(range(3)))
    return installation


def test_a_preflight_shows_the_first_messages_and_no_phone_number(
    draft: Installation, simulator: SimulatorProcess
) -> None:
    """Terminals are shared; what is to be looked at is the text."""
    simulator.create_template(body="Hi {{1}}, it is spring.", quality="GREEN")
    shown = draft.must("preflight", "spring-sale").stdout
    assert "APPROVED, MARKETING, quality GREEN" in shown
    assert "Nothing is wrong." in shown
    assert "To ***00:\n  | Hi Ada, it is spring." in shown
    assert phone(0) not in shown
    document = draft.must("preflight", "spring-sale", "--json").json
    assert (document["ok"], document["findings"]) == (True, [])
    assert document["template"]["variables"] == [{"name": "1", "kind": "text", "required": True}]
    assert [each["message"]["body"] for each in document["preview"]] == ["Hi Ada, it is spring."] * 3
    kept = draft.must("show", "spring-sale", "--json").json
    assert kept["template"]["components"] == [{"type": "BODY", "text": "Hi {{1}}, it is spring."}]


def test_a_preflight_that_finds_an_error_fails(draft: Installation, simulator: SimulatorProcess) -> None:
    """A script goes on to activate only when the exit status says so."""
    simulator.create_template(body="Hi {{1}} of {{2}}", status="PAUSED", category="UTILITY")
    failed = draft.run("preflight", "spring-sale")
    assert failed.status == 1
    lines = [line for line in failed.stdout.splitlines() if line.startswith(("Error", "Warning"))]
    assert [line.partition(":")[0] for line in lines] == ["Error", "Error", "Warning"]
    document = draft.run("preflight", "spring-sale", "--json").json
    assert [each["code"] for each in document["findings"]] == [
        "template_not_approved",
        "variable_without_parameter",
        "category_not_marketing",
    ]


def test_everybody_whose_value_cannot_be_sent_is_listed_for_programs(draft: Installation) -> None:
    """Whoever has to mend a thousand rows needs all of them, not the first five."""
    people = [f"{phone(number)},Ada," for number in range(10, 18)]
    (draft.folder / "more.csv").write_text("\n".join(["phone,first_name,city", *people]) + "\n", encoding="utf-8")
    draft.must("add", "spring-sale", "more.csv")
    draft.must("edit", "spring-sale", "--parameter", "1=city")
    failed = draft.run("preflight", "spring-sale", "--json")
    assert failed.status == 1
    (problem,) = failed.json["value_problems"]
    assert (problem["code"], problem["parameter"], problem["source"]) == ("missing_value", "1", "city")
    assert len(problem["people"]) == 11
    assert problem["people"][-1] == {"phone": "***17", "list": "more.csv", "line_number": 9}
    shown = draft.run("preflight", "spring-sale").stdout
    assert "and 6 more; `campaign preflight spring-sale --json` has all." in shown
    assert phone(17) not in shown + failed.stdout


def test_without_an_account_the_preflight_says_what_to_set_and_the_activation_warns(draft: Installation) -> None:
    """Whoever tries the program has no account; nobody may believe that the template was looked at."""
    shown = draft.must("preflight", "spring-sale").stdout
    assert "Warning: The template could not be looked at: set WHATSAPP_ACCESS_TOKEN, WHATSAPP_PHONE_NUMBER_ID" in shown
    assert "Ada" in shown
    active = draft.must("activate", "spring-sale")
    assert "Warning: The template could not be looked at: set" in active.stderr
    assert "is active" in active.stdout


def test_an_activation_looks_at_the_template_first(draft: Installation, simulator: SimulatorProcess) -> None:
    """The first batch is the wrong moment to find out that a variable has no value."""
    absent = draft.run("activate", "spring-sale")
    assert absent.status == 1
    assert "Meta has no template spring_sale" in absent.stderr
    simulator.create_template(language="de", body="Hallo {{1}}")
    assert "in de, but not in en_US" in draft.run("activate", "spring-sale").stderr
    simulator.create_template(body="Hi")
    assert "for the parameter 1 to fill" in draft.run("activate", "spring-sale").stderr
    simulator.create_template(body="Hi {{1}}", category="UTILITY")
    active = draft.must("activate", "spring-sale", "--json")
    assert len(active.json["warnings"]) == 1
    assert "is UTILITY, not MARKETING" in active.stderr
    shown = draft.must("show", "spring-sale", "--json").json
    assert shown["template_checked_at"] == "2026-03-02T08:00:00+00:00"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("WHATSAPP_BASE_URL", "http://127.0.0.1:1", "cannot be reached"),
        ("WHATSAPP_ACCESS_TOKEN", "EAAG-expired", "set WHATSAPP_ACCESS_TOKEN anew"),
        ("WHATSAPP_BUSINESS_ACCOUNT_ID", "7", "whatsapp_business_management"),
    ],
)
def test_a_template_that_cannot_be_seen_stops_the_activation_unless_a_person_says_otherwise(
    draft: Installation, simulator: SimulatorProcess, setting: str, value: str, said: str
) -> None:
    """Meta is down on the evening before the sale: that is for a person to decide."""
    simulator.create_template(body="Hi {{1}}")
    draft.set(setting, value)
    refused = draft.run("activate", "spring-sale")
    assert refused.status == 1
    assert said in refused.stderr
    assert "campaign activate spring-sale --even-if-unreadable" in refused.stderr
    assert "EAAG" not in refused.stderr
    assert draft.run("preflight", "spring-sale").status == 1
    active = draft.must("activate", "spring-sale", "--even-if-unreadable")
    assert "Warning: The template could not be looked at" in active.stderr


def test_an_error_that_meta_has_shown_stops_the_activation_whatever_is_typed(
    draft: Installation, simulator: SimulatorProcess
) -> None:
    """The option is for a template that nobody can see, not for one that is seen to be wrong."""
    simulator.create_template(body="Hi {{1}}", status="DISABLED")
    assert draft.run("activate", "spring-sale", "--even-if-unreadable").status == 1


def test_every_part_of_a_template_can_be_filled(installation: Installation, simulator: SimulatorProcess) -> None:
    """A picture, a name, a link of one's own and an answer: what a spring sale looks like."""
    simulator.create_template(
        parameter_format="NAMED",
        components=[media("IMAGE"), body("Hi {{first_name}}"), buttons(URL, QUICK_REPLY)],
    )
    parameters = [
        "--parameter", "header.image:=https://example.com/spring.png",
        "--parameter", "first_name=first_name",
        "--parameter", "button.0=first_name",
        "--parameter", "button.1:=STOP_MARKETING",
    ]  # fmt: skip
    installation.must("create", "Spring Sale", "--template", "spring_sale", *parameters)
    installation.must("add", "spring-sale", installation.list_of([7]))
    installation.must("preflight", "spring-sale")
    installation.must("test-send", "spring-sale", TESTER, "--yes")
    sent = simulator.messages()[-1]
    assert [(each["type"], each.get("sub_type")) for each in sent["components"]] == [
        ("header", None),
        ("body", None),
        ("button", "url"),
        ("button", "quick_reply"),
    ]


def test_a_test_is_sent_once_somebody_has_seen_it_and_said_yes(
    draft: Installation, simulator: SimulatorProcess
) -> None:
    """It reaches real people, so it is shown first."""
    simulator.create_template(body="Hi {{1}}")
    before = len(simulator.messages())
    asked = draft.run("test-send", "spring-sale", TESTER, answer="n\n")
    assert asked.status == 1
    assert "  | Hi Ada" in asked.stderr
    assert "Send this as a test to ***01?" in asked.stderr
    assert len(simulator.messages()) == before
    sent = draft.must("test-send", "spring-sale", TESTER, "07911 090001", "--region", "GB", "--yes")
    assert sent.stdout == "***01: accepted by WhatsApp.\n"
    assert len(simulator.messages()) == before + 1
    assert draft.must("limit", "--json").json["used"] == 1


def test_what_became_of_tests_is_said_one_by_one(draft: Installation, simulator: SimulatorProcess) -> None:
    """Of three colleagues one has unsubscribed, and the answer for another was lost."""
    simulator.create_template(body="Hi {{1}}")
    others = [phone(90_002), phone(90_003), phone(90_004)]
    draft.must("unsubscribe", others[0])
    simulator.fault("lost_answer", to=others[1])
    simulator.fault("refused", to=others[2])
    ended = draft.run("test-send", "spring-sale", TESTER, *others, "--value", "1=Bob", "--yes", "--json")
    assert ended.status == 1
    assert [each["outcome"] for each in ended.json] == ["accepted", "not_tried", "in_doubt", "refused"]
    assert "nobody knows whether it arrives" in ended.json[2]["sentence"]
    assert ended.json[3]["error_code"] == 131026
    assert phone(90_002) not in ended.stdout + ended.stderr
    # The one in doubt keeps its place.
    assert draft.must("limit", "--json").json["used"] == 2


def test_nothing_is_sent_behind_an_answer_that_stops_the_sender(
    draft: Installation, simulator: SimulatorProcess
) -> None:
    """Each further call with a dead token makes the account look worse."""
    simulator.create_template(body="Hi {{1}}")
    simulator.fault("error", code=131031, to=TESTER)
    before = len(simulator.messages())
    ended = draft.run("test-send", "spring-sale", TESTER, phone(90_005), "--yes")
    assert ended.status == 1
    first, second = ended.stdout.splitlines()
    assert "***01: not sent (error 131031" in first
    assert "The sender is stopped: error 131031" in first
    assert second == "***05: not sent, since the sender is stopped."
    assert len(simulator.messages()) == before
    assert "error 131031" in str(draft.run("status", "--json").json)


def test_the_limit_tells_tests_and_other_systems_apart(draft: Installation, simulator: SimulatorProcess) -> None:
    """Somebody would look for the other system that has used a place of the portfolio, and find none."""
    simulator.create_template(body="Hi {{1}}")
    draft.must("test-send", "spring-sale", TESTER, "--yes")
    draft.must("limit", "used-elsewhere", "5", "--by", "Ada")
    shown = draft.must("limit", "--json").json
    assert (shown["used"], shown["test_sends"]) == (6, 1)
    assert [(each["people"], each["source"]) for each in shown["used_elsewhere"]] == [(5, "Ada")]
    told = draft.must("limit").stdout
    assert "Used   6, 5 of them by other systems, 1 by test sends" in told
    assert told.count("elsewhere at") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["12"], "The country cannot be told"),
        ([TESTER, "--value", "Ada"], "a value is written NAME=TEXT"),
        ([TESTER, "--value", "2=Ada"], "has no parameter '2'"),
    ],
)
def test_a_test_that_cannot_be_sent_is_refused_before_anything_is_asked(
    draft: Installation, simulator: SimulatorProcess, words: list[str], said: str
) -> None:
    """A question that is followed by a refusal is answered without being read."""
    simulator.create_template(body="Hi {{1}}")
    refused = draft.run("test-send", "spring-sale", *words)
    assert refused.status in (1, 2)
    assert said in refused.stderr
    assert "Send this" not in refused.stderr


def test_a_test_without_an_account_says_what_to_set(draft: Installation) -> None:
    """Nothing can be sent without a token."""
    refused = draft.run("test-send", "spring-sale", TESTER)
    assert refused.status == 1
    assert "Send this" not in refused.stderr
    assert "set WHATSAPP_ACCESS_TOKEN" in refused.stderr


@pytest.mark.parametrize("code", [190, 803, 1])
def test_a_token_that_meta_quotes_is_shown_and_kept_nowhere(draft: Installation, code: int) -> None:
    """Its words end in a terminal, in a log and in the ledger, whose copies are handed on."""
    token = "EAAGm0PX4ZCpsBAKZBxZCZAZCZCx7Pq0WZAv"
    error = {"message": f"Malformed access token {token}", "code": code, "error_data": {"details": f"Bearer {token}"}}
    draft.set("WHATSAPP_ACCESS_TOKEN", token)
    draft.set("WHATSAPP_PHONE_NUMBER_ID", "1")
    draft.set("WHATSAPP_BUSINESS_ACCOUNT_ID", "2")
    with answering("401 Unauthorized", json.dumps({"error": error})) as server:
        draft.set("WHATSAPP_BASE_URL", server.base_url)
        told = [
            draft.run("preflight", "spring-sale"),
            draft.run("doctor"),
            draft.run("test-send", "spring-sale", TESTER, "--yes"),
        ]
    assert [each.status for each in told] == [1, 1, 1]
    assert "Malformed access token …" in told[0].stdout
    assert "Malformed access token …" in told[2].stdout
    ledger = draft.ledger()
    with ledger.read() as connection:
        (kept,) = connection.execute(select(sends.c.error_text)).scalars()
    ledger.close()
    assert kept == "Malformed access token …: Bearer …"
    assert not any(token in each.stdout + each.stderr for each in told)
    assert not any(token.encode() in each.read_bytes() for each in (draft.folder / "data").glob("ledger*"))
