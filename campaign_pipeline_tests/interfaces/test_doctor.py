"""`campaign doctor`: one clear line for each thing that is wrong, and none that shows the token."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from campaign_pipeline.interfaces.command_line import diagnosis
from campaign_pipeline.interfaces.command_line.diagnosis import Finding, Level
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending.capacity import sender_id
from campaign_pipeline.sending.limits import Limit
from campaign_pipeline.whatsapp.account_reading import (
    UNLIMITED,
    MessagingLimit,
    PhoneNumberFacts,
    RefusedError,
    TokenFacts,
    UnreachableError,
)
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVERYTHING = {
    "cloud_api",
    "token",
    "permissions",
    "number",
    "quality",
    "throughput",
    "limit",
    "webhooks",
    "clock",
    "database",
    "sender",
    "folders",
}


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> SimulatorProcess:
    """The simulator, with an account in which all is well."""
    shared_simulator.reset_account()
    shared_simulator.clear_templates()
    return shared_simulator


@pytest.fixture
def ready(installation: Installation, simulator: SimulatorProcess) -> Installation:
    """An installation that could send, by a clock that is right."""
    options = simulator.options
    installation.set("WHATSAPP_BASE_URL", simulator.base_url)
    installation.set("WHATSAPP_PHONE_NUMBER_ID", options.phone_number_id)
    installation.set("WHATSAPP_BUSINESS_ACCOUNT_ID", options.business_account_id)
    installation.set("WHATSAPP_ACCESS_TOKEN", options.access_token)
    installation.unset("DAGSTER_HOME")
    installation.clock.set(datetime.now(UTC).isoformat())
    installation.must("init")
    return installation


def looked(installation: Installation) -> dict[str, Any]:
    """What was found by name, each with its level; the status has to fit, and the token is nowhere."""
    answer = installation.run("doctor", "--json")
    findings = {each["name"]: each for each in answer.json}
    assert len(findings) == len(answer.json), "one line for each thing"
    has_problem = any(each["level"] == "problem" for each in answer.json)
    assert answer.status == (1 if has_problem else 0)
    plain = installation.run("doctor")
    assert plain.status == answer.status
    assert len(plain.stdout.splitlines()) == len(answer.json)
    for told in (answer, plain):
        assert os.environ.get("WHATSAPP_ACCESS_TOKEN", "simulator-token") not in told.stdout + told.stderr
    return findings


def problems(installation: Installation) -> dict[str, str]:
    """The sentences of what is a problem."""
    return {name: each["sentence"] for name, each in looked(installation).items() if each["level"] == "problem"}


def test_an_installation_in_which_all_is_well_has_no_problem(ready: Installation) -> None:
    """A false alarm on every morning teaches people to look away."""
    findings = looked(ready)
    assert set(findings) == EVERYTHING
    assert {each["level"] for each in findings.values()} == {"ok"}


def test_a_wrong_token_is_one_line(ready: Installation) -> None:
    """Everything that is asked with it is refused; ten lines would hide what to mend."""
    ready.set("WHATSAPP_ACCESS_TOKEN", "EAAG-wrong-and-secret")
    assert problems(ready) == {
        "token": "The access token is not valid: make a new one of a system user and set WHATSAPP_ACCESS_TOKEN."
    }


def test_an_expired_token_is_told_from_a_wrong_one(ready: Installation, simulator: SimulatorProcess) -> None:
    """It was right yesterday: whoever looks for a typing error looks in vain."""
    simulator.account(token="expired")
    found = problems(ready)
    assert list(found) == ["token"]
    assert "has expired" in found["token"]


def test_missing_permissions_are_named(ready: Installation, simulator: SimulatorProcess) -> None:
    """Sending works, and nobody ever hears of a paused template."""
    simulator.account(scopes=["whatsapp_business_messaging"])
    found = problems(ready)
    assert "lacks whatsapp_business_management" in found["permissions"]
    assert "whatsapp_business_management" in found["webhooks"]
    simulator.account(scopes=[])
    assert "whatsapp_business_messaging and whatsapp_business_management" in problems(ready)["permissions"]


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"quality_rating": "RED"}, "quality", "problem", "RED"),
        ({"quality_rating": "YELLOW"}, "quality", "warning", "YELLOW"),
        ({"status": "RESTRICTED"}, "number", "problem", "RESTRICTED"),
        ({"status": "FLAGGED"}, "number", "warning", "FLAGGED"),
        ({"throughput": "SLOW"}, "throughput", "warning", "SLOW"),
        ({"tier": "TIER_50"}, "limit", "problem", "campaign limit from-meta"),
        ({"tier": "TIER_2K"}, "limit", "ok", "--ceiling N"),
        ({"tier": "TIER_NOT_SET"}, "limit", "warning", "TIER_NOT_SET"),
        ({"subscribed": False}, "webhooks", "problem", "No app is subscribed"),
    ],
)
def test_each_thing_that_is_wrong_with_the_account_has_its_line(
    ready: Installation, simulator: SimulatorProcess, changes: dict[str, object], name: str, level: str, words: str
) -> None:
    """All the other lines stay as they are."""
    simulator.account(**changes)
    findings = looked(ready)
    assert findings[name]["level"] == level
    assert words in findings[name]["sentence"]
    assert {each["level"] for other, each in findings.items() if other != name} == {"ok"}


def test_an_api_that_cannot_be_reached_is_one_line(ready: Installation) -> None:
    """Ledger and folders are looked at all the same."""
    ready.set("WHATSAPP_BASE_URL", f"http://127.0.0.1:{free_port()}")
    findings = ready.run("doctor", "--json").json
    problem = [each for each in findings if each["level"] == "problem"]
    assert [each["name"] for each in problem] == ["cloud_api"]
    assert "cannot be reached" in problem[0]["sentence"]
    assert {"database", "sender", "folders"} <= {each["name"] for each in findings}


@pytest.mark.parametrize(("minutes", "words"), [(5, "ahead of"), (-5, "behind")])
def test_a_wrong_clock_is_found_by_the_answers_date(ready: Installation, minutes: int, words: str) -> None:
    """The moving 24 hours are counted by this clock: ahead, it forgets people too early."""
    ready.clock.jump(minutes=minutes)
    assert words in problems(ready)["clock"]


def test_a_wrong_clock_is_told_of_beside_a_wrong_token(ready: Installation) -> None:
    """A refusal has a date too."""
    ready.set("WHATSAPP_ACCESS_TOKEN", "EAAG-wrong-and-secret")
    ready.clock.jump(minutes=5)
    assert set(problems(ready)) == {"token", "clock"}


def test_what_is_not_set_is_named_and_the_rest_is_looked_at(ready: Installation) -> None:
    """A first look at a new folder."""
    ready.unset("WHATSAPP_BUSINESS_ACCOUNT_ID")
    assert looked(ready)["webhooks"]["level"] == "warning"
    ready.unset("WHATSAPP_PHONE_NUMBER_ID")
    assert "WHATSAPP_PHONE_NUMBER_ID" in problems(ready)["settings"]
    ready.unset("WHATSAPP_ACCESS_TOKEN")
    found = looked(ready)
    assert "WHATSAPP_ACCESS_TOKEN" in found["settings"]["sentence"]
    assert found["database"]["level"] == "ok"


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({"WEBHOOK_VERIFY_TOKEN": "word"}, "problem", "set WHATSAPP_APP_SECRET"),
        ({"WEBHOOK_UNSIGNED": "accept"}, "warning", "from whoever posts them"),
        ({"WHATSAPP_APP_SECRET": "very-secret"}, "warning", "set WEBHOOK_VERIFY_TOKEN"),
        ({"WHATSAPP_APP_SECRET": "very-secret", "WEBHOOK_VERIFY_TOKEN": "word"}, "ok", "can receive webhooks."),
        (
            {
                "WHATSAPP_APP_SECRET": "very-secret",
                "WEBHOOK_VERIFY_TOKEN": "word",
                "WEBHOOK_FORWARD_URL": "http://bot/very-secret",
            },
            "ok",
            "passes them on",
        ),
    ],
)
def test_the_receiver_is_looked_at_where_anything_is_set_for_it(
    ready: Installation, settings: dict[str, str], level: str, words: str
) -> None:
    """A forgotten secret is found out a week later otherwise, when Meta gives the webhooks up."""
    for name, value in settings.items():
        ready.set(name, value)
    answer = ready.run("doctor", "--json")
    (found,) = [each for each in answer.json if each["name"] == "receiver"]
    assert (found["level"], words in found["sentence"]) == (level, True)
    assert "very-secret" not in answer.stdout


@pytest.mark.parametrize(("passes_on", "waiting"), [(False, 1), (True, diagnosis.MUCH_WAITING + 1)])
def test_webhooks_that_nobody_takes_are_told_of(passes_on: bool, waiting: int) -> None:
    """Whoever waits for an automated reply has waited for hours by then."""
    found = diagnosis.judge_receiver(
        has_secret=True, has_verify_token=True, takes_unsigned=False, passes_on=passes_on, waiting_bytes=waiting
    )
    assert (found.level, "WEBHOOK_FORWARD_URL" in found.sentence) == (Level.WARNING, True)


def test_a_stopped_sender_is_a_problem_with_its_reason(ready: Installation) -> None:
    """Every run would be refused, and the reason stands in the ledger only."""
    ledger = ready.ledger()
    with ledger.write() as connection:
        sender_id(connection)
        connection.execute(update(senders).values(stopped_at=NOW, stop_reason="the account is locked"))
    ledger.close()
    assert "the account is locked" in problems(ready)["sender"]


def test_a_folder_without_installation_is_only_looked_at(installation: Installation, tmp_path: Path) -> None:
    """A look that makes a ledger would hide that it is the wrong folder."""
    installation.unset("DAGSTER_HOME")
    found = problems(installation)
    assert "run `campaign init`" in found["database"]
    assert "run `campaign init`" in next(
        each["sentence"] for each in installation.run("doctor", "--json").json if each["name"] == "folders"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_cannot_be_used_is_one_line(ready: Installation, tmp_path: Path) -> None:
    """A file that is none, and a server that is not there."""
    (tmp_path / "broken.sqlite3").write_bytes(b"no database" * 100)
    ready.set("CAMPAIGN_DATABASE_URL", "sqlite:///broken.sqlite3")
    assert "The ledger cannot be used" in problems(ready)["database"]
    ready.set("CAMPAIGN_DATABASE_URL", f"postgresql://u:very-secret@127.0.0.1:{free_port()}/x")
    found = problems(ready)["database"]
    assert "The ledger cannot be used" in found
    assert "very-secret" not in found


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("very-secret and no address", "is no address of a database"),
        ("postgresql://u:very-secret@127.0.0.1:port/x", "is no address of a database"),
        ("sqlite+nothing:///ledger.sqlite3", "The ledger cannot be used"),
    ],
)
def test_an_address_of_the_ledger_that_cannot_be_read_is_one_line(
    ready: Installation, tmp_path: Path, url: str, words: str
) -> None:
    """A traceback from the command that is there to say what is wrong."""
    (tmp_path / "ledger.sqlite3").touch()
    ready.set("CAMPAIGN_DATABASE_URL", url)
    found = problems(ready)["database"]
    assert words in found
    assert "very-secret" not in found


def test_dagsters_home_has_to_be_a_folder(ready: Installation, tmp_path: Path) -> None:
    """Dagster itself says so only when its server is started."""
    ready.set("DAGSTER_HOME", str(tmp_path / "nowhere"))
    assert "DAGSTER_HOME" in problems(ready)["dagster"]
    ready.set("DAGSTER_HOME", str(tmp_path))
    assert looked(ready)["dagster"]["level"] == "ok"
    ready.unset("DAGSTER_HOME")
    (tmp_path / "dagster.yaml").touch()
    assert looked(ready)["dagster"]["level"] == "ok"


def test_the_limit_is_read_from_meta_and_taken_over(ready: Installation, simulator: SimulatorProcess) -> None:
    """What the doctor says to do has to do it."""
    simulator.account(tier="TIER_50")
    assert "50 people may be reached" in ready.must("limit", "from-meta").stdout
    assert looked(ready)["limit"]["level"] == "ok"
    simulator.account(tier="TIER_2K")
    assert "250 people may be reached" in ready.must("limit", "from-meta").stdout
    assert "--ceiling" in ready.must("limit", "from-meta").stdout
    assert "1,500 people may be reached" in ready.must("limit", "from-meta", "--ceiling", "1500").stdout
    ready.set("CAMPAIGN_LIMIT_CEILING", "2000")
    assert "2,000 people may be reached" in ready.must("limit", "from-meta").stdout
    assert ready.must("limit", "--json").json["limit"]["source"] == "meta: TIER_2K"


def test_a_limit_that_cannot_be_read_changes_nothing(ready: Installation, simulator: SimulatorProcess) -> None:
    """A lost answer must not become a limit."""
    simulator.account(tier="TIER_NOT_SET")
    assert "nothing was changed" in ready.run("limit", "from-meta").stderr
    simulator.account(token="expired")
    answer = ready.run("limit", "from-meta")
    assert (answer.status, answer.stdout) == (1, "")
    assert "The limit cannot be read" in answer.stderr
    assert ready.must("limit", "--json").json["history"] == []


def test_a_paused_template_is_one_line_of_its_campaign(ready: Installation, simulator: SimulatorProcess) -> None:
    """Found out by the first refusal, it costs a day."""
    simulator.create_template("spring_sale", body="Our sale has begun.")
    ready.must("create", "Spring Sale", "--template", "spring_sale")
    assert "spring-sale: spring_sale (en_US) can be sent." in ready.must("doctor").stdout
    simulator.set_template_status("spring_sale", "PAUSED")
    ended = ready.run("doctor", "--json")
    (line,) = [each for each in ended.json if each["name"] == "template"]
    assert (line["level"], ended.status) == ("problem", 1)
    assert "PAUSED" in line["sentence"]


def test_a_template_of_low_quality_is_told_of_before_meta_pauses_it(
    ready: Installation, simulator: SimulatorProcess
) -> None:
    """The day on which it is paused is too late to write another."""
    simulator.create_template("spring_sale", body="Our sale has begun.", quality="RED")
    ready.must("create", "Spring Sale", "--template", "spring_sale")
    (line,) = [each for each in ready.must("doctor", "--json").json if each["name"] == "template"]
    assert (line["level"], "is RED" in line["sentence"]) == ("warning", True)


def test_a_campaign_that_follows_the_sender_says_so_everywhere(
    ready: Installation, simulator: SimulatorProcess
) -> None:
    """Its number of people a day is not 250, whatever stands in the column."""
    simulator.create_template("spring_sale", body="Our sale has begun.")
    ready.must("create", "Spring Sale", "--template", "spring_sale", "--daily-limit", "sender")
    ready.must("add", "spring-sale", ready.list_of(range(10)))
    assert ready.must("show", "spring-sale", "--json").json["daily_limit"] == "sender"
    assert "sender" in ready.must("show", "spring-sale").stdout
    ready.must("limit", "set", "5")
    assert "2 days" in ready.must("activate", "spring-sale").stdout
    ready.must("limit", "set", "10")
    assert len([each for each in ready.must("plan", "--json").json if each["expected_size"]]) == 1
    assert "daily limit 4" in ready.must("edit", "spring-sale", "--daily-limit", "4").stdout
    assert ready.must("show", "spring-sale", "--json").json["daily_limit"] == 4
    assert "daily limit sender" in ready.must("edit", "spring-sale", "--daily-limit", "sender").stdout
    assert ready.run("edit", "spring-sale", "--daily-limit", "many").status == 2


NUMBER = PhoneNumberFacts("+15550783881", "Shop", "GREEN", "CONNECTED", "APPROVED", "STANDARD", None, None)
BOTH = frozenset(diagnosis.NEEDED_PERMISSIONS)


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (diagnosis.judge_token(TokenFacts(True, NOW + timedelta(days=3), BOTH), NOW)[0], Level.WARNING),
        (diagnosis.judge_token(TokenFacts(True, NOW - timedelta(days=3), BOTH), NOW)[0], Level.PROBLEM),
        (diagnosis.judge_token(TokenFacts(True, NOW + timedelta(days=60), BOTH), NOW)[0], Level.OK),
        (diagnosis.judge_token(TokenFacts(False, None, BOTH), NOW)[0], Level.PROBLEM),
        (diagnosis.judge_unread(RefusedError(100, 33, "gone", None), "number"), Level.PROBLEM),
        (diagnosis.judge_unread(RefusedError(10, None, "no", None), "number"), Level.PROBLEM),
        (diagnosis.judge_unread(UnreachableError("no answer"), "number"), Level.PROBLEM),
        (diagnosis.judge_limit(MessagingLimit("TIER_UNLIMITED", UNLIMITED), Limit(250, NOW, "Ada")), Level.OK),
        (diagnosis.judge_limit(None, Limit(250, NOW, "Ada")), Level.WARNING),
        (diagnosis.judge_rate(100, "STANDARD")[0], Level.WARNING),
        (diagnosis.judge_clock(NOW, NOW - timedelta(seconds=60))[0], Level.OK),
        (diagnosis.judge_clock(NOW, NOW - timedelta(seconds=61))[0], Level.PROBLEM),
        (diagnosis.judge_folder("x", exists=True, writable=False, free=None), Level.PROBLEM),
        (diagnosis.judge_folder("x", exists=True, writable=True, free=1), Level.PROBLEM),
    ],
)
def test_what_is_hard_to_bring_about_is_judged_by_itself(finding: Finding, level: Level) -> None:
    """A token that ends in three days, a full disk, a clock that is a second too far off."""
    assert finding.level is level
    assert finding.sentence.endswith(".")


def test_what_says_nothing_has_no_line() -> None:
    """A line that is always there without a meaning is not read."""
    assert diagnosis.judge_clock(NOW, None) == []
    assert diagnosis.judge_rate(80, "STANDARD") == diagnosis.judge_rate(900, "HIGH") == []
    assert diagnosis.judge_folder("x", exists=True, writable=True, free=None) is None
    assert [each.level for each in diagnosis.judge_number(NUMBER)] == [Level.OK] * 3


@pytest.mark.parametrize("status", ["BANNED", "RESTRICTED"])
def test_a_declined_name_does_not_hide_that_nothing_can_be_sent(status: str) -> None:
    """A number that was just banned often has a declined name too, and the doctor ended with 0."""
    number, name = diagnosis.judge_number(replace(NUMBER, status=status, name_status="DECLINED"))[:2]
    assert (number.name, number.level, name.name, name.level) == (
        "number",
        Level.PROBLEM,
        "display_name",
        Level.WARNING,
    )
    assert status in number.sentence
    assert "was declined" in name.sentence


@pytest.mark.parametrize(
    ("what", "setting"), [("number", "WHATSAPP_PHONE_NUMBER_ID"), ("webhooks", "WHATSAPP_BUSINESS_ACCOUNT_ID")]
)
def test_a_wrong_id_is_not_called_a_wrong_token(what: str, setting: str) -> None:
    """A new token does not mend a digit of an id."""
    finding = diagnosis.judge_unread(RefusedError(803, None, "Some of the aliases do not exist", None), what)
    assert (finding.name, finding.level) == (what, Level.PROBLEM)
    assert f"Look at {setting}" in finding.sentence
