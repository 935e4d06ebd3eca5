"""The queue of payloads to be passed on: on the disk, in the order of arrival, with exact bytes and headers.

Add here how payloads wait.
Keep out who they are sent to and how often (`forwarding`), and how a file reaches the disk (`living_files`).

A segment is a file: a first line that says up to where it was passed on, then records. A record is a line with three
numbers (length of its head, length of its body, check sum), the head (JSON: when it came, its headers), and the body.
How far a segment is travels with it, so that any receiver can go on with what a killed one has left behind. It is
written without waiting for the disk: after a power cut the last payloads may be passed on again, and none is left out.
"""

import json
import logging
import os
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campaign_pipeline.interfaces.webhook_receiver.living_files import (
    LivingFile,
    claim_all,
    delete_unborn,
    left_behind,
)
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom

DAMAGED: Final = ".damaged"

_PREFIX: Final = "payloads-"
_SUFFIX: Final = ".queue"

_PASSED_ON: Final = b"passed on up to %020d\n"
_FIRST_LINE: Final = len(_PASSED_ON % 0)
_MEASURES: Final = b"%08x %08x %08x\n"
_MEASURES_LENGTH: Final = len(_MEASURES % (0, 0, 0))
_MEASURES_PATTERN: Final = re.compile(rb"([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\n")

_log = logging.getLogger(__name__)
_seldom = Seldom(_log, seconds=60)

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Payload:
    """A webhook as it came.

    Attributes:
        body: The exact bytes that are signed.
        headers: Names in lower case, in their order.
        received_at: Seconds since 1970, UTC.
    """

    body: bytes
    headers: Headers
    received_at: float


@dataclass(slots=True, eq=False)
class _Segment:
    """A file of the queue.

    Attributes:
        file: Locked by us.
        position: Up to where it was passed on.
        is_growing: Whether payloads are still appended to it.
    """

    file: LivingFile
    position: int
    is_growing: bool

    @property
    def waiting_bytes(self) -> int:
        return max(0, self.file.end - self.position)

    def read_at(self, position: int) -> tuple[Payload, int] | None:
        """The record at a position and where the next one begins; None when there is no whole one."""
        measures = self._measures_at(position)
        if measures is None:
            return None
        head_length, body_length, check = measures
        begin = position + _MEASURES_LENGTH
        end = begin + head_length + body_length
        if end > self.file.end:
            return None
        data = self.file.read(end - begin, begin)
        if zlib.crc32(data) != check:
            return None
        head = json.loads(data[:head_length])
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]]
        return Payload(data[head_length:], headers, head["received_at"]), end

    def is_cut_off_at(self, position: int) -> bool:
        """Whether the file ends within the record at a position."""
        if position + _MEASURES_LENGTH > self.file.end:
            return True
        measures = self._measures_at(position)
        return measures is not None and position + _MEASURES_LENGTH + measures[0] + measures[1] > self.file.end

    def _measures_at(self, position: int) -> tuple[int, int, int] | None:
        line = self.file.read(_MEASURES_LENGTH, position)
        found = _MEASURES_PATTERN.fullmatch(line)
        return None if found is None else (int(found[1], 16), int(found[2], 16), int(found[3], 16))


class ForwardQueue:
    """Payloads that wait to be passed on. One thread appends, another one takes.

    Attributes:
        dropped: Payloads that were given up, since the queue was as large as it may become.
    """

    def __init__(self, folder: Path, *, most_bytes: int, segment_bytes: int) -> None:
        """Touches nothing yet.

        Args:
            folder: Where the segments are.
            most_bytes: What the queue may hold; beyond it the oldest segment is given up.
            segment_bytes: A segment that has so many is followed by another one.
        """
        self.dropped = 0
        self._folder = folder
        self._most_bytes = most_bytes
        self._segment_bytes = segment_bytes
        self._segments: deque[_Segment] = deque()
        self._given: tuple[_Segment, int] | None = None
        self._in_use: _Segment | None = None
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are still to be passed on."""
        with self._lock:
            return sum(segment.waiting_bytes for segment in self._segments)

    @property
    def is_nearly_full(self) -> bool:
        """Whether something will be given up soon."""
        return self.waiting_bytes > self._most_bytes * 0.8

    def take_over(self) -> None:
        """Takes up the segments that killed receivers, or stopped ones, have left; those of living ones are theirs."""
        delete_unborn(self._folder)
        files = claim_all(segments_in(self._folder))
        found = [segment for file in files if (segment := _taken_up(file)) is not None]
        if not found:
            return
        with self._news:
            growing = [segment for segment in self._segments if segment.is_growing]
            waiting = [*(segment for segment in self._segments if not segment.is_growing), *found]
            self._segments = deque([*sorted(waiting, key=lambda segment: segment.file.path.name), *growing])
            self._news.notify()

    def append(self, payloads: Iterable[Payload]) -> None:
        """Writes payloads behind all others, down to the disk.

        Raises:
            OSError: They did not reach the disk; none of them is passed on.
        """
        records = b"".join(_record_of(payload) for payload in payloads)
        segment = self._growing()
        try:
            segment.file.append(records)
        except OSError:
            segment.is_growing = segment.file.is_trusted
            raise
        if segment.file.end >= self._segment_bytes:
            segment.is_growing = False
        with self._news:
            self._keep_within_bounds()
            self._news.notify()

    def wait(self, seconds: float) -> None:
        """Waits until something was appended, or so long."""
        with self._news:
            self._news.wait(seconds)

    def wake(self) -> None:
        """Ends a `wait`."""
        with self._news:
            self._news.notify_all()

    def oldest(self) -> Payload | None:
        """The payload that is to be passed on next; None when none waits."""
        while (segment := self._first()) is not None:
            with self._kept_open(segment) as is_there:
                # Asked before its end: it grows in another thread, and for the last time before it says so.
                is_growing = segment.is_growing
                read = segment.read_at(segment.position) if is_there and segment.waiting_bytes else None
            if read is not None:
                payload, end = read
                self._given = (segment, end)
                return payload
            if is_growing:
                return None
            if self._is_taken_out(segment):
                _let_go(segment)
        return None

    def remove_oldest(self) -> None:
        """Notes that the payload which `oldest` gave is done with."""
        if self._given is None:
            return
        (segment, end), self._given = self._given, None
        with self._kept_open(segment) as is_there:
            if not is_there:
                return  # it was given up meanwhile, with its whole segment
            segment.position = end
            try:
                segment.file.overwrite(_PASSED_ON % end, 0)
            except OSError as error:
                _seldom.warning("How far the queue was passed on cannot be noted: %s", error.strerror)

    def retire(self) -> None:
        """Lets a segment that was passed on whole be taken away, so that no bodies lie about for long."""
        with self._news:
            for segment in self._segments:
                if segment.is_growing and segment.file.end > _FIRST_LINE and not segment.waiting_bytes:
                    segment.is_growing = False
            self._news.notify()

    def close(self) -> None:
        """Lets everything go; what was not passed on is left to the next receiver."""
        with self._lock:
            while self._segments:
                segment = self._segments.popleft()
                if not segment.waiting_bytes:
                    segment.file.path.unlink(missing_ok=True)
                self._close(segment)

    def _first(self) -> _Segment | None:
        with self._lock:
            return self._segments[0] if self._segments else None

    @contextmanager
    def _kept_open(self, segment: _Segment) -> Generator[bool]:
        """Lets a segment be read without the lock; tells whether it is still there.

        Whoever appends may want the lock, and a disk that is slow to read must not delay an answer to WhatsApp.
        """
        with self._lock:
            is_there = segment in self._segments
            self._in_use = segment if is_there else None
        try:
            yield is_there
        finally:
            with self._lock:
                self._in_use = None
                if is_there and segment not in self._segments:
                    segment.file.close()

    def _is_taken_out(self, segment: _Segment) -> bool:
        with self._lock:
            if segment not in self._segments:
                return False
            self._segments.remove(segment)
            return True

    def _close(self, segment: _Segment) -> None:
        """Closes a segment that was taken out, or leaves that to whoever reads it at this moment."""
        if segment is not self._in_use:
            segment.file.close()

    def _growing(self) -> _Segment:
        with self._lock:
            last = self._segments[-1] if self._segments else None
        if last is not None and last.is_growing:
            return last
        name = f"{_PREFIX}{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}{_SUFFIX}"
        file = LivingFile.create(self._folder / name, _PASSED_ON % _FIRST_LINE)
        segment = _Segment(file, _FIRST_LINE, is_growing=True)
        with self._lock:
            self._segments.append(segment)
        return segment

    def _keep_within_bounds(self) -> None:
        while len(self._segments) > 1 and sum(each.waiting_bytes for each in self._segments) > self._most_bytes:
            segment = self._segments.popleft()
            count = _count(segment)
            self.dropped += count
            _log.error(
                "%d payloads were NOT passed on and are given up: more than %d MB wait for WEBHOOK_FORWARD_URL, which "
                "takes none. They are in the inbox or the archive all the same.",
                count,
                self._most_bytes // 1024 // 1024,
            )
            segment.file.path.unlink(missing_ok=True)
            self._close(segment)


def segments_in(folder: Path) -> list[Path]:
    """The files of a queue, oldest first; those of living receivers among them."""
    return left_behind(folder, _PREFIX, _SUFFIX)


def _record_of(payload: Payload) -> bytes:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in payload.headers]
    head = json.dumps({"received_at": payload.received_at, "headers": headers}).encode()
    check = zlib.crc32(payload.body, zlib.crc32(head))
    return b"".join((_MEASURES % (len(head), len(payload.body), check), head, payload.body))


def _taken_up(file: LivingFile) -> _Segment | None:
    try:
        words = file.read(_FIRST_LINE, 0).split()
    except OSError as error:
        _seldom.error("A file of the queue cannot be read, and waits: %s: %s", file.path, error.strerror)
        file.close()
        return None
    position = int(words[-1]) if words and words[-1].isdigit() else 0
    # A first line that the disk has lost means from the beginning: better twice than not at all.
    is_within = _FIRST_LINE <= position <= file.end
    return _Segment(file, position if is_within else _FIRST_LINE, is_growing=False)


def _count(segment: _Segment) -> int:
    count, position = 0, segment.position
    while (read := segment.read_at(position)) is not None:
        count, position = count + 1, read[1]
    return count


def _let_go(segment: _Segment) -> None:
    """Takes a segment away that was passed on, or of which nothing more can be read."""
    left = segment.waiting_bytes
    if not left:
        segment.file.delete()
    elif segment.is_cut_off_at(segment.position):
        # It was being written when its receiver was killed, so nobody was told that it is kept.
        _log.warning(
            "The last %d bytes of %s are half a payload; they are not passed on.", left, segment.file.path.name
        )
        segment.file.delete()
    else:
        kept = segment.file.path.with_suffix(DAMAGED)
        _log.error("%d bytes of the queue cannot be read and are NOT passed on; they are kept in %s.", left, kept)
        segment.file.move(kept)
        segment.file.close()
