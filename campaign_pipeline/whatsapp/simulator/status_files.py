"""Brings due webhooks into the inbox: which are due, and files that no reader can see half-written.

Add here how payloads reach the inbox. Keep out what they say (statuses.py, account_webhooks.py, inbound.py). Statuses
that are not due yet live in memory only: a server that stops writes those that are due and forgets the rest, as a
test's or a demo's end should.
"""

import asyncio
import heapq
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from campaign_pipeline.whatsapp.simulator.deliveries import WebhookDelivery
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage
from campaign_pipeline.whatsapp.simulator.statuses import StatusEvent, webhook_payload


@dataclass(frozen=True, order=True)
class _Coming:
    due: float
    number: int
    what: str = field(compare=False)
    payload: Callable[[], dict[str, Any]] = field(compare=False)


class StatusQueue:
    """The webhooks that are still to come, soonest first: statuses of messages, and whatever else was ordered."""

    def __init__(self, options: SimulatorOptions, delivery: WebhookDelivery) -> None:
        """Starts with nothing to come.

        Args:
            options: inbox, account and delays.
            delivery: gets every webhook that is in the inbox.
        """
        self._options = options
        self._delivery = delivery
        self._coming: list[_Coming] = []
        self._queued = 0
        self._being_written = 0
        self._files = 0

    @property
    def pending(self) -> int:
        """How many webhooks are not in the inbox yet, those being written included."""
        return len(self._coming) + self._being_written

    def to_come(self) -> Counter[str]:
        """How many webhooks of each kind are not due yet, by status or by field."""
        return Counter(coming.what for coming in self._coming)

    def expect(self, message: AcceptedMessage, course: Sequence[StatusEvent], since: datetime) -> None:
        """Queues every status that a message will reach.

        Args:
            message: a message that was accepted.
            course: its statuses.
            since: the time from which the seconds of the course run, UTC: when the message was accepted or released.
        """
        for event in course:
            due = since.timestamp() + event.after
            payload = partial(webhook_payload, message, event.status, due, self._options, event.failure)
            self._queue(due, event.status, payload)

    def add(self, payload: dict[str, Any], now: datetime) -> None:
        """Queues a webhook that is due at once.

        Args:
            payload: its body.
            now: the present time, UTC.
        """
        self._queue(now.timestamp(), payload["entry"][0]["changes"][0]["field"], lambda: payload)

    def _queue(self, due: float, what: str, payload: Callable[[], dict[str, Any]]) -> None:
        self._queued += 1
        heapq.heappush(self._coming, _Coming(due, self._queued, what, payload))

    async def flush(self, now: datetime) -> None:
        """Writes one file with every webhook that is due; none if nothing is.

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
        payloads = [coming.payload() for coming in due]
        # In a thread: an fsync may take longer than the sender waits for an answer.
        await asyncio.to_thread(write_payloads, self._options.inbox / name, payloads)
        self._delivery.take(payloads)
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
