"""Passing payloads on to another receiver, as they came: in order, again and again until they are taken.

Add here what an answer of the other receiver means, and when to try again.
Keep out how payloads wait (`forward_queue`).

This is a thread of its own: nothing that the other receiver does delays or fails an answer to WhatsApp.
"""

import contextlib
import http.client
import ipaddress
import logging
import random
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from campaign_pipeline.interfaces.webhook_receiver.forward_queue import ForwardQueue, Headers, Payload
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom
from campaign_pipeline.settings import SettingsError

MOST_SECONDS: Final = 7 * 24 * 3600.0
"""A payload that nobody took for so long is given up, as Meta does."""

CALL_SECONDS: Final = 10.0
"""How long the other receiver may take for each step of its answer."""

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Seconds between two tries."""

_WORRYING_SECONDS: Final = 24 * 3600.0
_LONGEST_ANSWER: Final = 64 * 1024
_IDLE_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 3.0

_OF_A_CONNECTION: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Headers that tell about the connection on which a payload came; all others are passed on."""

_WORTH_ANOTHER_TRY: Final = (404, 405, 407, 408, 421, 425, 429)
"""These tell of the address, or of the moment, and not of the payload: a proxy answers 404 while the receiver behind it
is being replaced."""

_log = logging.getLogger(__name__)
_seldom = Seldom(_log, seconds=60)
_rarely = Seldom(_log, seconds=3600)


@dataclass(slots=True)
class ForwardCounts:
    """What became of the payloads.

    Attributes:
        passed_on: Taken by the other receiver (2xx).
        refused: Answered with a 4xx that tells of the payload, and gone on from.
        given_up: Older than a week, or nothing that can be sent.
        failed_tries: Calls that are made again.
    """

    passed_on: int = 0
    refused: int = 0
    given_up: int = 0
    failed_tries: int = 0


class ForwardTarget:
    """The other receiver, on one connection that is kept."""

    def __init__(self, url: str, call_seconds: float = CALL_SECONDS) -> None:
        """Connects to nothing yet.

        Args:
            url: Where payloads are posted to.
            call_seconds: How long each step of a call may take.

        Raises:
            SettingsError: Nothing can be posted there.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise SettingsError("WEBHOOK_FORWARD_URL has a port that is none.") from error
        if parts.scheme not in ("http", "https") or parts.hostname is None or parts.username is not None:
            msg = "WEBHOOK_FORWARD_URL cannot be used: write it as in https://bot.example/webhook, without a user."
            raise SettingsError(msg)
        self.host = parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(
                self.host, self.port, timeout=call_seconds, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(self.host, self.port, timeout=call_seconds)
        )

    def post(self, headers: Headers, body: bytes) -> tuple[int, str | None]:
        """Posts a payload; no redirect is followed.

        Returns:
            The status of the answer, and its Retry-After.

        Raises:
            OSError: There was no answer.
            HTTPException: It was none of HTTP.
            ValueError: A header cannot be sent.
        """
        is_reused = self._connection.sock is not None
        try:
            return self._post_once(headers, body)
        except (ConnectionError, http.client.BadStatusLine):
            # A connection that was kept may have been closed by the other side meanwhile, which is no fault.
            if not is_reused:
                raise
            return self._post_once(headers, body)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _post_once(self, headers: Headers, body: bytes) -> tuple[int, str | None]:
        connection = self._connection
        try:
            connection.putrequest("POST", self._path, skip_accept_encoding=True)
            for name, value in headers:
                if name not in _OF_A_CONNECTION:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            with contextlib.suppress(BrokenPipeError):
                # Who reads no further may have answered already: that the body is too large, for one.
                connection.endheaders(body)
            answer = connection.getresponse()
            answer.read(_LONGEST_ANSWER)
        except BaseException:
            connection.close()
            raise
        if not answer.isclosed():
            connection.close()
        return answer.status, answer.headers.get("Retry-After")


class Forwarder:
    """The thread that passes payloads on, one after the other.

    Attributes:
        counts: What became of them.
    """

    def __init__(self, queue: ForwardQueue, target: ForwardTarget) -> None:
        """Starts nothing yet."""
        self.counts = ForwardCounts()
        self._queue = queue
        self._target = target
        self._stopped = threading.Event()
        self._in_flight: bytes | None = None
        self._thread = threading.Thread(target=self._run, name="webhook-forwarder", daemon=True)

    def start(self) -> None:
        """Begins with the oldest payload."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; a call that takes longer is left alone, and its payload is passed on again by the next receiver."""
        self._stopped.set()
        self._queue.wake()
        self._thread.join(_STOP_SECONDS)

    def is_sending(self, body: bytes) -> bool:
        """Whether exactly these bytes are out at this moment: whoever gets them now gets them from us."""
        return body == self._in_flight

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                payload = self._queue.oldest()
                if payload is None:
                    self._queue.wait(_IDLE_SECONDS)
                elif self._is_done_with(payload):
                    self._queue.remove_oldest()
            except Exception:
                _log.exception("Passing payloads on has failed in a way that nobody foresaw; it is tried again.")
                self._stopped.wait(LONGEST_PAUSE)
        self._target.close()

    def _is_done_with(self, payload: Payload) -> bool:
        """Tries until a payload is taken or given up; False when it was stopped before."""
        tries = 0
        while not self._stopped.is_set():
            if time.time() - payload.received_at > MOST_SECONDS:
                self.counts.given_up += 1
                _seldom.error("A payload was NOT passed on and is given up: nobody took it for a week.")
                return True
            pause = self._try(payload, tries)
            if pause is None:
                return True
            tries += 1
            self.counts.failed_tries += 1
            self._warn(payload)
            self._stopped.wait(pause)
        return False

    def _try(self, payload: Payload, tries: int) -> float | None:
        """Makes one call; gives the pause before the next, or None when there is to be none."""
        self._in_flight = payload.body
        try:
            status, retry_after = self._target.post(payload.headers, payload.body)
        except ValueError as error:
            self.counts.given_up += 1
            _seldom.error("A payload cannot be passed on, as it cannot be sent: %s", type(error).__name__)
            return None
        except (OSError, http.client.HTTPException) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            _seldom.warning("WEBHOOK_FORWARD_URL gives no answer (%s); payloads wait and are passed on later.", why)
            return pause_before(tries + 1)
        finally:
            self._in_flight = None
        return self._pause_after(status, retry_after, tries)

    def _pause_after(self, status: int, retry_after: str | None, tries: int) -> float | None:
        if 200 <= status < 300:
            self.counts.passed_on += 1
            return None
        if 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY:
            self.counts.refused += 1
            _seldom.warning("WEBHOOK_FORWARD_URL refuses payloads with status %d; each is gone on from.", status)
            return None
        _seldom.warning("WEBHOOK_FORWARD_URL answers %d; payloads wait and are passed on later.", status)
        asked_for = float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
        return max(pause_before(tries + 1), min(asked_for, LONGEST_PAUSE))

    def _warn(self, payload: Payload) -> None:
        waited = time.time() - payload.received_at
        if waited > _WORRYING_SECONDS:
            _rarely.warning(
                "Payloads have waited for WEBHOOK_FORWARD_URL for %.0f hours; they are given up after 168.",
                waited / 3600,
            )
        if self._queue.is_nearly_full:
            _rarely.warning("The queue for WEBHOOK_FORWARD_URL is nearly full; the oldest payloads are given up soon.")


def pause_before(number: int) -> float:
    """Seconds before the try of this number; longer each time, and never the same for all."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(number, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret


def refuse_loop(url: str | None, host: str, port: int) -> None:
    """Makes sure that payloads are not passed on to the address which they come in at.

    A way back through a proxy cannot be seen from here; `Forwarder.is_sending` finds it out.

    Raises:
        SettingsError: They would be.
    """
    if url is None or (target := ForwardTarget(url)).port != port:
        return
    listening, called = _addresses(host), _addresses(target.host)
    if any(address.is_unspecified for address in listening):
        is_here = any(_is_of_this_machine(address) for address in called)
    else:
        is_here = bool(listening & called)
    if is_here:
        msg = (
            f"WEBHOOK_FORWARD_URL leads back to this receiver ({host}:{port}): set it to the address of the other one."
        )
        raise SettingsError(msg)


def _addresses(host: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found}


def _is_of_this_machine(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
