"""Bringing a database to the schema that this version works with.

Add here what a migration needs from outside (a lock, a check). The steps themselves are in `migrations/versions/`.
Keep out data fixes that belong to one room.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

SCHEMA_VERSION: Final = "0008"
"""The newest migration; a test holds it against Alembic's head, so that starting a command need not load Alembic."""

_ADVISORY_LOCK: Final = 7_206_115_331


class UnknownVersionError(RuntimeError):
    """The database has tables of a version that this program does not know: a newer one."""


def is_current(engine: Engine) -> bool:
    """Whether the database has the schema of this version."""
    with engine.connect() as connection:
        return _version_of(connection) == SCHEMA_VERSION


def upgrade(connection: Connection) -> None:
    """Runs the missing migrations in the caller's transaction, which has to be one that writes.

    Two processes that find an empty database at the same moment come here one after the other: SQLite's write lock, or
    an advisory lock on PostgreSQL, is held, and the second finds nothing left to do.
    """
    # Loaded here, since it takes longer than most commands run.
    from alembic import command
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    if _version_of(connection) == SCHEMA_VERSION:
        return
    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        msg = f"no way leads from version {_version_of(connection)} of the tables to {SCHEMA_VERSION}"
        raise UnknownVersionError(msg) from error


def alembic_config(connection: Connection) -> "Config":
    """What Alembic needs to run the migrations on a connection, in its transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _version_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
