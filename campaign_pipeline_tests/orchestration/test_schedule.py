"""The daily tick: which date it asks for, and what it says when it asks for none."""

from datetime import date, datetime
from typing import Any

import dagster as dg
import pytest

from campaign_pipeline.orchestration.partitions import send_dates
from campaign_pipeline_tests.orchestration.desk import THE_DATE, DeskMaker, OrchestrationDesk, shown
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import people

NINE = "2026-03-02T09:00:00+00:00"
BY_DAY = {"CAMPAIGN_SEND_WINDOW": "09:00-20:00"}
TOKYO = {"CAMPAIGN_TIMEZONE": "Asia/Tokyo", "CAMPAIGN_SEND_TIME": "06:00", "CAMPAIGN_SEND_WINDOW": "06:00-20:00"}
NEW_YORK = {
    "CAMPAIGN_TIMEZONE": "America/New_York",
    "CAMPAIGN_SEND_TIME": "20:00",
    "CAMPAIGN_SEND_WINDOW": "09:00-21:00",
}


def tick(desk: OrchestrationDesk, scheduled: str, now: str | None = None) -> tuple[list[str | None], str | None]:
    """Lets the schedule tick; gives the dates that it requests, and why it requests none."""
    desk.clock.set(now or scheduled)
    repository = desk.definitions.get_repository_def()
    schedule = repository.get_schedule_def("daily_send_schedule")
    with dg.build_schedule_context(
        instance=desk.instance,
        scheduled_execution_time=datetime.fromisoformat(scheduled),
        repository_def=repository,
        resources=repository.get_top_level_resources(),
    ) as context:
        data = schedule.evaluate_tick(context)
    return [request.partition_key for request in data.run_requests or []], data.skip_message


REQUESTS = {
    "at nine": ({}, NINE, NINE, "2026-03-02"),
    "late, but within the window": (BY_DAY, NINE, "2026-03-02T19:59:00+00:00", "2026-03-02"),
    "the evening before in London is the morning in Tokyo": (TOKYO, "2026-03-01T21:00:00+00:00", None, "2026-03-02"),
    "the next day in London is the evening in New York": (NEW_YORK, "2026-03-03T01:00:00+00:00", None, "2026-03-02"),
    "on the day that has 23 hours": (NEW_YORK, "2026-03-09T00:00:00+00:00", None, "2026-03-08"),
}


@pytest.mark.parametrize(("changed", "scheduled", "now", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_tick_requests_the_date_that_it_is_for_the_business(
    new_desk: DeskMaker, changed: dict[str, str], scheduled: str, now: str | None, expected: str
) -> None:
    """With the machine's date, or the last partition's, the batch is sent under the day before or after."""
    desk = new_desk(**changed)
    desk.campaign(people(5))
    assert tick(desk, scheduled, now) == ([expected], None)


SKIPS = {
    "before the first send date": (
        {"CAMPAIGN_START_DATE": "2026-03-05"},
        NINE,
        NINE,
        "2026-03-02 is before the first send date, 2026-03-05.",
    ),
    "after the window": (
        BY_DAY,
        NINE,
        "2026-03-02T20:00:00+00:00",
        "Too late for 2026-03-02: it is past the send window 09:00-20:00.",
    ),
    "the next morning": (
        BY_DAY,
        NINE,
        "2026-03-03T10:00:00+00:00",
        "Too late for 2026-03-02: it is past the send window 09:00-20:00.",
    ),
    "after midnight in Tokyo": (
        {**TOKYO, "CAMPAIGN_SEND_WINDOW": "00:00-24:00"},
        "2026-03-01T21:00:00+00:00",
        "2026-03-02T15:00:00+00:00",
        "Too late for 2026-03-02: it is past the send window 00:00-24:00.",
    ),
}


@pytest.mark.parametrize(("changed", "scheduled", "now", "sentence"), SKIPS.values(), ids=SKIPS.keys())
def test_a_tick_out_of_time_skips_and_says_so(
    new_desk: DeskMaker, changed: dict[str, str], scheduled: str, now: str, sentence: str
) -> None:
    """A daemon that was down all day comes up at 22:00 and wakes 250 people."""
    desk = new_desk(**changed)
    desk.campaign(people(5))
    assert tick(desk, scheduled, now) == ([], sentence)


def test_a_tick_finds_its_date_finished(desk: OrchestrationDesk) -> None:
    """Somebody was at the desk before nine; a run that does nothing would look as if it had sent."""
    desk.campaign(people(5))
    desk.send()
    assert tick(desk, NINE) == ([], "2026-03-02 is finished already.")


def test_a_tick_goes_on_with_a_date_that_was_left_unfinished(desk: OrchestrationDesk) -> None:
    """Started by hand at 8:50 and stopped: at nine the rest of the people are still to be sent to."""
    numbers = people(40)
    desk.campaign(numbers)
    desk.simulator.fault("account", to=phone(numbers[20]))
    assert not desk.send().success
    desk.mend()
    assert tick(desk, NINE) == ([THE_DATE], None)


@pytest.mark.parametrize("why", ["no campaign", "paused", "all sent to"])
def test_a_tick_on_which_nobody_waits_skips_and_says_so(desk: OrchestrationDesk, why: str) -> None:
    """A run every day for a campaign that ended in spring hides the days on which something should have been sent."""
    if why != "no campaign":
        desk.campaign(people(3))
    if why == "paused":
        desk.pause()
    if why == "all sent to":
        desk.clock.forward(days=-1)
        assert desk.send("2026-03-01").success
    assert tick(desk, NINE) == ([], "Nobody waits in an active campaign on 2026-03-02.")


def test_a_limit_of_zero_is_not_taken_for_nobody_waiting(new_desk: DeskMaker) -> None:
    """Meta has taken the number's limit away: "nobody waits" would hide that 5 people do, day after day."""
    desk = new_desk(CAMPAIGN_SENDER_LIMIT="0")
    desk.campaign(people(5))
    assert tick(desk, NINE) == ([THE_DATE], None)


def test_what_a_tick_requests_can_be_run(new_desk: DeskMaker) -> None:
    """Six in the morning in Tokyo, the day before for the machine: the date has to be no future date to anyone."""
    desk = new_desk(**TOKYO)
    desk.campaign(people(5))
    requested, _ = tick(desk, "2026-03-01T21:00:00+00:00")
    run = desk.send(str(requested[0]))
    assert shown(run, "daily_batch")["summary"] == "2026-03-02: finished (5 of 5 accepted by WhatsApp)."


@pytest.mark.parametrize(
    ("changed", "cron", "zone"),
    [
        ({}, "0 9 * * *", "UTC"),
        ({**TOKYO, "CAMPAIGN_SEND_TIME": "06:15"}, "15 6 * * *", "Asia/Tokyo"),
        (NEW_YORK, "0 20 * * *", "America/New_York"),
    ],
)
def test_the_schedule_ticks_by_the_businesss_clock(
    new_desk: DeskMaker, changed: dict[str, str], cron: str, zone: str
) -> None:
    """Nine in the morning, in a zone that nobody works in, is the middle of the night."""
    schedule = new_desk(**changed).definitions.resolve_schedule_def("daily_send_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


LAST_DATES: list[Any] = [
    ({}, "2026-03-02T00:00:00+00:00", "2026-03-02"),
    ({}, "2026-03-02T23:59:00+00:00", "2026-03-02"),
    (TOKYO, "2026-03-01T15:00:00+00:00", "2026-03-02"),
    (NEW_YORK, "2026-03-02T04:59:00+00:00", "2026-03-01"),
    (NEW_YORK, "2026-03-02T05:00:00+00:00", "2026-03-02"),
]


@pytest.mark.parametrize(("changed", "moment", "last"), LAST_DATES)
def test_the_last_partition_is_the_businesss_today(
    new_desk: DeskMaker, changed: dict[str, str], moment: str, last: str
) -> None:
    """Without today, the date cannot be sent on its day; with tomorrow, it could be sent the day before."""
    calendar = new_desk(**changed).settings.calendar
    keys = send_dates(calendar).get_partition_keys(current_time=datetime.fromisoformat(moment))
    assert (keys[0], keys[-1]) == (calendar.start_date.isoformat(), last)
    assert date.fromisoformat(keys[-1]) == calendar.date_of(datetime.fromisoformat(moment))
