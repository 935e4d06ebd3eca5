"""A lock that several rooms take, so that PostgreSQL does one thing after the other where SQLite does so in any case.

Add here a lock when two rooms change the same rows. Keep out what is done while it is held.
"""

from typing import Final

from sqlalchemy import Connection, func, select

from campaign_pipeline.ledger.schema import senders

_STATES: Final = 7_206_115_332


def hold_senders(connection: Connection) -> None:
    """Lets nobody else stop, admit or take over until this transaction ends; where both are taken, before the fold."""
    connection.execute(select(senders.c.id).order_by(senders.c.id).with_for_update(key_share=True)).all()


def fold_alone(connection: Connection) -> None:
    """Lets one transaction at a time bring evidence onto attempts, or move many people; the first of its statements.

    An answer, a status file and a cancelled campaign may be about the same people in different orders, which would be
    a deadlock on PostgreSQL, or a decision on a state that another is just changing. SQLite has one writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_STATES)))
