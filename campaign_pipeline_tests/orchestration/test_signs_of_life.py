"""Runs whose machine was lost: who notices, who ends them, and who is left alone."""

import time
from collections.abc import Iterator, Mapping

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster_postgres.utils import DagsterPostgresException

from campaign_pipeline.orchestration.assets.sending import SENDER_POOL
from campaign_pipeline.orchestration.sensors import lost_run_sensor
from campaign_pipeline.orchestration.signs_of_life import SILENT_TICKS, Watch, end_silent_runs, showing_life
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that counts places in pools, with one for the sender."""
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}) as made:
        made.event_log_storage.initialize_concurrency_limit_to_default(SENDER_POOL)
        yield made


def started(instance: dg.DagsterInstance, job: str = "daily_send") -> str:
    """A run as a worker that has begun leaves it."""
    return create_run_for_test(instance, job_name=job, status=DagsterRunStatus.STARTED).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    """How a run stands."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def look(instance: dg.DagsterInstance, ticks: int, watch: Watch | None = None) -> tuple[Watch, list[str]]:
    """Lets the sensor look so many times; gives what it has ended in all."""
    ended: list[str] = []
    watch = watch or Watch({})
    for _ in range(ticks):
        watch, now_ended = end_silent_runs(instance, Watch.from_cursor(watch.as_cursor()))
        ended += now_ended
    return watch, ended


def test_a_run_whose_machine_was_lost_is_ended_and_its_place_freed(instance: dg.DagsterInstance) -> None:
    """The host is gone at ten past nine, and tomorrow's batch waits behind a run that is no more."""
    run_id = started(instance)
    instance.event_log_storage.claim_concurrency_slot(SENDER_POOL, run_id, "daily_batch")
    with showing_life(instance, run_id):
        pass
    watch, ended = look(instance, SILENT_TICKS)
    assert ended == []
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED
    watch, ended = look(instance, 1, watch)
    assert ended == [run_id]
    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE
    assert not instance.event_log_storage.get_concurrency_info(SENDER_POOL).active_run_ids
    assert look(instance, 2 * SILENT_TICKS, watch)[1] == []


def test_a_run_that_shows_life_is_left_alone_however_long_it_takes(instance: dg.DagsterInstance) -> None:
    """A run waits the whole day for capacity; ended for that, its date would turn red for nothing."""
    run_id = started(instance)
    with showing_life(instance, run_id, beat_every=0.02):
        watch = Watch({})
        for _ in range(4 * SILENT_TICKS):
            watch, ended = end_silent_runs(instance, watch)
            assert ended == []
            time.sleep(0.05)
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED


def test_a_run_whose_signs_cannot_be_written_for_a_while_shows_life_again(instance: dg.DagsterInstance) -> None:
    """Dagster's database is restarted during the send; a run that gave up its signs would be ended while it sends."""
    run_id = started(instance)
    storage = instance.daemon_cursor_storage
    key = f"campaign_pipeline/sign_of_life/{run_id}"
    write, refusals = storage.set_cursor_values, iter(range(3))

    def refuse_at_first(pairs: Mapping[str, str]) -> None:
        if next(refusals, None) is not None:
            raise DagsterPostgresException("too many retries for DB connection")
        write(pairs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(storage, "set_cursor_values", refuse_at_first)
        with showing_life(instance, run_id, beat_every=0.02):
            deadline = time.monotonic() + 60
            while not storage.get_cursor_values({key}) and time.monotonic() < deadline:
                time.sleep(0.02)
    assert int(storage.get_cursor_values({key})[key]) >= 4


def test_a_run_of_other_code_in_the_same_dagster_is_left_alone(instance: dg.DagsterInstance) -> None:
    """It never shows signs of life, since it knows nothing of them."""
    run_id = started(instance, "somebody_elses_job")
    assert look(instance, 3 * SILENT_TICKS)[1] == []
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED


@pytest.mark.parametrize("status", [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_run_that_has_ended_stays_as_it_ended(instance: dg.DagsterInstance, status: DagsterRunStatus) -> None:
    """Every run falls silent when it is done; a success must not turn into a failure for that."""
    run_id = create_run_for_test(instance, job_name="daily_send", status=status).run_id
    with showing_life(instance, run_id):
        pass
    assert look(instance, 3 * SILENT_TICKS)[1] == []
    assert status_of(instance, run_id) is status


@pytest.mark.parametrize("cursor", ["", "[]", '{"a": 1}', '{"a": ["1", "many"]}', "what an older version has kept"])
def test_a_cursor_that_cannot_be_read_does_not_stop_the_watch(cursor: str) -> None:
    """A sensor that fails on its own memory never looks again, and nobody ends what is lost."""
    assert Watch.from_cursor(cursor) == Watch({})


def test_the_sensor_says_what_it_has_ended(instance: dg.DagsterInstance) -> None:
    """A run that turns red by itself needs a line that says who did it, and why."""
    run_id = started(instance)
    with showing_life(instance, run_id):
        pass
    cursor: str | None = "what an older version has kept"
    said: list[str] = []
    for _ in range(SILENT_TICKS + 1):
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            result = lost_run_sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        said.append(str(result.skip_reason.skip_message if result.skip_reason else None))
    assert said == ["No run was lost."] * SILENT_TICKS + [f"Ended, since lost: {run_id[:8]}."]


def test_every_run_shows_signs_of_life_from_its_start(desk: OrchestrationDesk) -> None:
    """Also one that takes files in: lost, it would hold up every later one."""
    desk.campaign(range(3))
    sent = desk.send(THE_DATE)
    taken_in = desk.materialize("delivery_statuses")
    keys = {f"campaign_pipeline/sign_of_life/{run.run_id}" for run in (sent, taken_in)}
    assert set(desk.instance.daemon_cursor_storage.get_cursor_values(keys)) == keys
