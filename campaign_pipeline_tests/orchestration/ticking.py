"""A sensor as the daemon lives with it: tick after tick with its cursor, and the runs that it requests, run for real.

Add here how a tick is made and looked at. Keep out expectations: those belong to the tests.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.definitions.instigation_logger import get_instigation_log_records
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from campaign_pipeline_tests.orchestration.desk import OrchestrationDesk


@dataclass(frozen=True)
class Tick:
    """What a tick has come to.

    Attributes:
        requests: The runs that it requests.
        said: Why it requests none; None when it does.
        logged: What its log holds, if the instance keeps logs of ticks.
    """

    requests: tuple[dg.RunRequest, ...]
    said: str | None
    logged: tuple[str, ...]

    @property
    def partitions(self) -> list[str | None]:
        """The partitions of the requested runs."""
        return [request.partition_key for request in self.requests]


UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
"""How a run stands that has not ended."""


@dataclass
class TickingSensor:
    """One sensor of a desk, with what it remembers from tick to tick."""

    desk: OrchestrationDesk
    name: str
    cursor: str | None = field(default=None)

    def tick(self) -> Tick:
        """Lets it look once."""
        instance = self.desk.instance
        repository = self.desk.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=instance,
            # Without one, no partition of a campaign can be found; the instance that is asked is the desk's.
            instance_ref=InstanceRef.from_dir(str(self.desk.root)) if instance.is_ephemeral else instance.get_ref(),
            cursor=self.cursor,
            repository_def=repository,
            repository_name=repository.name,
            sensor_name=self.name,
            resources=repository.get_top_level_resources(),
        ) as context:
            data = repository.get_sensor_def(self.name).evaluate_tick(context)
        self.cursor = data.cursor
        logged = get_instigation_log_records(instance, data.log_key) if data.log_key else []
        messages = tuple(str(each["dagster_meta"]["orig_message"]) for each in logged)
        return Tick(tuple(data.run_requests or ()), data.skip_message, messages)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Runs what a tick has requested, as the daemon does."""
        job = self.desk.definitions.get_repository_def().get_sensor_def(self.name).job_name
        assert job is not None
        return self.desk.definitions.resolve_job_def(job).execute_in_process(
            partition_key=request.partition_key,
            tags=dict(request.tags),
            run_config=request.run_config,
            instance=self.desk.instance,
            raise_on_error=False,
        )

    def until_the_last_run_ended(self) -> None:
        """Puts the desk's clock to the end of the last run, for which Dagster has looked at the machine's."""
        self.desk.clock.moment = self.desk.instance.get_run_records(limit=1)[0].update_timestamp

    def tick_and_run(self) -> list[dg.ExecuteInProcessResult]:
        """Lets it look once, and runs whatever it requests."""
        return [self.run(request) for request in self.tick().requests]


def drop(desk: OrchestrationDesk, path: Path, content: bytes, *, age: float = 0.0) -> Path:
    """Puts a file somewhere, last changed some seconds before the moment that the desk's clock shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    changed = desk.clock.now().timestamp() - age
    os.utime(path, (changed, changed))
    return path


def leave_run(
    desk: OrchestrationDesk,
    job: str,
    status: DagsterRunStatus,
    *,
    partition: str | None = None,
    asset: str | None = None,
    run_config: Mapping[str, Any] | None = None,
) -> None:
    """Makes a run that stays as it is: of a job, or of the button Materialize on an asset."""
    location = RegisteredCodeLocationOrigin("campaign_pipeline")  # ty: ignore[abstract-class-instantiation]
    create_run_for_test(
        desk.instance,
        job_name=job,
        status=status,
        run_config=dict(run_config or {}),
        tags={"dagster/partition": partition} if partition else {},
        asset_selection=frozenset({dg.AssetKey(asset)}) if asset else None,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job),
    )
