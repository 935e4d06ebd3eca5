"""`campaign_analytics`: the figures of each campaign and send date, derived from the rows and kept for who asks later.

Add here what is kept of a date. Keep out the figures' definitions: `campaigns.figures`.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, delete, select, update

from campaign_pipeline.campaigns.figures import Figures, figures_by_campaign
from campaign_pipeline.campaigns.send_schedule import refresh_actuals
from campaign_pipeline.ledger.schema import batches, campaign_analytics, marketing_campaigns
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


def dates_due(connection: Connection) -> list[date]:
    """The send dates of whose people something was heard since their analytics were brought up to date, in order."""
    due = select(batches.c.send_date).where(batches.c.analytics_due == 1).order_by(batches.c.send_date)
    return list(connection.execute(due).scalars())


def refresh_due(connection: Connection, send_date: date, now: datetime) -> list[DateAnalytics]:
    """Brings the analytics of a date up to date that are due, so that they no longer are.

    Args:
        connection: A transaction that writes and folds alone: what is heard in the meantime makes them due again.
        send_date: The date.
        now: The moment, UTC.
    """
    connection.execute(update(batches).where(batches.c.send_date == send_date).values(analytics_due=0))
    return refresh_date(connection, send_date, now)
