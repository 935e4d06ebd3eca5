"""Evidence of consent: where, when and to what somebody agreed, kept for whoever asks for it later.

Add here another place from which evidence comes.
Keep out whether somebody wants messages now (`subscriptions`): evidence says that they once did.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from campaign_pipeline.ledger.bulk import load_new
from campaign_pipeline.ledger.schema import opt_ins
from campaign_pipeline.recipients.accounts import sorted_portions


@dataclass(frozen=True, slots=True)
class OptIn:
    """One piece of evidence.

    Attributes:
        person_key: Whose.
        source: Where they agreed.
        at: When, UTC; None where nobody has written it down.
        text: What they agreed to; None likewise.
    """

    person_key: str
    source: str
    at: datetime | None
    text: str | None = None

    @property
    def key(self) -> str:
        """Tells it from other evidence of the same person; the same list again is the same evidence."""
        parts = (self.source, self.at.isoformat() if self.at else "", self.text or "")
        return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def keep_opt_ins(connection: Connection, found: Sequence[OptIn], now: datetime) -> None:
    """Keeps evidence, each piece once; what has no time of its own is of now."""
    by_place = {(each.person_key, each.key): each for each in found}
    load_new(
        connection,
        opt_ins,
        [
            {
                "person_key": each.person_key,
                "evidence_key": key,
                "source": each.source,
                "occurred_at": each.at or now,
                "text": each.text,
                "received_at": now,
            }
            # In one order for every list: two that have the same people would lock each other out on PostgreSQL.
            for (_, key), each in sorted(by_place.items())
        ],
    )


def opted_in_among(connection: Connection, person_keys: Collection[str]) -> set[str]:
    """Those of some people of whom there is evidence."""
    found: set[str] = set()
    for some in sorted_portions(person_keys):
        found |= set(connection.execute(select(opt_ins.c.person_key).where(opt_ins.c.person_key.in_(some))).scalars())
    return found


def evidence_of(connection: Connection, person_keys: Collection[str]) -> list[OptIn]:
    """The evidence of some people, the oldest first."""
    rows = connection.execute(
        select(opt_ins).where(opt_ins.c.person_key.in_(list(person_keys))).order_by(opt_ins.c.occurred_at, opt_ins.c.id)
    )
    return [OptIn(row.person_key, row.source, row.occurred_at, row.text) for row in rows]
