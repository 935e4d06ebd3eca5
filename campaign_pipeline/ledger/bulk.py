"""Loading many rows at once, each database in the way that it is fast at, behind one function; and asking for many.

Add here a faster way for one of them. Keep out which rows: callers bring them sorted and checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import JSON, Column, Connection, Table, text

from campaign_pipeline.ledger.schema import UtcDateTime
from campaign_pipeline.ledger.upsert import insert_new

_Value = TypeVar("_Value")

_VALUES_PER_STATEMENT: Final = 5_000
"""Both databases bound the parameters of a statement."""


def in_portions(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    """Some values in their order, as many at a time as fit into one statement."""
    for start in range(0, len(values), _VALUES_PER_STATEMENT):
        yield values[start : start + _VALUES_PER_STATEMENT]


def load_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts the rows that break no unique constraint, in their order; gives how many went in.

    SQLite takes them as one prepared statement. PostgreSQL takes them by COPY into a temporary table and merges that in
    one statement, which is several times as fast as inserting rows.

    Args:
        connection: A transaction that writes.
        table: Where the rows go.
        rows: All with the same columns.
    """
    if not rows:
        return 0
    if connection.dialect.name != "postgresql":
        return insert_new(connection, table, rows)
    names = list(rows[0])
    columns = ", ".join(f'"{name}"' for name in names)
    stage = f"stage_of_{table.name}"
    # Names of our own schema and nothing else are put into these statements.
    connection.execute(
        text(f"CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT {columns} FROM {table.name} WITH NO DATA")  # noqa: S608
    )
    _copy(connection, table, stage, names, rows)
    merged = connection.execute(
        text(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT DO NOTHING")  # noqa: S608
    )
    connection.execute(text(f"DROP TABLE {stage}"))
    return merged.rowcount


def _copy(
    connection: Connection, table: Table, stage: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    from psycopg import Connection as PsycopgConnection
    from psycopg import sql

    raw = connection.connection.driver_connection
    if not isinstance(raw, PsycopgConnection):
        msg = f"expected a psycopg connection, got {type(raw).__name__}"
        raise TypeError(msg)
    prepare = [_preparation_of(table.c[name], connection) for name in names]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(stage), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([prepared(row[name]) for name, prepared in zip(names, prepare, strict=True)])


def _preparation_of(column: Column[Any], connection: Connection) -> Callable[[Any], Any]:
    """What has to be done to a column's values before COPY, as an INSERT would do it."""
    from psycopg.types.json import Jsonb

    kind = column.type
    if isinstance(kind, JSON):
        return Jsonb
    if isinstance(kind, UtcDateTime):
        return lambda value: kind.process_bind_param(value, connection.dialect)
    return lambda value: value
