"""The moving 24 hours counted anew: what it finds in attempts that were forged, and that it never cries wolf."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, FAR_AWAY
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import external_usage, senders
from campaign_pipeline.sending.limits import note_used_elsewhere
from campaign_pipeline.sending.window_proof import NOTING_TAKES, TooMany, admitted_over_limit
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.ledger.rows import MOMENT, put
from campaign_pipeline_tests.support.ledgers import empty
from campaign_pipeline_tests.support.sending import (
    LOST,
    SendingDesk,
    accepted,
    answer_call,
    people,
    take_and_admit,
)

TRIES = 15
"""Random ledgers, of each kind of database."""

DAY = CAPACITY_WINDOW


def at(hours: float) -> datetime:
    return MOMENT + timedelta(hours=hours)


@dataclass(frozen=True)
class Call:
    """One attempt: who was attempted when, under which limit, and what is known of its end.

    Attributes:
        who: The person.
        start: Hours after the first moment.
        limit: The limit stored on it.
        seconds: How long its answer took; None while the call is out.
        outcome: What is known.
        was_counted: Whether the row says that its person took no place.
    """

    who: int
    start: float
    limit: int = 2
    seconds: float | None = 1
    outcome: str = "accepted"
    was_counted: bool = False

    @property
    def answered_at(self) -> datetime | None:
        return None if self.seconds is None else at(self.start) + timedelta(seconds=self.seconds)

    @property
    def counts_until(self) -> datetime | None:
        if self.outcome in ("refused", "not_sent"):
            return None
        return FAR_AWAY if self.answered_at is None else self.answered_at + DAY


def over_limit(ledger: Ledger, calls: Sequence[Call]) -> list[TooMany]:
    """Writes attempts down in any order, as if each had been admitted, and counts anew; ids are places in the list."""
    with ledger.write() as connection:
        put(connection, "marketing_campaigns")
        if connection.execute(select(senders.c.id)).first() is None:
            put(connection, "senders")
        put(connection, "batches", size=len(calls))
        shuffled = random.Random(0).sample(list(enumerate(calls)), len(calls))  # noqa: S311 - the same in every run
        for number, call in shuffled:
            key = f"person {call.who}"
            # A recipient of its own for each, as if each were of another campaign: only the person counts here.
            recipient = {"id": number + 1, "person_key": f"{key}, {number}", "position": number}
            put(connection, "campaign_recipients", **recipient)
            put(
                connection,
                "send_attempts",
                id=f"{number:03}",
                recipient_id=number + 1,
                person_key=key,
                admitted_limit=call.limit,
                admitted_count=call.limit,
                started_at=at(call.start),
                answered_at=call.answered_at,
                counts_until=call.counts_until,
                outcome=call.outcome,
                was_counted=int(call.was_counted),
            )
    with ledger.read() as connection:
        return list(admitted_over_limit(connection))


def found(ledger: Ledger, *calls: Call) -> list[int]:
    """The places of the calls that were one too many, for all that was known then."""
    return sorted(int(each.attempt_id) for each in over_limit(ledger, calls) if each.was_known)


A_SECOND = 1 / 3600


def test_an_exact_batch_on_each_date_that_meets_in_one_day_is_found(ledger: Ledger) -> None:
    """The first date late in the evening and the second early: as many a date as allowed, and too many in 24 hours."""
    evening, morning = 11, 24
    calls = [Call(1, evening), Call(2, evening), Call(3, morning), Call(4, morning)]
    assert over_limit(ledger, calls) == [
        TooMany("002", people=4, limit=2, was_known=True),
        TooMany("003", people=4, limit=2, was_known=True),
    ]


def test_whoever_leaves_at_a_moment_makes_room_at_that_moment(ledger: Ledger) -> None:
    """Admission lets the next one in to the microsecond; a proof that is one off would call that broken every day."""
    leaves = 24 + A_SECOND
    assert found(ledger, Call(1, 0, 1), Call(2, leaves, 1)) == []


def test_whoever_has_not_left_yet_makes_no_room(ledger: Ledger) -> None:
    """The other side of the same moment."""
    assert found(ledger, Call(1, 0, 1), Call(2, 24, 1)) == [1]


def test_the_answer_starts_the_day_and_not_the_call(ledger: Ledger) -> None:
    """A slow answer can be that of a message that was only then accepted."""
    assert found(ledger, Call(1, 0, 1, seconds=3600), Call(2, 24.5, 1)) == [1]


def test_a_person_counts_once_however_often_attempted(ledger: Ledger) -> None:
    """Meta counts people, not messages: a second campaign to the same person costs nothing more."""
    assert found(ledger, Call(1, 0), Call(1, 1), Call(2, 2), Call(1, 3), Call(2, 25)) == []


def test_a_person_who_was_attempted_again_stays_for_a_day_from_then(ledger: Ledger) -> None:
    """The first message has left the window and the second has not: the person still counts."""
    assert found(ledger, Call(1, 0, 1), Call(1, 12, 1), Call(2, 30, 1)) == [2]


def test_a_lowered_limit_is_broken_by_new_people_alone(ledger: Ledger) -> None:
    """Whoever is in the window already may be sent to again, though more are in it than the new limit."""
    calls = [Call(1, 0, 3), Call(2, 0, 3), Call(3, 0, 3), Call(1, 1, 1), Call(4, 2, 1)]
    assert found(ledger, *calls) == [4]


def test_a_claim_to_have_counted_already_is_not_taken_on_trust(ledger: Ledger) -> None:
    """The row that says that its person cost nothing is written by the code that is being checked."""
    assert found(ledger, Call(1, 0, 1), Call(2, 1, 1, was_counted=True)) == [1]


@pytest.mark.parametrize("outcome", ["refused", "not_sent"])
def test_a_call_that_was_certainly_not_accepted_counts_for_nothing(ledger: Ledger, outcome: str) -> None:
    """It held a place while it was out; nobody was reached, so nothing that came after it is too much."""
    assert found(ledger, Call(1, 0, 1, outcome=outcome), Call(2, 1, 1), Call(3, 2, 1, outcome=outcome)) == []


def test_whoever_counted_only_while_a_call_was_out_explains_the_one_beside_it(ledger: Ledger) -> None:
    """Two campaigns reach for one person, the first is refused later: the second was free when it was admitted."""
    refused = Call(3, 1, 1, seconds=60, outcome="refused")
    assert found(ledger, Call(1, 0), Call(2, 0), refused, Call(3, 1 + 10 * A_SECOND, 1)) == []


def test_whoever_comes_after_the_refusal_was_known_is_new(ledger: Ledger) -> None:
    """Once the refusal is written down the person counts no longer, and the next call needs a place."""
    refused = Call(3, 1, 1, seconds=60, outcome="refused")
    assert found(ledger, Call(1, 0), Call(2, 0), refused, Call(3, 1 + 120 * A_SECOND, 1)) == [3]


def test_a_call_that_is_out_counts_until_its_answer_comes(ledger: Ledger) -> None:
    """The worker is gone and nobody has noticed for days: the message may still be accepted."""
    assert found(ledger, Call(1, 0, 1, seconds=None, outcome="calling"), Call(2, 100, 1)) == [1]


def test_a_day_counts_whatever_the_row_says_of_its_end(ledger: Ledger) -> None:
    """An end written too early would let admission, and a proof that believes it, pass the limit alike."""
    too_early = Call(1, 0, 1, seconds=-20 * 3600)
    assert too_early.counts_until == at(4)
    assert found(ledger, too_early, Call(2, 20, 1)) == [1]


def test_an_answer_found_days_later_does_not_count_in_between(ledger: Ledger) -> None:
    """A laptop sleeps for two days with a call out, which another run has put in doubt: others had the place."""
    asleep = Call(1, 0, 1, seconds=48 * 3600)
    assert found(ledger, asleep, Call(2, 30, 1), Call(3, 60, 1)) == [2]


def test_everybody_of_the_moment_at_which_it_was_too_much_is_named(ledger: Ledger) -> None:
    """They were admitted together: which of them was the one too many nobody can say."""
    assert found(ledger, Call(1, 0), Call(2, 1), Call(3, 1), Call(4, 26)) == [1, 2]


def test_what_others_used_counts_from_then_on_and_for_a_day(ledger: Ledger) -> None:
    """Another system's people are in the same window of the same portfolio."""
    with ledger.write() as connection:
        put(connection, "senders")
        put(connection, "external_usage", people=2, used_at=at(1))
    assert [each.attempt_id for each in over_limit(ledger, [Call(1, 0), Call(2, 2), Call(3, 26)])] == ["001"]


@pytest.mark.parametrize(
    ("noted", "known"),
    [(at(3), False), (at(3) - NOTING_TAKES / 2, False), (at(2), True)],
    ids=["before it was noted", "while it was being noted", "after it was noted"],
)
def test_usage_that_was_noted_too_late_is_told_and_breaks_no_promise(
    ledger: Ledger, noted: datetime, *, known: bool
) -> None:
    """The limit was passed in fact, and nobody could have known: it would stay broken for ever."""
    with ledger.write() as connection:
        note_used_elsewhere(connection, 2, at(1), by="Ada", now=noted)
        usage = connection.execute(select(external_usage)).one()
    assert usage.used_at == at(1)
    (late,) = over_limit(ledger, [Call(1, 0), Call(2, 3)])
    assert (late.attempt_id, late.people, late.was_known) == ("001", 4, known)


def naive(calls: Sequence[Call]) -> list[int]:
    """The same question asked the slow way: at each moment, look at everybody."""
    wrong = []
    for number, call in enumerate(calls):
        moment = at(call.start)

        def counts(other: Call, moment: datetime = moment) -> bool:
            if other.counts_until is None:
                return False
            return at(other.start) <= moment < max(other.counts_until, at(other.start) + DAY)

        earlier = [other for place, other in enumerate(calls) if (other.start, place) < (call.start, number)]
        counted_then = any(
            other.who == call.who
            and (counts(other) or (other.counts_until is None and (other.answered_at or moment) >= moment))
            for other in earlier
        )
        in_window = {other.who for other in calls if counts(other)}
        if call.counts_until is not None and not counted_then and len(in_window) > call.limit:
            wrong.append(number)
    return wrong


def test_it_finds_what_a_look_at_everybody_finds(ledger: Ledger) -> None:
    """The quick way keeps only who counts at the moment; whom it forgets too early, or too late, is counted wrongly."""
    tries_with_some = 0
    for seed in range(TRIES):
        chance = random.Random(seed)  # noqa: S311 - the same in every run
        calls = [
            Call(
                who=chance.randrange(12),
                start=start,
                limit=3,
                seconds=chance.choice([0, 1, 60, 7200]),
                outcome=chance.choice(["accepted", "accepted", "accepted", "in_doubt", "refused", "voided"]),
            )
            for start in sorted(chance.sample(range(300), 40))
        ]
        empty(ledger)
        expected = naive(calls)
        assert found(ledger, *calls) == expected, seed
        tries_with_some += bool(expected)
    assert tries_with_some > TRIES / 3


def test_whatever_admission_has_let_in_is_within_the_limit(desk: SendingDesk) -> None:
    """A proof that cries wolf is switched off: slow answers, lost ones, refusals, a clock set back, a lowered limit."""
    chance = random.Random(1)  # noqa: S311 - the same in every run
    desk.campaign(people(200))
    refused = Answer(AnswerKind.REFUSED, 400, 130429, "too fast")
    admitted = 0
    for day in range(25):
        limit = chance.choice([4, 7, 7, 10])
        _, calls = take_and_admit(desk.ledger, limit, desk.clock, f"2026-03-{day + 2:02}")
        admitted += len(calls)
        for call in calls:
            desk.clock.forward(seconds=chance.choice([0, 0, 1, 30]))
            answer = chance.choice([accepted(f"wamid.{call.attempt_id}"), LOST, refused])
            answer_call(desk.ledger, call, answer, desk.clock.now())
        desk.clock.forward(hours=chance.choice([-1, 1, 6, 13, 24, 30]))
    with desk.ledger.read() as connection:
        assert list(admitted_over_limit(connection)) == []
    assert admitted > 60
