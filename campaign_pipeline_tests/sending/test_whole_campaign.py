"""A whole campaign over 40 dates of Berlin, with all that goes wrong meanwhile, and each day as it was foretold.

WHOLE_CAMPAIGN says how many people a day; the long form asks for 250.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from campaign_pipeline.campaigns.send_schedule import Estimate, expected_end, first_open_date, read_schedule
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.sending import limits
from campaign_pipeline.sending.proof import prove
from campaign_pipeline.sending.report import DateEnd
from campaign_pipeline.whatsapp.client import Answer, CloudApiClient
from campaign_pipeline.whatsapp.messages import TemplateMessage
from campaign_pipeline_tests.sending.marketplace import StridingClock
from campaign_pipeline_tests.support.campaigns import active_campaign, calendar, phone
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    account_of,
    batch_phones,
    campaign_status,
    people,
)
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = date(2026, 3, 9)
DAYS = calendar(start=str(FIRST), zone="Europe/Berlin", window="09:00-20:00")

MISSED = (7, 16)
"""Days, counted from the first: the machine was off."""
AT_ANOTHER_TIME = {12: time(15, 30), 25: time(18, 0)}
"""A late day, after which each next one has to wait; and one on which somebody sends in the evening."""
CLOCKS_CHANGE = 20
"""29 March has 23 hours."""
LIMIT_DOUBLED = 30
"""From here on there is room for a missed date beside the day's own."""

PER_DAY = int(os.environ.get("WHOLE_CAMPAIGN", "25"))
CONCURRENCY = 32
A_DAY = 24 * 60 * 60.0


@pytest.fixture(scope="module")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator that tells only `sent`: what becomes of ten thousand messages later is of no interest here."""
    options = simulator_options(tmp_path_factory.mktemp("simulator"), delivered_share=0, read_share=0)
    with SimulatorProcess(options) as process:
        yield process


class _NotingClient(CloudApiClient):
    """Notes when each call is made, by seconds that only pass."""

    def __init__(self, simulator: SimulatorProcess, clock: StridingClock, called_at: dict[str, float]) -> None:
        super().__init__(account_of(simulator), CONCURRENCY)
        self._clock = clock
        self._called_at = called_at

    def send(self, message: TemplateMessage) -> Answer:
        assert message.to not in self._called_at, "called twice"
        self._called_at[message.to] = self._clock.elapsed
        return super().send(message)


class _Story:
    """The campaign as it goes, and as the test foresees it by counting on its fingers."""

    def __init__(self, ledger: Ledger, simulator: SimulatorProcess, root: Path, per_day: int) -> None:
        self.ledger = ledger
        self.clock = StridingClock()
        self.per_day = self.limit = per_day
        self.who = people(40 * per_day)
        self.called_at: dict[str, float] = {}
        self.sent_to = 0
        self.waited: dict[int, float] = {}
        self.desk = SendingDesk(ledger, simulator, self.clock, root)
        self.clock.set("2026-03-08T19:30:00+00:00")
        now = self.clock.now()
        self.campaign = active_campaign(ledger, root, self.who, limit=per_day, now=now, daily_send_limit=per_day)

    def morning(self, day: int) -> datetime:
        """When a day's batch is begun."""
        return datetime.combine(FIRST + timedelta(days=day), AT_ANOTHER_TIME.get(day, time(9)), BERLIN)

    def expect_from_evening(self, day: int) -> None:
        """The evening before a day, its batch and the last date are foretold as they have to be."""
        left = len(self.who) - self.sent_to
        with self.ledger.read() as connection:
            first = first_open_date(connection, DAYS, self.clock.now())
            estimate = expected_end(connection, self.campaign.id, first, self.limit)
            schedule = read_schedule(connection, self.campaign.id, first, self.limit)
        days_left = ceil(left / self.per_day)
        assert first == FIRST + timedelta(days=day)
        assert estimate == Estimate(days_left, first + timedelta(days=days_left - 1))
        assert [each.expected_size for each in schedule if each.send_date == first] == [min(self.per_day, left)]

    def send(self, send_date: date) -> None:
        """Sends a date, which takes the next in the queue and nobody else."""
        report = self.desk.send(
            send_date,
            f"run of {send_date}",
            days=DAYS,
            limit=self.per_day,
            rate=1_000_000,
            concurrency=CONCURRENCY,
            connect=lambda: _NotingClient(self.desk.simulator, self.clock, self.called_at),
        )
        assert (report.end, report.sent_now) == (DateEnd.FINISHED, self.per_day)
        expected = self.who[self.sent_to : self.sent_to + self.per_day]
        assert batch_phones(self.ledger, send_date) == [phone(number) for number in expected]
        self.sent_to += self.per_day

    def set_limit(self, limit: int) -> None:
        """Meta raises the tier."""
        now = self.clock.now()
        with self.ledger.write() as connection:
            limits.set_limit(connection, limit, now, by="Ada", setting=self.per_day, now=now)
        self.limit = limit


def most_in_any_day(moments: list[float]) -> int:
    """The most calls that lie in any 24 hours; each is for another person."""
    ordered = sorted(moments)
    return max(number - bisect_right(ordered, moment - A_DAY) for number, moment in enumerate(ordered, start=1))


def test_a_whole_campaign_goes_as_foretold_whatever_the_days_bring(
    ledger: Ledger, shared_simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """This is what the project is for: 40 days, a batch in any 24 hours, nobody twice, nobody left out."""
    story = _Story(ledger, shared_simulator, tmp_path, PER_DAY)
    caught_up = list(MISSED)
    first_with_double = 0.0
    day = -1
    while story.sent_to < len(story.who):
        day += 1
        story.expect_from_evening(day)
        if day not in MISSED:
            story.clock.set(story.morning(day).isoformat())
            began = story.clock.elapsed
            if day == LIMIT_DOUBLED:
                first_with_double = began
                story.set_limit(2 * story.per_day)
            story.send(FIRST + timedelta(days=day))
            story.waited[day] = (story.clock.elapsed - began) / 3600
            if day >= LIMIT_DOUBLED and caught_up:
                # By now whoever was reached last evening has left the window.
                story.clock.set(datetime.combine(FIRST + timedelta(days=day), time(19, 45), BERLIN).isoformat())
                story.send(FIRST + timedelta(days=caught_up.pop(0)))
        # By the evening: the next send time is that of tomorrow.
        story.clock.set(datetime.combine(FIRST + timedelta(days=day), time(20, 30), BERLIN).isoformat())
    assert day == 39, "two dates were missed and both were caught up with"
    assert campaign_status(ledger) == "completed"
    assert sorted(story.called_at) == sorted(phone(number) for number in story.who)
    assert sorted(story.desk.reached(story.who)) == sorted(story.called_at)

    before = [moment for moment in story.called_at.values() if moment < first_with_double]
    assert most_in_any_day(before) == story.per_day
    assert most_in_any_day(list(story.called_at.values())) == 2 * story.per_day
    long_waits = {number for number, hours in story.waited.items() if hours > 0.5}
    # A missed date, or a later hour, ends the waiting; the short day begins it anew.
    assert long_waits == {13, 14, 15, *range(CLOCKS_CHANGE, 25), *range(26, LIMIT_DOUBLED)}
    assert prove(ledger).kept
    story.desk.close()
