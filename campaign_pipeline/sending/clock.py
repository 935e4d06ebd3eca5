"""The clock as sending needs it: the time of day to stamp with, a monotonic one to measure with, and a way to wait.

Keep out every rule about time: rules take the moment as an argument.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from campaign_pipeline.sending.errors import CannotSendError

TOLERATED_JUMP: Final = timedelta(minutes=1)
"""By how much the time of day may run ahead of the monotonic clock during a run: slewing by NTP stays far below it."""


class Clock(Protocol):
    """What tells the time; tests bring one that they move by hand."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, whatever happens to the time of day."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Waits, at most until `stop` is set; gives whether it is."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment in the past."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Waits, at most until `stop` is set; gives whether it is."""
        return stop.wait(seconds)


class WatchedClock:
    """The time of day, held against the monotonic clock from the beginning of a run on.

    A clock that is set forward would let people leave the 24-hour window before their time. One that is set back is no
    danger: a stamp is never earlier than the one before it (`attempts.admit`).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._began_monotonic = clock.monotonic()

    def now(self) -> datetime:
        """The moment, in UTC.

        Raises:
            CannotSendError: The clock was set forward since the run began, or the machine has slept.
        """
        now = self._clock.now()
        passed = timedelta(seconds=self._clock.monotonic() - self._began_monotonic)
        ahead = now - self._began - passed
        if ahead > TOLERATED_JUMP:
            msg = (
                f"This machine's clock has gone {ahead.total_seconds():,.0f} seconds forward during the run, so that "
                "nobody can tell how many people the last 24 hours hold. Check the time, then run the date again."
            )
            raise CannotSendError(msg)
        return now
