"""Who did what: each change that a person or a run makes leaves a row in the audit log and one in the outbox.

Add here how such rows are written and read. The outbox is for Dagster: a sensor shows there what was done elsewhere.
Keep out what the rows are about: rooms record their own doings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from campaign_pipeline.ledger.schema import audit_log, outbox


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what: one row of the audit log; the moment is UTC."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Which rows of the audit log are asked for, the newest first.

    Attributes:
        size: How many at most.
        before_id: Only what was written before this row.
        actor: Only what this one has done; likewise the next two.
    """

    size: int
    before_id: int | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None


def read_audit(connection: Connection, wanted: AuditPage) -> list[AuditEntry]:
    """Some rows of the audit log, the newest first."""
    columns = audit_log.c
    query = select(audit_log).order_by(columns.id.desc()).limit(wanted.size)
    if wanted.before_id is not None:
        query = query.where(columns.id < wanted.before_id)
    for name in ("actor", "action", "subject"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[name] == value)
    rows = connection.execute(query)
    return [AuditEntry(row.id, row.at, row.actor, row.action, row.subject, dict(row.details)) for row in rows]


@dataclass(frozen=True, slots=True)
class OutboxWaiting:
    """Rows of the outbox that Dagster was not told of yet, and since when the oldest waits, UTC."""

    rows: int
    oldest_at: datetime | None


def outbox_waiting(connection: Connection) -> OutboxWaiting:
    """What the sensor has still to show in Dagster."""
    waiting = select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.reported_at.is_(None))
    rows, oldest_at = connection.execute(waiting).one()
    return OutboxWaiting(rows, oldest_at)


def record(
    connection: Connection,
    action: str,
    campaign: str,
    *,
    actor: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Writes down what was done to a campaign, for people (audit log) and for Dagster (outbox)."""
    audit(connection, action, campaign, actor=actor, now=now, details=details)
    announce(connection, action, now=now, campaign=campaign, details=details)


def audit(
    connection: Connection,
    action: str,
    subject: str,
    *,
    actor: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Writes down for people what somebody did; `subject` is a slug, a date or a masked phone number."""
    connection.execute(
        insert(audit_log).values(at=now, actor=actor, action=action, subject=subject, details=dict(details or {}))
    )


def announce(
    connection: Connection,
    kind: str,
    *,
    now: datetime,
    campaign: str | None = None,
    send_date: date | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Leaves word for Dagster of something that happened in the ledger."""
    connection.execute(
        insert(outbox).values(
            kind=kind, campaign_slug=campaign, send_date=send_date, details=dict(details or {}), created_at=now
        )
    )
