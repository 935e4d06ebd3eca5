"""A database that was migrated is the one that the code was written for."""

import re
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from campaign_pipeline.ledger import migrate
from campaign_pipeline.ledger.engine import Ledger, LedgerError, connect, initialise, open_ledger
from campaign_pipeline.ledger.schema import metadata, senders
from campaign_pipeline_tests.ledger.rows import in_processes, put
from campaign_pipeline_tests.support.postgres import PostgresServer

FRESH_LEDGERS = 12
PROCESSES = 3

COLLATIONS = text(
    "SELECT c.relname || '.' || a.attname, l.collname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_collation l ON l.oid = a.attcollation"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    " AND c.relname <> 'alembic_version'"
)


@pytest.fixture
def declared(ledger: Ledger, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A second database of the same kind, made from the declared tables without any migration."""
    if ledger.engine.dialect.name == "sqlite":
        made = connect(f"sqlite:///{tmp_path / 'declared.sqlite3'}")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made = connect(server.new_database())
    with made.write() as connection:
        metadata.create_all(connection)
    yield made
    made.close()


def _shape(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """All that the database itself says about its tables."""
    with ledger.read() as connection:
        looked = inspect(connection)
        return {
            name: {
                "columns": {
                    column["name"]: {**column, "type": repr(column["type"])} for column in looked.get_columns(name)
                },
                "primary key": looked.get_pk_constraint(name),
                "foreign keys": _by_name(looked.get_foreign_keys(name)),
                "indexes": _by_name(looked.get_indexes(name)),
                "uniques": _by_name(looked.get_unique_constraints(name)),
                "checks": _by_name(looked.get_check_constraints(name)),
            }
            for name in looked.get_table_names()
            if name != "alembic_version"
        }


def _by_name(found: list[Any]) -> dict[str, str]:
    return {each["name"]: _without_casts(str({**each, **_conditions(each)})) for each in found}


def _without_casts(condition: str) -> str:
    """PostgreSQL writes them in other places once a column was changed, and means the same."""
    plain = re.sub(r"::(character varying|text)(\[\])?", "", condition)
    plain = re.sub(r"\((\\*'\w*\\*')\)", r"\1", plain)
    return re.sub(r"\(\((ARRAY\[[^\]]*\])\)\)", r"(\1)", plain)


def _conditions(found: dict[str, Any]) -> dict[str, Any]:
    """The conditions of partial indexes, as text."""
    options = {key: str(value) for key, value in found.get("dialect_options", {}).items()}
    return {"dialect_options": options} if options else {}


def test_the_schema_version_is_alembics_head() -> None:
    """Behind the head, a new ledger would never be current, and every command would migrate it again."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.SCHEMA_VERSION]


def test_the_migrated_database_has_the_declared_tables_and_columns(ledger: Ledger) -> None:
    """A column that only the metadata knows fails at its first use, in the middle of a batch."""
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrated_database_has_the_declared_checks_and_partial_indexes(ledger: Ledger, declared: Ledger) -> None:
    """Alembic compares neither: a promise that stands only in the metadata is kept by nobody."""
    migrated, made = _shape(ledger), _shape(declared)
    assert migrated.keys() == made.keys()
    for name in made:
        assert migrated[name] == made[name], name
    assert "uq_send_attempts_never_twice" in migrated["send_attempts"]["indexes"]
    assert "voided" in migrated["send_attempts"]["indexes"]["uq_send_attempts_never_twice"]
    assert "ck_recipient_lists_counts_sum" in migrated["recipient_lists"]["checks"]


def test_text_is_sorted_by_its_bytes(ledger: Ledger) -> None:
    """The same rows in another order on the other database are another digest, and another page of the same list."""
    with ledger.write() as connection:
        for number, name in enumerate(("a", "Z", "_", "ä"), start=1):
            put(connection, "senders", id=number, name=name)
        assert [*connection.execute(select(senders.c.name).order_by(senders.c.name)).scalars()] == ["Z", "_", "a", "ä"]


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_no_text_of_a_migrated_database_goes_by_its_locale(ledger: Ledger) -> None:
    """The tests' own server may have a locale that sorts by bytes; with another one each look at an id costs twice."""
    with ledger.read() as connection:
        found = dict(connection.execute(COLLATIONS).all())
    assert "send_attempts.id" in found
    assert {*found.values()} == {"C"}


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_the_planner_knows_the_columns_whose_order_a_migration_has_changed(ledger: Ledger) -> None:
    """Without statistics it reads large tables whole, until a tenth of them has changed."""
    known = text("SELECT count(*) FROM pg_stats WHERE tablename = 'senders' AND attname = 'name'")
    with ledger.write() as connection:
        config = migrate.alembic_config(connection)
        command.downgrade(config, "0007")
        put(connection, "senders")
        connection.execute(text("ANALYZE senders"))
        command.upgrade(config, "head")
        assert connection.execute(known).scalar_one() == 1


def test_every_migration_can_be_taken_back_and_made_again(ledger: Ledger) -> None:
    """A version that turns out to be wrong is left behind with its tables, or not at all."""
    before = _shape(ledger)
    with ledger.write() as connection:
        config = migrate.alembic_config(connection)
        command.downgrade(config, "base")
        assert {*inspect(connection).get_table_names()} <= {"alembic_version"}
        command.upgrade(config, "head")
    assert _shape(ledger) == before


def test_initialising_again_changes_nothing_and_keeps_the_rows(ledger: Ledger) -> None:
    """`campaign init` is run twice by whoever is not sure; it must never cost the ledger."""
    with ledger.write() as connection:
        put(connection, "senders")
    before = _shape(ledger)
    initialise(ledger)
    assert _shape(ledger) == before
    assert migrate.is_current(ledger.engine)
    with ledger.read() as connection:
        assert connection.execute(select(senders.c.name)).scalar_one() == "default"


def test_a_postgresql_ledger_is_not_made_by_accident(postgres: PostgresServer) -> None:
    """A wrong database name in the settings must not fill somebody else's database with our tables."""
    url = postgres.new_database()
    with pytest.raises(LedgerError, match="Run `campaign init` once, then try again"):
        open_ledger(url)
    ledger = connect(url)
    with ledger.read() as connection:
        assert inspect(connection).get_table_names() == []
    initialise(ledger)
    ledger.close()
    opened = open_ledger(url)
    assert migrate.is_current(opened.engine)
    opened.close()


def test_a_ledger_of_a_newer_version_is_refused_with_a_sentence(ledger: Ledger, ledger_url: str) -> None:
    """Whoever goes back to an older version has to be told that, not shown Alembic's insides."""
    with ledger.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="of another version"):
        open_ledger(ledger_url)
    with ledger.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def _open_each(number: int, barrier: Barrier, urls: list[str], *, by_itself: bool) -> None:
    for url in urls:
        barrier.wait(300)
        if by_itself:
            ledger = open_ledger(url)
        else:
            ledger = connect(url)
            initialise(ledger)
        with ledger.write() as connection:
            put(connection, "senders", id=number + 1, name=f"process {number}")
        ledger.close()


def _names(url: str) -> list[str]:
    ledger = open_ledger(url)
    with ledger.read() as connection:
        names = list(connection.execute(select(senders.c.name).order_by(senders.c.id)).scalars())
    ledger.close()
    return names


def test_processes_that_find_an_empty_sqlite_ledger_at_once_all_succeed(tmp_path: Path) -> None:
    """`make dev` starts UI, daemon and commands together on a ledger that none of them has made yet."""
    urls = [f"sqlite:///{tmp_path / f'{number}.sqlite3'}" for number in range(FRESH_LEDGERS)]
    assert in_processes(PROCESSES, _open_each, {"urls": urls, "by_itself": True}) == [0] * PROCESSES
    for url in urls:
        assert _names(url) == [f"process {number}" for number in range(PROCESSES)]


def test_processes_that_initialise_one_postgresql_ledger_at_once_all_succeed(postgres: PostgresServer) -> None:
    """Two containers of one deployment run `campaign init` at the same moment."""
    urls = [postgres.new_database() for _ in range(2)]
    assert in_processes(PROCESSES, _open_each, {"urls": urls, "by_itself": False}) == [0] * PROCESSES
    for url in urls:
        assert _names(url) == [f"process {number}" for number in range(PROCESSES)]
