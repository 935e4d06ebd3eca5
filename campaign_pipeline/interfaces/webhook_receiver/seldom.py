"""Saying the same thing seldom: what happens a thousand times a second is told once, with how often.

Add here another way of telling.
Keep out what is told.
"""

import logging
import threading
import time


class Seldom:
    """A log in which each sentence stands at most once in so many seconds."""

    def __init__(self, log: logging.Logger, seconds: float) -> None:
        """Says nothing yet.

        Args:
            log: Where it is said.
            seconds: For how long a sentence is not said again.
        """
        self._log = log
        self._seconds = seconds
        self._said: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}
        self._lock = threading.Lock()

    def warning(self, sentence: str, *values: object) -> None:
        """Says what somebody should look at."""
        self._say(logging.WARNING, sentence, values)

    def error(self, sentence: str, *values: object) -> None:
        """Says what somebody has to mend."""
        self._say(logging.ERROR, sentence, values)

    def _say(self, level: int, sentence: str, values: tuple[object, ...]) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(sentence, -self._seconds) < self._seconds:
                self._kept_back[sentence] = self._kept_back.get(sentence, 0) + 1
                return
            self._said[sentence] = now
            more = self._kept_back.pop(sentence, 0)
        self._log.log(level, sentence + (f" ({more:,} times more since it was last said.)" if more else ""), *values)
