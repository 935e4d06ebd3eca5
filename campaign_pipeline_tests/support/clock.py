"""A clock that a test moves by hand; the only thing that tests ever replace."""

import threading
from datetime import UTC, datetime, timedelta


class HandClock:
    """Stands still until it is moved; waiting moves it."""

    def __init__(self, moment: str = "2026-03-02T09:00:00+00:00") -> None:
        self.moment = datetime.fromisoformat(moment).astimezone(UTC)
        self.elapsed = 0.0

    def now(self) -> datetime:
        """The moment, in UTC."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds; grows a little with every look, so that rates are not divided by nothing."""
        self.elapsed += 0.001
        return self.elapsed

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Moves on instead of waiting."""
        if stop.is_set():
            return True
        self.forward(seconds=seconds)
        return False

    def forward(self, **duration: float) -> None:
        """Moves on, by the arguments of a timedelta."""
        step = timedelta(**duration)
        self.moment += step
        self.elapsed += step.total_seconds()

    def set(self, moment: str) -> None:
        """Goes to a moment, forwards or backwards; what is monotonic goes forwards only."""
        target = datetime.fromisoformat(moment).astimezone(UTC)
        self.elapsed += max(0.0, (target - self.moment).total_seconds())
        self.moment = target

    def jump(self, **duration: float) -> None:
        """Sets the time of day forward or back, as a person or a time server does; no time passes by it."""
        self.moment += timedelta(**duration)
