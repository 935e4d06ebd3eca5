"""An operator's desk for tests: an installation's definitions, an instance of Dagster, and a clock moved by hand.

Add here how something is started and looked at in Dagster. Keep out expectations: those belong to the tests.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.figures import Figures, batch_figures
from campaign_pipeline.delivery.consequences import resume_sender
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.orchestration.build import build_definitions
from campaign_pipeline.orchestration.jobs import DAILY_SEND
from campaign_pipeline.orchestration.ledger_events import report_ledger_events
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending.sender import Sender, SenderTerms
from campaign_pipeline.settings import Settings
from campaign_pipeline.whatsapp.account import cloud_api_of
from campaign_pipeline.whatsapp.client import CloudApiClient
from campaign_pipeline_tests.support.campaigns import active_campaign, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import PATIENT
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

THE_DATE = "2026-03-02"
"""The date of `HandClock`."""


class PipelineByHand(Pipeline):
    """The pipeline with a clock that a test moves; everything else is as in production."""

    def __init__(self, settings: Settings, clock: HandClock) -> None:
        super().__init__(settings)
        self._clock = clock

    @cached_property
    def sender(self) -> Sender:
        """The sender, which tells the time by the test's clock."""
        terms = SenderTerms(
            cloud_api=cloud_api_of(self.settings.whatsapp_base_url),
            limit_setting=self.settings.sender_limit,
            rate=self.settings.sender_rate,
            lease=PATIENT,
        )

        def connect() -> CloudApiClient:
            return CloudApiClient(self.settings.account, terms.concurrency)

        return Sender(self.ledger, connect, self.settings.calendar, terms, self._clock)

    def now(self) -> datetime:
        """The moment that the clock shows."""
        return self._clock.now()


def variables(root: Path, simulator: SimulatorProcess) -> dict[str, str]:
    """The settings of a fast installation in a folder of a test's own, which sends to a simulator at any hour."""
    return {
        "CAMPAIGN_DATA_DIR": str(root / "data"),
        "CAMPAIGN_START_DATE": "2026-03-01",
        "CAMPAIGN_TIMEZONE": "UTC",
        "CAMPAIGN_DEFAULT_REGION": "GB",
        "CAMPAIGN_SEND_WINDOW": "00:00-24:00",
        "CAMPAIGN_SENDER_LIMIT": "250",
        "CAMPAIGN_SENDER_RATE": "1000",
        "WHATSAPP_BASE_URL": simulator.base_url,
        "WHATSAPP_PHONE_NUMBER_ID": simulator.options.phone_number_id,
        "WHATSAPP_ACCESS_TOKEN": simulator.options.access_token,
    }


@dataclass
class OrchestrationDesk:
    """An installation as its operator sees it.

    Attributes:
        root: A folder of the test's own.
        simulator: The Cloud API.
        clock: What time it is for the pipeline.
        instance: Where Dagster keeps its events.
        changed: Settings that the test wants otherwise, by the name of their variable.
    """

    root: Path
    simulator: SimulatorProcess
    clock: HandClock
    instance: dg.DagsterInstance
    changed: Mapping[str, str]

    @cached_property
    def settings(self) -> Settings:
        """The configuration; neither the machine's environment nor a `.env` has a say in it."""
        given: dict[str, Any] = {**variables(self.root, self.simulator), **self.changed}
        return Settings(_env_file=None, **given)

    @cached_property
    def pipeline(self) -> PipelineByHand:
        """What runs get as their resource."""
        return PipelineByHand(self.settings, self.clock)

    @cached_property
    def definitions(self) -> dg.Definitions:
        """Everything that Dagster loads."""
        return build_definitions(self.settings, self.pipeline)

    @property
    def ledger(self) -> Ledger:
        """The ledger behind the runs."""
        return self.pipeline.ledger

    def campaign(self, numbers: Iterable[int], name: str = "Spring Sale", **changes: object) -> str:
        """Makes an active campaign with people in it; gives its slug."""
        made = active_campaign(self.ledger, self.root, numbers, name=name, now=self.clock.now(), **changes)  # ty: ignore[invalid-argument-type]
        return made.slug

    def pause(self, campaign: str = "spring-sale") -> None:
        """Pauses a campaign."""
        with self.ledger.write() as connection:
            lifecycle.pause(connection, campaign, actor="test", now=self.clock.now())

    def unsubscribe(self, *numbers: int) -> None:
        """Notes that people want no messages."""
        with self.ledger.write() as connection:
            for number in numbers:
                who = parse_phone(phone(number), "GB")
                subscriptions.unsubscribe(connection, who, source="test", now=self.clock.now())

    def mend(self) -> None:
        """No more faults, and a sender that they have stopped goes on."""
        self.simulator.clear_faults()
        with self.ledger.write() as connection:
            resume_sender(connection, actor="test", now=self.clock.now())

    def send(self, send_date: str = THE_DATE) -> dg.ExecuteInProcessResult:
        """Materializes a date with the job that the schedule starts."""
        job = self.definitions.resolve_job_def(DAILY_SEND)
        return job.execute_in_process(partition_key=send_date, instance=self.instance, raise_on_error=False)

    def refusal_of(self, send_date: str = THE_DATE) -> dg.Failure:
        """Materializes a date that has to be refused; gives the failure as Dagster gets it from the asset."""
        job = self.definitions.resolve_job_def(DAILY_SEND)
        with pytest.raises(dg.Failure) as caught:
            job.execute_in_process(partition_key=send_date, instance=self.instance)
        return caught.value

    def materialize(self, asset: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        """Materializes one asset, as its button in the web UI does."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            asset_selection=[dg.AssetKey(asset)],
            partition_key=partition,
            instance=self.instance,
            raise_on_error=False,
        )

    def show_ledger(self) -> int:
        """Shows in Dagster what was done outside it, as the sensor does; gives how many changes were new."""
        return report_ledger_events(self.instance, self.pipeline)

    def figures(self, send_date: str = THE_DATE) -> Figures:
        """The ledger's figures of a date's batch."""
        with self.ledger.read() as connection:
            return batch_figures(connection, date.fromisoformat(send_date))

    def sql(self, *statements: str) -> None:
        """Changes the ledger past every rule of ours, as somebody with a database client could."""
        with self.ledger.write() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for statement in statements:
                connection.execute(text(statement))

    def statuses(self) -> None:
        """Lets every status that the simulator has to tell arrive in the installation's inbox."""
        self.simulator.wait_for_statuses()
        inbox = self.settings.status_folders.inbox
        inbox.mkdir(parents=True, exist_ok=True)
        for file in sorted(self.simulator.options.inbox.glob("*.ndjson")):
            file.rename(inbox / file.name)

    def colour(self, send_date: str = THE_DATE, asset: str = "daily_batch") -> str:
        """What the web UI shows of a partition: MATERIALIZED, FAILED, IN_PROGRESS or missing."""
        partitions = self.definitions.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
        assert partitions is not None
        found = self.instance.get_status_by_partition(dg.AssetKey(asset), [send_date], partitions)
        status = (found or {}).get(send_date)
        return status.value if status is not None else "missing"

    def materializations(self, asset: str, partition: str | None = None) -> list[dg.EventLogEntry]:
        """What was reported for an asset, newest first."""
        keys = [partition] if partition is not None else None
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=keys), limit=1_000
        )
        return [record.event_log_entry for record in records.records]

    def close(self) -> None:
        """Closes the ledger."""
        if "pipeline" in self.__dict__:
            self.pipeline.ledger.close()


DeskMaker = Callable[..., OrchestrationDesk]


def metadata_of(entry: dg.EventLogEntry) -> dict[str, Any]:
    """The values of a materialization's metadata, by name."""
    materialization = entry.asset_materialization
    assert materialization is not None
    return {name: value.value for name, value in materialization.metadata.items()}


def shown(run: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The metadata of an asset's only materialization in a run."""
    found = [
        event.step_materialization_data.materialization
        for event in run.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    ]
    assert len(found) == 1, f"{asset} was materialized {len(found)} times"
    return {name: value.value for name, value in found[0].metadata.items()}


def rows_of(table: dg.TableMetadataValue) -> list[dict[str, Any]]:
    """The rows of a table in metadata."""
    return [dict(record.data) for record in table.records]


def checks_of(run: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Which of a run's asset checks passed."""
    return {each.check_name: each.passed for each in run.get_asset_check_evaluations()}
