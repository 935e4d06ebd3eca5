"""A connection to the ledger is durable, checks references, and waits for others instead of failing."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from campaign_pipeline.ledger.engine import SQLITE_BUSY_TIMEOUT_MS, Ledger, LedgerError, connect, open_ledger
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.postgres import PostgresServer


def _count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(senders)).scalar_one()


def test_every_sqlite_connection_is_durable_and_checks_references(tmp_path: Path) -> None:
    """With synchronous NORMAL a power cut forgets an attempt whose call was made, and the person is sent to twice."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    with ledger.read() as one, ledger.read() as another:
        for connection in (one, another):
            settings = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert settings == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "busy_timeout": SQLITE_BUSY_TIMEOUT_MS,
            }
    ledger.close()


def test_a_postgresql_connection_speaks_utc(postgres: PostgresServer) -> None:
    """A server in the business's time zone would cast dates of the ledger to another day."""
    ledger = connect(postgres.new_database())
    with ledger.read() as connection:
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
        assert connection.dialect.driver == "psycopg"
    ledger.close()


def test_a_postgresql_connection_compiles_no_statements_also_after_a_transaction_that_failed(
    postgres: PostgresServer,
) -> None:
    """The fold forbids reading tables whole, which makes its statements look so expensive that each would be."""
    ledger = connect(postgres.new_database())
    with pytest.raises(DBAPIError), ledger.write() as connection:
        connection.execute(text("SELECT 1 / 0"))
    with ledger.read() as connection:
        assert connection.execute(text("SHOW jit")).scalar_one() == "off"
    ledger.close()


def test_a_transaction_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    """Half a batch in the ledger is worse than none."""

    def fail_halfway() -> None:
        with ledger.write() as connection:
            put(connection, "senders")
            raise KeyError("halfway")

    with pytest.raises(KeyError, match="halfway"):
        fail_halfway()
    assert _count(ledger) == 0
    with ledger.write() as connection:
        put(connection, "senders")
    assert _count(ledger) == 1


def test_what_is_not_committed_is_seen_by_nobody_else(ledger: Ledger) -> None:
    """A call that starts on an attempt not yet committed cannot be proven after a crash."""
    with ledger.write() as connection:
        put(connection, "senders")
        assert _count(ledger) == 0
    assert _count(ledger) == 1


def test_a_transaction_that_writes_takes_sqlites_lock_before_it_reads(tmp_path: Path) -> None:
    """Two that both read the last free place, and lock only when they write, would both take it."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", timeout=0, isolation_level=None)
    with ledger.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    with ledger.read():
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    other.close()
    ledger.close()


def test_a_sqlite_reader_sees_one_state_throughout(tmp_path: Path) -> None:
    """Figures that are read while a batch is sent have to sum."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    with ledger.read() as reader:
        query = select(func.count()).select_from(senders)
        assert reader.execute(query).scalar_one() == 0
        with ledger.write() as writer:
            put(writer, "senders")
        assert reader.execute(query).scalar_one() == 0
    assert _count(ledger) == 1
    ledger.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://user@localhost/ledger", "works on SQLite and PostgreSQL, not on mysql: set CAMPAIGN_DATABASE_URL"),
        ("sqlite://", "has to outlive the process"),
        ("sqlite:///:memory:", "has to outlive the process"),
    ],
)
def test_a_database_that_cannot_be_the_ledger_is_refused(url: str, sentence: str) -> None:
    """A ledger in memory forgets who was sent to when the process ends."""
    with pytest.raises(LedgerError, match=sentence):
        open_ledger(url)


def test_a_sqlite_ledger_and_its_folder_are_made_at_first_use(tmp_path: Path) -> None:
    """A first `campaign create` in a fresh clone has no data folder yet."""
    url = f"sqlite:///{tmp_path / 'data' / 'of a business' / 'ledger.sqlite3'}"
    ledger = open_ledger(url)
    with ledger.write() as connection:
        put(connection, "senders")
    ledger.close()
    again = open_ledger(url)
    assert _count(again) == 1
    again.close()
