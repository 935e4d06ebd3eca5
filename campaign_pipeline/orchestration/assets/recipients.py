"""The group `recipients`: the lists as they came, and the audience that they were made into.

Keep out reading and deduplication: `recipients.intake`.
"""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from campaign_pipeline.orchestration import as_it_stands
from campaign_pipeline.orchestration.groups import LEDGER_VERSION, MARKETING, RECIPIENTS
from campaign_pipeline.orchestration.partitions import CAMPAIGNS
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.orchestration.waiting_files import FinishedFiles
from campaign_pipeline.recipients.lists import take_in_waiting

UPLOADED_LISTS: Final = dg.AssetSpec(
    "uploaded_lists",
    group_name=RECIPIENTS,
    kinds={"csv"},
    owners=[MARKETING],
    description=(
        "Lists of people as the marketer has them: files given to `campaign add`, or put into the folder "
        "`lists/<campaign>/` of the data folder. They are made elsewhere; Dagster only shows where they come in."
    ),
)


def recipient_assets() -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of this group."""
    return [UPLOADED_LISTS, recipient_list, audience]


@dg.asset(
    partitions_def=CAMPAIGNS,
    deps=[UPLOADED_LISTS],
    group_name=RECIPIENTS,
    kinds={"csv"},
    owners=[MARKETING],
    description=(
        "The lists of one campaign, each kept as it came with its hash. Materializing takes in the files that wait in "
        "`lists/<campaign>/`; every row of a list ends in a count: added, duplicate, already there, invalid or "
        "unsubscribed. Rows that were not added are in a rejections file, with line and reason."
    ),
)
def recipient_list(
    context: dg.AssetExecutionContext, config: FinishedFiles, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult:
    """Takes in the lists that wait, and shows all lists of the campaign."""
    settings = pipeline.settings
    taken_in = take_in_waiting(
        pipeline.ledger,
        context.partition_key,
        folders=settings.list_folders,
        region=settings.default_region,
        actor="dagster",
        clock=pipeline.now,
        us_numbers=settings.us_numbers,
        consent=settings.consent,
        names=config.names,
    )
    for report in taken_in.reports:
        context.log.info(f"{report.name}: {report.counts.as_dict()}")
    for rejected in taken_in.rejected:
        context.log.warning(f"rejected: {rejected}")
    for left in taken_in.left:
        context.log.warning(left)
    return dg.MaterializeResult(
        data_version=LEDGER_VERSION,
        metadata={
            **as_it_stands.lists(pipeline, context.partition_key),
            "taken_in_now": len(taken_in.reports),
            "rejected_now": "; ".join(taken_in.rejected) or "none",
        },
    )


@dg.asset(
    partitions_def=CAMPAIGNS,
    deps=[recipient_list],
    group_name=RECIPIENTS,
    kinds={"table"},
    owners=[MARKETING],
    description=(
        "The people of one campaign, each once: unique by (campaign, person) in the database, however a number was "
        "spelled. Adding the same list again adds 0. The materialization shows how many are in which state."
    ),
)
def audience(context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult:
    """Shows the audience as it stands in the ledger."""
    return dg.MaterializeResult(
        data_version=LEDGER_VERSION, metadata=as_it_stands.audience(pipeline, context.partition_key)
    )
