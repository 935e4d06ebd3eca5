"""Countries that are held: nobody in them is sent to until a person releases them.

Add here what concerns a country as a whole. Who is held stays in the queue, at the old place, and is passed over.
Keep out why a country is held: `delivery.consequences`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.schema import campaign_recipients, held_countries, marketing_campaigns
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline.ledger.upsert import insert_new


@dataclass(frozen=True, slots=True)
class HeldCountry:
    """A country in which nobody is sent to.

    Attributes:
        region: ISO 3166, two letters.
        reason: Why, and what to do.
        held_at: Since when, UTC.
    """

    region: str
    reason: str
    held_at: datetime


def list_held(connection: Connection) -> list[HeldCountry]:
    """The countries that are held now, by their letters."""
    rows = connection.execute(
        select(*held_countries.c["region", "reason", "held_at"])
        .where(held_countries.c.released_at.is_(None))
        .order_by(held_countries.c.region)
    )
    return [HeldCountry(row.region, row.reason, row.held_at) for row in rows]


def held_regions(connection: Connection) -> Sequence[str]:
    """Their letters alone."""
    return [each.region for each in list_held(connection)]


def waiting_in_held(connection: Connection) -> dict[str, int]:
    """How many people of active campaigns wait in each country that is held, by its letters."""
    held = held_regions(connection)
    if not held:
        return {}
    rows = connection.execute(
        select(campaign_recipients.c.region, func.count().label("people"))
        .join(marketing_campaigns, marketing_campaigns.c.id == campaign_recipients.c.campaign_id)
        .where(
            IS_WAITING,
            marketing_campaigns.c.status == CampaignStatus.ACTIVE,
            campaign_recipients.c.region.in_(held),
        )
        .group_by(campaign_recipients.c.region)
    )
    waiting = {row.region: row.people for row in rows}
    return {region: waiting.get(region, 0) for region in held}


def hold_country(
    connection: Connection, sender_id: int, region: str, reason: str, *, actor: str, now: datetime
) -> bool:
    """Holds a country; whether that is news."""
    row = {"sender_id": sender_id, "region": region, "reason": reason, "held_at": now}
    if not insert_new(connection, held_countries, [row]):
        return False
    audit(connection, "country_held", region, actor=actor, now=now, details={"reason": reason})
    return True


def release_country(connection: Connection, region: str, *, actor: str, now: datetime) -> None:
    """Lets people of a country be sent to again, from the next batch on.

    Raises:
        CampaignError: It is not held.
    """
    released = connection.execute(
        update(held_countries)
        .where(held_countries.c.region == region, held_countries.c.released_at.is_(None))
        .values(released_at=now, released_by=actor)
    ).rowcount
    if not released:
        held = ", ".join(held_regions(connection)) or "none is"
        msg = f"{region} is not held; held now: {held}."
        raise CampaignError(msg)
    audit(connection, "country_released", region, actor=actor, now=now)
