"""Brings due statuses into the inbox: which are due, and files that no reader can see half-written.

Add here how payloads reach the inbox. Keep out what they say (statuses.py). Statuses that are not due yet live in
memory only: a server that stops writes those that are due and forgets the rest, as a test's or a demo's end should.
"""

import asyncio
import heapq
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage
from campaign_pipeline.whatsapp.simulator.statuses import Status, course_of, webhook_payload


@dataclass(frozen=True, order=True)
class _Coming:
    due: float
    number: int
    status: Status = field(compare=False)
    message: AcceptedMessage = field(compare=False)


class StatusQueue:
    """The statuses that are still to come, soonest first."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._coming: list[_Coming] = []
        self._queued = 0
        self._being_written = 0
        self._files = 0

    @property
    def pending(self) -> int:
        """How many statuses are not in the inbox yet, those being written included."""
        return len(self._coming) + self._being_written

    def expect(self, message: AcceptedMessage) -> None:
        """Queues every status that a message will reach.

        Args:
            message: a message that was accepted just now.
        """
        accepted_at = datetime.fromisoformat(message.accepted_at).timestamp()
        for event in course_of(message.wamid, self._options):
            self._queued += 1
            coming = _Coming(accepted_at + event.after, self._queued, event.status, message)
            heapq.heappush(self._coming, coming)

    async def flush(self, now: datetime) -> None:
        """Writes one file with every status that is due; none if nothing is.

        Args:
            now: the time that decides what is due, UTC.
        """
        due: list[_Coming] = []
        while self._coming and self._coming[0].due <= now.timestamp():
            due.append(heapq.heappop(self._coming))
        if not due:
            return
        self._being_written = len(due)
        self._files += 1
        name = f"statuses-{now:%Y%m%dT%H%M%S.%fZ}-{self._files:06d}.ndjson"
        payloads = [webhook_payload(coming.message, coming.status, coming.due, self._options) for coming in due]
        # In a thread: an fsync may take longer than the sender waits for an answer.
        await asyncio.to_thread(write_payloads, self._options.inbox / name, payloads)
        self._being_written = 0

    async def keep_flushing(self, stopping: asyncio.Event) -> None:
        """Writes what is due every flush interval until the server stops, and a last time then.

        Args:
            stopping: set when the server has stopped answering.
        """
        while not stopping.is_set():
            await self.flush(datetime.now(UTC))
            try:
                await asyncio.wait_for(stopping.wait(), self._options.flush_interval)
            except TimeoutError:
                continue
        await self.flush(datetime.now(UTC))


def write_payloads(path: Path, payloads: list[dict[str, Any]]) -> None:
    """Writes one file of webhook payloads that appears whole or not at all.

    Args:
        path: where it shall stand; until it is complete it has a dot in front, which readers pass over.
        payloads: one line each.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("w", encoding="ascii") as file:
        file.writelines(json.dumps(payload) + "\n" for payload in payloads)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
