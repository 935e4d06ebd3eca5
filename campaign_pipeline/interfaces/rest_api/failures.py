"""How often somebody may be wrong: failures of the last minute are counted by address and by what was tried.

Add here another thing to count failures by.
Keep out what a failure is.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from campaign_pipeline.interfaces.rest_api.problems import Problem

WINDOW_SECONDS: Final = 60.0
FAILURES_ALLOWED: Final = 30
"""Of one address, or with one beginning of a token, in a minute."""

_MOST_KEYS: Final = 10_000
"""Whoever fails from many addresses must not fill the memory: the oldest are forgotten."""


class FailureLimit:
    """Counts failures in this process."""

    def __init__(self, allowed: int = FAILURES_ALLOWED, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._monotonic = monotonic
        self._failed_at: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def refuse_if_too_many(self, key: str) -> None:
        """Lets those who fail seldom through.

        Raises:
            Problem: There were too many failures; it says when to come again.
        """
        with self._lock:
            wait = self._seconds_to_wait(key)
        if wait > 0:
            raise _too_many(wait)

    def note(self, *keys: str) -> None:
        """Notes a failure under each key.

        Raises:
            Problem: With this one there are too many.
        """
        now = self._monotonic()
        with self._lock:
            for key in keys:
                self._failed_at.setdefault(key, deque(maxlen=self._allowed)).append(now)
                self._failed_at.move_to_end(key)
            while len(self._failed_at) > _MOST_KEYS:
                self._failed_at.popitem(last=False)
            wait = max(map(self._seconds_to_wait, keys))
        if wait > 0:
            raise _too_many(wait)

    def _seconds_to_wait(self, key: str) -> float:
        failed_at = self._failed_at.get(key)
        if failed_at is None or len(failed_at) < self._allowed:
            return 0.0
        return failed_at[0] + WINDOW_SECONDS - self._monotonic()


def _too_many(wait: float) -> Problem:
    detail = "Too many attempts with a wrong token: look at the token, and try again after the time in Retry-After."
    return Problem(429, detail, headers={"Retry-After": str(max(1, round(wait + 0.5)))})
