"""Runs that end in the middle: killed, stopped, paused, cancelled, left over for the next date."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import event

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.send_schedule import Estimate, expected_end, first_open_date
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.sending.errors import StoppedError
from campaign_pipeline.sending.proof import prove_batch, reached_twice
from campaign_pipeline.sending.report import DateEnd, Progress
from campaign_pipeline_tests.sending.sending_process import SHORT, order_for, start_sending
from campaign_pipeline_tests.support.campaigns import calendar, phone
from campaign_pipeline_tests.support.sending import (
    SECOND_OF_MARCH,
    SendingDesk,
    attempts,
    batch_phones,
    batch_rows,
    campaign_status,
    outcomes,
    people,
    sender_row,
    states,
    used_capacity,
)


def after(done: int, action: Callable[[], object]) -> Callable[[Progress], None]:
    """Does something once, when so many people of the batch need no more call."""

    def look(progress: Progress) -> None:
        if progress.done == done and progress.waiting_for is None:
            action()

    return look


def expected(desk: SendingDesk) -> Estimate:
    """How long the first campaign takes, as foreseen now."""
    with desk.ledger.read() as connection:
        first = first_open_date(connection, calendar(), desk.clock.now())
        return expected_end(connection, find(connection, "spring-sale").id, first, 250)


def test_a_killed_sender_leaves_doubts_that_are_never_sent_again_and_that_webhooks_settle(desk: SendingDesk) -> None:
    """Kill -9 with four calls in flight: WhatsApp has all four, and only its webhooks can say so."""
    who = people(10)
    desk.campaign(who)
    desk.simulator.hold()
    process = start_sending(order_for(desk, lease="short", concurrency=4))
    desk.simulator.wait_for_unanswered(4)
    process.kill()
    process.communicate()
    desk.simulator.release()
    assert process.returncode == -signal.SIGKILL
    assert states(desk.ledger) == ["attempting"] * 4 + ["claimed"] * 6

    desk.clock.forward(minutes=5)
    report = desk.send(run_id="next", lease=SHORT)
    assert (report.end, report.sent_now, report.figures.sent, report.figures.in_doubt) == (DateEnd.FINISHED, 6, 6, 4)
    assert states(desk.ledger) == ["in_doubt"] * 4 + ["accepted"] * 6
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    assert report.after.used == 10
    assert campaign_status(desk.ledger) == "active"
    assert [attempt.error_text for attempt in attempts(desk.ledger, *who[:4])] == [
        "the run that made this call ended before its answer came"
    ] * 4

    desk.ingest()
    assert states(desk.ledger) == ["read"] * 10
    assert set(outcomes(desk.ledger)) == {"accepted"}
    assert campaign_status(desk.ledger) == "completed"
    assert used_capacity(desk.ledger, desk.clock.now()) == 10
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_three_processes_on_one_date_reach_nobody_twice_and_all_succeed(desk: SendingDesk) -> None:
    """Three `campaign send` started together; the two that come late find a finished date."""
    who = people(12)
    desk.campaign(who)
    order = order_for(desk, datetime.now(UTC).date(), lease="patient", concurrency=4, moment="now")
    running = [start_sending(order) for _ in range(3)]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sorted("nothing sent now" in each for each in said) == [False, True, True]
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


class Killed(BaseException):
    """The end of a process, as far as its database connections can tell."""


@contextmanager
def killed_at_statement(ledger: Ledger, number: int) -> Generator[None]:
    """From its n-th statement on, nothing of this process reaches the database any more."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen >= number:
            raise Killed

    event.listen(ledger.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(ledger.engine, "before_cursor_execute", count)


def test_killed_between_any_two_statements_nobody_is_reached_twice_and_nobody_is_lost(desk: SendingDesk) -> None:
    """The promise that everything else stands on. The next run of the date always comes to its end."""
    points = range(2, 82, 4)
    who = people(4 * len(points))
    desk.campaign(who, daily_send_limit=4)
    doubts = 0
    for point in points:
        send_date = desk.clock.now().date()
        try:
            with killed_at_statement(desk.ledger, point):
                desk.send(send_date, f"killed at {point}", concurrency=2, lease=SHORT)
        except Killed:
            desk.clock.forward(minutes=1)
        report = desk.send(send_date, f"after {point}", concurrency=2, lease=SHORT)
        assert report.figures.sent + report.figures.in_doubt == report.figures.total == 4, f"killed at {point}"
        doubts += report.figures.in_doubt
        desk.clock.forward(days=1)
    assert doubts > 0, "no run was killed between a call and its answer"
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    with desk.ledger.read() as connection:
        assert reached_twice(connection) == []
    desk.ingest()
    assert set(states(desk.ledger)) == {"read"}


def test_a_run_that_is_stopped_records_its_calls_and_a_rerun_finishes_the_same_batch(desk: SendingDesk) -> None:
    """Terminate in the web UI, or a deployment's SIGTERM, in the middle of a batch."""
    who = people(8)
    desk.campaign(who, daily_send_limit=6)
    stop = threading.Event()
    with pytest.raises(StoppedError, match="Stopped on request") as stopped:
        desk.send(concurrency=1, stop=stop, on_progress=after(2, stop.set))
    assert stopped.value.left == 4
    assert states(desk.ledger) == ["accepted"] * 2 + ["claimed"] * 4 + ["pending"] * 2
    (before,) = batch_rows(desk.ledger)
    assert (before.state, before.size) == ("open", 6)

    desk.unsubscribe(who[3])
    report = desk.send(run_id="again")
    assert (report.end, report.sent_now, report.figures.total, report.figures.skipped) == (DateEnd.FINISHED, 3, 6, 1)
    (closed,) = batch_rows(desk.ledger)
    assert (closed.id, closed.size, closed.taken_by_run, closed.state) == (before.id, 6, "run", "closed")
    assert states(desk.ledger)[6:] == ["pending"] * 2
    assert len(desk.reached(who)) == 5


def test_people_of_an_interrupted_batch_are_in_the_plan_of_the_days_to_come(desk: SendingDesk) -> None:
    """The end that the marketer reads would be a day too early until the next take gives these people back."""
    who = people(10)
    desk.campaign(who, daily_send_limit=4)
    stop = threading.Event()
    while_it_ran: list[Estimate] = []

    def look_and_stop() -> None:
        while_it_ran.append(expected(desk))
        stop.set()

    with pytest.raises(StoppedError):
        desk.send("2026-03-02", concurrency=1, stop=stop, on_progress=after(1, look_and_stop))
    assert while_it_ran == [Estimate(2, date(2026, 3, 4))]
    assert expected(desk) == Estimate(3, date(2026, 3, 5))
    desk.unsubscribe(who[3])
    assert expected(desk) == Estimate(2, date(2026, 3, 4))
    desk.send("2026-03-02", run_id="again")
    assert expected(desk) == Estimate(2, date(2026, 3, 4))


def test_calls_in_flight_when_a_run_is_stopped_are_waited_for_and_recorded(desk: SendingDesk) -> None:
    """Thrown away, each of them would be a doubt that a person has to settle."""
    who = people(6)
    desk.campaign(who)
    stop = threading.Event()
    desk.simulator.hold()
    ends: list[BaseException] = []

    def send() -> None:
        try:
            desk.send(concurrency=3, stop=stop)
        except StoppedError as stopped:
            ends.append(stopped)

    running = threading.Thread(target=send)
    running.start()
    desk.simulator.wait_for_unanswered(3)
    stop.set()
    desk.simulator.release()
    running.join(300)
    assert len(ends) == 1
    assert states(desk.ledger) == ["accepted"] * 3 + ["claimed"] * 3
    assert len(desk.reached(who)) == 3
    assert sender_row(desk.ledger).lease_holder is None


def test_a_run_that_is_stopped_when_everybody_was_sent_to_has_finished_its_date(desk: SendingDesk) -> None:
    """Nothing is left to repair; a red partition would say that there is."""
    desk.campaign(people(3))
    stop = threading.Event()
    assert desk.send(concurrency=1, stop=stop, on_progress=after(3, stop.set)).end is DateEnd.FINISHED
    assert campaign_status(desk.ledger) == "completed"


def test_an_unfinished_earlier_date_is_closed_by_the_next_and_its_people_go_first(desk: SendingDesk) -> None:
    """Days that were missed lose nobody: the queue moves on from where it stands."""
    who = people(9)
    desk.campaign(who, daily_send_limit=4)
    stop = threading.Event()
    with pytest.raises(StoppedError):
        desk.send("2026-03-02", concurrency=1, stop=stop, on_progress=after(1, stop.set))
    desk.clock.forward(days=1)
    report = desk.send("2026-03-03", concurrency=1)
    assert [(batch.send_date, batch.size, batch.moved_on, batch.is_open) for batch in report.closed] == [
        (SECOND_OF_MARCH, 4, 3, False)
    ]
    assert report.closed[0].close_reason == "closed by the batch of 2026-03-03"
    assert batch_phones(desk.ledger, "2026-03-03") == [phone(number) for number in who[1:5]]
    assert desk.reached(who) == [phone(number) for number in who[:5]]

    late = desk.send("2026-03-02", run_id="late")
    assert (late.end, late.attempted_now) == (DateEnd.WAS_FINISHED, 0)
    assert "3 moved on to a later date" in late.sentence
    with desk.ledger.read() as connection:
        proof = prove_batch(connection, SECOND_OF_MARCH)
    assert proof is not None
    assert (proof.sums, proof.within_limits, proof.nobody_twice) == (True, True, True)


def test_calls_that_a_killed_run_left_are_in_doubt_when_the_next_date_closes_its_batch(desk: SendingDesk) -> None:
    """Given back to the queue they would be sent to twice."""
    who = people(5)
    desk.campaign(who, daily_send_limit=3)
    desk.simulator.hold()
    process = start_sending(order_for(desk, lease="short", concurrency=2))
    desk.simulator.wait_for_unanswered(2)
    process.kill()
    process.communicate()
    desk.simulator.release()
    desk.clock.forward(days=1)
    report = desk.send("2026-03-03", lease=SHORT)
    assert [(batch.send_date, batch.moved_on) for batch in report.closed] == [(SECOND_OF_MARCH, 1)]
    assert states(desk.ledger) == ["in_doubt", "in_doubt", "accepted", "accepted", "accepted"]
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_todays_unfinished_batch_is_left_open_by_a_past_date(desk: SendingDesk) -> None:
    """Today's batch can still be finished today; a backfill at lunch must not end it."""
    desk.campaign(people(9), daily_send_limit=4)
    stop = threading.Event()
    with pytest.raises(StoppedError):
        desk.send("2026-03-02", concurrency=1, stop=stop, on_progress=after(1, stop.set))
    past = desk.send("2026-03-01")
    assert (past.closed, past.figures.sent) == ((), 4)
    today = desk.send("2026-03-02")
    assert (today.end, today.figures.sent) == (DateEnd.FINISHED, 4)


def test_a_campaign_paused_in_mid_batch_sends_no_more_and_its_people_go_on_later(desk: SendingDesk) -> None:
    """Whoever pauses has seen a mistake in the template; each further message makes it worse."""
    mine, other = people(4), people(3)
    desk.campaign(mine, priority=1)
    desk.campaign(other, "Other")
    report = desk.send(concurrency=1, on_progress=after(2, lambda: desk.pause("spring-sale")))
    assert report.end is DateEnd.FINISHED
    assert desk.reached([*mine, *other]) == [phone(number) for number in [*mine[:2], *other]]
    assert states(desk.ledger) == ["accepted", "accepted", "pending", "pending"]
    assert [(batch.moved_on, batch.state) for batch in batch_rows(desk.ledger)] == [(2, "closed")]
    assert "2 moved on to a later date" in report.sentence

    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").end is DateEnd.NOBODY_WAITS
    desk.resume("spring-sale")
    assert desk.send("2026-03-03").figures.sent == 2
    assert sorted(desk.reached(mine)) == [phone(number) for number in mine]


def test_a_campaign_paused_while_a_call_is_throttled_does_not_keep_that_person(desk: SendingDesk) -> None:
    """Somebody between a refused call and its repetition must not be left claimed by a closed batch."""
    who = people(2)
    desk.campaign(who)
    desk.simulator.fault("throttle", next=1)
    report = desk.send(concurrency=1, on_progress=after(0, lambda: desk.pause("spring-sale")))
    assert (report.end, report.figures.total) == (DateEnd.FINISHED, 0)
    assert states(desk.ledger) == ["pending", "pending"]
    assert desk.reached(who) == []


def test_a_campaign_cancelled_in_mid_batch_skips_the_rest(desk: SendingDesk) -> None:
    """Cancelled is final; nobody may be left waiting for it, nor be sent to."""
    who = people(5)
    desk.campaign(who)
    report = desk.send(concurrency=1, on_progress=after(2, lambda: desk.cancel("spring-sale")))
    assert (report.end, report.figures.sent, report.figures.skipped) == (DateEnd.FINISHED, 2, 3)
    assert states(desk.ledger) == ["accepted"] * 2 + ["skipped"] * 3
    assert desk.reached(who) == [phone(number) for number in who[:2]]
    assert campaign_status(desk.ledger) == "cancelled"


def test_a_call_throttled_while_its_campaign_is_cancelled_is_not_repeated(desk: SendingDesk) -> None:
    """The cancelling found them attempting and let them be; the answer must not put them back into the batch."""
    who = people(1)
    desk.campaign(who)
    desk.simulator.fault("throttle", to=phone(who[0]))
    desk.simulator.hold()
    report: list[object] = []
    running = threading.Thread(target=lambda: report.append(desk.send()))
    running.start()
    desk.simulator.wait_for_unanswered(1)
    desk.cancel("spring-sale")
    desk.simulator.release()
    running.join(300)
    assert len(report) == 1
    assert states(desk.ledger) == ["skipped"]
    assert outcomes(desk.ledger) == ["refused"]
    assert campaign_status(desk.ledger) == "cancelled"
