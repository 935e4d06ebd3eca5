"""A digest over what was learnt of the messages: the same for any order, any files and either database.

Add here something that is learnt and has to come out the same. Each part is read in an order of its own, by bytes.
Keep out what says how or when it was learnt: files and lines, ids that are numbered up, times of processing
(`received_at`, `changed_at`, `refreshed_at`, `answered_at`, `counts_until`, `first_seen_at`), marks of what was done.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, Integer, Numeric, Row, Select, and_, case, cast, func, select, union

from campaign_pipeline.ledger.schema import (
    campaign_analytics,
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    person_aliases,
    send_attempts,
)
from campaign_pipeline.ledger.states import RecipientState

_ROWS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Digest:
    """What was learnt, in one word, and a word for each part of it.

    Attributes:
        parts: By the name of the part: SHA-256, in hexadecimal.
        rows: By the name of the part: how many rows it has.
    """

    parts: Mapping[str, str]
    rows: Mapping[str, int]

    @property
    def whole(self) -> str:
        """SHA-256 over all parts, in hexadecimal."""
        lines = "".join(f"{name} {self.parts[name]}\n" for name in sorted(self.parts))
        return hashlib.sha256(lines.encode()).hexdigest()

    def differing(self, other: "Digest") -> list[str]:
        """The parts in which two digests differ, by name."""
        return sorted(name for name in self.parts if self.parts[name] != other.parts.get(name))


def digest_of(connection: Connection, on_rows: Callable[[int], None] = lambda _rows: None) -> Digest:
    """Reads everything that was learnt, row by row.

    Args:
        connection: A transaction; it sees one state throughout on SQLite, and on PostgreSQL if it is repeatable read.
        on_rows: Told how many rows were read, now and then.
    """
    parts: dict[str, str] = {}
    rows: dict[str, int] = {}
    read = 0
    for name, query in _PARTS.items():
        hashed, rows[name] = hashlib.sha256(), 0
        for some in connection.execute(query(), execution_options={"yield_per": _ROWS_AT_ONCE}).partitions():
            hashed.update("".join(_line(row) for row in some).encode())
            rows[name] += len(some)
            read += len(some)
            on_rows(read)
        parts[name] = hashed.hexdigest()
    return Digest(parts, rows)


def _line(row: Row) -> str:
    return _ENCODER.encode(list(row)) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    msg = f"{type(value).__name__} has no place in a digest"
    raise TypeError(msg)


_ENCODER: Final = json.JSONEncoder(default=_plain, separators=(",", ":"))


def _events() -> Select:
    event = delivery_events.c
    return select(
        *event["wamid", "status", "occurred_at", "error_code", "error_text", "callback_data"],
        *event["recipient_alias", "recipient_user_id", "attempt_id"],
    ).order_by(event.wamid, event.status, event.occurred_at, event.error_code)


def _attempts() -> Select:
    attempt = send_attempts.c
    return select(
        *attempt["id", "wamid", "outcome", "sent_at", "delivered_at", "read_at", "failed_at"],
        *attempt["failure_code", "failure_text"],
    ).order_by(attempt.id)


def _recipients() -> Select:
    recipient = campaign_recipients.c
    return (
        select(
            marketing_campaigns.c.slug,
            recipient.person_key,
            recipient.state,
            # Why somebody was skipped is no evidence; it names whoever was known then.
            case((recipient.state == RecipientState.FAILED, recipient.reason)),
            case((recipient.accepted_at.is_not(None), 1), else_=0),
        )
        .join(marketing_campaigns, marketing_campaigns.c.id == recipient.campaign_id)
        .order_by(marketing_campaigns.c.slug, recipient.person_key)
    )


def _aliases() -> Select:
    """What answers and stored events call people, as far as it is known that they are called so."""
    attempt, event, known = send_attempts.c, delivery_events.c, person_aliases.c
    told = union(
        select(attempt.wa_id.label("alias"), attempt.person_key).where(attempt.wa_id.is_not(None)),
        *(
            select(alias, attempt.person_key)
            .join_from(delivery_events, send_attempts, attempt.id == event.attempt_id)
            .where(alias.is_not(None))
            for alias in (event.recipient_alias, event.recipient_user_id)
        ),
    ).subquery("told")
    return (
        select(known.alias, known.person_key, known.kind)
        .join(told, and_(told.c.alias == known.alias, told.c.person_key == known.person_key))
        .order_by(known.alias, known.person_key)
    )


def _analytics() -> Select:
    kept = campaign_analytics.c
    figures = [
        # A rate in hundredths: one database has 0 where another has 0.0.
        cast(func.round(each * 100), Integer) if isinstance(each.type, Numeric) else each
        for each in kept
        if each.name not in ("campaign_id", "send_date", "refreshed_at")
    ]
    return (
        select(marketing_campaigns.c.slug, kept.send_date, *figures)
        .join(marketing_campaigns, marketing_campaigns.c.id == kept.campaign_id)
        .order_by(marketing_campaigns.c.slug, kept.send_date)
    )


_PARTS: Final[Mapping[str, Callable[[], Select]]] = {
    "events": _events,
    "attempts": _attempts,
    "recipients": _recipients,
    "aliases": _aliases,
    "analytics": _analytics,
}
