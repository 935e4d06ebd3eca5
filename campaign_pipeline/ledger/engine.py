"""The connection to the ledger: one `Ledger` a process, with transactions that read and transactions that write.

Add here a setting of a connection that all statements need (durability, locking, time zone, planning).
Keep out queries and rules.
"""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from campaign_pipeline.ledger import migrate

SQLITE_BUSY_TIMEOUT_MS: Final = 60_000
"""How long a writer waits for another one: longer than any transaction of ours."""

SQLITE_CACHE_KIB: Final = 64 * 1024


class LedgerError(RuntimeError):
    """The ledger cannot be used as it is; the message says what to do."""


class Ledger:
    """The database behind everything: what was sent to whom is true because it stands here.

    Attributes:
        engine: The SQLAlchemy engine. Rooms take a connection from `read()` or `write()` instead.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A transaction that changes rows; committed at the end, rolled back when the body raises.

        SQLite takes its one write lock first (BEGIN IMMEDIATE), so that what is read inside cannot be changed by
        another process before it is acted on. PostgreSQL runs at READ COMMITTED; who needs more locks the rows.
        """
        with self.engine.connect().execution_options(ledger_write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A transaction that only reads; on SQLite it sees one state of the database throughout."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()


def open_ledger(url: str) -> Ledger:
    """Opens the ledger at a database URL, ready for use.

    A SQLite file is made, and brought to the present schema, by itself. A PostgreSQL database is changed only by
    `campaign init`.

    Args:
        url: A SQLAlchemy URL: ``sqlite:///data/ledger.sqlite3`` or ``postgresql://user:password@host/name``.

    Raises:
        LedgerError: The URL is of another database, or the schema is not the one this version works with.
    """
    ledger = connect(url)
    if migrate.is_current(ledger.engine):
        return ledger
    if ledger.engine.dialect.name != "sqlite":
        ledger.close()
        msg = "The ledger's tables are missing or of another version. Run `campaign init` once, then try again."
        raise LedgerError(msg)
    initialise(ledger)
    return ledger


def connect(url: str) -> Ledger:
    """Connects without looking at the schema; `open_ledger` is what all but `campaign init` want.

    Raises:
        LedgerError: The URL is not one of SQLite or PostgreSQL.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Ledger(_sqlite_engine(parsed))
    if parsed.get_backend_name() == "postgresql":
        with_driver = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(
            with_driver, hide_parameters=True, connect_args={"options": "-c timezone=UTC"}, pool_pre_ping=True
        )
        event.listen(engine, "connect", _set_up_postgresql)
        return Ledger(engine)
    msg = f"The ledger works on SQLite and PostgreSQL, not on {parsed.get_backend_name()}: set CAMPAIGN_DATABASE_URL."
    raise LedgerError(msg)


def initialise(ledger: Ledger) -> None:
    """Brings the schema to the present version; any number of processes may do so at once.

    Raises:
        LedgerError: The tables are of a newer version than this program.
    """
    try:
        with ledger.write() as connection:
            migrate.upgrade(connection)
    except migrate.UnknownVersionError as error:
        msg = f"The ledger's tables are of another version than this program: {error}. Use the newer program."
        raise LedgerError(msg) from error


def durability_fault(connection: Connection) -> str | None:
    """Why what is committed here could be gone after a crash, with what to do; None where it could not.

    SQLite is set to synchronous FULL by `connect`. PostgreSQL is set up by whoever runs it
    (https://www.postgresql.org/docs/current/runtime-config-wal.html): `synchronous_commit = off` loses the latest
    commits in a crash, `fsync = off` any of them.
    """
    if connection.dialect.name != "postgresql":
        return None
    for setting in ("synchronous_commit", "fsync"):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar_one() == "off":
            return f"PostgreSQL runs with {setting} = off: set it to on."
    return None


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        msg = "The ledger has to outlive the process: give a file, as in sqlite:///data/ledger.sqlite3."
        raise LedgerError(msg)
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_postgresql(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # To compile a statement, as PostgreSQL up to 18 does with those that look expensive, as a rule takes longer than to
    # run it. Not among the options of the connection: PgBouncer refuses what it does not know there. Where it pools
    # transactions, set `jit = off` at the server.
    cursor = connection.cursor()
    cursor.execute("SET jit = off")
    cursor.close()
    connection.commit()


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    if not isinstance(connection, sqlite3.Connection):
        msg = f"expected a sqlite3 connection, got {type(connection).__name__}"
        raise TypeError(msg)
    # The driver's own idea of transactions is switched off; `_begin_sqlite` begins each one.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    _switch_to_wal(cursor)
    # An attempt is written down before its call: it has to survive a power cut too, which NORMAL does not promise.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Sets the journal mode, which SQLite remembers in the file.

    The busy timeout does not hold for this statement: of processes that open a new file together, all but one are told
    "database is locked" at once, and have to try again themselves.
    """
    give_up = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ledger_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
