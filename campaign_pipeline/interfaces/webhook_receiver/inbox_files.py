"""Files of the inbox: written under a name with a dot, renamed when they are large or old enough, never half read.

Add here how payloads become files that ingestion takes in.
Keep out how a file reaches the disk (`living_files`) and what a line is (`bodies`).
"""

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from campaign_pipeline.interfaces.webhook_receiver.living_files import (
    LivingFile,
    claim_all,
    delete_unborn,
    left_behind,
)
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom

BEING_WRITTEN: Final = ".receiving-"
SUFFIX: Final = ".ndjson"

_TRIAL: Final = 4096
_PIECE: Final = 64 * 1024

_log = logging.getLogger(__name__)
_seldom = Seldom(_log, seconds=3600)


class InboxFiles:
    """The files that this process puts into the inbox, one after the other. For one thread.

    Attributes:
        finished: How many were renamed into the inbox.
    """

    def __init__(self, inbox: Path, *, most_bytes: int, most_seconds: float) -> None:
        """Touches nothing yet.

        Args:
            inbox: The folder.
            most_bytes: A file that has so many is finished.
            most_seconds: So is one that was begun so long ago.
        """
        self.finished = 0
        self._inbox = inbox
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._file: LivingFile | None = None
        self._due = 0.0

    def append(self, lines: bytes) -> None:
        """Writes whole lines, down to the disk; when that fails, none of them is vouched for.

        Raises:
            OSError: They did not reach the disk.
        """
        if self._file is None:
            self._file = LivingFile.create(self._inbox / _new_name())
            self._due = time.monotonic() + self._most_seconds
        try:
            self._file.append(lines)
        except OSError:
            if not self._file.is_trusted:
                self._give_up(self._file)
            raise
        if self._file.end >= self._most_bytes:
            self._due = 0.0

    def seconds_left(self) -> float | None:
        """Until the file is old enough; None when there is none."""
        return None if self._file is None else max(0.0, self._due - time.monotonic())

    def finish_if_due(self) -> None:
        """Renames the file into the inbox if it is large or old enough; one that cannot be is tried again."""
        if self._file is not None and time.monotonic() >= self._due:
            self.finish()

    def finish(self) -> None:
        """Renames the file into the inbox, if there is one."""
        if self._file is None:
            return
        try:
            _into_inbox(self._file)
        except FileNotFoundError:
            _log.error("A file of webhooks was deleted before it could go into the inbox: %s", self._file.path.name)
            self._file.close()
        except OSError as error:
            _log.error("A file of webhooks stays hidden in the inbox, and is tried again: %s", error.strerror)
            self._due = time.monotonic() + self._most_seconds
            return
        self._file = None
        self.finished += 1

    def take_over(self) -> None:
        """Finishes files that killed receivers have left in the inbox; those of living ones are left alone."""
        delete_unborn(self._inbox)
        for claimed in claim_all(left_behind(self._inbox, BEING_WRITTEN, SUFFIX)):
            try:
                _finish_left_behind(claimed)
                self.finished += 1
            except OSError as error:
                claimed.close()
                _seldom.error(
                    "A file was left behind and stays so, as it cannot be renamed: %s: %s", claimed.path, error.strerror
                )

    def try_disk(self) -> None:
        """Finds out whether the disk takes anything.

        Raises:
            OSError: It does not.
        """
        LivingFile.create(self._inbox / f"{BEING_WRITTEN}trial-{os.urandom(6).hex()}{SUFFIX}", bytes(_TRIAL)).delete()

    def close(self) -> None:
        """Finishes the file; what cannot be renamed is left to the next receiver."""
        self.finish()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up(self, file: LivingFile) -> None:
        """Begins another file next time: the disk does not say what it holds of this one."""
        self._file = None
        try:
            _into_inbox(file)
        except OSError:
            file.close()


def _new_name() -> str:
    now = datetime.now(UTC)
    return f"{BEING_WRITTEN}webhooks-{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{os.urandom(3).hex()}{SUFFIX}"


def _into_inbox(file: LivingFile) -> None:
    if file.end == 0:
        file.delete()
        return
    file.move(file.path.with_name(file.path.name.removeprefix(BEING_WRITTEN)))
    file.close()


def _finish_left_behind(file: LivingFile) -> None:
    end = _end_of_last_line(file)
    if end < file.end:
        # It was being written when its receiver was killed, so nobody was told that it is kept.
        _log.warning("The last %d bytes of %s are half a line and are cut off.", file.end - end, file.path.name)
        file.cut(end)
    else:
        _log.info("%s was left behind by a receiver that was killed; it is finished.", file.path.name)
    _into_inbox(file)


def _end_of_last_line(file: LivingFile) -> int:
    begin = file.end
    while begin > 0:
        end, begin = begin, max(0, begin - _PIECE)
        found = file.read(end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
    return 0
