"""Watches what a ledger is asked, and has each statement explained by the database at the moment when it is run.

Add here what else a database tells about how it went through its tables.
Keep out which plans are good: those belong to the tests.
"""

import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, event, text

import campaign_pipeline
from campaign_pipeline.ledger.engine import Ledger

Values = Any
"""What a statement is run with, in the way of its driver."""

_HOUSE: Final = Path(campaign_pipeline.__file__).parent
_READS_OR_CHANGES: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_A_VALUE: Final = re.compile(r"%\(\w+\)s|\$\d+")
_STEPS_AT_A_TIME: Final = 50

_TIMES: Final = 4
"""A function's statement is explained so many times; the hundredth admission tells nothing new."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One way in which a statement comes to the rows of a table.

    Attributes:
        table: The table.
        index: The index that leads to them; None for the table from one end to the other.
        condition: What the index is searched for; empty when it is read from one end to the other.
        rows: How many rows were met, where PostgreSQL has told.
    """

    table: str
    index: str | None
    condition: str
    rows: int | None = None


@dataclass(slots=True)
class Asked:
    """One statement that was run.

    Attributes:
        by: The function that ran it: ``sending.attempts.admit``.
        statement: As the database got it.
        visits: The tables in its plan.
        effort: Rows that PostgreSQL met, or instructions that SQLite carried out.
    """

    by: str
    statement: str
    visits: tuple[Visit, ...]
    effort: int = 0

    def __str__(self) -> str:
        first = f"{self.by}, effort {self.effort:,}: {' '.join(self.statement.split())[:300]}"
        return "\n    ".join((first, *map(str, self.visits)))


@dataclass(slots=True)
class Watch:
    """What the house asked while a body ran."""

    asked: list[Asked] = field(default_factory=list)
    _times: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def askers(self) -> set[str]:
        """The functions that ran a statement."""
        return {each.by for each in self.asked}

    def wants(self, by: str, statement: str) -> bool:
        """Whether a function's statement should be explained once more."""
        self._times[by, statement] += 1
        return self._times[by, statement] <= _TIMES


@contextmanager
def watching(ledger: Ledger) -> Generator[Watch]:
    """Has explained what the house asks of the ledger while the body runs; the ledger's connections end with it."""
    watch = Watch()
    explain = _explain_on_sqlite if ledger.engine.dialect.name == "sqlite" else _explain_on_postgresql

    def before(
        connection: Connection, _cursor: object, statement: str, values: Values, _context: object, many: bool
    ) -> None:
        _stop_counting(connection)
        by = _asker()
        if by is None or not _READS_OR_CHANGES.match(statement) or "pg_advisory" in statement:
            return
        if watch.wants(by, statement):
            watch.asked.append(explain(connection, by, statement, values[0] if many else values))

    event.listen(ledger.engine, "before_cursor_execute", before)
    try:
        yield watch
    finally:
        event.remove(ledger.engine, "before_cursor_execute", before)
        ledger.engine.dispose()


def kept_for_any_values(ledger: Ledger, watch: Watch) -> list[Asked]:
    """The watched statements for which PostgreSQL has kept one plan for all values, on the connection that is free.

    The driver prepares what it runs often, and after a while the server may settle on such a plan. It can use a partial
    index only if the condition of the index stands in the statement itself.
    """
    asked_by = {_A_VALUE.sub("?", each.statement): each.by for each in watch.asked}
    found = []
    with ledger.read() as connection:
        kept = connection.execute(text("SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0"))
        for statement in kept.scalars().all():
            by = asked_by.get(_A_VALUE.sub("?", statement))
            if by is not None:
                with _psycopg(connection).cursor() as cursor:
                    cursor.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement}".encode(), prepare=False)
                    found.append(Asked(by, statement, tuple(_visits_in(_plan_in(cursor)))))
    return found


def _asker() -> str | None:
    """The innermost function of the house that wants a statement; what stands in `ledger` only passes it on."""
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_HOUSE) and path.relative_to(_HOUSE).parts[0] != "ledger":
            module = ".".join(path.relative_to(_HOUSE).with_suffix("").parts)
            return f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None


def _explain_on_sqlite(connection: Connection, by: str, statement: str, values: Values) -> Asked:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    lines = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    asked = Asked(by, statement, tuple(visit for line in lines if (visit := _visit_on_sqlite(line)) is not None))

    def count() -> int:
        asked.effort += _STEPS_AT_A_TIME
        return 0

    # Rows are fetched after the statement was run, so it is counted until the next one begins.
    raw.set_progress_handler(count, _STEPS_AT_A_TIME)
    return asked


def _stop_counting(connection: Connection) -> None:
    raw = connection.connection.driver_connection
    if isinstance(raw, sqlite3.Connection):
        raw.set_progress_handler(None, 0)


_LINE_OF_SQLITE: Final = re.compile(
    r"(SCAN|SEARCH) (\w+)(?: USING (?:(INTEGER PRIMARY KEY)|[A-Z ]*INDEX (\w+)))?(?: \((.+)\))?"
)


def _visit_on_sqlite(line: str) -> Visit | None:
    found = _LINE_OF_SQLITE.match(line)
    if found is None:
        return None
    how, table, key, index, condition = found.groups()
    if "AUTOMATIC" in line:
        # Made for this one statement, out of the whole table.
        return Visit(table, None, "")
    if how == "SEARCH" and not key and not index:
        return Visit(table, "INTEGER PRIMARY KEY", "its least or greatest")
    return Visit(table, key or index, condition or "")


def _explain_on_postgresql(connection: Connection, by: str, statement: str, values: Values) -> Asked:
    # It is run twice, and the first time taken back: only so does the server tell how many rows it met.
    with _psycopg(connection).cursor() as cursor:
        cursor.execute("SAVEPOINT explained", prepare=False)
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}".encode(), values, prepare=False)
        visits = tuple(_visits_in(_plan_in(cursor)))
        cursor.execute("ROLLBACK TO SAVEPOINT explained", prepare=False)
        cursor.execute("RELEASE SAVEPOINT explained", prepare=False)
    return Asked(by, statement, visits, effort=sum(visit.rows or 0 for visit in visits))


def _psycopg(connection: Connection) -> psycopg.Connection[Any]:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _plan_in(cursor: psycopg.Cursor[Any]) -> Mapping[str, Any]:
    row = cursor.fetchone()
    assert row is not None
    return row[0][0]["Plan"]


def _visits_in(plan: Mapping[str, Any], table: str = "") -> Generator[Visit]:
    # What reads an index into a bitmap does not name the table; the node above it does.
    table = plan.get("Relation Name", table)
    kind = plan["Node Type"]
    if kind.endswith("Scan") and table and kind not in ("Bitmap Heap Scan", "Subquery Scan", "CTE Scan"):
        met = sum(plan.get(name, 0) for name in _ROWS_MET) * plan.get("Actual Loops", 1)
        yield Visit(table, plan.get("Index Name"), plan.get("Index Cond", ""), round(met))
    for below in plan.get("Plans", ()):
        yield from _visits_in(below, table if kind.startswith("Bitmap") else "")


_ROWS_MET: Final = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
