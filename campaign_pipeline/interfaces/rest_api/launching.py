"""The right to start the run of a date: one at a time has it, in all processes that share the ledger.

The ledger takes one batch a date whatever is started; this keeps a second run from appearing in Dagster at all.
Keep out the starting.
"""

import uuid
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete

from campaign_pipeline.ledger.schema import api_launches
from campaign_pipeline.ledger.upsert import insert_new

HELD_FOR: Final = timedelta(seconds=90)
"""Longer than Dagster is waited for; whoever died meanwhile is taken over from."""


def claim_launch(connection: Connection, send_date: date, now: datetime) -> str | None:
    """Takes the right to start a date's run; None while somebody else has it."""
    connection.execute(delete(api_launches).where(api_launches.c.claimed_at < now - HELD_FOR))
    claim = str(uuid.uuid4())
    row = {"send_date": send_date, "claim": claim, "claimed_at": now}
    return claim if insert_new(connection, api_launches, [row]) else None


def end_launch(connection: Connection, send_date: date, claim: str) -> None:
    """Gives the right back."""
    connection.execute(delete(api_launches).where(api_launches.c.send_date == send_date, api_launches.c.claim == claim))
