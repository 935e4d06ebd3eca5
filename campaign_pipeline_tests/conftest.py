"""Fixtures that every room's tests may ask for."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from campaign_pipeline.ledger.engine import Ledger, connect, initialise
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.ledgers import empty
from campaign_pipeline_tests.support.postgres import PostgresServer, postgres_server
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

# The same examples in every run, and no deadline: how fast a machine is says nothing about what holds.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("project")

# What is loaded and collected stays until the end: the collector need not go through all of it again and again. That
# took an eighth of the tests' time and a third of their collection's.
gc.disable()


def pytest_collection_finish() -> None:
    """Lets the collector look after what the tests themselves leave behind."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server for the whole session, started when the first test asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a database with the ledger's tables, to be copied: migrating takes longer than most tests."""
    url = postgres.new_database()
    _migrate(url)
    return url.rsplit("/", 1)[1]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the ledger's tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def made_ledgers(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ledger]]:
    """A ledger on SQLite and one on PostgreSQL, made once a session.

    Making tables takes longer than most tests, and each engine compiles every statement anew, which takes longer still.
    """
    sqlite = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.sqlite3'}"
    made = {"sqlite": connect(sqlite), "postgresql": connect(postgres.new_database())}
    for each in made.values():
        initialise(each)
    yield made
    for each in made.values():
        each.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, made_ledgers: dict[str, Ledger]) -> Ledger:
    """A ledger with its tables and nothing in them; each test that asks for it runs on both kinds."""
    made = made_ledgers[request.param]
    empty(made)
    return made


@pytest.fixture
def ledger_url(ledger: Ledger) -> str:
    """The address of the test's ledger, for another process."""
    return ledger.engine.url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator for a module's tests; starting one takes most of a second."""
    with SimulatorProcess(simulator_options(tmp_path_factory.mktemp("simulator"))) as process:
        yield process


@pytest.fixture
def clock() -> HandClock:
    """A clock that stands at nine in the morning, UTC, of Monday 2 March 2026."""
    return HandClock()


def _migrate(url: str) -> None:
    made = connect(url)
    initialise(made)
    if made.engine.dialect.name == "sqlite":
        # Into the one file that is copied, and not beside it.
        with made.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
