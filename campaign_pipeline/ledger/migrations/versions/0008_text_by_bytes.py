"""Text is compared by its bytes on PostgreSQL too, whatever the locale of the database."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (
    "account_events",
    "api_launches",
    "api_requests",
    "api_tokens",
    "audit_log",
    "batches",
    "campaign_recipients",
    "delivery_events",
    "delivery_files",
    "external_usage",
    "held_countries",
    "inbound_words",
    "marketing_campaigns",
    "opt_ins",
    "outbox",
    "person_aliases",
    "recipient_lists",
    "recipient_rejections",
    "send_attempts",
    "sender_limits",
    "senders",
    "shared_accounts",
    "subscription_events",
    "subscriptions",
    "test_sends",
)
"""Not whatever is there: others may have tables in the same database."""


def upgrade() -> None:
    """Gives every text column of the ledger's tables the collation C; its indexes are made anew."""
    _collate("C")


def downgrade() -> None:
    """Goes back to the database's own."""
    _collate("default")


def _collate(name: str) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _text_columns():
        # Together, so that the indexes of a table are made once.
        changes = ", ".join(f'ALTER COLUMN "{column}" TYPE {kind} COLLATE "{name}"' for column, kind in columns)
        op.execute(f'ALTER TABLE "{table}" {changes}')
        # What the planner knew of the columns is gone, and nothing brings it back until much of the table has changed.
        op.execute(f'ANALYZE "{table}"')


def _text_columns() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    inspected = sa.inspect(op.get_bind())
    dialect = op.get_bind().dialect
    for table in TABLES:
        columns = [
            (column["name"], type(column["type"])(length=column["type"].length).compile(dialect=dialect))
            for column in inspected.get_columns(table)
            if isinstance(column["type"], sa.String)
        ]
        yield table, columns
