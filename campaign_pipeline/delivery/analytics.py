"""`campaign_analytics`: the figures of each campaign and send date, derived from the rows and kept for who asks later.

Add here what is kept of a date. Keep out the figures' definitions: `campaigns.figures`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, delete, select

from campaign_pipeline.campaigns.figures import Figures, figures_by_campaign
from campaign_pipeline.campaigns.send_schedule import refresh_actuals
from campaign_pipeline.ledger.schema import (
    batches,
    campaign_analytics,
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    send_attempts,
)
from campaign_pipeline.ledger.upsert import upsert


@dataclass(frozen=True, slots=True)
class DateAnalytics:
    """One campaign's figures for one send date."""

    campaign: str
    send_date: date
    figures: Figures


def refresh_date(connection: Connection, send_date: date, now: datetime) -> list[DateAnalytics]:
    """Derives the figures of a date anew, for every campaign in its batch, and keeps them."""
    campaigns = connection.execute(select(marketing_campaigns.c.id, marketing_campaigns.c.slug))
    slugs = {row.id: row.slug for row in campaigns}
    refreshed = []
    by_campaign = figures_by_campaign(connection, send_date)
    # A campaign of which everyone has moved on from this date is counted on the later one only.
    connection.execute(
        delete(campaign_analytics).where(
            campaign_analytics.c.send_date == send_date, campaign_analytics.c.campaign_id.not_in(list(by_campaign))
        )
    )
    for campaign_id, figures in by_campaign.items():
        values = {name: value for name, value in figures.as_dict().items() if name != "states"}
        upsert(
            connection,
            campaign_analytics,
            keys={"campaign_id": campaign_id, "send_date": send_date},
            values={**values, "refreshed_at": now},
        )
        refreshed.append(DateAnalytics(slugs[campaign_id], send_date, figures))
    refresh_actuals(connection, send_date, now)
    return refreshed


def dates_touched(connection: Connection, file_ids: Iterable[int]) -> list[date]:
    """The send dates whose people the events of some status files are about, in order."""
    # Looked up for each event by itself: joined, the tables are read whole by a PostgreSQL that knows nothing of a new
    # file yet.
    recipient_id = (
        select(send_attempts.c.recipient_id)
        .where(send_attempts.c.id == delivery_events.c.attempt_id)
        .correlate(delivery_events)
        .scalar_subquery()
    )
    batch_id = (
        select(campaign_recipients.c.batch_id)
        .where(campaign_recipients.c.id == recipient_id)
        .correlate(delivery_events)
        .scalar_subquery()
    )
    of_files = (
        select(batch_id.label("id"))
        .where(delivery_events.c.file_id.in_(list(file_ids)))
        .distinct()
        .subquery("of_files")
    )
    dates = select(batches.c.send_date).join(of_files, of_files.c.id == batches.c.id).order_by(batches.c.send_date)
    return list(connection.execute(dates).scalars())
