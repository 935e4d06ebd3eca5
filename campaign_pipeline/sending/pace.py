"""How fast calls may start: a token bucket for the rate, and a back-off after a throttle.

Add here rules of pace, pure: the monotonic time comes in as an argument, in seconds.
Keep out capacity, which is about people a day and stands in the database.
"""

from dataclasses import dataclass, field
from typing import Final

FIRST_BACK_OFF: Final = 1.0
LONGEST_BACK_OFF: Final = 60.0
"""Seconds."""


@dataclass(slots=True)
class TokenBucket:
    """Lets calls start at an even rate; what was not used is not saved up beyond one second's worth.

    Attributes:
        rate: Calls a second, which is also how many may start at once.
        tokens: Calls that may start now.
        filled_at: Monotonic time, seconds, to which `tokens` belongs.
    """

    rate: float
    filled_at: float
    tokens: float = field(default=1.0)

    def available(self, monotonic: float) -> int:
        """How many calls may start now."""
        elapsed = max(0.0, monotonic - self.filled_at)
        self.tokens = min(max(1.0, self.rate), self.tokens + elapsed * self.rate)
        self.filled_at = monotonic
        return int(self.tokens)

    def take(self, calls: int) -> None:
        """Notes that calls have started."""
        self.tokens -= calls

    def seconds_until_next(self) -> float:
        """How long it takes until one more call may start."""
        return max(0.0, (1.0 - self.tokens) / self.rate)


@dataclass(slots=True)
class BackOff:
    """Waits longer after each failure in a row: 1, 2, 4 … at most 60 seconds; forgotten after a success."""

    failures: int = 0
    until: float = 0.0

    def failed(self, monotonic: float, jitter: float, at_least: float = 0.0) -> None:
        """Notes a failure; `jitter` from 0 to 1 spreads those who wait by up to a quarter.

        Some failures ask for a longer wait than their number: `at_least`, in seconds.

        Failures that come while it is waiting already are of calls that were out together, and count once.
        """
        if monotonic < self.until:
            return
        seconds = max(at_least, min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2**self.failures))
        self.failures += 1
        self.until = max(self.until, monotonic + seconds * (1 + jitter / 4))

    def wait(self, monotonic: float, seconds: float) -> None:
        """Lets nothing start for some seconds, without counting a failure."""
        self.until = max(self.until, monotonic + seconds)

    def succeeded(self) -> None:
        """Notes that the way is free."""
        self.failures = 0

    def seconds_left(self, monotonic: float) -> float:
        """How long to wait still."""
        return max(0.0, self.until - monotonic)
