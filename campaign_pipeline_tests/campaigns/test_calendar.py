"""Send dates are dates of the business, and its window is open when its own clocks say so."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.campaigns.calendar import SendCalendar, SendWindow
from campaign_pipeline_tests.support.campaigns import calendar

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Los_Angeles",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # moves its clocks by half an hour
    "Africa/Cairo",  # has days that begin at 01:00
    "America/Havana",  # has days with two midnights
    "Asia/Beirut",  # has days whose last hour comes twice
)

moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES)
times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
windows = st.one_of(
    st.builds(SendWindow, times, st.none()),
    st.tuples(times, times).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: SendWindow(*pair)),
)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "moment", "expected"),
    [
        ("UTC", "2026-03-02T23:59:59", "2026-03-02"),
        ("UTC", "2026-03-03T00:00:00", "2026-03-03"),
        ("Pacific/Kiritimati", "2026-03-02T09:59:59", "2026-03-02"),
        ("Pacific/Kiritimati", "2026-03-02T10:00:00", "2026-03-03"),
        ("America/Los_Angeles", "2026-03-02T07:59:59", "2026-03-01"),
        ("America/Los_Angeles", "2026-03-02T08:00:00", "2026-03-02"),
        ("Asia/Kathmandu", "2026-12-31T18:14:59", "2026-12-31"),
        ("Asia/Kathmandu", "2026-12-31T18:15:00", "2027-01-01"),
        ("America/Los_Angeles", "2027-01-01T07:59:59", "2026-12-31"),
        # The hour that autumn repeats is of the same date both times.
        ("Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T01:30:00", "2026-10-25"),
    ],
)
def test_a_send_date_is_the_date_on_the_businesss_wall(zone: str, moment: str, expected: str) -> None:
    """Dates of UTC would give a business in California two batches on one of its days and none on another."""
    assert calendar(zone=zone).date_of(_utc(moment)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("zone", "day", "send_time", "expected"),
    [
        ("UTC", "2026-03-02", "09:00", "2026-03-02T09:00:00"),
        ("Pacific/Kiritimati", "2026-03-02", "09:00", "2026-03-01T19:00:00"),
        ("America/Los_Angeles", "2026-03-02", "20:00", "2026-03-03T04:00:00"),
        ("Europe/Berlin", "2026-03-28", "09:00", "2026-03-28T08:00:00"),
        ("Europe/Berlin", "2026-03-29", "09:00", "2026-03-29T07:00:00"),
        ("Europe/Berlin", "2026-10-24", "09:00", "2026-10-24T07:00:00"),
        ("Europe/Berlin", "2026-10-25", "09:00", "2026-10-25T08:00:00"),
        # A time that spring skips: as if the clocks had not been moved yet. One that autumn repeats: the first.
        ("Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:30:00"),
        ("Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30:00"),
    ],
)
def test_the_send_time_is_local_on_every_day_of_the_year(zone: str, day: str, send_time: str, expected: str) -> None:
    """A schedule that keeps its offset sends at eight in the morning from the end of March."""
    days = calendar(zone=zone, send_time=send_time)
    assert days.send_moment(date.fromisoformat(day)) == _utc(expected)


@pytest.mark.parametrize(
    ("zone", "window", "day", "opens", "closes"),
    [
        ("UTC", "09:00-20:00", "2026-03-02", "2026-03-02T09:00:00", "2026-03-02T20:00:00"),
        ("UTC", "00:00-24:00", "2026-12-31", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("UTC", "22:00-24:00", "2026-02-28", "2026-02-28T22:00:00", "2026-03-01T00:00:00"),
        ("Pacific/Kiritimati", "00:00-24:00", "2027-01-01", "2026-12-31T10:00:00", "2027-01-01T10:00:00"),
        ("America/Los_Angeles", "09:00-20:00", "2026-12-31", "2026-12-31T17:00:00", "2027-01-01T04:00:00"),
        # 23 and 25 hours long, because those days are.
        ("Europe/Berlin", "00:00-24:00", "2026-03-29", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("Europe/Berlin", "00:00-24:00", "2026-10-25", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("Europe/Berlin", "01:00-09:00", "2026-03-29", "2026-03-29T00:00:00", "2026-03-29T07:00:00"),
        ("Europe/Berlin", "01:00-09:00", "2026-10-25", "2026-10-24T23:00:00", "2026-10-25T08:00:00"),
    ],
)
def test_a_window_is_as_long_as_its_day_really_is(zone: str, window: str, day: str, opens: str, closes: str) -> None:
    """A window that is counted in hours from its opening sends an hour into the night on one day of the year."""
    found = calendar(zone=zone, window=window).window_of(date.fromisoformat(day))
    assert found == (_utc(opens), _utc(closes))
    assert all(moment.utcoffset() == timedelta(0) for moment in found)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-03-02T08:59:59", False),
        ("2026-03-02T09:00:00", True),
        ("2026-03-02T19:59:59", True),
        ("2026-03-02T20:00:00", False),
        ("2026-03-03T00:00:00", False),
    ],
)
def test_the_window_opens_on_the_minute_and_is_closed_on_the_minute(moment: str, is_open: bool) -> None:
    """One message at eight in the evening where the law says eight is one message too many."""
    assert calendar(window="09:00-20:00").window_is_open(_utc(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T03:00:00", "2026-03-02T09:00:00"),
        ("2026-03-02T12:34:56", "2026-03-02T12:34:56"),
        ("2026-03-02T20:00:00", "2026-03-03T09:00:00"),
        ("2026-12-31T23:59:59", "2027-01-01T09:00:00"),
    ],
)
def test_outside_the_window_the_next_opening_is_told(moment: str, expected: str) -> None:
    """A run that cannot send has to say from when on it can."""
    assert calendar(window="09:00-20:00").next_opening(_utc(moment)) == _utc(expected)


@given(zones, windows, moments)
def test_at_the_next_opening_the_window_is_open(zone: str, window: SendWindow, moment: datetime) -> None:
    """A run that waits for an opening which is none waits again, and again, until somebody looks."""
    days = calendar(zone=zone, window=str(window))
    opening = days.next_opening(moment)
    assert opening >= moment
    assert days.window_is_open(opening)
    assert days.window_is_open(moment) is (opening == moment)


def test_a_window_in_the_hour_that_spring_skips_opens_on_the_next_day() -> None:
    """On that day 02:30-03:00 does not exist; read naively it opens after it has closed."""
    days = calendar(zone="Europe/Berlin", window="02:30-03:00")
    opening = days.next_opening(_utc("2026-03-29T00:00:00"))
    assert days.window_is_open(opening)
    assert opening == _utc("2026-03-30T00:30:00")


@given(zones, moments)
def test_a_window_of_the_whole_day_is_never_closed(zone: str, moment: datetime) -> None:
    """The demo and the backfills run at any hour, the night of the clock change included."""
    assert calendar(zone=zone, window="00:00-24:00").window_is_open(moment)


@given(zones, moments)
def test_the_days_follow_each_other_without_gap_or_overlap(zone: str, moment: datetime) -> None:
    """A moment of two dates could take two batches; one of none could take nobody."""
    days = calendar(zone=zone, window="00:00-24:00")
    today = days.date_of(moment)
    opens, closes = days.window_of(today)
    assert opens <= moment < closes
    assert days.window_of(today + timedelta(days=1))[0] == closes
    assert days.local(moment) == moment


@pytest.mark.parametrize(
    ("zone", "start", "moment", "expected"),
    [
        ("UTC", "2026-03-01", "2026-03-02T08:59:59", "2026-03-02"),
        ("UTC", "2026-03-01", "2026-03-02T09:00:00", "2026-03-03"),
        ("UTC", "2026-03-01", "2026-03-02T23:59:59", "2026-03-03"),
        ("UTC", "2026-03-01", "2026-12-31T12:00:00", "2027-01-01"),
        ("UTC", "2026-04-01", "2026-03-02T08:59:59", "2026-04-01"),
        ("UTC", "2026-04-01", "2026-04-01T09:00:00", "2026-04-02"),
        ("Pacific/Kiritimati", "2026-03-01", "2026-03-01T18:59:59", "2026-03-02"),
        ("Pacific/Kiritimati", "2026-03-01", "2026-03-01T19:00:00", "2026-03-03"),
        ("America/Los_Angeles", "2026-03-01", "2026-03-03T04:59:59", "2026-03-03"),
        ("America/Los_Angeles", "2026-03-01", "2026-03-02T16:59:59", "2026-03-02"),
        ("Europe/Berlin", "2026-03-01", "2026-03-29T06:59:59", "2026-03-29"),
        ("Europe/Berlin", "2026-03-01", "2026-03-29T07:00:00", "2026-03-30"),
    ],
)
def test_the_next_send_date_is_that_of_the_next_send_time(zone: str, start: str, moment: str, expected: str) -> None:
    """A plan that begins on a day whose send time is over is a day late before it starts."""
    assert calendar(zone=zone, start=start).next_send_date(_utc(moment)) == date.fromisoformat(expected)


@given(windows)
def test_a_window_is_read_as_it_is_written(window: SendWindow) -> None:
    """What an error shows as the window has to be what the settings take."""
    assert SendWindow.parse(str(window)) == window
    assert SendWindow.parse(f"  {str(window).replace('-', ' - ')} ") == window


@pytest.mark.parametrize(
    "text", ["", "09:00", "09:00–20:00", "20:00-09:00", "09:00-09:00", "24:00-09:00", "9-20", "09:00-25:00", "a-b"]
)
def test_a_window_that_closes_before_it_opens_or_is_none_is_refused(text: str) -> None:
    """Read as it stands, 20:00-09:00 is never open, and the campaign stands still without a word."""
    with pytest.raises(ValueError, match=r"\S"):
        SendWindow.parse(text)


def test_a_refused_window_is_shown_as_it_was_written() -> None:
    """The person has to find it in the settings again."""
    with pytest.raises(ValueError, match="close after it opens on the same day, not 20:00-09:00"):
        SendWindow.parse("20:00-09:00")
    with pytest.raises(ValueError, match=r"is written 09:00-20:00, not '9 to 5'"):
        SendWindow.parse("9 to 5")


def test_a_calendar_is_compared_by_what_it_says() -> None:
    """Definitions are loaded anew every few seconds; an equal calendar must not look like a change."""
    one = SendCalendar(ZoneInfo("UTC"), date(2026, 3, 1), time(9), SendWindow.parse("00:00-24:00"))
    assert one == calendar()
    assert one != calendar(send_time="10:00")
