"""`campaign prove`: what it tells a person and a script, and its exit status."""

import pytest
from sqlalchemy import text

from campaign_pipeline.sending.promises import PROMISES
from campaign_pipeline_tests.interfaces.installation import Answer, Installation
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import LOST, accepted, answer_call, take_and_admit

COUNT = len(PROMISES) + 1
"""How many promises there are, the moving window included."""


@pytest.fixture
def sent(installation: Installation) -> Installation:
    """Two of three people were sent to, and of one the answer was lost; another campaign is a draft."""
    installation.active_campaign(people=3, daily_limit=2)
    ledger = installation.ledger()
    _, calls = take_and_admit(ledger, 2, installation.clock)
    for call, answer in zip(calls, (accepted("wamid.1"), LOST), strict=True):
        answer_call(ledger, call, answer, installation.clock.now())
    ledger.close()
    installation.must("create", "Summer", "--template", "summer")
    return installation


def forge(installation: Installation, *statements: str) -> None:
    """Changes the ledger past every rule of ours."""
    ledger = installation.ledger()
    with ledger.write() as connection:
        for statement in statements:
            connection.execute(text(statement))
    ledger.close()


def test_kept_promises_are_told_one_a_line_with_exit_status_0(sent: Installation) -> None:
    """Whoever asks wants to see what was asked; a bare "ok" could be the answer of an empty list."""
    told = sent.must("prove").stdout.splitlines()
    assert sum(line.startswith("  ok      ") for line in told) == COUNT
    assert [line for line in told if not line.startswith(" ") and line] == [
        "Never twice",
        "Never over the limit",
        "Nobody forgotten",
        "The truth about delivery",
        "In doubt: 1 of 2026-03-02; the oldest since 2026-03-02 08:00 UTC. `campaign doubts` lists them.",
        "Every promise is kept; 3 recipients and 2 attempts of all campaigns were looked at.",
    ]


def test_a_broken_promise_is_named_with_its_rows_and_exit_status_1(sent: Installation) -> None:
    """A script that sends every night has to stop, and a person has to find the rows."""
    forge(sent, "UPDATE campaign_recipients SET state = 'read' WHERE id IN (1, 3)")
    answer = sent.run("prove")
    assert answer.status == 1
    assert "  BROKEN  Each recipient is in the state that the attempts amount to.\n" in answer.stdout
    assert "          states_are_the_fold: recipients 1, 3\n" in answer.stdout
    assert "Not every promise is kept" in answer.stdout
    assert answer.stderr == (
        f"Error: 2 of {COUNT} promises are broken. Pause what is active, and look at the rows that are named before "
        "anything more is sent.\n"
    )


def test_programs_get_everything_as_one_document(sent: Installation) -> None:
    """The table of a terminal is no interface."""
    document = sent.must("prove", "--json").json
    assert (document["kept"], document["campaign"]) == (True, None)
    assert (document["recipients"], document["attempts"]) == (3, 2)
    assert len(document["promises"]) == COUNT
    assert document["promises"][0] == {
        "name": "nobody_twice",
        "part_of": "never twice",
        "sentence": "Nobody has two attempts that may both have been accepted.",
        "kept": True,
        "of_all_campaigns": True,
        "rows": "recipients",
        "count": 0,
        "ids": [],
    }
    lost = {"send_date": "2026-03-02", "attempts": 1, "oldest_started_at": "2026-03-02T08:00:00+00:00"}
    assert document["in_doubt"] == {"count": 1, "oldest_started_at": lost["oldest_started_at"], "by_date": [lost]}
    assert (
        document["ordered_repeats"] == document["unfinished"] == document["known_too_late"] == {"count": 0, "ids": []}
    )


def broken(answer: Answer) -> dict[str, list[int]]:
    return {each["name"]: each["ids"] for each in answer.json["promises"] if not each["kept"]}


def test_a_broken_promise_is_in_the_document_too(sent: Installation) -> None:
    """Exit status and document must not contradict each other."""
    forge(sent, "UPDATE campaign_recipients SET state = 'failed' WHERE id = 3")
    answer = sent.run("prove", "--json")
    assert (answer.status, answer.json["kept"]) == (1, False)
    assert broken(answer) == {"states_are_the_fold": [3]}


def test_one_campaign_answers_for_itself(sent: Installation) -> None:
    """What another campaign has broken is no reason to stop this one; what they share is."""
    forge(sent, "UPDATE campaign_recipients SET state = 'failed' WHERE id = 3")
    assert broken(sent.run("prove", "spring-sale", "--json")) == {"states_are_the_fold": [3]}
    summer = sent.must("prove", "summer", "--json").json
    assert (summer["campaign"], summer["recipients"], summer["in_doubt"]["count"]) == ("summer", 0, 0)
    assert {each["name"] for each in summer["promises"] if each["of_all_campaigns"]} == {
        "batches_sum",
        "window_within_limit",
    }
    assert sent.must("prove", "summer").stdout.count("(of all campaigns)") == 2
    forge(sent, "UPDATE batches SET moved_on = 1")
    assert broken(sent.run("prove", "summer", "--json")) == {"batches_sum": [1]}


def test_what_is_not_settled_yet_is_listed_and_breaks_nothing(sent: Installation) -> None:
    """A run that died leaves calls that nobody knows the end of, until the next run looks."""
    ledger = sent.ledger()
    sent.clock.forward(days=1)
    take_and_admit(ledger, 5, sent.clock, "2026-03-03")
    with ledger.read() as connection:
        calling = connection.execute(text("SELECT id FROM send_attempts WHERE outcome = 'calling'")).scalar_one()
    ledger.close()
    assert f"before the answer came: attempts {calling}.\n" in sent.must("prove").stdout


def test_a_proof_shows_no_phone_number(sent: Installation) -> None:
    """It is sent to whoever helps."""
    forge(
        sent,
        "UPDATE campaign_recipients SET state = 'failed'",
        "UPDATE send_attempts SET person_key = '+15550001', failed_at = started_at",
    )
    for words in (["prove"], ["prove", "--json"]):
        answer = sent.run(*words)
        assert answer.status == 1
        assert all(phone(number)[-6:] not in answer.stdout + answer.stderr for number in range(3))
        assert "5550001" not in answer.stdout


def test_a_campaign_that_is_not_there_is_one_line(installation: Installation) -> None:
    """Everything about nobody is true; a slip of the pen must not end in "kept"."""
    answer = installation.run("prove", "summer")
    assert (answer.status, answer.stdout) == (1, "")
    assert "no campaign 'summer'" in answer.stderr


def test_an_installation_that_has_sent_nothing_keeps_every_promise(installation: Installation) -> None:
    """The first look is taken before there is anything to see."""
    told = installation.must("prove").stdout
    assert "In doubt: nobody." in told
    assert "0 recipients and 0 attempts" in told
