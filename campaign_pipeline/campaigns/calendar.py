"""Send dates and moments: which date it is for the business, when sending may start and when it has to end.

Add here rules about dates, hours and time zones. Everything is pure: the moment comes in as an argument.
Keep out the number of people a date may reach.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_WINDOW = re.compile(rf"(?P<opens>{_TIME})\s*-\s*(?P<closes>{_TIME}|24:00)")


@dataclass(frozen=True, slots=True)
class SendWindow:
    """The hours of a send date in which messages may go out; `closes` None is the end of the day."""

    opens: time
    closes: time | None

    def __post_init__(self) -> None:
        if self.closes is not None and self.closes <= self.opens:
            msg = f"A send window has to close after it opens on the same day, not {self}."
            raise ValueError(msg)

    @classmethod
    def parse(cls, text: str) -> "SendWindow":
        """Reads ``09:00-20:00``; ``00:00-24:00`` is always.

        Raises:
            ValueError: The text is not two times of day, the first before the second.
        """
        written = _WINDOW.fullmatch(text.strip())
        if written is None:
            msg = f"A send window is written 09:00-20:00, not {text!r}."
            raise ValueError(msg)
        closes = None if written["closes"] == "24:00" else time.fromisoformat(written["closes"])
        return cls(time.fromisoformat(written["opens"]), closes)

    def __str__(self) -> str:
        closes = "24:00" if self.closes is None else f"{self.closes:%H:%M}"
        return f"{self.opens:%H:%M}-{closes}"


@dataclass(frozen=True, slots=True)
class SendCalendar:
    """The business's days.

    Attributes:
        timezone: The zone whose dates the send dates are.
        start_date: The first send date there is.
        send_time: When the daily batch is started, local time.
        window: The hours in which messages may go out, local time.
    """

    timezone: ZoneInfo
    start_date: date
    send_time: time
    window: SendWindow

    def date_of(self, moment: datetime) -> date:
        """The business's date at a moment."""
        return moment.astimezone(self.timezone).date()

    def send_moment(self, send_date: date) -> datetime:
        """When the batch of a date is started by the schedule, in UTC."""
        return self._at(send_date, self.send_time)

    def window_of(self, send_date: date) -> tuple[datetime, datetime]:
        """When a date's window opens and closes, in UTC; it is as long as that day really is."""
        closes_on, closes = (
            (send_date, self.window.closes)
            if self.window.closes is not None
            else (send_date + timedelta(days=1), time.min)
        )
        return self._at(send_date, self.window.opens), self._at(closes_on, closes)

    def window_is_open(self, moment: datetime) -> bool:
        """Whether messages may go out at a moment, whatever date's batch they belong to."""
        opens, closes = self.window_of(self.date_of(moment))
        return opens <= moment < closes

    def next_opening(self, moment: datetime) -> datetime:
        """When the window is open again: the moment itself if it is open then, in UTC."""
        day = self.date_of(moment)
        while True:
            opens, closes = self.window_of(day)
            # A window inside the hour that spring skips does not open on that day.
            if moment < closes and opens < closes:
                return max(moment, opens)
            day += timedelta(days=1)

    def next_send_date(self, moment: datetime) -> date:
        """The date of the next send time: today until that time has come, then tomorrow; never before the start."""
        today = self.date_of(moment)
        upcoming = today if moment < self.send_moment(today) else today + timedelta(days=1)
        return max(upcoming, self.start_date)

    def from_date_on(self, day: date | None, now: datetime) -> datetime:
        """When something begins that is meant from a date on, in UTC: now, if that is today or not said."""
        return now if day is None or day == self.date_of(now) else self._at(day, time.min)

    def local(self, moment: datetime) -> datetime:
        """A moment as the business's clocks show it."""
        return moment.astimezone(self.timezone)

    def _at(self, day: date, at: time) -> datetime:
        # A time that the day skips (clocks go forward) is read with the offset before the change, as PEP 495 does.
        return datetime.combine(day, at, tzinfo=self.timezone).astimezone(UTC)
