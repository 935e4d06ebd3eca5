"""The queue: pending people of active campaigns, by campaign priority, then by their place in the audience.

Add here queries that read the queue in its order. There is one order, and it stands here.
Keep out the taking of a batch, which changes rows: `sending.batches`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, case, exists, func, or_, select

from campaign_pipeline.campaigns.held_countries import held_regions
from campaign_pipeline.campaigns.plan import NO_LIMIT_OF_ITS_OWN, Demand
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.schema import batches, campaign_recipients, marketing_campaigns, senders, subscriptions
from campaign_pipeline.ledger.states import BatchState, CampaignStatus, RecipientState, SubscriptionStatus

CAMPAIGN_ORDER: Final = (
    marketing_campaigns.c.priority.desc(),
    marketing_campaigns.c.activated_at,
    marketing_campaigns.c.id,
)
"""A higher priority goes first; of equals, the one that was activated first."""


_DAILY_LIMIT: Final = case(
    (marketing_campaigns.c.follows_sender_limit == 1, NO_LIMIT_OF_ITS_OWN),
    else_=marketing_campaigns.c.daily_send_limit,
)


@dataclass(frozen=True, slots=True)
class QueuedPerson:
    """One person at the head of a campaign's queue."""

    recipient_id: int
    person_key: str
    position: int
    unsubscribed: bool


def demands_in_order(connection: Connection) -> list[Demand]:
    """Every active campaign in the order of the queue, with the number of its people who wait and can be sent to.

    Whoever is claimed by a batch that nobody is at work on any more waits too: the next take gives these people back.
    """
    not_held = in_no_held_country(connection)
    waiting = (
        select(campaign_recipients.c.campaign_id, func.count().label("waiting"))
        .select_from(
            campaign_recipients.outerjoin(subscriptions, subscriptions.c.person_key == campaign_recipients.c.person_key)
        )
        .where(
            IS_WAITING,
            func.coalesce(subscriptions.c.status, SubscriptionStatus.SUBSCRIBED) == SubscriptionStatus.SUBSCRIBED,
            *not_held,
        )
        .group_by(campaign_recipients.c.campaign_id)
        .subquery()
    )
    query = (
        select(
            marketing_campaigns.c.id,
            func.coalesce(waiting.c.waiting, 0),
            _DAILY_LIMIT,
        )
        .select_from(marketing_campaigns.outerjoin(waiting, waiting.c.campaign_id == marketing_campaigns.c.id))
        .where(marketing_campaigns.c.status == CampaignStatus.ACTIVE)
        .order_by(*CAMPAIGN_ORDER)
    )
    left_behind = _left_behind(connection, not_held)
    return [
        Demand(campaign_id, number + left_behind.get(campaign_id, 0), daily_limit)
        for campaign_id, number, daily_limit in connection.execute(query)
    ]


def demands_up_to(connection: Connection, most: int) -> list[Demand]:
    """Every active campaign in the order of the queue, counting no more than `most` waiting people of each.

    Costs the same for any length of audience. The unsubscribed count too, so that it is never too little.
    """
    campaigns = connection.execute(
        select(marketing_campaigns.c.id, _DAILY_LIMIT.label("daily_limit"))
        .where(marketing_campaigns.c.status == CampaignStatus.ACTIVE)
        .order_by(*CAMPAIGN_ORDER)
    ).all()
    not_held = in_no_held_country(connection)
    return [Demand(row.id, _waiting_up_to(connection, row.id, most, not_held), row.daily_limit) for row in campaigns]


def head_of_queue(connection: Connection, campaign_id: int, size: int, after_position: int) -> list[QueuedPerson]:
    """The next `size` people of one campaign behind a place in its queue, the unsubscribed among them marked."""
    query = (
        select(*campaign_recipients.c["id", "person_key", "position"], subscriptions.c.status)
        .select_from(
            campaign_recipients.outerjoin(subscriptions, subscriptions.c.person_key == campaign_recipients.c.person_key)
        )
        .where(
            campaign_recipients.c.campaign_id == campaign_id,
            IS_WAITING,
            campaign_recipients.c.position > after_position,
            *in_no_held_country(connection),
        )
        .order_by(campaign_recipients.c.position)
        .limit(size)
    )
    return [
        QueuedPerson(row.id, row.person_key, row.position, row.status == SubscriptionStatus.UNSUBSCRIBED)
        for row in connection.execute(query)
    ]


def in_no_held_country(connection: Connection) -> Sequence[ColumnElement[bool]]:
    """The conditions under which a recipient is not passed over; none while no country is held."""
    held = held_regions(connection)
    # A number of no country is in none that is held.
    return (func.coalesce(campaign_recipients.c.region, "").not_in(held),) if held else ()


def _left_behind(connection: Connection, not_held: Sequence[ColumnElement[bool]]) -> dict[int, int]:
    """For each campaign, how many sendable people are claimed by a batch whose run was interrupted.

    Of the newest batch that is known only once the sender is free: until then a run may be at work on it.
    """
    newest = select(func.max(batches.c.send_date)).scalar_subquery()
    is_held = exists().where(senders.c.id == batches.c.sender_id, senders.c.lease_holder.is_not(None))
    interrupted = (
        connection.execute(
            select(batches.c.id).where(batches.c.state == BatchState.OPEN, or_(batches.c.send_date < newest, ~is_held))
        )
        .scalars()
        .all()
    )
    if not interrupted:
        return {}
    subscription = func.coalesce(subscriptions.c.status, SubscriptionStatus.SUBSCRIBED)
    rows = connection.execute(
        select(campaign_recipients.c.campaign_id, func.count().label("people"))
        .select_from(
            campaign_recipients.outerjoin(subscriptions, subscriptions.c.person_key == campaign_recipients.c.person_key)
        )
        .where(
            campaign_recipients.c.batch_id.in_(interrupted),
            campaign_recipients.c.state == RecipientState.CLAIMED,
            subscription == SubscriptionStatus.SUBSCRIBED,
            *not_held,
        )
        .group_by(campaign_recipients.c.campaign_id)
    )
    return {row.campaign_id: row.people for row in rows}


def _waiting_up_to(connection: Connection, campaign_id: int, most: int, not_held: Sequence[ColumnElement[bool]]) -> int:
    waiting = (
        select(campaign_recipients.c.id)
        .where(campaign_recipients.c.campaign_id == campaign_id, IS_WAITING, *not_held)
        .order_by(campaign_recipients.c.position)
        .limit(most)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(waiting)).scalar_one()
