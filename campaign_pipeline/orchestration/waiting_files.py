"""Which of some files have stopped growing, judged by two looks at them.

Add here how a sensor tells a finished file from one that is still being written.
Keep out what is then done with it.
"""

import heapq
import json
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg
from pydantic import Field

SURELY_FINISHED_AFTER: Final = 600.0
"""Seconds without a change after which one look is enough: more than the clock of a file server is wrong by, as a rule.

With less, half a file would seem to have been there for long when the clock that stamps it is slow.
"""

MOST_LOOKED_AT: Final = 2_000
"""Files of one folder that a tick looks at; the others are looked at when these have gone."""

MOST_REMEMBERED: Final = 1_000
"""Files that a cursor holds; Dagster keeps it with the sensor and reads it at each tick."""


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
    def at(cls, paths: Iterable[Path], deadline: float | None = None) -> "Look":
        """Looks at files; one that has just been moved away, or cannot be looked at, is not there.

        Args:
            paths: Where they are.
            deadline: The monotonic time after which no other file is looked at.
        """
        seen = {}
        for path in paths:
            if seen and deadline is not None and time.monotonic() > deadline:
                break
            try:
                status = path.stat()
            except OSError:
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

    def as_cursor(self, now: datetime) -> str:
        """This look, for the next tick; without the files that need no second one."""
        long_ago = _long_before(now)
        young = [(path, each) for path, each in sorted(self.seen.items()) if each[1] >= long_ago]
        return json.dumps(dict(young[:MOST_REMEMBERED]))

    def finished_since(self, last: "Look", now: datetime) -> list[Path]:
        """The files that have not changed since the last look, or not for a long time; by name.

        A file whose time of change is still to come, by a clock that is wrong, is finished at the second look like any
        other.
        """
        long_ago = _long_before(now)
        return sorted(
            Path(path)
            for path, (size, changed) in self.seen.items()
            if last.seen.get(path) == (size, changed) or changed < long_ago
        )


def first_by_name(folder: Path, is_wanted: Callable[[str], bool], deadline: float) -> list[Path]:
    """The first files of a folder by name, as many as one tick looks at, however many there are.

    Args:
        folder: Where they are; one that is not there has none.
        is_wanted: Whether a file of this name is waited for.
        deadline: The monotonic time after which no other name is read.

    Raises:
        OSError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = heapq.nsmallest(MOST_LOOKED_AT, _names_of_files(entries, is_wanted, deadline))
    except FileNotFoundError:
        return []
    return [folder / name for name in names]


def _names_of_files(
    entries: Iterable[os.DirEntry[str]], is_wanted: Callable[[str], bool], deadline: float
) -> Iterator[str]:
    for entry in entries:
        # Without a look at the file itself, where the folder says what it is.
        if is_wanted(entry.name) and _is_file(entry):
            yield entry.name
        if time.monotonic() > deadline:
            return


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _long_before(now: datetime) -> float:
    """Nanoseconds, as of a file's time of change."""
    return (now.timestamp() - SURELY_FINISHED_AFTER) * 1e9


def as_text(name: str) -> str:
    """A file's name as text that can be kept and shown, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "replace")


class NamesAsText(Container[str]):
    """Names of files that were told as text, to find the files by, whatever bytes their names are made of."""

    def __init__(self, told: Iterable[str]) -> None:
        self._told = frozenset(told)

    def __contains__(self, name: object) -> bool:
        """Whether a file of this name was told of."""
        return isinstance(name, str) and as_text(name) in self._told
