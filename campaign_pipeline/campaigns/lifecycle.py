"""A campaign's life: draft, active, paused, completed, cancelled.

Add here a step of that life; each is one function, one transaction of its caller, and one row in audit log and outbox.
Keep out the people (`recipients`) and the sending.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, select, update

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.catalogue import (
    Campaign,
    CampaignChange,
    CampaignDraft,
    as_columns,
    draft_of,
    find,
    find_row,
    get,
    slug_of,
)
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.campaigns.send_schedule import Estimate, first_open_date, keep_plan
from campaign_pipeline.campaigns.templates import missing_columns
from campaign_pipeline.ledger.conditions import IS_UNSETTLED, IS_WAITING
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import (
    campaign_analytics,
    campaign_recipients,
    campaign_send_schedule,
    marketing_campaigns,
    recipient_lists,
)
from campaign_pipeline.ledger.states import CampaignStatus, RecipientState, SkipReason


def create(connection: Connection, draft: CampaignDraft, *, actor: str, now: datetime) -> Campaign:
    """Makes a campaign in draft.

    Raises:
        CampaignError: Something in the draft cannot be used, or the name is taken.
    """
    checked = draft.checked()
    slug = slug_of(draft.name)
    if connection.execute(select(exists().where(marketing_campaigns.c.slug == slug))).scalar_one():
        msg = f"There is a campaign {slug!r} already: choose another name, or delete that one while it is a draft."
        raise CampaignError(msg)
    campaign_id = connection.execute(
        insert(marketing_campaigns)
        .values(slug=slug, status=CampaignStatus.DRAFT, created_at=now, **as_columns(checked))
        .returning(marketing_campaigns.c.id)
    ).scalar_one()
    campaign = get(connection, campaign_id)
    record(connection, "campaign_created", campaign.slug, actor=actor, now=now)
    return campaign


def edit(
    connection: Connection, reference: str | int, change: CampaignChange, *, actor: str, now: datetime
) -> Campaign:
    """Changes a campaign: a draft in everything, an active or paused one in its limit and priority only.

    Raises:
        CampaignError: This campaign cannot be changed so.
    """
    campaign = _held(connection, reference)
    given = change.given
    if not given:
        msg = "Nothing to change was given."
        raise CampaignError(msg)
    if campaign.status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED):
        msg = f"{campaign.slug} is {campaign.status}: it can no longer be changed."
        raise CampaignError(msg)
    beyond = sorted(set(given) - {"daily_send_limit", "priority"})
    if campaign.status != CampaignStatus.DRAFT and beyond:
        msg = f"{campaign.slug} is {campaign.status}: only its daily limit and priority can change, not {beyond[0]}."
        raise CampaignError(msg)
    draft = replace(draft_of(campaign), **given).checked()
    slug = slug_of(draft.name)
    if slug != campaign.slug and find_row(connection, slug) is not None:
        msg = f"There is a campaign {slug!r} already: choose another name."
        raise CampaignError(msg)
    connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id == campaign.id)
        .values(slug=slug, **as_columns(draft))
    )
    record(connection, "campaign_edited", slug, actor=actor, now=now, details={"changed": sorted(given)})
    return get(connection, campaign.id)


def activate(
    connection: Connection,
    reference: str | int,
    *,
    calendar: SendCalendar,
    sender_limit: int,
    actor: str,
    now: datetime,
) -> tuple[Campaign, Estimate]:
    """Makes a draft active: its people join the queue, and the plan of days is kept as it is foreseen now.

    Raises:
        CampaignError: It is no draft, has nobody in it, or has people who lack a value that the template needs.
        PlanError: Under the sender's limit nobody could ever be reached.
    """
    campaign = _in_status(connection, reference, "activated", CampaignStatus.DRAFT)
    _refuse_empty(connection, campaign)
    _refuse_missing_values(connection, campaign)
    _set_status(connection, campaign, CampaignStatus.ACTIVE, activated_at=now)
    estimate = keep_plan(connection, campaign.id, first_open_date(connection, calendar, now), sender_limit, now)
    details = {"days": estimate.days, "last_date": estimate.last_date.isoformat() if estimate.last_date else None}
    record(connection, "campaign_activated", campaign.slug, actor=actor, now=now, details=details)
    # An audience of which everyone has unsubscribed since it was added is taken by no batch; that is found on its date.
    return get(connection, campaign.id), estimate


def pause(connection: Connection, reference: str | int, *, actor: str, now: datetime, reason: str = "") -> Campaign:
    """Stops a campaign before its next attempt; calls already in flight go out.

    Raises:
        CampaignError: It is not active.
    """
    campaign = _in_status(connection, reference, "paused", CampaignStatus.ACTIVE)
    _set_status(connection, campaign, CampaignStatus.PAUSED, status_reason=reason or f"paused by {actor}")
    record(connection, "campaign_paused", campaign.slug, actor=actor, now=now)
    return get(connection, campaign.id)


def resume(connection: Connection, reference: str | int, *, actor: str, now: datetime) -> Campaign:
    """Takes a paused campaign up again.

    Raises:
        CampaignError: It is not paused.
    """
    campaign = _in_status(connection, reference, "resumed", CampaignStatus.PAUSED)
    _set_status(connection, campaign, CampaignStatus.ACTIVE, status_reason=None)
    record(connection, "campaign_resumed", campaign.slug, actor=actor, now=now)
    return get(connection, campaign.id)


def cancel(connection: Connection, reference: str | int, *, actor: str, now: datetime) -> Campaign:
    """Ends a campaign for good: whoever was not attempted is skipped, what is in flight or in doubt stays as it is.

    Raises:
        CampaignError: It has ended already.
    """
    fold_alone(connection)
    campaign = _in_status(
        connection, reference, "cancelled", CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED
    )
    _set_status(connection, campaign, CampaignStatus.CANCELLED, status_reason=f"cancelled by {actor}", finished_at=now)
    skipped = connection.execute(
        update(campaign_recipients)
        .where(
            campaign_recipients.c.campaign_id == campaign.id,
            campaign_recipients.c.state.in_((RecipientState.PENDING, RecipientState.CLAIMED)),
        )
        .values(state=RecipientState.SKIPPED, reason=SkipReason.CANCELLED, changed_at=now)
    ).rowcount
    record(connection, "campaign_cancelled", campaign.slug, actor=actor, now=now, details={"skipped": skipped})
    return get(connection, campaign.id)


def delete_draft(connection: Connection, reference: str | int, *, actor: str, now: datetime) -> None:
    """Deletes a draft with its lists and audience.

    Raises:
        CampaignError: It was active once; what was sent to whom is never deleted.
    """
    campaign = _in_status(connection, reference, "deleted", CampaignStatus.DRAFT)
    for table in (campaign_recipients, recipient_lists, campaign_send_schedule, campaign_analytics):
        connection.execute(delete(table).where(table.c.campaign_id == campaign.id))
    connection.execute(delete(marketing_campaigns).where(marketing_campaigns.c.id == campaign.id))
    record(connection, "campaign_deleted", campaign.slug, actor=actor, now=now)


def complete_settled(connection: Connection, now: datetime) -> list[str]:
    """Marks as completed every active or paused campaign in which nobody is left unsettled; gives their slugs.

    Called in the transaction that settles people, so that a campaign is completed with its last one and not before.
    """
    unsettled = exists().where(campaign_recipients.c.campaign_id == marketing_campaigns.c.id, IS_UNSETTLED)
    can_be = (marketing_campaigns.c.status.in_((CampaignStatus.ACTIVE, CampaignStatus.PAUSED)), ~unsettled)
    # Held first and asked again in a later statement: while this waited for the row, somebody may have added people.
    candidates = (
        connection.execute(
            select(marketing_campaigns.c.id).where(*can_be).order_by(marketing_campaigns.c.id).with_for_update()
        )
        .scalars()
        .all()
    )
    if not candidates:
        return []
    completed = connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id.in_(candidates), *can_be)
        .values(status=CampaignStatus.COMPLETED, status_reason=None, finished_at=now)
        .returning(marketing_campaigns.c.slug)
    ).scalars()
    slugs = list(completed)
    for slug in slugs:
        record(connection, "campaign_completed", slug, actor="campaign_pipeline", now=now)
    return slugs


def _held(connection: Connection, reference: str | int) -> Campaign:
    """The campaign, which nobody else changes until this transaction ends."""
    campaign_id = find(connection, reference).id
    connection.execute(
        select(marketing_campaigns.c.id).where(marketing_campaigns.c.id == campaign_id).with_for_update()
    )
    return get(connection, campaign_id)


def _in_status(connection: Connection, reference: str | int, done: str, *allowed: CampaignStatus) -> Campaign:
    campaign = _held(connection, reference)
    if campaign.status not in allowed:
        msg = f"{campaign.slug} is {campaign.status}: only a campaign that is {' or '.join(allowed)} can be {done}."
        raise CampaignError(msg)
    return campaign


def _set_status(connection: Connection, campaign: Campaign, status: CampaignStatus, **values: object) -> None:
    changed = connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id == campaign.id, marketing_campaigns.c.status == campaign.status)
        .values(status=status, **values)
    ).rowcount
    if not changed:
        msg = f"{campaign.slug} was changed by somebody else at the same moment: look at it again."
        raise CampaignError(msg)


def _refuse_empty(connection: Connection, campaign: Campaign) -> None:
    anyone = exists().where(campaign_recipients.c.campaign_id == campaign.id, IS_WAITING)
    if not connection.execute(select(anyone)).scalar_one():
        msg = f"{campaign.slug} has nobody in it: `campaign add {campaign.slug} FILE` first."
        raise CampaignError(msg)


def _refuse_missing_values(connection: Connection, campaign: Campaign) -> None:
    if not campaign.parameters:
        return
    # Read here rather than asked for in SQL: a column may be called anything, and each database has its own idea of a
    # path into JSON.
    rows = connection.execute(
        select(campaign_recipients.c.parameters).where(campaign_recipients.c.campaign_id == campaign.id),
        execution_options={"yield_per": 1_000},
    )
    people_lacking = Counter(column for row in rows for column in missing_columns(campaign.parameters, row.parameters))
    for parameter in campaign.parameters:
        lacking = people_lacking[parameter.column]
        if lacking:
            msg = (
                f"{lacking} people of {campaign.slug} have no value in the column {parameter.column!r}, which fills "
                f"the template's {parameter.name}: add a list that has it, or `campaign edit` the parameters."
            )
            raise CampaignError(msg)
