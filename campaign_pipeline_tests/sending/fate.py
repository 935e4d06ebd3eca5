"""The end of a process in the middle of its work, as far as the database and WhatsApp can tell.

Add here another boundary at which a run can be made to die. Keep out what a test expects afterwards.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import event

from campaign_pipeline.ledger.engine import Ledger


class Killed(BaseException):
    """Kill -9: nothing of this run reaches the database or WhatsApp any more."""


class Fate:
    """Counts the boundaries that a run passes, and kills it at one of them.

    Attributes:
        is_dead: Whether it has died.
    """

    def __init__(self, boundary: str | None = None, number: int = 0) -> None:
        """Decides it.

        Args:
            boundary: `statement`, `commit` (dies before it), `call` (before it) or `answer` (before it is recorded);
                None lives.
            number: The how manieth of them.
        """
        self.is_dead = False
        self._boundary = boundary
        self._left = number
        self._lock = threading.Lock()

    def pass_by(self, boundary: str) -> None:
        """Passes a boundary.

        Raises:
            Killed: Not this time, or it has died before.
        """
        with self._lock:
            if boundary == self._boundary and not self.is_dead:
                self._left -= 1
                self.is_dead = self._left <= 0
            if self.is_dead:
                raise Killed

    @contextmanager
    def of(self, ledger: Ledger) -> Generator[None]:
        """While the body runs, the statements and commits on a ledger are among the boundaries."""

        def execute(*_: object) -> None:
            self.pass_by("statement")

        def commit(*_: object) -> None:
            self.pass_by("commit")

        event.listen(ledger.engine, "before_cursor_execute", execute)
        event.listen(ledger.engine, "commit", commit)
        try:
            yield
        finally:
            event.remove(ledger.engine, "before_cursor_execute", execute)
            event.remove(ledger.engine, "commit", commit)
