"""Who did what: each change that a person or a run makes leaves a row in the audit log and one in the outbox.

Add here how such rows are written. The outbox is for Dagster: a sensor shows there what was done elsewhere.
Keep out what the rows are about: rooms record their own doings.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert

from campaign_pipeline.ledger.schema import audit_log, outbox


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
