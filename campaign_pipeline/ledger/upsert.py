"""Insert-or-update and insert-or-ignore, which SQLite and PostgreSQL spell alike but SQLAlchemy keeps in two dialects.

Add here a statement form that both databases have under one name.
Keep out anything that names a table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT of the connection's dialect, which has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(connection: Connection, table: Table, keys: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Writes `values` into the row with these `keys`, which is made when it is not there."""
    statement = insert_into(connection, table).values(**keys, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=dict(values)))


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts the rows that break no unique constraint, leaves the others out, and says how many went in."""
    if not rows:
        return 0
    statement = insert_into(connection, table).on_conflict_do_nothing()
    # Without this option SQLAlchemy forgets the count of a statement with many rows on PostgreSQL.
    result = connection.execute(statement, [dict(row) for row in rows], execution_options={"preserve_rowcount": True})
    return result.rowcount
