"""The group `delivery`: what became of the messages, by file, by send date and by campaign.

Keep out ingest, fold and figures: `delivery` and `campaigns.figures`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import dagster as dg

from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.delivery.status_files import IngestBounds, ingest_waiting
from campaign_pipeline.orchestration import as_it_stands, metadata
from campaign_pipeline.orchestration.assets.sending import CAMPAIGN_ANALYTICS, CLOUD_API, DAILY_BATCH
from campaign_pipeline.orchestration.groups import ANALYTICS_TAGS, DATA_ENGINEERING, DELIVERY, LEDGER_VERSION, MARKETING
from campaign_pipeline.orchestration.partitions import ALL_DATES, CAMPAIGNS, send_date_of
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.orchestration.waiting_files import FinishedFiles, NamesAsText
from campaign_pipeline.sending.account_events import act_on_account_events

HEARD_OF_LATELY: Final = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(minutes=45), warn_window=timedelta(minutes=30)
)
"""`webhook_watch_sensor` notes every few minutes that all is well; some of its ticks may fall out."""

WEBHOOK_INBOX: Final = dg.AssetSpec(
    "webhook_inbox",
    deps=[CLOUD_API],
    group_name=DELIVERY,
    kinds={"json"},
    owners=[DATA_ENGINEERING],
    freshness_policy=HEARD_OF_LATELY,
    description=(
        "The folder `inbox` of the data folder, into which WhatsApp's status webhooks are written as files: NDJSON, "
        "one payload a line. Whoever receives the webhooks writes them; Dagster only shows where they come in. Fresh "
        "while statuses come in or none is due, overdue when they stay away while messages are out."
    ),
)


def delivery_assets(send_dates: dg.DailyPartitionsDefinition) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of this group, for the send dates of one business."""

    @dg.asset(
        key=CAMPAIGN_ANALYTICS,
        partitions_def=send_dates,
        deps=[delivery_statuses],
        group_name=DELIVERY,
        kinds={"table"},
        owners=[MARKETING],
        description=(
            "The figures of one send date, one row a campaign: sent, delivered, read, failed, and the rates. Derived "
            "from the rows, never counted up. Status files bring the dates that they touch up to date by themselves."
        ),
    )
    def campaign_analytics(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult:
        """Derives the figures of one date anew."""
        with pipeline.ledger.write() as connection:
            rows = refresh_date(connection, send_date_of(context), pipeline.now())
        return dg.MaterializeResult(metadata=metadata.of_analytics(rows))

    return [WEBHOOK_INBOX, delivery_statuses, campaign_analytics, campaign_progress]


@dg.asset(
    deps=[dg.AssetDep(DAILY_BATCH, partition_mapping=ALL_DATES), WEBHOOK_INBOX],
    group_name=DELIVERY,
    kinds={"json"},
    owners=[DATA_ENGINEERING],
    description=(
        "Every status event, once, whatever file it came in and in whatever order. Materializing takes in the files "
        "that wait in the inbox and brings the analytics of exactly the send dates that they touch up to date."
    ),
)
def delivery_statuses(
    context: dg.AssetExecutionContext, config: FinishedFiles, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult:
    """Takes in the status files that wait."""
    settings = pipeline.settings
    report = ingest_waiting(
        pipeline.ledger,
        settings.status_folders,
        pipeline.now,
        names=None if config.names is None else NamesAsText(config.names),
        rule=settings.stop_rule,
        bounds=IngestBounds(seconds=settings.ingest_seconds),
        inbound=settings.inbound_terms,
    )
    for sentence in act_on_account_events(pipeline.ledger, settings.account_terms, pipeline.now):
        context.log.warning(sentence)
    for each, rows in report.analytics.items():
        context.log_event(
            dg.AssetMaterialization(
                CAMPAIGN_ANALYTICS,
                partition=each.isoformat(),
                metadata=metadata.of_analytics(rows),
                tags=ANALYTICS_TAGS,
            )
        )
    context.log.info(f"{len(report.files)} files, {report.events} events, {report.new_events} of them new")
    if report.left:
        context.log.info(f"{report.left} files wait for the next run: there was no time for all of them")
    return dg.MaterializeResult(
        data_version=LEDGER_VERSION,
        metadata=metadata.of_ingest(
            report.files,
            {
                "files": len(report.files),
                "events": report.events,
                "new_events": report.new_events,
                "words": report.words,
            },
            report.unmatched,
            [each.isoformat() for each in report.dates],
        ),
    )


@dg.asset(
    partitions_def=CAMPAIGNS,
    deps=[dg.AssetDep(CAMPAIGN_ANALYTICS, partition_mapping=ALL_DATES)],
    group_name=DELIVERY,
    kinds={"table"},
    owners=[MARKETING],
    description=(
        "How far one campaign has come: its figures now, day by day what was planned, is expected and has happened, "
        "and the date on which its last batch is expected."
    ),
)
def campaign_progress(context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult:
    """Shows one campaign's figures and its expected end."""
    return dg.MaterializeResult(
        data_version=LEDGER_VERSION, metadata=as_it_stands.progress(pipeline, context.partition_key)
    )
