"""Insert-or-update and insert-or-ignore, which SQLite and PostgreSQL spell alike but SQLAlchemy keeps in two dialects.

Add here a statement form that both databases have under one name.
Keep out anything that names a table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table
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
    return rows_inserted(connection, statement, [dict(row) for row in rows])


def rows_inserted(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, Any]] | None = None) -> int:
    """Runs an INSERT and says how many rows went in, which SQLAlchemy forgets on PostgreSQL unless it is told."""
    return connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount


def upsert_rows(connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes many rows, all with the same columns, in their order; one with the same keys is replaced by the new."""
    if not rows:
        return
    statement = insert_into(connection, table)
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(keys), set_=others), [dict(row) for row in rows]
    )
