"""The moving 24 hours: never over the limit at any moment, whatever the dates of the batches are."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import external_usage, sender_limits, senders
from campaign_pipeline.sending import capacity, limits
from campaign_pipeline.sending.capacity import Capacity, admissible
from campaign_pipeline.sending.errors import CannotSendError, StoppedError
from campaign_pipeline.sending.report import DateEnd, Progress
from campaign_pipeline_tests.support.campaigns import calendar, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import (
    LOST,
    SendingDesk,
    accepted,
    answer_call,
    attempts,
    batch_phones,
    batch_rows,
    most_in_any_day,
    people,
    sender_row,
    states,
    take_and_admit,
    used_capacity,
)

OFFICE_HOURS = calendar(window="09:00-20:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


class BusyClock(HandClock):
    """A clock of a machine on which every wait takes the better part of an hour, whatever was asked for."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return super().wait(stop, max(seconds, 2_400.0))


_keys = st.integers(0, 12).map(str)


@given(waiting=st.lists(_keys, max_size=30), counted=st.frozensets(_keys), free=st.integers(-5, 20))
def test_whoever_is_counted_costs_nothing_and_the_others_have_the_free_places_in_their_order(
    waiting: Sequence[str], counted: frozenset[str], free: int
) -> None:
    """One place too many breaks Meta's limit; one too few sends a smaller batch than was paid for."""
    fits = admissible(waiting, counted, free)
    new_in_order = list(dict.fromkeys(who for who in waiting if who not in counted))
    welcome = counted | set(new_in_order[: max(0, free)])
    assert fits == [who in welcome for who in waiting]


def test_free_places_are_never_fewer_than_none() -> None:
    """A limit that was lowered leaves more used than there is; that must not become a negative number of people."""
    assert Capacity(limit=250, used=300).free == 0
    assert Capacity(limit=2_000, used=300).free == 1_700


def test_an_evening_and_the_next_morning_together_stay_within_the_limit(desk: SendingDesk) -> None:
    """The classic mistake: 250 at eight in the evening and 250 at nine the next morning are 500 in 24 hours."""
    desk.campaign(people(600), daily_send_limit=250)
    desk.clock.set("2026-03-02T20:00:01+00:00")
    assert desk.send("2026-03-02", concurrency=16).sent_now == 250
    desk.clock.set("2026-03-03T09:00:00+00:00")
    with pytest.raises(CannotSendError, match="limit of 250 people in 24 hours is used up for today") as refused:
        desk.send("2026-03-03", days=OFFICE_HOURS)
    assert refused.value.again_at is not None
    assert at("2026-03-03T20:00:01") <= refused.value.again_at < at("2026-03-03T20:01:00")
    assert len(batch_rows(desk.ledger)) == 1
    assert most_in_any_day(desk.ledger) == 250


def test_todays_batch_takes_only_what_frees_while_its_window_is_open_and_waits_for_it(desk: SendingDesk) -> None:
    """Ten went out at nine, fifteen at ten in the evening: the next day has ten places before eight, and no more."""
    desk.campaign(people(60), daily_send_limit=25)
    desk.clock.set("2026-03-02T09:00:10+00:00")
    stop = threading.Event()

    def until_ten(progress: Progress) -> None:
        if progress.done == 10:
            stop.set()

    with pytest.raises(StoppedError):
        desk.send("2026-03-02", limit=25, concurrency=1, stop=stop, on_progress=until_ten)
    desk.clock.set("2026-03-02T22:00:00+00:00")
    desk.send("2026-03-02", limit=25)
    desk.clock.set("2026-03-03T09:00:00+00:00")
    waits: list[str] = []

    def note_waits(progress: Progress) -> None:
        if progress.waiting_for:
            waits.append(progress.waiting_for)

    report = desk.send("2026-03-03", limit=25, days=OFFICE_HOURS, on_progress=note_waits)
    assert (report.end, report.figures.sent) == (DateEnd.FINISHED, 10)
    assert waits[0] == "capacity, until 09:00:10"
    assert desk.clock.now() >= at("2026-03-03T09:00:10")
    assert most_in_any_day(desk.ledger) == 25


def test_over_days_of_odd_hours_no_24_hours_hold_more_than_the_limit(desk: SendingDesk) -> None:
    """Runs come late, early and twice; the promise is about every moment, not about every date."""
    busy = BusyClock()
    desk.clock = busy
    desk.campaign(people(60), daily_send_limit=8)
    for number, hour in enumerate(["20:00", "09:00", "09:00", "19:59", "00:10"]):
        send_date = f"2026-03-{2 + number:02d}"
        busy.set(max(busy.now(), at(f"{send_date}T{hour}:00")).isoformat())
        for which in (send_date, f"2026-03-{1 + number:02d}"):
            try:
                desk.send(which, limit=8, concurrency=3)
            except CannotSendError as refused:
                assert "used up" in str(refused) or "No capacity to spare" in str(refused)
    assert most_in_any_day(desk.ledger) == 8
    assert len(attempts(desk.ledger)) > 20


def test_a_past_date_never_waits_and_leaves_todays_batch_its_places(desk: SendingDesk) -> None:
    """A backfill of last week that eats today's capacity moves the whole plan by a week."""
    who = people(40)
    desk.campaign(who, daily_send_limit=10)
    with pytest.raises(CannotSendError, match=r"No capacity to spare for 2026-03-01: 10 people in 24 hours, today's"):
        desk.send("2026-03-01", limit=10)
    assert desk.clock.now() == at("2026-03-02T09:00:00")
    assert desk.send("2026-03-01", limit=14).figures.sent == 4
    assert desk.send("2026-03-02", limit=14).figures.sent == 10
    assert batch_phones(desk.ledger, "2026-03-01") == [phone(number) for number in who[:4]]


def test_a_past_date_has_every_place_once_todays_batch_is_done(desk: SendingDesk) -> None:
    """A place kept free for a batch that was sent already is a place wasted."""
    desk.campaign(people(40), daily_send_limit=10)
    desk.send("2026-03-02", limit=14)
    assert desk.send("2026-03-01", limit=14).figures.sent == 4


def test_of_four_missed_dates_three_fit_and_the_fourth_is_refused_with_nobody_taken(desk: SendingDesk) -> None:
    """What the demo shows: a limit of 1,000 at 250 a day spares 750, and the operator has to be told why no more."""
    who = people(150)
    desk.campaign(who, daily_send_limit=25)
    desk.clock.set("2026-03-08T09:00:00+00:00")
    missed = ["2026-03-04", "2026-03-05", "2026-03-06"]
    assert [desk.send(each, limit=100).figures.sent for each in missed] == [25, 25, 25]
    with pytest.raises(CannotSendError) as refused:
        desk.send("2026-03-07", limit=100)
    assert str(refused.value) == (
        "No capacity to spare for 2026-03-07: 100 people in 24 hours, today's batch first. Nobody was taken; they are "
        "first in the queue for the next batch, so this date needs no repair."
    )
    assert refused.value.again_at is not None
    assert refused.value.again_at >= at("2026-03-09T09:00:00")
    assert [str(row.send_date) for row in batch_rows(desk.ledger)] == missed
    assert desk.send("2026-03-08", limit=100).figures.sent == 25
    assert batch_phones(desk.ledger, "2026-03-08") == [phone(number) for number in who[75:100]]
    assert len(set(desk.reached(who))) == len(desk.reached(who)) == 100


def test_places_kept_free_for_today_are_kept_during_the_whole_past_batch(desk: SendingDesk) -> None:
    """People who join after a past batch was taken belong to today's; its places must not go while they come."""
    desk.campaign(people(4), "Old", daily_send_limit=4)
    joined = people(6)

    def more_come(progress: Progress) -> None:
        if progress.done == 1:
            desk.campaign(joined, "New", daily_send_limit=6)

    with pytest.raises(CannotSendError, match="used up, and today's batch comes first") as refused:
        desk.send("2026-03-01", limit=8, concurrency=1, on_progress=more_come)
    assert refused.value.left == 2
    assert desk.send("2026-03-02", limit=8, run_id="today").figures.total == 6


def test_a_clock_that_is_set_back_never_opens_the_window_early(desk: SendingDesk) -> None:
    """Stamped twelve hours too early, people would leave the window twelve hours too early."""
    desk.campaign(people(6), daily_send_limit=3)
    desk.clock.set("2026-03-02T20:00:00+00:00")
    desk.send("2026-03-01", limit=8)
    desk.clock.set("2026-03-02T08:00:00+00:00")
    desk.send("2026-03-02", limit=8)
    stamps = [attempt.started_at for attempt in attempts(desk.ledger)]
    assert min(stamps) >= at("2026-03-02T20:00:00")
    assert all(attempt.counts_until >= at("2026-03-03T20:00:00") for attempt in attempts(desk.ledger))
    assert used_capacity(desk.ledger, at("2026-03-03T19:59:59")) == 6
    assert sender_row(desk.ledger).newest_stamp >= at("2026-03-02T20:00:00")


def test_a_call_counts_from_its_start_until_24_hours_after_its_answer(desk: SendingDesk) -> None:
    """Nobody knows when in between Meta took the message; only both ends together are safe."""
    desk.campaign(people(2))
    _, (call, lost) = take_and_admit(desk.ledger, 2, desk.clock)
    far = desk.clock.now() + timedelta(days=300)
    assert used_capacity(desk.ledger, far) == 2
    desk.clock.forward(minutes=3)
    answer_call(desk.ledger, call, accepted("wamid.1"), desk.clock.now())
    answer_call(desk.ledger, lost, LOST, desk.clock.now())
    end = desk.clock.now() + timedelta(hours=24)
    assert used_capacity(desk.ledger, end - timedelta(seconds=1)) == 2
    assert used_capacity(desk.ledger, end) == 0


def test_nothing_is_said_to_be_freed_while_only_calls_under_way_are_counted(desk: SendingDesk) -> None:
    """A red partition that can go on "at 9999-01-01" helps nobody."""
    desk.campaign(people(2))
    take_and_admit(desk.ledger, 2, desk.clock)
    with desk.ledger.read() as connection:
        assert capacity.next_freed(connection, 1, desk.clock.now()) is None
        assert capacity.freed_by_hour(connection, 1, desk.clock.now()) == []


def test_the_next_place_frees_when_the_last_call_for_the_first_person_leaves(ledger: Ledger, desk: SendingDesk) -> None:
    """Told too early, a run wakes up for nothing all day; too late, it misses its window."""
    desk.campaign(people(2))
    _, (first, second) = take_and_admit(ledger, 2, desk.clock)
    answer_call(ledger, first, accepted("wamid.1"), desk.clock.now() + timedelta(minutes=5))
    answer_call(ledger, second, accepted("wamid.2"), desk.clock.now() + timedelta(minutes=9))
    used_at = desk.clock.now() - timedelta(hours=3)
    with ledger.write() as connection:
        moment = desk.clock.now() + timedelta(minutes=10)
        assert capacity.next_freed(connection, 1, moment) == at("2026-03-03T09:05:00")
        connection.execute(insert(external_usage).values(sender_id=1, people=1, used_at=used_at, source="desk"))
        assert capacity.next_freed(connection, 1, moment) == used_at + timedelta(hours=24)
        assert capacity.freed_by_hour(connection, 1, moment) == [
            capacity.Freed(at("2026-03-03T06:00:00"), 1),
            capacity.Freed(at("2026-03-03T10:00:00"), 2),
        ]
        assert capacity.next_freed(connection, 1, moment + timedelta(days=2)) is None
        assert capacity.freed_by_hour(connection, 1, moment + timedelta(days=2)) == []


def test_the_history_of_the_limit_notes_only_what_is_new(ledger: Ledger, clock: HandClock) -> None:
    """A row for every run would bury the day on which Meta changed the tier."""
    with ledger.write() as connection:
        sender = capacity.sender_id(connection)
        assert limits.limit_in_force(connection, 250, clock.now()) == 250
        for setting in (250, 250, 2_000, 2_000, 250):
            limits.note_setting(connection, sender, setting, clock.now())
        noted = connection.execute(select(sender_limits.c.people_per_24_hours).order_by(sender_limits.c.id)).scalars()
        assert list(noted) == [250, 2_000, 250]
        assert limits.limit_in_force(connection, 250, clock.now()) == 250


def test_a_second_sender_is_never_made(ledger: Ledger) -> None:
    """Two rows would be two limits."""
    with ledger.write() as connection:
        assert capacity.sender_id(connection) == capacity.sender_id(connection)
    assert sender_row(ledger).name == "default"


def test_people_who_are_refused_use_no_place(desk: SendingDesk) -> None:
    """Meta does not count what it never took; counted, a list of wrong numbers would eat a day."""
    who = people(4)
    desk.campaign(who)
    for number in who[:2]:
        desk.simulator.fault("refused", to=phone(number))
    report = desk.send(limit=4)
    assert (report.figures.failed, report.figures.sent, report.after.used) == (2, 2, 2)
    assert states(desk.ledger) == ["failed", "failed", "accepted", "accepted"]


@pytest.mark.parametrize("hours", [1, 30])
def test_a_clock_that_goes_forward_during_a_run_stops_it_before_the_next_call(desk: SendingDesk, hours: int) -> None:
    """Thirty hours too far, everybody of today seems to have left the window: 250 more would be reached at once."""
    who = people(6)
    desk.campaign(who)

    def jump(progress: Progress) -> None:
        if progress.done == 2:
            desk.clock.jump(hours=hours)

    with pytest.raises(CannotSendError, match=rf"clock has gone {hours * 3600:,} seconds forward") as stopped:
        desk.send(concurrency=1, on_progress=jump)
    assert stopped.value.left == 4
    assert len(desk.reached(who)) == 2
    assert sender_row(desk.ledger).newest_stamp == at("2026-03-02T09:00:00")
    desk.clock.jump(hours=-hours)
    assert desk.send(run_id="again").figures.sent == 6


def test_a_clock_that_time_servers_correct_by_seconds_stops_nothing(desk: SendingDesk) -> None:
    """A run of eleven hours sees its clock slewed by some seconds; that must not turn the day red."""
    desk.campaign(people(6))
    desk.send(concurrency=1, on_progress=lambda _: desk.clock.jump(seconds=5))
    assert set(states(desk.ledger)) == {"accepted"}


def test_a_clock_that_goes_forward_while_a_run_waits_for_another_stops_it_too(desk: SendingDesk) -> None:
    """The jump is as dangerous when nobody is calling yet."""
    desk.campaign(people(3))

    def release_and_jump(_: Progress) -> None:
        desk.clock.jump(hours=2)
        with desk.ledger.write() as connection:
            connection.execute(update(senders).values(lease_holder=None))

    with desk.ledger.write() as connection:
        capacity.sender_id(connection)
        connection.execute(update(senders).values(lease_holder="another run", lease_fence=1))
    with pytest.raises(CannotSendError, match="forward during the run"):
        desk.send(on_progress=release_and_jump)
    assert set(states(desk.ledger)) == {"claimed"}
