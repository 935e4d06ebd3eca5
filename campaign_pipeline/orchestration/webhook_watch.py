"""Whether statuses come in while messages are out, noted where Dagster's freshness policies look for it.

Add here another sign that whoever receives the webhooks is well.
Keep out what silence is strange: `delivery.standing`.

Dagster counts as fresh what was materialized lately, and a status is due only while a message is out. So all that is
well is reported as a materialization without a run; strange silence is not, and the policy fails by itself.
"""

from typing import Final

import dagster as dg

from campaign_pipeline.delivery.standing import silence
from campaign_pipeline.orchestration.groups import LEDGER_VERSION
from campaign_pipeline.orchestration.resources import Pipeline

LOOKED_EVERY: Final = 600
"""Seconds; each look that finds all well is a row of Dagster's."""

_INBOX: Final = dg.AssetKey("webhook_inbox")


def look_for_silence(instance: dg.DagsterInstance, pipeline: Pipeline) -> str:
    """Notes that statuses come in, or that none is due; gives what was found, as a sentence."""
    now = pipeline.now()
    with pipeline.ledger.read() as connection:
        found = silence(connection, now)
    if found.is_strange(now):
        return (
            f"Statuses have stopped coming while {found.out} messages are out, the oldest since "
            f"{found.oldest_accepted_at:%Y-%m-%d %H:%M} UTC. Look at whoever receives the webhooks."
        )
    facts = {
        "messages_out_without_a_word": found.out,
        "last_heard_at": f"{found.last_heard_at:%Y-%m-%d %H:%M:%S} UTC" if found.last_heard_at else "never",
    }
    tags = {"dagster/data_version": LEDGER_VERSION.value}
    instance.report_runless_asset_event(dg.AssetMaterialization(_INBOX, metadata=facts, tags=tags))
    return "Statuses come in." if found.out else "No status is due."
