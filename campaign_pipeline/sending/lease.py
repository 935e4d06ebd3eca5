"""The lease: one run holds the sender at a time, whatever its date; a silent one is replaced by the next that waits.

Add here what it takes to hold the sender and to notice that one no longer does.
Keep out what is done while holding it.

A holder raises a beat in the sender's row. Who waits watches the beat by its own monotonic clock and takes over when it
has not moved for `silence`; no two machines' clocks are compared. A holder that could not beat for `silence - margin`
stops starting calls by itself, before anyone can have taken over.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending.clock import Clock
from campaign_pipeline.sending.errors import LeaseLostError, StoppedError


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """Seconds: between beats, until a silent holder is replaced, and by how much earlier the holder itself gives up."""

    beat_every: float = 5.0
    silence: float = 30.0
    margin: float = 10.0
    look_every: float = 0.5


class Lease:
    """A held sender.

    Attributes:
        sender_id: The sender's row.
        fence: This holder's number; what carries an older one is refused by the ledger.
    """

    def __init__(self, ledger: Ledger, taken: "_Taken", terms: LeaseTerms, clock: Clock) -> None:
        self.sender_id = taken.sender_id
        self.fence = taken.fence
        self._ledger = ledger
        self._terms = terms
        self._clock = clock
        self._beaten_at = taken.began
        self._taken_over = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name=f"lease-{self.fence}", daemon=True)
        self.beat_failure: str | None = None

    def is_live(self) -> bool:
        """Whether a call may start now."""
        silent_for = self._clock.monotonic() - self._beaten_at
        return not self._taken_over and silent_for < self._terms.silence - self._terms.margin

    def require(self, connection: Connection) -> None:
        """Refuses to go on in a transaction unless this holder is still the one in force; locks the sender's row.

        Raises:
            LeaseLostError: Another run has taken the sender over.
        """
        row = connection.execute(
            select(senders.c.lease_fence, senders.c.lease_holder)
            .where(senders.c.id == self.sender_id)
            .with_for_update(key_share=True)
        ).one()
        if row.lease_fence != self.fence or row.lease_holder is None:
            self._taken_over = True
            msg = "Another run has taken the sender over, since this one was silent for too long; it goes on from here."
            raise LeaseLostError(msg)

    def is_in_force(self, connection: Connection) -> bool:
        """Whether this holder is still the one in force, as the ledger has it; locks the sender's row."""
        try:
            self.require(connection)
        except LeaseLostError:
            return False
        return True

    def start(self) -> None:
        """Begins to beat."""
        self._thread.start()

    def release(self) -> None:
        """Stops beating and frees the sender, if it is still ours."""
        self._ended.set()
        self._thread.join()
        with self._ledger.write() as connection:
            connection.execute(
                update(senders)
                .where(senders.c.id == self.sender_id, senders.c.lease_fence == self.fence)
                .values(lease_holder=None)
            )

    def _keep_beating(self) -> None:
        while not self._ended.wait(self._terms.beat_every):
            began = self._clock.monotonic()
            try:
                if not self._beat():
                    self._taken_over = True
                    return
            except DBAPIError as error:
                # A missed beat is no end yet: `is_live` counts the silence, and the next beat may get through.
                self.beat_failure = str(error.orig)
                continue
            # Counted from before the beat was written: the watcher's silence can only have begun later.
            self._beaten_at = began

    def _beat(self) -> bool:
        with self._ledger.write() as connection:
            return bool(
                connection.execute(
                    update(senders)
                    .where(
                        senders.c.id == self.sender_id,
                        senders.c.lease_fence == self.fence,
                        senders.c.lease_holder.is_not(None),
                    )
                    .values(lease_beat=senders.c.lease_beat + 1)
                ).rowcount
            )


@contextmanager
def hold_sender(
    ledger: Ledger,
    sender_id: int,
    holder: str,
    terms: LeaseTerms,
    clock: Clock,
    stop: threading.Event,
    on_waiting: Callable[[str], None],
) -> Generator[Lease]:
    """Holds the sender for the body; waits for it first, as long as another run holds it and is alive.

    Args:
        ledger: Where the sender's row is.
        sender_id: The sender's row.
        holder: Who we are, for people: a run id, a host.
        terms: Seconds.
        clock: For measuring silence.
        stop: Ends the waiting.
        on_waiting: Told once who holds the sender.

    Raises:
        StoppedError: We were asked to stop while waiting.
    """
    taken = _wait_for(ledger, sender_id, holder, terms, clock, stop, on_waiting)
    lease = Lease(ledger, taken, terms, clock)
    lease.start()
    try:
        yield lease
    finally:
        lease.release()


@dataclass(frozen=True, slots=True)
class _Taken:
    sender_id: int
    fence: int
    began: float
    """Monotonic time before it was taken: whoever watches can have begun to count only later."""


@dataclass(frozen=True, slots=True)
class _Seen:
    fence: int
    beat: int
    holder: str | None


def _wait_for(
    ledger: Ledger,
    sender_id: int,
    holder: str,
    terms: LeaseTerms,
    clock: Clock,
    stop: threading.Event,
    on_waiting: Callable[[str], None],
) -> _Taken:
    last_seen: _Seen | None = None
    unchanged_since = clock.monotonic()
    while True:
        began = clock.monotonic()
        seen = _look(ledger, sender_id)
        if seen != last_seen:
            if seen.holder is not None and (last_seen is None or seen.fence != last_seen.fence):
                on_waiting(seen.holder)
            last_seen, unchanged_since = seen, clock.monotonic()
        is_free = seen.holder is None or clock.monotonic() - unchanged_since >= terms.silence
        if is_free and _take(ledger, sender_id, holder, seen):
            return _Taken(sender_id, seen.fence + 1, began)
        if clock.wait(stop, terms.look_every):
            msg = "Stopped while waiting for another run to finish; nothing was sent by this one."
            raise StoppedError(msg)


def _look(ledger: Ledger, sender_id: int) -> _Seen:
    with ledger.read() as connection:
        row = connection.execute(
            select(senders.c.lease_fence, senders.c.lease_beat, senders.c.lease_holder).where(senders.c.id == sender_id)
        ).one()
    return _Seen(row.lease_fence, row.lease_beat, row.lease_holder)


def _take(ledger: Ledger, sender_id: int, holder: str, seen: _Seen) -> bool:
    """Takes the sender as it was seen; not when somebody else was faster or the holder has beaten after all."""
    as_seen = senders.c.lease_holder.is_(None) if seen.holder is None else senders.c.lease_holder == seen.holder
    with ledger.write() as connection:
        return bool(
            connection.execute(
                update(senders)
                .where(
                    senders.c.id == sender_id,
                    senders.c.lease_fence == seen.fence,
                    senders.c.lease_beat == seen.beat,
                    as_seen,
                )
                .values(lease_fence=seen.fence + 1, lease_beat=0, lease_holder=holder)
            ).rowcount
        )
