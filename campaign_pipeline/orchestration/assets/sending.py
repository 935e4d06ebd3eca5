"""The group `sending`: one batch a send date, the plan of the dates to come, the proof of what was sent, the Cloud API.

Keep out how a date is sent: `sending.sender`. This file shows what that returned, or turns its refusal into a red date.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import dagster as dg
from sqlalchemy.exc import DBAPIError

from campaign_pipeline.campaigns.figures import batch_figures, reasons_of_batch
from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.orchestration import as_it_stands, metadata
from campaign_pipeline.orchestration.groups import ANALYTICS_TAGS, DATA_ENGINEERING, LEDGER_VERSION, MARKETING, SENDING
from campaign_pipeline.orchestration.partitions import ALL_DATES, NO_PARTICULAR_CAMPAIGN, send_date_of
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.orchestration.stopping import stop_requests
from campaign_pipeline.sending.batches import Batch
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.proof import prove
from campaign_pipeline.sending.report import DateEnd, Progress
from campaign_pipeline.settings import SettingsError

SENDER_POOL: Final = "whatsapp"
"""One run sends at a time. The ledger's lease keeps that promise; the pool lets the others wait where they are seen."""

DAILY_BATCH: Final = dg.AssetKey("daily_batch")
PROOF: Final = dg.AssetKey("proof")
PROMISES_KEPT: Final = dg.AssetCheckKey(PROOF, "promises_kept")
DELIVERY_STATUSES: Final = dg.AssetKey("delivery_statuses")
CAMPAIGN_ANALYTICS: Final = dg.AssetKey("campaign_analytics")

CLOUD_API: Final = dg.AssetSpec(
    "whatsapp_cloud_api",
    deps=[dg.AssetDep(DAILY_BATCH, partition_mapping=ALL_DATES)],
    group_name=SENDING,
    kinds={"whatsapp"},
    owners=[DATA_ENGINEERING],
    description="Meta's Cloud API, or the local simulator. What it has accepted is heard of again when a status comes.",
)


def sending_assets(
    send_dates: dg.DailyPartitionsDefinition, pool: str | None
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of this group, for the send dates of one business.

    Args:
        send_dates: The partitions.
        pool: In which of Dagster's pools sends wait for each other; None leaves that to the ledger's lease alone.
    """

    @dg.asset(
        key=DAILY_BATCH,
        partitions_def=send_dates,
        deps=[dg.AssetDep("audience", partition_mapping=NO_PARTICULAR_CAMPAIGN)],
        pool=pool,
        # A date on which nobody waits stays missing: nothing was sent for it.
        output_required=False,
        group_name=SENDING,
        kinds={"whatsapp"},
        owners=[MARKETING, DATA_ENGINEERING],
        description=(
            "The batch of one send date. Materializing a date takes its batch from the queue once, or goes on "
            "with it, and sends it under the moving 24-hour limit; materializing it again sends nothing more.\n\n"
            "**Green**: the batch is closed. **Missing**: nothing was sent for the date; a missed date needs no "
            "repair, its people are first in the queue on the next one. **Red**: a run should have sent and could "
            "not; its error says why, how many are left and when it can go on."
        ),
    )
    def daily_batch(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.MaterializeResult]:
        """Sends one date's batch."""
        send_date = send_date_of(context)
        try:
            with stop_requests() as stop:
                report = pipeline.sender.send(send_date, context.run.run_id, stop, _Narrator(context))
        except CannotSendError as error:
            _show_closed(context, pipeline, error.closed)
            raise _red(error.told(pipeline.settings.calendar), error.left) from error
        except SettingsError as error:
            raise _red(str(error)) from error
        finally:
            _show_analytics(context, pipeline, send_date)
        _show_closed(context, pipeline, report.closed)
        context.log.info(report.sentence)
        if report.end is not DateEnd.NOBODY_WAITS:
            with pipeline.ledger.read() as connection:
                reasons = reasons_of_batch(connection, send_date)
            yield dg.MaterializeResult(metadata={**metadata.of_date(report), **metadata.of_reasons(reasons)})

    @dg.asset(
        deps=[
            dg.AssetDep("audience", partition_mapping=ALL_DATES),
            dg.AssetDep(DAILY_BATCH, partition_mapping=ALL_DATES),
        ],
        group_name=SENDING,
        kinds={"table"},
        owners=[MARKETING],
        # The plan is derived every night; one that is a day and a half old means that the nightly job fails or is off.
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
        ),
        description=(
            "Which campaign reaches how many people on which date: as planned at activation, as expected now from the "
            "queue as it stands, and as it happened."
        ),
    )
    def send_plan(pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult:
        """Derives the plan anew."""
        return dg.MaterializeResult(data_version=LEDGER_VERSION, metadata=as_it_stands.plan(pipeline))

    return [daily_batch, CLOUD_API, send_plan, proof]


@dg.asset(
    key=PROOF,
    deps=[dg.AssetDep(DAILY_BATCH, partition_mapping=ALL_DATES)],
    # Of an asset of its own: a check of `daily_batch` that was red at night would be gone with the next send.
    check_specs=[
        dg.AssetCheckSpec(
            PROMISES_KEPT.name,
            asset=PROOF,
            description=(
                "Every promise is kept by everything that was ever sent: nobody twice, never over the limit, nobody "
                "forgotten, the truth about delivery."
            ),
        )
    ],
    group_name=SENDING,
    kinds={"table"},
    owners=[DATA_ENGINEERING],
    description=(
        "What `campaign prove` reads off the rows, asked every night of everything that was ever sent: each promise, "
        "whether it is kept, and the ids of the first rows that break it. Sends nothing."
    ),
)
def proof(pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult:
    """Asks every promise of all rows; a broken one is a red check and no failed run."""
    found = prove(pipeline.ledger)
    told = metadata.of_proof(found)
    return dg.MaterializeResult(
        data_version=LEDGER_VERSION,
        metadata=told,
        check_results=[
            dg.AssetCheckResult(
                check_name=PROMISES_KEPT.name,
                passed=found.kept,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata=told,
            )
        ],
    )


class _Narrator:
    """Tells the run's log how far it is: every fifty people, and whenever it begins to wait for something."""

    _EVERY: Final = 50

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._log = context.log
        self._told = 0
        self._waiting_for: str | None = None

    def __call__(self, progress: Progress) -> None:
        """Takes note of a step."""
        if progress.waiting_for is not None:
            if progress.waiting_for != self._waiting_for:
                self._log.info(f"waiting for {progress.waiting_for}")
        elif progress.done - self._told >= self._EVERY or progress.done == progress.total > self._told:
            self._told = progress.done
            self._log.info(f"{progress.done} of {progress.total} people done")
        self._waiting_for = progress.waiting_for


def _red(sentence: str, left: int | None = None) -> dg.Failure:
    """What turns a date red; never tried again by itself."""
    return dg.Failure(sentence, metadata={"people_left": left} if left is not None else None, allow_retries=False)


def _show_analytics(context: dg.AssetExecutionContext, pipeline: Pipeline, send_date: date) -> None:
    """Brings the date's analytics up to date and shows them, whatever became of the run."""
    try:
        with pipeline.ledger.write() as connection:
            rows = refresh_date(connection, send_date, pipeline.now())
    except DBAPIError as error:
        # What became of the run is more than this, and must not be covered by it.
        context.log.warning(f"The analytics of {send_date} could not be brought up to date: {error.orig}")
        return
    if rows:
        _begin_statuses(context.instance)
        context.log_event(
            dg.AssetMaterialization(
                CAMPAIGN_ANALYTICS,
                partition=send_date.isoformat(),
                metadata=metadata.of_analytics(rows),
                tags=ANALYTICS_TAGS,
            )
        )


def _begin_statuses(instance: dg.DagsterInstance) -> None:
    """Before the first status file has come, says so, since analytics made from nothing count as out of date."""
    if instance.get_latest_materialization_event(DELIVERY_STATUSES) is None:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                DELIVERY_STATUSES, metadata={"files": 0}, tags={"dagster/data_version": LEDGER_VERSION.value}
            )
        )


def _show_closed(context: dg.AssetExecutionContext, pipeline: Pipeline, closed: Sequence[Batch]) -> None:
    """Reports the unfinished dates that this run closed, so that no date stays red that needs no repair."""
    for batch in closed:
        with pipeline.ledger.read() as connection:
            figures = batch_figures(connection, batch.send_date)
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                DAILY_BATCH, partition=batch.send_date.isoformat(), metadata=metadata.of_closed(batch, figures)
            )
        )
