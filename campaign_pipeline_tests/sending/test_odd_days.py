"""Sending on days that are not like others: clocks change, a year ends, the business is far from Greenwich."""

from datetime import date, datetime

import pytest

from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.report import DateEnd
from campaign_pipeline_tests.sending.marketplace import StridingClock
from campaign_pipeline_tests.support.campaigns import calendar, phone
from campaign_pipeline_tests.support.sending import SendingDesk, batch_phones, batch_rows, most_in_any_day, people


def local(text: str, zone: str) -> str:
    """A moment as the business's clocks show it, for a clock that is moved by hand."""
    return datetime.fromisoformat(text).replace(tzinfo=calendar(zone=zone).timezone).isoformat()


SHORT_AND_LONG_DAYS = {
    "23 hours in Berlin": ("Europe/Berlin", "2026-03-28", "2026-03-29", 10),
    "25 hours in Berlin": ("Europe/Berlin", "2026-10-24", "2026-10-25", 9),
    "23 hours in New York": ("America/New_York", "2026-03-07", "2026-03-08", 10),
    "25 hours in Auckland": ("Pacific/Auckland", "2026-04-04", "2026-04-05", 9),
}


@pytest.mark.parametrize(
    ("zone", "before", "the_day", "hour"), SHORT_AND_LONG_DAYS.values(), ids=SHORT_AND_LONG_DAYS.keys()
)
def test_on_the_day_that_clocks_change_a_batch_waits_until_24_real_hours_are_over(
    desk: SendingDesk, zone: str, before: str, the_day: str, hour: int
) -> None:
    """From nine to nine are 23 hours in spring: both batches at their time would be twice the limit in 24 hours."""
    days = calendar(zone=zone, window="09:00-20:00")
    desk.clock = StridingClock()
    who = people(8)
    desk.campaign(who, daily_send_limit=4)
    desk.clock.set(local(f"{before}T09:00", zone))
    assert desk.send(before, limit=4, days=days).sent_now == 4
    desk.clock.set(local(f"{the_day}T09:00", zone))
    assert desk.send(the_day, limit=4, days=days).sent_now == 4
    assert (days.local(desk.clock.now()).date(), days.local(desk.clock.now()).hour) == (
        date.fromisoformat(the_day),
        hour,
    )
    assert batch_phones(desk.ledger, the_day) == [phone(number) for number in who[4:]]
    assert most_in_any_day(desk.ledger) == 4


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_last_day_of_a_year_and_the_first_of_the_next_are_two_dates(desk: SendingDesk, zone: str) -> None:
    """Between them lie, by UTC, up to fourteen hours in which it is not clear to a machine which year it is."""
    days = calendar(zone=zone)
    desk.campaign(people(4), daily_send_limit=2)
    desk.clock.set(local("2026-12-31T23:59", zone))
    assert desk.send("2026-12-31", days=days).sent_now == 2
    desk.clock.forward(minutes=2)
    assert desk.send("2026-12-31", days=days).end is DateEnd.WAS_FINISHED
    assert desk.send("2027-01-01", days=days).sent_now == 2
    assert [str(row.send_date) for row in batch_rows(desk.ledger)] == ["2026-12-31", "2027-01-01"]


FAR_AWAY = {
    "ahead, a day before by UTC": ("Pacific/Auckland", "2026-03-02T20:30:00+00:00", "2026-03-03", "2026-03-04"),
    "behind, a day after by UTC": ("America/Los_Angeles", "2026-03-03T02:30:00+00:00", "2026-03-02", "2026-03-03"),
    "half an hour off": ("Asia/Kolkata", "2026-03-02T18:45:00+00:00", "2026-03-03", "2026-03-04"),
}


@pytest.mark.parametrize(("zone", "moment", "today", "tomorrow"), FAR_AWAY.values(), ids=FAR_AWAY.keys())
def test_today_is_sent_and_tomorrow_refused_by_the_businesss_date(
    desk: SendingDesk, zone: str, moment: str, today: str, tomorrow: str
) -> None:
    """By the machine's date the batch would be taken a day early in the east, and never in the west."""
    days = calendar(zone=zone)
    desk.campaign(people(3))
    desk.clock.set(moment)
    with pytest.raises(CannotSendError, match=f"{tomorrow} is still to come \\(today is {today}\\)"):
        desk.send(tomorrow, days=days)
    assert desk.send(today, days=days).sent_now == 3
