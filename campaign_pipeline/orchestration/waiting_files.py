"""Which of some files have stopped growing, judged by two looks at them.

Add here how a sensor tells a finished file from one that is still being written.
Keep out what is then done with it.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg
from pydantic import Field

SURELY_FINISHED_AFTER: Final = 60.0
"""Seconds without a change after which one look is enough."""


class FinishedFiles(dg.Config):
    """What a sensor tells a run: which of the waiting files have stopped growing."""

    names: list[str] | None = Field(
        default=None, description="The names of the files to take in; without them, whatever waits is taken in."
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a folder has found: each file's size in bytes and time of change."""

    seen: dict[str, tuple[int, int]]

    @classmethod
    def at(cls, paths: Iterable[Path]) -> "Look":
        """Looks at files; one that has just been moved away is not there."""
        seen = {}
        for path in paths:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            seen[str(path)] = (status.st_size, status.st_mtime_ns)
        return cls(seen)

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "Look":
        """The last look, as a sensor's cursor keeps it; a cursor that cannot be read is no look at all."""
        try:
            kept = json.loads(cursor or "{}")
            return cls({path: (size, changed) for path, (size, changed) in kept.items()})
        except (ValueError, TypeError, AttributeError):
            return cls({})

    def as_cursor(self) -> str:
        """This look, for the next tick."""
        return json.dumps(self.seen)

    def finished_since(self, last: "Look", now: datetime) -> list[Path]:
        """The files that have not changed since the last look, or not for a long time; by name."""
        long_ago = (now.timestamp() - SURELY_FINISHED_AFTER) * 1e9
        return sorted(
            Path(path)
            for path, (size, changed) in self.seen.items()
            if last.seen.get(path) == (size, changed) or changed < long_ago
        )


def as_text(name: str) -> str:
    """A file's name as text that can be kept and shown, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "replace")
