"""The Dagster instance of this installation, the same one that `dagster dev` started in this folder uses.

Keep out definitions: this is about where run history, events and pool slots are kept.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.instance.ref import InstanceRef

PROCESS_TAG: Final = "campaign/process"
"""Which process a run of `campaign send` lives in: host and process id."""

_UNFINISHED: Final = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING]


class NoInstanceError(RuntimeError):
    """Nothing says where Dagster keeps its history."""


@contextmanager
def open_instance() -> Generator[DagsterInstance]:
    """Opens the instance of DAGSTER_HOME, or of the dagster.yaml in the present folder as `dagster dev` does.

    `DagsterInstance.get()` alone does not look at the present folder.

    Raises:
        NoInstanceError: Neither is there.
    """
    home = os.environ.get("DAGSTER_HOME")
    if home:
        with _alone_in(Path(home)):
            instance = DagsterInstance.get()
        with instance:
            yield instance
        return
    if not Path("dagster.yaml").is_file():
        msg = "There is no dagster.yaml in this folder: go to the project's folder, or set DAGSTER_HOME."
        raise NoInstanceError(msg)
    with tempfile.TemporaryDirectory() as scratch:
        with _alone_in(Path.cwd()):
            instance = DagsterInstance.from_ref(InstanceRef.from_dir(scratch, config_dir=str(Path.cwd())))
        with instance:
            yield instance


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """One process at a time: Dagster makes the tables of its SQLite files at first use, and fails when two do so."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def process_tag() -> dict[str, str]:
    """The tag by which a later run can tell whether this process still lives."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Ends the runs whose `campaign send` was killed on this machine, and frees their place in the pool.

    The daemon watches over runs that it has started; nobody else watches over these.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=_UNFINISHED)):
        host, _, pid = run.tags.get(PROCESS_TAG, "").partition(":")
        if host == socket.gethostname() and pid.isdigit() and not _is_alive(int(pid)):
            instance.report_run_failed(run, "The process of this run was killed; a later one goes on with its batch.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended.append(run.run_id)
    return ended


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody has asked for its end yet: it still takes signals, and does nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        # A machine without /proc, or it is gone this very moment and found so next time.
        return False
    # The name stands in brackets and may hold anything, also brackets; the state follows the last one.
    return stat.rpartition(")")[2].split()[:1] == ["Z"]


if __name__ == "__main__":
    # Makes the tables, alone in the folder, before web server and daemon are started side by side.
    with open_instance():
        pass
