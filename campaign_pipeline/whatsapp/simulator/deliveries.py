"""Calls a webhook by HTTP as Meta does: signed, again after a failure, now and then twice or late.

Add here how a payload travels. Keep out what it says (statuses.py) and when it is due (status_files.py). What waits for
another try lives in memory only: a server that stops makes each new webhook's first call and forgets the others.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint
"""

import asyncio
import contextlib
import hashlib
import heapq
import hmac
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import urllib3

from campaign_pipeline.whatsapp.simulator.chance import draw
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions

_OK = 200
_CALL_SECONDS = 5.0
_LAST_SECONDS = 2.0


def body_of(payload: dict[str, Any]) -> bytes:
    """Spells a payload as Meta signs it: whatever is not ASCII stands there escaped, with u and lower-case digits.

    Args:
        payload: the webhook.

    Returns:
        The raw body of the call.
    """
    return json.dumps(payload, separators=(",", ":")).encode("ascii")


def signature_of(body: bytes, app_secret: str) -> str:
    """The value of `X-Hub-Signature-256`.

    Args:
        body: the raw body of the call.
        app_secret: what Meta and the receiver share.

    Returns:
        `sha256=` and the HMAC in hexadecimal digits.
    """
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, order=True)
class _Call:
    """One call that is to be made; times are of the monotonic clock."""

    due: float
    number: int
    body: bytes = field(compare=False)
    first_due: float = field(compare=False)
    tries: int = field(default=0, compare=False)


class WebhookDelivery:
    """The calls of the receiver that are still to be made.

    Calls follow each other: what comes out of order does so because the options ask for it.

    Attributes:
        delivered: how many calls the receiver answered with 200.
        refused: how many calls had another answer or none.
        given_up: how many webhooks will not be tried again.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._url = options.webhook_url or ""
        self._calls: list[_Call] = []
        self._queued = 0
        self._in_flight = 0
        self._news = asyncio.Event()
        self._finish_by: float | None = None
        self._pool = urllib3.PoolManager(timeout=_CALL_SECONDS, retries=False)
        self.delivered = 0
        self.refused = 0
        self.given_up = 0

    @property
    def waiting(self) -> int:
        """How many calls are still to be made, that in flight included."""
        return len(self._calls) + self._in_flight

    def take(self, payloads: list[dict[str, Any]]) -> None:
        """Queues a call for each payload; nothing happens if there is nobody to call.

        Args:
            payloads: in the order in which they are due.
        """
        if not self._url:
            return
        for payload in payloads:
            body, about = body_of(payload), _about(payload)
            due = time.monotonic()
            if draw(self._options.seed, "late", *about) < self._options.webhook_late_share:
                due += self._options.webhook_late_by * draw(self._options.seed, "late by", *about)
            self._queue(body, due)
            if draw(self._options.seed, "twice", *about) < self._options.webhook_duplicate_share:
                self._queue(body, due + self._options.webhook_retry_after)
        self._news.set()

    async def keep_calling(self) -> None:
        """Makes each call when it is due, until `finish`."""
        while self._finish_by is None:
            await self._make_due_calls()
            await self._wait_for_more()
        await self._make_due_calls()
        self._pool.clear()

    def finish(self) -> None:
        """Ends `keep_calling` soon: calls never tried are due now, repeated ones are forgotten."""
        now = time.monotonic()
        self._finish_by = now + _LAST_SECONDS
        self._calls = [replace(call, due=now) for call in self._calls if call.tries == 0]
        heapq.heapify(self._calls)
        self._news.set()

    def _queue(self, body: bytes, due: float) -> None:
        self._queued += 1
        heapq.heappush(self._calls, _Call(due, self._queued, body, due))

    async def _make_due_calls(self) -> None:
        while self._calls and self._calls[0].due <= time.monotonic() and not self._is_over():
            call = heapq.heappop(self._calls)
            self._in_flight = 1
            # In a thread: urllib3 blocks, and senders must be answered meanwhile.
            accepted = await asyncio.to_thread(self._call, call.body)
            self._in_flight = 0
            if accepted:
                self.delivered += 1
            else:
                self.refused += 1
                self._try_again(call)

    def _is_over(self) -> bool:
        return self._finish_by is not None and time.monotonic() > self._finish_by

    def _call(self, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua"}
        if self._options.app_secret is not None:
            headers["X-Hub-Signature-256"] = signature_of(body, self._options.app_secret)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError:
            return False  # nobody listens, or no answer came in time
        return answer.status == _OK

    def _try_again(self, call: _Call) -> None:
        pause = self._options.webhook_retry_after * 2**call.tries
        due = time.monotonic() + pause
        if self._finish_by is not None or due - call.first_due > self._options.webhook_give_up_after:
            self.given_up += 1
        else:
            heapq.heappush(self._calls, replace(call, due=due, tries=call.tries + 1))

    async def _wait_for_more(self) -> None:
        seconds = max(0.0, self._calls[0].due - time.monotonic()) if self._calls else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()


def _about(payload: dict[str, Any]) -> tuple[str, ...]:
    """What a chance is drawn for: the same in every run for a status, whatever its time."""
    value = payload["entry"][0]["changes"][0]["value"]
    return tuple(f"{status['id']} {status['status']}" for status in value.get("statuses", ())) or (str(value),)
