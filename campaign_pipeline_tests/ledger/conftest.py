"""A ledger of its own for each test of this room: these change tables, indexes and the files beneath."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline_tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger with its tables and nothing in them; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database(request.getfixturevalue("migrated_postgres"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A ledger with its tables and nothing in them, on SQLite and on PostgreSQL."""
    opened = connect(ledger_url)
    yield opened
    opened.close()
