"""Jobs: what is started as one run.

Add here a selection of assets that people or schedules start together.
Keep out `daily_batch` from every job but the one that sends.
"""

from typing import Final

import dagster as dg

from campaign_pipeline.orchestration.assets.sending import DAILY_BATCH, PROOF
from campaign_pipeline.orchestration.checks import STANDING_CHECK_NAMES
from campaign_pipeline.orchestration.preview import preview_batch
from campaign_pipeline.orchestration.replay import rebuild_delivery

DAILY_SEND: Final = "daily_send"
TAKE_IN_LISTS: Final = "take_in_lists"
INGEST_STATUSES: Final = "ingest_statuses"
STANDING_CHECKS: Final = "standing_checks"
PROVE_PROMISES: Final = "prove_promises"
REFRESH_PLAN: Final = "refresh_plan"

LONGEST_RUN_SECONDS: Final = 26 * 60 * 60
"""Longer than any send window: a run may wait all day for capacity, and must not be ended for that."""

daily_send: Final = dg.define_asset_job(
    DAILY_SEND,
    selection=dg.AssetSelection.assets(DAILY_BATCH),
    description="Sends the batch of one send date. Started again for the same date, it sends nothing again.",
    tags={"dagster/max_runtime": str(LONGEST_RUN_SECONDS), "dagster/max_retries": "0"},
)

_BEFORE_SENDS: Final = {"dagster/priority": "10"}
"""Lists and statuses are never starved by sends that wait."""

take_in_lists: Final = dg.define_asset_job(
    TAKE_IN_LISTS,
    selection=dg.AssetSelection.assets("recipient_list", "audience"),
    description="Takes in the lists that wait in a campaign's folder, and shows the audience that they make.",
    tags=_BEFORE_SENDS,
)

ingest_statuses: Final = dg.define_asset_job(
    INGEST_STATUSES,
    selection=dg.AssetSelection.assets("delivery_statuses"),
    description="Takes in the status files that wait in the inbox.",
    tags=_BEFORE_SENDS,
)

standing_checks: Final = dg.define_asset_job(
    STANDING_CHECKS,
    selection=dg.AssetSelection.checks(
        *(dg.AssetCheckKey(dg.AssetKey("delivery_statuses"), name) for name in STANDING_CHECK_NAMES)
    ),
    description="What is broken now: people left behind, doubts by their age, statuses that stay away.",
    tags=_BEFORE_SENDS,
)

prove_promises: Final = dg.define_asset_job(
    PROVE_PROMISES,
    selection=dg.AssetSelection.assets(PROOF),
    description="Asks every promise of everything that was ever sent, as `campaign prove` does. Sends nothing.",
    tags=_BEFORE_SENDS,
)

refresh_plan: Final = dg.define_asset_job(
    REFRESH_PLAN,
    selection=dg.AssetSelection.assets("send_plan"),
    description="Derives the plan anew, as the queue stands.",
    tags=_BEFORE_SENDS,
)

JOBS: Final = (
    daily_send,
    take_in_lists,
    ingest_statuses,
    standing_checks,
    prove_promises,
    refresh_plan,
    preview_batch,
    rebuild_delivery,
)
