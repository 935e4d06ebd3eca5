"""Ledgers of tests: one is made for many, and emptied for each.

Add here what is done to a whole ledger. Keep out what a test puts into it.
"""

from itertools import count

from sqlalchemy import Connection, delete, text

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import metadata

_TRUNCATED_EVERY = 40
"""On PostgreSQL what was deleted stays in the files: truncating is slow, but so is reading past it, after a while."""

_emptied = count(1)


def empty(ledger: Ledger) -> None:
    """Takes everything out of the ledger of an earlier test, so that ids begin at 1 again."""
    with ledger.write() as connection:
        if connection.dialect.name == "postgresql" and next(_emptied) % _TRUNCATED_EVERY == 0:
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        else:
            _delete_everything(connection)


def _delete_everything(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"))
