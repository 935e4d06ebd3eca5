"""`campaign doubts` and `campaign resolve`: what nobody knows, and a person's word about it."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import select, update

from campaign_pipeline.ledger.schema import audit_log, send_attempts
from campaign_pipeline.sending import lease
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.lease import LeaseTerms
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.interfaces.installation import MODULE, Installation
from campaign_pipeline_tests.interfaces.test_errors import is_one_line
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import LOST, accepted, answer_calls, holding, states, take_and_admit

LIVELY = LeaseTerms(beat_every=0.05)
"""Seen to be alive at the second look."""

MUTE = LeaseTerms(beat_every=1_000)


def with_doubts(installation: Installation, people: int = 4, in_doubt: int = 2) -> list[str]:
    """Makes `spring-sale`, of which the first people's answers were lost; gives the ids of their attempts."""
    installation.active_campaign(people, daily_limit=people)
    ledger = installation.ledger()
    _, calls = take_and_admit(ledger, people, installation.clock)
    broken = Answer(AnswerKind.UNKNOWN, 500, error_code=131000, error_text="Something went wrong")
    lost = [LOST, *[broken] * (in_doubt - 1)]
    answers = [*lost, *(accepted(f"wamid.{number}") for number in range(people - in_doubt))]
    answer_calls(ledger, zip(calls, answers, strict=True), installation.clock.now())
    ledger.close()
    return [call.attempt_id for call in calls[:in_doubt]]


def states_of(installation: Installation) -> list[str]:
    """The state of everyone in `spring-sale`."""
    ledger = installation.ledger()
    found = states(ledger)
    ledger.close()
    return found


def test_doubts_are_listed_with_what_is_known(installation: Installation) -> None:
    """Whoever decides has to see how long ago it was, what came back, and until when it uses a place."""
    first, second = with_doubts(installation)
    installation.clock.forward(hours=5)
    shown = installation.must("doubts").stdout
    for word in (first, second, "***00", "5 h", "no answer ReadTimeout", "HTTP 500 131000", "0 of 2", "2 people"):
        assert word in shown
    assert phone(0) not in shown
    told = {each["attempt_id"]: each for each in installation.must("doubts", "--json").json}
    assert set(told) == {first, second}
    assert told[first] == {
        "attempt_id": first,
        "campaign": "spring-sale",
        "phone": "***00",
        "send_date": "2026-03-02",
        "since": "2026-03-02T08:00:00+00:00",
        "http_status": None,
        "error_code": None,
        "error_text": "ReadTimeout",
        "run_id": "run",
        "accepted_of_batch": 2,
        "heard_of_batch": 0,
        "counts_until": "2026-03-03T08:00:00+00:00",
        "age_seconds": 5 * 3600,
    }


def test_doubts_can_be_narrowed_down(installation: Installation) -> None:
    """After a month there are several dates, and each of them has its own story."""
    with_doubts(installation)
    installation.must("create", "Summer", "--template", "summer")
    assert len(installation.must("doubts", "--date", "2026-03-02", "--campaign", "spring-sale", "--json").json) == 2
    assert installation.must("doubts", "--date", "2026-03-03", "--json").json == []
    assert "Nobody is in doubt" in installation.must("doubts", "--campaign", "summer").stdout


@pytest.mark.parametrize(("days", "said"), [(0.01, "14 min"), (1.5, "36 h"), (3.2, "3 days")])
def test_an_age_is_told_as_people_would(installation: Installation, days: float, said: str) -> None:
    """4,320 minutes are for nobody."""
    with_doubts(installation, in_doubt=1)
    installation.clock.forward(days=days)
    assert said in installation.must("doubts").stdout


def test_who_was_reached_is_settled_with_a_word(installation: Installation) -> None:
    """The last doubt of a campaign is what it waits for."""
    first, second = with_doubts(installation)
    said = installation.must("resolve", first, "--reached", "--by", "Ada", "--reason", "they wrote back").stdout
    assert "1 person settled, now 1 accepted." in said
    ended = installation.must("resolve", second, "--reached", "--by", "Ada", "--json").json
    assert (ended["verdict"], ended["attempt_ids"], ended["states"]) == ("reached", [second], {"accepted": 1})
    assert (ended["dates"], ended["completed"]) == (["2026-03-02"], ["spring-sale"])
    ledger = installation.ledger()
    with ledger.read() as connection:
        told = connection.execute(select(audit_log).where(audit_log.c.action == "doubts_resolved")).all()
    ledger.close()
    assert [(row.actor, row.details["reason"]) for row in told] == [("Ada", "they wrote back"), ("Ada", "")]


def test_all_of_a_date_are_sent_to_again(installation: Installation) -> None:
    """The gateway was down for a minute, and a person knows that nothing got through."""
    with_doubts(installation, people=4, in_doubt=3)
    answer = installation.run("resolve", "--all-of", "2026-03-02", "--not-reached", "--by", "Ada", "--yes")
    assert answer.status == 0, answer.stderr
    assert "3 people: they may have got it; they will be sent to again." in answer.stderr
    assert "3 people settled, now 3 claimed." in answer.stdout
    assert states_of(installation) == ["claimed"] * 3 + ["accepted"]


def test_not_reached_without_a_terminal_needs_a_yes(installation: Installation) -> None:
    """A script cannot be sure of it, and a pipe cannot answer."""
    first, _ = with_doubts(installation)
    answer = installation.run("resolve", first, "--not-reached", "--by", "Ada", answer="y\n")
    assert answer.status == 2
    assert "say --yes" in answer.stderr
    assert states_of(installation)[:2] == ["in_doubt"] * 2


@pytest.mark.parametrize(("typed", "status", "state"), [("n", 1, "in_doubt"), ("y", 0, "claimed")])
def test_at_a_terminal_not_reached_is_asked_first(
    installation: Installation, typed: str, status: int, state: str
) -> None:
    """A second message to the same customer cannot be taken back."""
    first, _ = with_doubts(installation)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "resolve", first, "--not-reached", "--by", "Ada"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, f"{typed}\n".encode())
    _, told = process.communicate(timeout=300)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, "they will be sent to again" in told, "Are you sure" in told) == (status, True, True)
    assert states_of(installation)[0] == state


@contextmanager
def called_by_holder(installation: Installation, terms: LeaseTerms) -> Iterator[str]:
    """Holds the sender as the run that has made the only call, whose answer was lost; gives the attempt's id."""
    installation.active_campaign(1)
    ledger = installation.ledger()
    _, (call,) = take_and_admit(ledger, 1, installation.clock)
    answer_calls(ledger, [(call, LOST)], installation.clock.now())
    with holding(ledger, SystemClock(), terms, "the run") as held:
        with ledger.write() as connection:
            connection.execute(update(send_attempts).values(lease_fence=held.fence))
        yield call.attempt_id
    ledger.close()


def test_not_reached_waits_for_the_end_of_the_run_that_called(installation: Installation) -> None:
    """A run that is alive may still be at it; one line says so, and nothing is changed."""
    with called_by_holder(installation, LIVELY) as attempt_id:
        answer = installation.run("resolve", attempt_id, "--not-reached", "--by", "Ada", "--yes")
    assert (answer.status, answer.stdout) == (1, "")
    assert "Looking whether the run that called is still alive (the run): 30 seconds." in answer.stderr
    assert "Error: Nothing was changed: the run that made the call (the run) still holds the sender" in answer.stderr
    assert states_of(installation) == ["in_doubt"]


def test_not_reached_is_taken_after_a_run_that_is_gone_was_silent(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host has left the lease behind; the person who knows better need not wait for the next run."""
    monkeypatch.setattr(lease, "LeaseTerms", partial(LeaseTerms, silence=0.3, look_every=0.02))
    with called_by_holder(installation, MUTE) as attempt_id:
        answer = installation.run("resolve", attempt_id, "--not-reached", "--by", "Ada", "--yes")
    assert answer.status == 0, answer.stderr
    assert states_of(installation) == ["claimed"]


def test_what_cannot_be_settled_is_one_line(installation: Installation) -> None:
    """The id was copied without its end, or somebody was faster."""
    first, _ = with_doubts(installation)
    wrong = installation.run("resolve", first, first[:8], "--reached", "--by", "Ada")
    assert is_one_line(wrong)
    assert f"{first[:8]} is no attempt that is known here" in wrong.stderr
    assert is_one_line(installation.run("resolve", "--all-of", "2026-03-01", "--reached", "--by", "Ada"))
    assert is_one_line(installation.run("resolve", first, "--reached", "--by", " "))
    installation.must("resolve", first, "--reached", "--by", "Ada")
    assert "is settled: accepted" in installation.run("resolve", first, "--reached", "--by", "Ben").stderr


@pytest.mark.parametrize(
    "words",
    [
        ["resolve", "--reached", "--by", "Ada"],
        ["resolve", "x", "--all-of", "2026-03-02", "--reached", "--by", "Ada"],
        ["resolve", "x", "--by", "Ada"],
        ["resolve", "x", "--reached"],
        ["resolve", "--all-of", "monday", "--reached", "--by", "Ada"],
        ["doubts", "--date", "monday"],
    ],
    ids=["nobody", "both", "no verdict", "no name", "no date", "no date either"],
)
def test_a_word_that_is_not_complete_is_not_taken(installation: Installation, words: list[str]) -> None:
    """Guessed, it would be the wrong half of the time."""
    assert installation.run(*words).status == 2
