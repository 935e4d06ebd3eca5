"""Guards that only an unlucky moment comes upon: what one transaction has looked at, another one changes meanwhile.

SQLite has one writer at a time, so that there the second one comes after the first in any case.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Final

import pytest
from sqlalchemy import Connection, event, insert, select, update

from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, marketing_campaigns, senders
from campaign_pipeline.sending.attempts import Admission, AdmittedCall, SettledCall, admit, settle
from campaign_pipeline.sending.batches import Batch, take_batch
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.doubts import DoubtVerdict, TheseAttempts, resolve
from campaign_pipeline.sending.errors import LeaseLostError, StoppedError
from campaign_pipeline.sending.lease import Lease, LeaseTerms, hold_sender
from campaign_pipeline.sending.outcomes import judge
from campaign_pipeline.sending.proof import prove
from campaign_pipeline.sending.report import Progress
from campaign_pipeline_tests.sending.sending_process import SHORT
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    PATIENT,
    SECOND_OF_MARCH,
    SendingDesk,
    accepted,
    attempts,
    batch_rows,
    campaign_status,
    holding,
    people,
    sender_row,
    states,
    take_and_admit,
    take_over,
    used_capacity,
)

THIRD_OF_MARCH: Final = date(2026, 3, 3)

A_MOMENT: Final = 0.4
"""Seconds after which one who has not come through is held up by a lock."""

LONG: Final = 120.0
"""Seconds in which one whom nothing holds up comes through on the busiest machine."""


class Interruption:
    """What another one does in the middle of a transaction.

    Attributes:
        came_first: Whether it was done before the transaction went on; not if a lock held it up.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self.came_first = False
        self._action = action
        self._pool = ThreadPoolExecutor(1)

    def begin(self, seconds: float) -> None:
        """Begins it, and gives it time to come through."""
        self._doing = self._pool.submit(self._action)
        done = threading.Event()
        self._doing.add_done_callback(lambda _: done.set())
        self.came_first = done.wait(seconds)

    def end(self) -> None:
        """Waits for its end."""
        self._doing.result()
        self._pool.shutdown()


@contextmanager
def meanwhile(
    ledger: Ledger,
    statement: str,
    action: Callable[[], object],
    seconds: float | None = None,
    when: Callable[[], bool] = lambda: True,
) -> Generator[Interruption]:
    """Lets somebody else do something just before the first statement that begins with these words.

    Args:
        ledger: Whose statements are watched.
        statement: The words.
        action: What the other one does.
        seconds: How long it may take; by default long where it needs no lock that is held, as on PostgreSQL.
        when: Which of these statements it is; by default the first.
    """
    interruption = Interruption(action)
    waiting = [True]

    def look(_connection: Connection, _cursor: object, words: str, *_: object) -> None:
        if waiting and words.startswith(statement) and when():
            waiting.clear()
            interruption.begin(seconds or (LONG if is_served_by_locks(ledger) else A_MOMENT))

    event.listen(ledger.engine, "before_cursor_execute", look)
    try:
        yield interruption
    finally:
        event.remove(ledger.engine, "before_cursor_execute", look)
        assert not waiting, f"there was no {statement}"
        interruption.end()


def is_served_by_locks(ledger: Ledger) -> bool:
    """Whether writers go on side by side until they come to the same row."""
    return ledger.engine.dialect.name == "postgresql"


def admit_one(connection: Connection, lease: Lease, batch: Batch, clock: HandClock, limit: int) -> Admission:
    return admit(
        connection, lease, batch, size=1, limit_setting=limit, keep_free_for=None, run_id="run", now=clock.now()
    )


def test_of_two_workers_at_the_last_place_one_has_it(desk: SendingDesk) -> None:
    """Counted before the lock, the place that the first one takes is still free for the second."""
    desk.campaign(people(3))
    with holding(desk.ledger, desk.clock) as lease:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 3, "run", desk.clock.now())
        assert batch is not None

        def also_admit() -> Admission:
            with desk.ledger.write() as connection:
                return admit_one(connection, lease, batch, desk.clock, limit=1)

        with ThreadPoolExecutor(1) as pool:
            with desk.ledger.write() as connection:
                first = admit_one(connection, lease, batch, desk.clock, limit=1)
                second = pool.submit(also_admit)
                with pytest.raises(TimeoutError):
                    second.result(A_MOMENT)
            assert (len(first.calls), len(second.result().calls), second.result().full) == (1, 0, True)
    assert used_capacity(desk.ledger, desk.clock.now()) == 1


def test_nobody_takes_the_sender_over_while_its_holder_admits(desk: SendingDesk) -> None:
    """Replaced between the look at its fence and the commit, it would make calls beside its successor."""
    desk.campaign(people(1))
    with holding(desk.ledger, desk.clock) as lease:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 1, "run", desk.clock.now())
        assert batch is not None
        with meanwhile(desk.ledger, "SELECT senders.stopped_at", lambda: take_over(desk.ledger), A_MOMENT) as taking:
            with desk.ledger.write() as connection:
                admission = admit_one(connection, lease, batch, desk.clock, limit=9)
            assert not taking.came_first
        assert len(admission.calls) == 1
    assert sender_row(desk.ledger).lease_holder == "another run"


def test_a_machine_that_sleeps_between_an_admission_and_its_call_makes_no_call(desk: SendingDesk) -> None:
    """Awake again, it would call people whom its successor has put in doubt, and a person perhaps sent to again."""
    who = people(1)
    desk.campaign(who)
    terms = LeaseTerms(beat_every=1_000, silence=30, margin=10)
    with (
        meanwhile(desk.ledger, "INSERT INTO send_attempts", lambda: desk.clock.forward(seconds=25)),
        pytest.raises(LeaseLostError, match="could not show that it is alive"),
    ):
        desk.send(lease=terms)
    assert desk.reached(who) == []
    assert [attempt.error_text for attempt in attempts(desk.ledger)] == ["the lease ran out before the call was made"]
    assert states(desk.ledger) == ["claimed"]


class TellingClock(HandClock):
    """A clock that lets something happen at the n-th look at it after so many seconds.

    A run that waits for the sender looks at it just before, and again just after its look at the holder.
    """

    def __init__(self, seconds: float, looks: int, action: Callable[[], object]) -> None:
        super().__init__()
        self._seconds = seconds
        self._looks = looks
        self._action = action

    def monotonic(self) -> float:
        """Seconds."""
        if self.elapsed >= self._seconds:
            self._looks -= 1
            if self._looks == 0:
                self._action()
        return super().monotonic()


def test_of_two_that_have_seen_a_released_sender_one_takes_it(ledger: Ledger, clock: HandClock) -> None:
    """The second one to write must not believe that it holds what the first one has just taken."""
    with holding(ledger, clock) as lease:
        sender = lease.sender_id
    stop = threading.Event()
    told: list[str] = []

    def hear(holder: str) -> None:
        told.append(holder)
        stop.set()

    # One more look than usual, at its beginning.
    late = TellingClock(0, 3, lambda: take_over(ledger, "the first"))
    with pytest.raises(StoppedError), hold_sender(ledger, sender, "the second", PATIENT, late, stop, hear):
        pytest.fail("two hold the sender")
    assert told == ["the first"]
    assert sender_row(ledger).lease_holder == "the first"


def test_a_holder_that_beats_at_the_last_moment_keeps_the_sender(ledger: Ledger, clock: HandClock) -> None:
    """It was silent for as long as a dead one, and beats between the last look at it and the taking over."""
    with holding(ledger, clock) as lease:
        sender = lease.sender_id
    take_over(ledger, "a slow one")

    def beat() -> None:
        with ledger.write() as connection:
            connection.execute(update(senders).values(lease_beat=senders.c.lease_beat + 1))

    watching = TellingClock(SHORT.silence, 2, beat)
    with hold_sender(ledger, sender, "next", SHORT, watching, threading.Event(), lambda _: None):
        assert watching.elapsed >= 2 * SHORT.silence


def test_a_run_that_was_replaced_does_not_beat_for_its_successor(ledger: Ledger) -> None:
    """A successor that dies would look alive for as long as the one before it runs on, and nobody would go on."""
    terms = LeaseTerms(beat_every=0.02, silence=1e9, margin=0)
    with holding(ledger, SystemClock(), terms) as lease:
        take_over(ledger)
        deadline = time.monotonic() + LONG
        while lease.is_live() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not lease.is_live()
        assert sender_row(ledger).lease_beat == 0


def test_a_run_that_was_replaced_before_it_takes_a_batch_takes_none(desk: SendingDesk) -> None:
    """Its successor is at work on the queue already; two takes at once would be two batches of the same people."""
    desk.campaign(people(2))

    def holds_the_sender() -> bool:
        return sender_row(desk.ledger).lease_holder == "run"

    with (
        meanwhile(desk.ledger, "SELECT batches", lambda: take_over(desk.ledger), LONG, holds_the_sender) as taking,
        pytest.raises(LeaseLostError),
    ):
        desk.send()
    assert taking.came_first
    assert batch_rows(desk.ledger) == []


def test_a_run_that_was_replaced_after_its_last_answer_closes_nothing(desk: SendingDesk) -> None:
    """Closing puts in doubt whoever is being attempted, and that would be the calls of its successor."""
    desk.campaign(people(2))

    def lose_it(progress: Progress) -> None:
        if progress.done == progress.total:
            take_over(desk.ledger)

    with pytest.raises(LeaseLostError):
        desk.send(concurrency=1, on_progress=lose_it)
    (batch,) = batch_rows(desk.ledger)
    assert batch.state == "open"


def test_a_campaign_cancelled_during_an_admission_waits_for_it(desk: SendingDesk) -> None:
    """Who cancels is told that nobody else is reached: people who are being admitted are locked, and then in flight."""
    who = people(2)
    campaign = desk.campaign(who, daily_send_limit=1)
    with meanwhile(desk.ledger, "INSERT INTO send_attempts", lambda: desk.cancel(campaign), A_MOMENT) as cancelling:
        desk.send()
    assert not cancelling.came_first
    assert len(desk.reached(who)) == 1
    assert states(desk.ledger)[1] == "skipped"
    assert [finding.name for finding in prove(desk.ledger).broken] == []


def given_up_doubt(desk: SendingDesk, number: int) -> None:
    """Lets a person be reached without an answer, and somebody say that nobody was reached."""
    desk.simulator.fault("lost_answer", to=phone(number))
    desk.send()
    desk.simulator.clear_faults()
    (attempt,) = attempts(desk.ledger, number)
    choice = TheseAttempts((attempt.id,))
    with desk.ledger.write() as connection:
        resolve(connection, choice, DoubtVerdict.NOT_REACHED, by="Ada", now=desk.clock.now(), reason="a mistake")
    desk.clock.forward(days=1)
    desk.simulator.wait_for_statuses()


def take_the_next_day(desk: SendingDesk) -> None:
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        take_batch(connection, lease.sender_id, THIRD_OF_MARCH, 250, "next", desk.clock.now())


def test_a_status_that_comes_while_a_batch_is_taken_keeps_its_person_out(desk: SendingDesk) -> None:
    """The person was given up as not reached, and waits again; the word that they were reached comes just now."""
    who = people(2)
    desk.campaign(who[:1])
    given_up_doubt(desk, who[0])
    desk.campaign(who[1:], "Other")
    with meanwhile(desk.ledger, "INSERT INTO batches", desk.ingest) as ingesting:
        take_the_next_day(desk)
    assert ingesting.came_first == is_served_by_locks(desk.ledger)
    assert batch_rows(desk.ledger)[-1].size == (1 if ingesting.came_first else 2)
    assert states(desk.ledger) == ["read"]
    desk.send(THIRD_OF_MARCH)
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_a_status_that_comes_while_its_person_is_skipped_counts(desk: SendingDesk) -> None:
    """Skipped over a delivery, the person would be shown as never reached."""
    who = people(1)
    desk.campaign(who)
    given_up_doubt(desk, who[0])
    desk.unsubscribe(who[0])
    with meanwhile(desk.ledger, "UPDATE campaign_recipients SET state", desk.ingest):
        take_the_next_day(desk)
    assert states(desk.ledger) == ["read"]


def test_answers_about_the_same_people_in_another_order_wait_for_each_other(desk: SendingDesk) -> None:
    """Two transactions that each hold what the other wants: PostgreSQL ends one of them, and its answers are lost."""
    desk.campaign(people(2))
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    half_done = {word: threading.Event() for word in ("forwards", "backwards")}

    def record(order: tuple[str, str], in_order: Sequence[AdmittedCall]) -> None:
        with desk.ledger.write() as connection:
            for call in in_order:
                answer = accepted(f"wamid.{call.attempt_id}")
                settle(connection, [SettledCall(call.attempt_id, answer, judge(answer))], desk.clock.now())
                half_done[order[0]].set()
                half_done[order[1]].wait(A_MOMENT)

    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(record, ("forwards", "backwards"), calls),
            pool.submit(record, ("backwards", "forwards"), calls[::-1]),
        ]
        for each in both:
            each.result()
    assert states(desk.ledger) == ["accepted", "accepted"]


def test_what_a_gone_run_left_is_in_doubt_as_soon_as_the_next_one_goes_on(desk: SendingDesk) -> None:
    """Only at the batch's end, a run that is stopped again would leave calls that nobody makes any more."""
    desk.campaign(people(3))
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 3, "gone", desk.clock.now())
        assert batch is not None
        admit_one(connection, lease, batch, desk.clock, limit=9)
    seen: list[list[str]] = []
    desk.send(concurrency=1, on_progress=lambda _: seen.append(states(desk.ledger)))
    assert seen[0] == ["in_doubt", "accepted", "claimed"]


def test_people_who_are_added_while_a_campaign_is_being_completed_keep_it_open(desk: SendingDesk) -> None:
    """Completed over their heads, the campaign would never reach them."""
    desk.campaign(people(1))
    with desk.ledger.write() as connection:
        connection.execute(update(campaign_recipients).values(state="read"))

    def complete() -> list[str]:
        with desk.ledger.write() as connection:
            return complete_settled(connection, desk.clock.now())

    with ThreadPoolExecutor(1) as pool:
        with desk.ledger.write() as connection:
            campaign = connection.execute(select(marketing_campaigns.c.id).with_for_update()).scalar_one()
            newcomer = {"person_key": "447911299998", "phone": "+447911299998", "position": 2, "state": "pending"}
            also = {"campaign_id": campaign, "parameters": {}, "changed_at": desk.clock.now()}
            connection.execute(insert(campaign_recipients).values(**newcomer, **also))
            completing = pool.submit(complete)
            with pytest.raises(TimeoutError):
                completing.result(A_MOMENT)
        assert completing.result() == []
    assert campaign_status(desk.ledger) == "active"
