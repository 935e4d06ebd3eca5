"""The receiver: who may post, what is kept, what is passed on; put together from its parts, started and ended.

Add here a rule about whether a payload is taken.
Keep out HTTP (`app`) and the parts themselves.
"""

import hmac
import logging
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from campaign_pipeline.interfaces.webhook_receiver.committing import CommitCounts, GroupCommit
from campaign_pipeline.interfaces.webhook_receiver.forward_queue import ForwardQueue, Headers, Payload, segments_in
from campaign_pipeline.interfaces.webhook_receiver.forwarding import ForwardCounts, Forwarder, ForwardTarget
from campaign_pipeline.interfaces.webhook_receiver.inbox_files import InboxFiles
from campaign_pipeline.interfaces.webhook_receiver.living_files import make_folder
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom
from campaign_pipeline.whatsapp import signature

MOST_BYTES_HELD: Final = 256 * 1024 * 1024
"""Bytes of bodies in memory; more of them are answered 503, so that a flood or a slow disk does not end the process."""

_SEGMENT_BYTES: Final = 16 * 1024 * 1024
_SIGNATURE: Final = signature.HEADER.lower().encode()

_log = logging.getLogger(__name__)
_seldom = Seldom(_log, seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """How the receiver behaves.

    Attributes:
        inbox: Where files for ingestion go.
        queue_folder: Where payloads wait to be passed on.
        app_secrets: Any of them may have signed; several while a secret is being replaced.
        takes_unsigned: Whether, without an app secret, everything is taken.
        verify_token: What Meta says when the webhook is set up.
        forward_url: Where payloads are passed on to; None is nowhere.
        file_bytes: A file of the inbox that has so many is finished.
        file_seconds: So is one that was begun so long ago.
        queue_bytes: What may wait to be passed on.
    """

    inbox: Path
    queue_folder: Path
    app_secrets: tuple[str, ...] = field(repr=False)
    takes_unsigned: bool
    verify_token: str | None = field(repr=False)
    forward_url: str | None = field(repr=False)
    file_bytes: int
    file_seconds: float
    queue_bytes: int


class Verdict(Enum):
    """What became of a payload."""

    KEPT = "kept"
    UNSIGNED = "unsigned"
    NOTHING_TO_CHECK_WITH = "nothing to check with"
    NOT_KEPT = "not kept"
    LOOP = "loop"


@dataclass(slots=True)
class RefusalCounts:
    """Requests that were not taken, by the reason; the disk's are in `CommitCounts`."""

    unsigned: int = 0
    without_secret: int = 0
    too_large: int = 0
    too_busy: int = 0
    loops: int = 0


@dataclass(frozen=True, slots=True)
class ReceiverCounts:
    """Everything that is counted since the start, for whoever publishes it.

    Attributes:
        commits: What was written.
        refusals: What was not taken.
        forwards: What became of the payloads that are passed on; None when nothing is.
        files_finished: Files that were renamed into the inbox.
        forwards_waiting_bytes: What waits to be passed on.
        forwards_dropped: What was given up since too much waited.
    """

    commits: CommitCounts
    refusals: RefusalCounts
    forwards: ForwardCounts | None
    files_finished: int
    forwards_waiting_bytes: int
    forwards_dropped: int


class Receiver:
    """Takes payloads while its `with` block runs.

    Attributes:
        refusals: Counts of what was not taken.
        bytes_held: Bytes of bodies in memory at this moment.
    """

    def __init__(self, options: ReceiverOptions) -> None:
        """Puts it together and touches nothing yet.

        Raises:
            SettingsError: Nothing can be passed on to the address that is set.
        """
        self.refusals = RefusalCounts()
        self.bytes_held = 0
        self._options = options
        self._inbox = InboxFiles(options.inbox, most_bytes=options.file_bytes, most_seconds=options.file_seconds)
        self._queue: ForwardQueue | None = None
        self._forwarder: Forwarder | None = None
        if options.forward_url is not None:
            self._queue = ForwardQueue(
                options.queue_folder, most_bytes=options.queue_bytes, segment_bytes=_SEGMENT_BYTES
            )
            self._forwarder = Forwarder(self._queue, ForwardTarget(options.forward_url))
        self._commits = GroupCommit(self._inbox, self._queue)

    def __enter__(self) -> Self:
        make_folder(self._options.inbox)
        if not self._options.app_secrets and not self._options.takes_unsigned:
            _log.error(
                "Every webhook is refused: set WHATSAPP_APP_SECRET (App Dashboard, App settings, Basic), or "
                "WEBHOOK_UNSIGNED=accept where nobody else can post."
            )
        if self._options.verify_token is None:
            _log.warning("Meta cannot set the webhook up: set WEBHOOK_VERIFY_TOKEN to a word of your own.")
        if self._queue is None and segments_in(self._options.queue_folder):
            _log.warning(
                "Payloads wait in %s and nobody gets them: set WEBHOOK_FORWARD_URL again, or delete them.",
                self._options.queue_folder,
            )
        self._commits.start()
        if self._forwarder is not None:
            self._forwarder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._forwarder is not None:
            self._forwarder.stop()
        self._commits.stop()

    @property
    def is_well(self) -> bool:
        """Whether payloads are being kept; False after one that the disk refused."""
        return not self._commits.counts.disk_is_refusing

    def counts(self) -> ReceiverCounts:
        """What has come about since the start."""
        return ReceiverCounts(
            commits=self._commits.counts,
            refusals=self.refusals,
            forwards=None if self._forwarder is None else self._forwarder.counts,
            files_finished=self._inbox.finished,
            forwards_waiting_bytes=0 if self._queue is None else self._queue.waiting_bytes,
            forwards_dropped=0 if self._queue is None else self._queue.dropped,
        )

    def is_verified(self, mode: str, token: str) -> bool:
        """Whether it is Meta that sets the webhook up; compared in a time that tells nothing of the token."""
        expected = self._options.verify_token
        if mode != "subscribe" or expected is None:
            return False
        return hmac.compare_digest(token.encode(), expected.encode())

    async def take(self, headers: Headers, body: bytes) -> Verdict:
        """Takes a payload, if it is signed, and waits until it is on the disk.

        Args:
            headers: Names in lower case.
            body: The exact bytes that came.
        """
        refusal = self._refusal(headers, body)
        if refusal is not None:
            return refusal
        is_durable = await self._commits.commit(Payload(body, headers, time.time()))
        return Verdict.KEPT if is_durable else Verdict.NOT_KEPT

    def _refusal(self, headers: Headers, body: bytes) -> Verdict | None:
        secrets = self._options.app_secrets
        if secrets:
            said = next((value.decode("latin-1") for name, value in headers if name == _SIGNATURE), None)
            if not any(signature.is_signed(body, said, secret) for secret in secrets):
                self.refusals.unsigned += 1
                _seldom.warning("A webhook was refused: it is not signed with WHATSAPP_APP_SECRET.")
                return Verdict.UNSIGNED
        elif not self._options.takes_unsigned:
            self.refusals.without_secret += 1
            _seldom.error("A webhook was refused, as every one is: set WHATSAPP_APP_SECRET.")
            return Verdict.NOTHING_TO_CHECK_WITH
        if self._forwarder is not None and self._forwarder.is_sending(body):
            self.refusals.loops += 1
            _seldom.error(
                "A payload comes in while it is being passed on: WEBHOOK_FORWARD_URL leads back to this receiver. "
                "Set it to the address of the other one."
            )
            return Verdict.LOOP
        return None
