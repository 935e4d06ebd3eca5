"""Partitions: one key a send date, and one key a campaign.

Add here another way to cut assets into parts.
Keep out what a part holds.
"""

from datetime import date
from typing import Final

import dagster as dg

from campaign_pipeline.campaigns.calendar import SendCalendar

CAMPAIGNS: Final = dg.DynamicPartitionsDefinition(name="campaign")
"""One key a campaign: its slug."""


def send_dates(calendar: SendCalendar) -> dg.DailyPartitionsDefinition:
    """One key a send date, in the business's time zone; today is included, since its batch is sent today."""
    return dg.DailyPartitionsDefinition(
        start_date=calendar.start_date.isoformat(), timezone=calendar.timezone.key, end_offset=1
    )


def send_date_of(context: dg.AssetExecutionContext) -> date:
    """The send date that a run is about."""
    return date.fromisoformat(context.partition_key)


NO_PARTICULAR_CAMPAIGN: Final = dg.SpecificPartitionsPartitionMapping([])
"""The edge from campaigns to dates' batches: drawn, but no date is out of date since a campaign is new or has grown."""

ALL_DATES: Final = dg.AllPartitionMapping()
"""An edge between campaigns and dates: a date's batch can hold people of any campaign, and the other way round."""
