"""Runs of `campaign send` whose process was killed: who ends them, and who frees their place in the pool."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from campaign_pipeline.orchestration.assets.sending import SENDER_POOL
from campaign_pipeline.orchestration.instance import PROCESS_TAG, end_dead_runs, process_tag


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that counts places in pools, with one for the sender."""
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}) as made:
        made.event_log_storage.initialize_concurrency_limit_to_default(SENDER_POOL)
        yield made


def ended_process() -> int:
    """The id of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def run_of(instance: dg.DagsterInstance, tags: dict[str, str], status: DagsterRunStatus) -> str:
    """Makes a run as a process leaves it."""
    return create_run_for_test(instance, job_name="daily_send", tags=tags, status=status).run_id


def is_free(instance: dg.DagsterInstance) -> bool:
    """Whether another run would get the place in the pool."""
    return not instance.event_log_storage.get_concurrency_info(SENDER_POOL).active_run_ids


def status_of(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    """How a run stands."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])
def test_the_run_of_a_killed_process_is_ended_and_its_place_freed(
    instance: dg.DagsterInstance, status: DagsterRunStatus
) -> None:
    """The machine's memory ran out in mid-batch; tomorrow's send would wait for ever behind a run that is no more."""
    run_id = run_of(instance, {PROCESS_TAG: f"{socket.gethostname()}:{ended_process()}"}, status)
    instance.event_log_storage.claim_concurrency_slot(SENDER_POOL, run_id, "daily_batch")
    assert not is_free(instance)
    assert end_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE
    assert is_free(instance)
    assert end_dead_runs(instance) == []


def test_the_run_of_a_process_whose_end_nobody_has_asked_for_is_ended(instance: dg.DagsterInstance) -> None:
    """`campaign send` is killed with the process that it has started: until init looks, that one answers to signals."""
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        run_id = run_of(instance, {PROCESS_TAG: f"{socket.gethostname()}:{zombie.pid}"}, DagsterRunStatus.STARTED)
        assert end_dead_runs(instance) == [run_id]


def foreign_tags() -> dict[str, dict[str, str]]:
    """Runs that are none of this process's business."""
    dead = ended_process()
    return {
        "a living process": process_tag(),
        "its parent": {PROCESS_TAG: f"{socket.gethostname()}:{os.getppid()}"},
        "another machine": {PROCESS_TAG: f"another-{socket.gethostname()}:{dead}"},
        "the daemon": {},
        "something unreadable": {PROCESS_TAG: socket.gethostname()},
    }


@pytest.mark.parametrize("who", foreign_tags())
def test_a_run_that_may_live_is_left_alone(instance: dg.DagsterInstance, who: str) -> None:
    """Freeing the place of a living run lets two sends into the pool at once."""
    run_id = run_of(instance, foreign_tags()[who], DagsterRunStatus.STARTED)
    instance.event_log_storage.claim_concurrency_slot(SENDER_POOL, run_id, "daily_batch")
    assert end_dead_runs(instance) == []
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED
    assert not is_free(instance)


@pytest.mark.parametrize("status", [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_run_that_has_ended_stays_as_it_ended(instance: dg.DagsterInstance, status: DagsterRunStatus) -> None:
    """Every run's process is gone sooner or later; a success must not turn into a failure for that."""
    run_id = run_of(instance, {PROCESS_TAG: f"{socket.gethostname()}:{ended_process()}"}, status)
    assert end_dead_runs(instance) == []
    assert status_of(instance, run_id) is status
