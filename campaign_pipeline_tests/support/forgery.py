"""Rows that no program of ours writes: how a test makes a ledger false, past every constraint.

Add here how a ledger is changed by force. Only a ledger of the test's own may be: what is taken away stays away.
"""

from sqlalchemy import text

from campaign_pipeline.ledger.engine import Ledger


def unguard(ledger: Ledger, *tables: str) -> None:
    """Takes every constraint and unique index away from some tables, so that they take any row."""
    is_sqlite = ledger.engine.dialect.name == "sqlite"
    for table in tables:
        (_unguard_sqlite if is_sqlite else _unguard_postgresql)(ledger, table)


def forge(ledger: Ledger, *statements: str) -> None:
    """Changes rows as somebody with a database client could."""
    with ledger.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def copy_row(ledger: Ledger, table: str, which: str, **changes: str) -> None:
    """Inserts a copy of the rows of a condition, with some columns given by an SQL expression."""
    with ledger.write() as connection:
        one = connection.execute(text(f"SELECT * FROM {table} WHERE {which}"))  # noqa: S608 - a test's own words
        names = list(one.keys())
        values = ", ".join(changes.get(name, name) for name in names)
        columns = ", ".join(names)
        connection.execute(
            text(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE {which}")  # noqa: S608
        )


def _unguard_postgresql(ledger: Ledger, table: str) -> None:
    constraints = "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:t) AND contype IN ('c', 'u', 'f')"
    unique_indexes = (
        "SELECT indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid = to_regclass(:t) AND indisunique AND NOT indisprimary"
    )
    with ledger.write() as connection:
        for name in connection.execute(text(constraints), {"t": table}).scalars().all():
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"))
        for name in connection.execute(text(unique_indexes), {"t": table}).scalars().all():
            connection.execute(text(f"DROP INDEX {name}"))


def _unguard_sqlite(ledger: Ledger, table: str) -> None:
    # SQLite drops no constraint, so the table is made anew. Outside a transaction, where foreign keys can be switched
    # off; they stay so, as the new table has no primary key that others could refer to.
    raw = ledger.engine.raw_connection()
    try:
        for statement in (
            "PRAGMA foreign_keys = OFF",
            "PRAGMA legacy_alter_table = ON",
            f"ALTER TABLE {table} RENAME TO guarded_{table}",
            f"CREATE TABLE {table} AS SELECT * FROM guarded_{table}",  # noqa: S608 - a test's own words
            f"DROP TABLE guarded_{table}",
            "PRAGMA legacy_alter_table = OFF",
        ):
            raw.cursor().execute(statement)
    finally:
        raw.close()
