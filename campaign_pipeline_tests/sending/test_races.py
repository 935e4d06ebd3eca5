"""Two that act at the same moment: two workers at the last place, a person and a run, a run and a second one."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from campaign_pipeline.sending.attempts import Admission, admit
from campaign_pipeline.sending.batches import Batch, take_batch
from campaign_pipeline.sending.lease import Lease
from campaign_pipeline.sending.report import DateEnd, DateReport, Progress
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    attempts,
    batch_rows,
    campaign_status,
    day,
    holding,
    people,
    states,
    take_and_admit,
    used_capacity,
)

A_WHILE = 0.3
"""Seconds in which a worker that nothing holds up has long admitted."""


class SleepingClock(HandClock):
    """A clock whose waiting takes a moment of real time as well, so that another thread gets on."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        time.sleep(0.01)
        return super().wait(stop, min(seconds, 1.0))


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Starts something beside the test; a thread that hangs does not keep the process from ending."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def take_one(desk: SendingDesk, lease: Lease, send_date: str) -> Batch:
    """Takes a batch of one person."""
    with desk.ledger.write() as connection:
        batch = take_batch(connection, lease.sender_id, day(send_date), 1, "run", desk.clock.now())
    assert batch is not None
    return batch


def test_of_two_workers_at_249_of_250_only_one_is_admitted(desk: SendingDesk) -> None:
    """Each counts 249 before the other has committed, and at the end of the day 251 people were reached."""
    desk.campaign(people(251))
    take_and_admit(desk.ledger, 249, desk.clock)
    admissions: list[Admission] = []
    with holding(desk.ledger, desk.clock) as lease:
        first, second = take_one(desk, lease, "2026-03-03"), take_one(desk, lease, "2026-03-04")

        def admit_from(batch: Batch, before_commit: Callable[[], None]) -> None:
            with desk.ledger.write() as connection:
                admission = admit(
                    connection,
                    lease,
                    batch,
                    size=1,
                    limit_setting=250,
                    keep_free_for=None,
                    run_id=f"worker for {batch.send_date}",
                    now=desk.clock.now(),
                )
                before_commit()
            admissions.append(admission)

        others: list[threading.Thread] = []

        def let_the_other_try() -> None:
            others.append(in_thread(lambda: admit_from(second, lambda: None)))
            others[0].join(A_WHILE)

        admit_from(first, let_the_other_try)
        others[0].join(300)
    assert sorted((len(each.calls), each.full) for each in admissions) == [(0, True), (1, False)]
    assert used_capacity(desk.ledger, desk.clock.now()) == 250
    assert max(attempt.admitted_count for attempt in attempts(desk.ledger)) == 250


def test_a_second_tick_while_the_first_run_is_under_way_waits_for_it_and_sends_nothing(desk: SendingDesk) -> None:
    """The cron was edited to ten in the morning while the run of nine was still sending."""
    who = people(8)
    desk.campaign(who, daily_send_limit=6)
    desk.clock = SleepingClock()
    desk.simulator.hold()
    reports: dict[str, DateReport] = {}

    def run(run_id: str, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        reports[run_id] = desk.send(run_id=run_id, concurrency=3, on_progress=on_progress)

    waits = threading.Event()
    nine = in_thread(lambda: run("nine"))
    desk.simulator.wait_for_unanswered(3)
    ten = in_thread(lambda: run("ten", lambda told: waits.set() if told.waiting_for else None))
    assert waits.wait(300)
    desk.simulator.release()
    nine.join(300)
    ten.join(300)
    assert (reports["nine"].end, reports["nine"].sent_now) == (DateEnd.FINISHED, 6)
    assert (reports["ten"].end, reports["ten"].attempted_now) == (DateEnd.WAS_FINISHED, 0)
    assert sorted(desk.reached(who)) == [phone(number) for number in who[:6]]
    assert len(batch_rows(desk.ledger)) == 1


def test_pausing_and_resuming_every_few_milliseconds_during_a_batch_doubles_nobody(desk: SendingDesk) -> None:
    """Somebody is unsure and clicks twice: who was given back must not be in flight at the same time."""
    who = people(60)
    desk.campaign(who, daily_send_limit=12)
    desk.simulator.fault("slow", share=1.0, seconds=0.08)
    over = threading.Event()

    def waver() -> int:
        changes = 0
        while not over.is_set():
            desk.pause("spring-sale")
            time.sleep(0.002)
            desk.resume("spring-sale")
            changes += 1
            time.sleep(0.03)
        return changes

    with ThreadPoolExecutor(1) as pool:
        wavering = pool.submit(waver)
        # A run that finds the campaign paused gives the rest of its batch back: they go on with the next date.
        try:
            while len(desk.reached(who)) < 40 and not wavering.done():
                desk.clock.forward(days=1)
                desk.send(desk.clock.now().date(), concurrency=4)
        finally:
            over.set()
    assert wavering.result() > 5
    while campaign_status(desk.ledger) == "active":
        desk.clock.forward(days=1)
        desk.send(desk.clock.now().date(), concurrency=4)
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    assert campaign_status(desk.ledger) == "completed"


@pytest.mark.parametrize("what", ["pause", "cancel", "unsubscribe"])
def test_what_a_person_says_during_a_batch_lets_only_the_calls_in_flight_go_out(desk: SendingDesk, what: str) -> None:
    """Who says stop has seen that something is wrong; every further message makes it worse."""
    who = people(8)
    desk.campaign(who)
    desk.simulator.hold()
    reports: list[DateReport] = []
    running = in_thread(lambda: reports.append(desk.send(concurrency=3)))
    desk.simulator.wait_for_unanswered(3)
    if what == "unsubscribe":
        desk.unsubscribe(*who)
    else:
        {"pause": desk.pause, "cancel": desk.cancel}[what]("spring-sale")
    desk.simulator.release()
    running.join(300)
    assert sorted(desk.reached(who)) == [phone(number) for number in who[:3]]
    rest = "pending" if what == "pause" else "skipped"
    assert states(desk.ledger) == ["accepted"] * 3 + [rest] * 5
    assert [report.end for report in reports] == [DateEnd.FINISHED]
    ends = {"pause": "paused", "cancel": "cancelled", "unsubscribe": "completed"}
    assert campaign_status(desk.ledger) == ends[what]
