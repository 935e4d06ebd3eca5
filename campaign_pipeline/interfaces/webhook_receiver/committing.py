"""Committing in groups: whatever waits is written at once, one wait for the disk, then all are told.

Add here when is written, and what is done between groups.
Keep out what is written: `inbox_files` and `forward_queue`.

A disk tells a hundred or a thousand times a second that something is on it; so payloads share that answer.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from campaign_pipeline.interfaces.webhook_receiver.bodies import line_of
from campaign_pipeline.interfaces.webhook_receiver.forward_queue import ForwardQueue, Payload
from campaign_pipeline.interfaces.webhook_receiver.inbox_files import InboxFiles
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom

LARGEST_GROUP: Final = 8 * 1024 * 1024
"""Bytes; a longer one would let the first of it wait for too long."""

_LOOK_ROUND_SECONDS: Final = 5.0
"""How often files of receivers that were killed are looked for, and a disk that refuses is asked again."""

_log = logging.getLogger(__name__)
_seldom = Seldom(_log, seconds=30)


@dataclass(slots=True)
class CommitCounts:
    """What was written.

    Attributes:
        durable: Payloads on the disk.
        groups: How often the disk was waited for.
        failed: Payloads that did not reach the disk; nobody was told that they are kept.
        disk_is_refusing: Whether the last group was one of them.
    """

    durable: int = 0
    groups: int = 0
    failed: int = 0
    disk_is_refusing: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    payload: Payload
    is_durable: asyncio.Future[bool]


class GroupCommit:
    """The thread that writes.

    Attributes:
        counts: What it has written.
    """

    def __init__(self, inbox: InboxFiles, queue: ForwardQueue | None) -> None:
        """Starts nothing yet.

        Args:
            inbox: Takes every payload as a line.
            queue: Takes it as it came; None when nothing is passed on.
        """
        self.counts = CommitCounts()
        self._inbox = inbox
        self._queue = queue
        self._waiting: deque[_Waiting] = deque()
        self._news = threading.Condition()
        self._is_stopping = False
        self._next_look_round = 0.0
        self._thread = threading.Thread(target=self._run, name="webhook-writer", daemon=True)

    def start(self) -> None:
        """Begins to write, and takes over what killed receivers have left."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, finishes the files and ends."""
        with self._news:
            self._is_stopping = True
            self._news.notify()
        self._thread.join()

    async def commit(self, payload: Payload) -> bool:
        """Waits until a payload is on the disk.

        Returns:
            False when it is not: the disk is full or broken.
        """
        is_durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._news:
            self._waiting.append(_Waiting(payload, is_durable))
            self._news.notify()
        return await is_durable

    def _run(self) -> None:
        self._keep_house()
        while True:
            group, is_stopping = self._next_group()
            if group:
                self._write(group)
            elif is_stopping:
                break
            self._keep_house()
        self._inbox.close()
        if self._queue is not None:
            self._queue.close()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        with self._news:
            if not self._waiting and not self._is_stopping:
                seconds = self._inbox.seconds_left()
                self._news.wait(_LOOK_ROUND_SECONDS if seconds is None else min(seconds, _LOOK_ROUND_SECONDS))
            group: list[_Waiting] = []
            length = 0
            while self._waiting and length < LARGEST_GROUP:
                group.append(self._waiting.popleft())
                length += len(group[-1].payload.body)
            return group, self._is_stopping

    def _write(self, group: list[_Waiting]) -> None:
        is_durable = self._is_written([each.payload for each in group])
        self.counts.groups += 1
        self.counts.disk_is_refusing = not is_durable
        if is_durable:
            self.counts.durable += len(group)
        else:
            self.counts.failed += len(group)
        loop = group[0].is_durable.get_loop()
        try:
            loop.call_soon_threadsafe(_tell, group, is_durable)
        except RuntimeError:
            # The loop was ended without waiting for its requests.
            _log.warning("%d payloads were written and nobody waits for the answer.", len(group))

    def _is_written(self, payloads: list[Payload]) -> bool:
        try:
            self._inbox.append(b"".join(line_of(each.body) + b"\n" for each in payloads))
            if self._queue is not None:
                self._queue.append(payloads)
        except OSError as error:
            _seldom.error("Webhooks cannot be kept (%s) and are answered 503: make room on the disk.", error.strerror)
            return False
        except Exception:
            _log.exception("Webhooks cannot be kept, for a reason that nobody foresaw, and are answered 503.")
            return False
        return True

    def _keep_house(self) -> None:
        try:
            self._inbox.finish_if_due()
            if time.monotonic() >= self._next_look_round:
                self._look_round()
        except OSError as error:
            _seldom.error("The folders of webhooks cannot be put in order: %s", error.strerror)
        except Exception:
            # Without this thread nobody would be answered any more.
            _log.exception("The folders of webhooks cannot be put in order, for a reason that nobody foresaw.")

    def _look_round(self) -> None:
        began = time.monotonic()
        self._next_look_round = began + _LOOK_ROUND_SECONDS
        if self.counts.disk_is_refusing:
            # Whoever asks for health may keep payloads away until it is well again.
            self._inbox.try_disk()
            self.counts.disk_is_refusing = False
        self._inbox.take_over()
        if self._queue is not None:
            self._queue.take_over()
            self._queue.retire()
        # An inbox that nobody takes in may hold a hundred thousand files; payloads shall not wait for its listing.
        self._next_look_round = max(self._next_look_round, began + 100 * (time.monotonic() - began))


def _tell(group: list[_Waiting], is_durable: bool) -> None:
    for each in group:
        if not each.is_durable.done():
            each.is_durable.set_result(is_durable)
