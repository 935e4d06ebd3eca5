"""Ledgers of tests: one is made for many, and emptied for each.

Add here what is done to a whole ledger. Keep out what a test puts into it.
"""

from sqlalchemy import delete, text

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import metadata


def empty(ledger: Ledger) -> None:
    """Takes everything out of the ledger of an earlier test, so that ids begin at 1 again."""
    with ledger.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"))
