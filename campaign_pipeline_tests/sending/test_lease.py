"""One run sends at a time: others wait, a silent one is replaced, and who was replaced starts nothing more."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending import capacity
from campaign_pipeline.sending.attempts import admit
from campaign_pipeline.sending.batches import batch_of, doubt_unanswered, take_batch
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.errors import LeaseLostError, StoppedError
from campaign_pipeline.sending.lease import LeaseTerms, hold_sender
from campaign_pipeline.sending.report import DateReport, Progress
from campaign_pipeline_tests.support.campaigns import calendar, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    PATIENT,
    SECOND_OF_MARCH,
    SendingDesk,
    attempts,
    batch_rows,
    holding,
    outcomes,
    people,
    sender_row,
    states,
    take_over,
)

MUTE = LeaseTerms(beat_every=1_000, silence=0.4, margin=0.2, look_every=0.02)
"""A holder that never beats, watched by the machine's own clock."""

LIVELY = LeaseTerms(beat_every=0.05, silence=1.0, margin=0.2, look_every=0.02)


def nobody_told(_: str) -> None:
    """For a run that does not expect to wait."""


def test_two_runs_of_one_date_at_once_reach_nobody_twice_and_both_succeed(desk: SendingDesk) -> None:
    """Two daemons, or an impatient click beside the schedule."""
    who = people(12)
    today = datetime.now(UTC).date()
    days = calendar(start="2026-01-01")
    desk.campaign(who)

    def send(run_id: str) -> DateReport:
        sender = desk.sender(clock=SystemClock(), lease=PATIENT, concurrency=3, days=days)
        return sender.send(today, run_id)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(send, ["one", "two", "three"]))
    assert sorted(report.sent_now for report in reports) == [0, 0, 12]
    assert sorted(report.end for report in reports) == ["finished", "was_finished", "was_finished"]
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_runs_of_different_dates_wait_for_each_other(desk: SendingDesk) -> None:
    """A backfill beside today's run would count the same free places twice."""
    who = people(12)
    desk.campaign(who, daily_send_limit=4)
    told: list[str] = []

    def note(progress: Progress) -> None:
        if progress.waiting_for:
            told.append(progress.waiting_for)

    desk.simulator.hold()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(desk.send, "2026-03-02", "today")
        desk.simulator.wait_for_unanswered(4)
        slow = desk.sender(clock=SystemClock(), days=calendar(start="2026-03-01"))
        second = pool.submit(slow.send, date(2026, 3, 1), "backfill", None, note)
        while not told:
            time.sleep(0.01)
        assert len(batch_rows(desk.ledger)) == 1
        desk.simulator.release()
        assert first.result().figures.sent == 4
        assert second.result().figures.sent == 4
    assert told == ["another run to finish (today)"]
    assert len(set(desk.reached(who))) == 8


def test_a_holder_that_beats_is_never_replaced(ledger: Ledger) -> None:
    """A slow batch is no dead one; two at work at once would be the end of every promise."""
    stop = threading.Event()
    with holding(ledger, SystemClock(), LIVELY, "slow") as lease:
        threading.Timer(1.5, stop.set).start()
        waiting = hold_sender(ledger, lease.sender_id, "eager", LIVELY, SystemClock(), stop, nobody_told)
        with pytest.raises(StoppedError, match="while waiting for another run"), waiting:
            pytest.fail("the sender was taken from a living run")
        assert lease.is_live()
        with ledger.write() as connection:
            lease.require(connection)


def test_a_silent_holder_is_replaced_and_has_given_up_before(ledger: Ledger) -> None:
    """A laptop that was closed in the middle of a batch must not hold up the campaign for ever."""
    clock = SystemClock()
    told: list[str] = []
    with holding(ledger, clock, MUTE, "silent") as silent:
        began = time.monotonic()
        with hold_sender(ledger, silent.sender_id, "next", MUTE, clock, threading.Event(), told.append) as successor:
            assert time.monotonic() - began >= MUTE.silence
            assert not silent.is_live()
            assert successor.is_live()
            assert successor.fence == silent.fence + 1
            with ledger.write() as connection, pytest.raises(LeaseLostError):
                silent.require(connection)
            silent.release()
            assert sender_row(ledger).lease_holder == "next"
    assert told == ["silent"]
    assert sender_row(ledger).lease_holder is None


def test_a_holder_that_cannot_reach_the_ledger_starts_no_more_calls(ledger: Ledger, clock: HandClock) -> None:
    """By its own clock, before anyone else can have taken over: no two machines' clocks are compared."""
    terms = LeaseTerms(beat_every=1_000, silence=30, margin=10)
    with holding(ledger, clock, terms) as lease:
        clock.forward(seconds=19)
        assert lease.is_live()
        clock.forward(seconds=1.5)
        assert not lease.is_live()


def test_a_released_sender_is_taken_at_once(ledger: Ledger) -> None:
    """Each of forty backfilled dates would wait half a minute for nothing."""
    with holding(ledger, SystemClock(), PATIENT, "first"):
        pass
    assert sender_row(ledger).lease_holder is None
    told: list[str] = []
    with hold_sender(ledger, 1, "second", PATIENT, SystemClock(), threading.Event(), told.append) as lease:
        assert lease.fence == 2
    assert told == []


def test_the_lease_is_released_when_the_run_fails(desk: SendingDesk) -> None:
    """Else the next run waits for a holder that will never beat again."""
    desk.campaign(people(1))
    desk.simulator.fault("account", next=1)
    with pytest.raises(RuntimeError):
        desk.send()
    assert sender_row(desk.ledger).lease_holder is None


def test_a_holder_whose_fence_was_taken_admits_nobody(desk: SendingDesk) -> None:
    """A paused laptop wakes up an hour later and goes on with a batch that another worker has finished."""
    desk.campaign(people(2))
    with holding(desk.ledger, desk.clock) as lease:
        with desk.ledger.write() as connection:
            batch = take_batch(connection, lease.sender_id, SECOND_OF_MARCH, 2, "run", desk.clock.now())
        assert batch is not None
        take_over(desk.ledger)
        with pytest.raises(LeaseLostError, match="silent for too long"), desk.ledger.write() as connection:
            admit(
                connection,
                lease,
                batch,
                size=2,
                limit_setting=9,
                keep_free_for=None,
                run_id="old",
                now=desk.clock.now(),
            )
        assert not lease.is_live()
    assert attempts(desk.ledger) == []
    assert states(desk.ledger) == ["claimed", "claimed"]


def test_a_run_that_was_replaced_starts_no_call_and_its_late_answers_are_recorded(desk: SendingDesk) -> None:
    """Its answers are the only word on whether those people were reached; its further calls would reach them twice."""
    who = people(8)
    desk.campaign(who)
    desk.simulator.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(desk.send, concurrency=3)
        desk.simulator.wait_for_unanswered(3)
        take_over(desk.ledger)
        with desk.ledger.write() as connection:
            batch = batch_of(connection, SECOND_OF_MARCH)
            assert batch is not None
            assert doubt_unanswered(connection, batch, desk.clock.now()) == 3
        assert outcomes(desk.ledger) == ["in_doubt"] * 3
        desk.simulator.release()
        with pytest.raises(LeaseLostError) as lost:
            running.result()
    assert lost.value.left == 5
    assert outcomes(desk.ledger) == ["accepted"] * 3
    assert sorted(desk.reached(who)) == [phone(number) for number in who[:3]]
    assert states(desk.ledger) == ["accepted"] * 3 + ["claimed"] * 5
    assert sender_row(desk.ledger).lease_holder == "another run"


def test_a_run_that_was_replaced_gives_nobody_back_to_the_queue(desk: SendingDesk) -> None:
    """The people of the batch belong to its successor; taken away under its hands they would be counted wrong."""
    who = people(6)
    campaign = desk.campaign(who)

    def lose_it(progress: Progress) -> None:
        if progress.done == 1:
            take_over(desk.ledger)
            desk.pause(campaign)

    with pytest.raises(LeaseLostError):
        desk.send(concurrency=1, on_progress=lose_it)
    assert states(desk.ledger)[1:] == ["claimed"] * 5
    assert batch_rows(desk.ledger)[0].moved_on == 0


def test_stopped_while_it_waits_a_run_leaves_no_trace(desk: SendingDesk) -> None:
    """Terminate on a queued backfill: nothing was sent, nothing was taken."""
    desk.campaign(people(1))
    stop = threading.Event()
    stop.set()
    with desk.ledger.write() as connection:
        capacity.sender_id(connection)
    take_over(desk.ledger)
    with pytest.raises(StoppedError, match="nothing was sent by this one"):
        desk.send(stop=stop)
    assert batch_rows(desk.ledger) == []
    with desk.ledger.read() as connection:
        assert connection.execute(select(senders.c.lease_fence)).scalar_one() == 1
