"""Watching the lease from outside: who holds the sender, and whether that run is silent for as long as a dead one.

Add here what somebody who does not want the sender has to know about its holder.
Keep out holding it, and taking it over from a silent one: `lease`.
"""

import threading
from dataclasses import dataclass

from sqlalchemy import Connection, select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending.clock import Clock
from campaign_pipeline.sending.lease import LeaseTerms


@dataclass(frozen=True, slots=True)
class Sighting:
    """A held sender as it was seen at one moment; two that are equal tell that nobody has beaten in between."""

    sender_id: int
    fence: int
    beat: int
    holder: str


def sight(connection: Connection, sender_id: int) -> Sighting | None:
    """Who holds the sender; None when nobody does."""
    row = connection.execute(
        select(senders.c.lease_fence, senders.c.lease_beat, senders.c.lease_holder).where(senders.c.id == sender_id)
    ).one()
    return Sighting(sender_id, row.lease_fence, row.lease_beat, row.lease_holder) if row.lease_holder else None


def stays_silent(ledger: Ledger, seen: Sighting, terms: LeaseTerms, clock: Clock) -> bool:
    """Watches a holder until it has been silent for as long as one that may be replaced, or has moved.

    Measured by the observer's monotonic clock alone, as a waiting run does it: no two machines' clocks are compared.

    Args:
        ledger: Where the sender's row is.
        seen: The holder as it was seen just now.
        terms: Seconds.
        clock: For measuring silence.

    Returns:
        Whether it was silent; False as soon as it has beaten, let go or been replaced.
    """
    began = clock.monotonic()
    never = threading.Event()
    while True:
        with ledger.read() as connection:
            if sight(connection, seen.sender_id) != seen:
                return False
        if clock.monotonic() - began >= terms.silence:
            return True
        clock.wait(never, terms.look_every)
