"""Loading many rows at once, each database in the way that it is fast at, behind one function; and asking for many.

Add here a faster way for one of them. Keep out which rows: callers bring them sorted and checked.
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    any_,
    delete,
    insert,
    literal,
    select,
)
from sqlalchemy.schema import CreateTable

from campaign_pipeline.ledger.schema import UtcDateTime
from campaign_pipeline.ledger.upsert import insert_into, insert_new, rows_inserted

_Value = TypeVar("_Value")

_VALUES_PER_STATEMENT: Final = 5_000
"""Both databases bound the parameters of a statement."""

_KINDS: Final = (
    (BigInteger, "int8"),
    (Integer, "int4"),
    (String, "text"),
    (UtcDateTime, "timestamptz"),
    (JSON, "jsonb"),
)
"""What PostgreSQL calls the types of columns; a big integer is an integer too."""

_FEW: Final = 500
"""Rows that PostgreSQL takes one by one."""


def in_portions(values: Sequence[_Value], size: int = _VALUES_PER_STATEMENT) -> Iterator[Sequence[_Value]]:
    """Some values in their order, so many at a time; by default as many as fit into any statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def among(connection: Connection, column: ColumnElement[_Value], values: Collection[_Value]) -> ColumnElement[bool]:
    """Whether a column has one of many values.

    PostgreSQL gets them as one array, which is written, read and planned much faster than thousands of parameters.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(column.type)))
    return column.in_(values)


def by_index(connection: Connection) -> None:
    """Has PostgreSQL find rows by an index wherever there is one, until this transaction ends.

    For transactions that change some thousand rows of tables that grow all the time: the planner, whose statistics are
    from before, takes these for small, and would rather read them whole.
    """
    if connection.dialect.name == "postgresql":
        for setting in ("enable_seqscan = off", "max_parallel_workers_per_gather = 0"):
            connection.exec_driver_sql(f"SET LOCAL {setting}")


def load_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts the rows that break no unique constraint, in their order; gives how many went in.

    SQLite takes them as one prepared statement. PostgreSQL takes many by COPY into a temporary table and merges that in
    one statement, which is several times as fast as inserting rows. A few are inserted: making the table takes longer,
    and when it is dropped the driver forgets every statement that it has prepared.

    Args:
        connection: A transaction that writes.
        table: Where the rows go.
        rows: All with the same columns.
    """
    if not rows:
        return 0
    if connection.dialect.name != "postgresql" or len(rows) <= _FEW:
        return insert_new(connection, table, rows)
    names = list(rows[0])
    staged = stage(connection, table, names, ([row[name] for name in names] for row in rows))
    columns = [staged.c[name] for name in names]
    statement = insert_into(connection, table).from_select(names, select(*columns)).on_conflict_do_nothing()
    return rows_inserted(connection, statement)


def stage(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Puts rows into a temporary table of this connection, which then holds these and no others until the next call.

    Args:
        connection: A transaction that writes.
        table: Whose columns they have; nothing of it is changed.
        names: Which of its columns.
        rows: The values of these columns, each row in this order.

    Returns:
        The temporary table, to select from.
    """
    name = f"staged_{table.name}_{zlib.crc32(repr(names).encode()):08x}"
    staged = _emptied(connection, name, [Column(name, table.c[name].type) for name in names])
    if connection.dialect.name == "postgresql":
        _copy(connection, staged, names, rows)
    else:
        connection.execute(insert(staged), [dict(zip(names, row, strict=True)) for row in rows])
    return staged


def stage_query(connection: Connection, name: str, columns: Sequence[Column[Any]], query: Select) -> Table:
    """Puts what a query gives into a temporary table of this connection, in the way of `stage`.

    Args:
        connection: A transaction that writes.
        name: Tells it from other temporary tables; always with the same columns.
        columns: Those of the table.
        query: With the same columns in the same order.
    """
    staged = _emptied(connection, f"staged_{name}", columns)
    connection.execute(insert(staged).from_select([column.name for column in columns], query))
    return staged


def _emptied(connection: Connection, name: str, columns: Sequence[Column[Any]]) -> Table:
    staged = Table(name, MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")
    connection.execute(CreateTable(staged, if_not_exists=True))
    connection.execute(delete(staged))
    return staged


def _copy(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from psycopg import Connection as PsycopgConnection
    from psycopg import sql

    raw = connection.connection.driver_connection
    if not isinstance(raw, PsycopgConnection):
        msg = f"expected a psycopg connection, got {type(raw).__name__}"
        raise TypeError(msg)
    columns = [table.c[name] for name in names]
    prepared = [
        (place, preparation)
        for place, column in enumerate(columns)
        if (preparation := _preparation_of(column, connection)) is not None
    ]
    # In the database's own form: both sides need a third of the time that they take to write and read text.
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types([_kind_of(column) for column in columns])
        for row in rows:
            values = list(row)
            for place, preparation in prepared:
                values[place] = preparation(values[place])
            copy.write_row(values)


def _kind_of(column: Column[Any]) -> str:
    """What PostgreSQL calls a column's type.

    Raises:
        TypeError: It is of none that was loaded before.
    """
    for kind, name in _KINDS:
        if isinstance(column.type, kind):
            return name
    msg = f"{column.name} is of {column.type!r}, which nothing was loaded into so far: add it to _KINDS"
    raise TypeError(msg)


def _preparation_of(column: Column[Any], connection: Connection) -> Callable[[Any], Any] | None:
    """What has to be done to a column's values before COPY, as an INSERT would do it; None is nothing."""
    from psycopg.types.json import Jsonb

    kind = column.type
    if isinstance(kind, JSON):
        return Jsonb
    if isinstance(kind, UtcDateTime):
        return lambda value: kind.process_bind_param(value, connection.dialect)
    if isinstance(kind, Integer) and not isinstance(kind, BigInteger):
        return _checked
    return None


def _checked(value: int | None) -> int | None:
    """A number that has its place in four bytes, into which the driver would press any.

    Raises:
        OverflowError: It has not.
    """
    if value is not None and not -(2**31) <= value < 2**31:
        msg = f"{value} is no number of four bytes"
        raise OverflowError(msg)
    return value
