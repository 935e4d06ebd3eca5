"""A campaign's life: draft, active, paused, completed, cancelled.

Add here a step of that life; each is one function, one transaction of its caller, and one row in audit log and outbox.
Keep out the people (`recipients`) and the sending.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, exists, insert, select, update

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
from campaign_pipeline.campaigns.errors import CampaignError, CampaignStateError
from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.campaigns.kept_template import NOTHING_KEPT, keep_template
from campaign_pipeline.campaigns.preflight import errors_in, findings_of
from campaign_pipeline.campaigns.send_schedule import Estimate, first_open_date, keep_plan
from campaign_pipeline.campaigns.template_lookup import Found, NotLookedUp, TemplateLookup
from campaign_pipeline.campaigns.value_problems import value_problems
from campaign_pipeline.ledger.conditions import IS_UNSETTLED, IS_WAITING
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import (
    campaign_analytics,
    campaign_recipients,
    campaign_send_schedule,
    marketing_campaigns,
    recipient_lists,
)
from campaign_pipeline.ledger.states import CampaignStatus, PauseCause, RecipientState, SkipReason

PAUSED_BY_A_CAUSE: Final = and_(
    marketing_campaigns.c.status == CampaignStatus.PAUSED, marketing_campaigns.c.paused_by != PauseCause.PERSON
)
"""Nobody of it can be reached, though no person has paused it."""

_NOT_PAUSED: Final = {"paused_by": None, "paused_at": None}

NOBODY_LOOKED = NotLookedUp("whoever activates it has not asked Meta for it.")


def create(connection: Connection, draft: CampaignDraft, *, actor: str, now: datetime) -> Campaign:
    """Makes a campaign in draft.

    Raises:
        CampaignError: Something in the draft cannot be used, or the name is taken.
    """
    checked = draft.checked()
    slug = slug_of(draft.name)
    if connection.execute(select(exists().where(marketing_campaigns.c.slug == slug))).scalar_one():
        msg = f"There is a campaign {slug!r} already: choose another name, or delete that one while it is a draft."
        raise CampaignStateError(msg)
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
        raise CampaignStateError(msg)
    beyond = sorted(set(given) - {"daily_send_limit", "follows_sender_limit", "priority"})
    if campaign.status != CampaignStatus.DRAFT and beyond:
        msg = f"{campaign.slug} is {campaign.status}: only its daily limit and priority can change, not {beyond[0]}."
        raise CampaignStateError(msg)
    draft = replace(draft_of(campaign), **given).checked()
    slug = slug_of(draft.name)
    if slug != campaign.slug and find_row(connection, slug) is not None:
        msg = f"There is a campaign {slug!r} already: choose another name."
        raise CampaignStateError(msg)
    connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id == campaign.id)
        .values(slug=slug, **as_columns(draft), **_of_another_template(campaign, draft))
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
    lookup: TemplateLookup = NOBODY_LOOKED,
) -> tuple[Campaign, Estimate]:
    """Makes a draft active: its people join the queue, and the plan of days is kept as it is foreseen now.

    Args:
        connection: A transaction that writes.
        reference: Slug, name or id.
        calendar: The business's days.
        sender_limit: People in 24 hours.
        actor: Who activates it.
        now: The moment, UTC.
        lookup: What Meta has shown of the template; what was found is kept on the campaign.

    Raises:
        CampaignError: It is no draft, has nobody in it, or WhatsApp would refuse its messages: `preflight` says why.
        PlanError: Under the sender's limit nobody could ever be reached.
    """
    campaign = _in_status(connection, reference, "activated", CampaignStatus.DRAFT)
    _refuse_empty(connection, campaign)
    if isinstance(lookup, Found):
        _refuse_another_template(campaign, lookup)
        campaign = keep_template(connection, campaign, lookup.template, now)
    _refuse_what_would_fail(connection, campaign, lookup)
    _set_status(connection, campaign, CampaignStatus.ACTIVE, activated_at=now)
    estimate = keep_plan(connection, campaign.id, first_open_date(connection, calendar, now), sender_limit, now)
    details = {"days": estimate.days, "last_date": estimate.last_date.isoformat() if estimate.last_date else None}
    record(connection, "campaign_activated", campaign.slug, actor=actor, now=now, details=details)
    # An audience of which everyone has unsubscribed since it was added is taken by no batch; that is found on its date.
    return get(connection, campaign.id), estimate


def pause(connection: Connection, reference: str | int, *, actor: str, now: datetime, reason: str = "") -> Campaign:
    """Stops a campaign before its next attempt; calls already in flight go out.

    One that was paused for another cause stays paused, and no longer goes on by itself when that cause is gone.

    Raises:
        CampaignError: It is neither active nor paused by anything but a person.
    """
    campaign = _held(connection, reference)
    by_a_cause = campaign.status == CampaignStatus.PAUSED and campaign.paused_by != PauseCause.PERSON
    if not by_a_cause and campaign.status != CampaignStatus.ACTIVE:
        raise _refused(campaign, "paused", CampaignStatus.ACTIVE)
    told = with_reason(campaign.status_reason, reason or f"paused by {actor}")
    values = {"status_reason": told, "paused_by": PauseCause.PERSON, "paused_at": now}
    _set_status(connection, campaign, CampaignStatus.PAUSED, **values)
    record(
        connection, "campaign_paused", campaign.slug, actor=actor, now=now, details={"reason": reason} if reason else {}
    )
    return get(connection, campaign.id)


def pause_for(
    connection: Connection,
    campaign_id: int,
    cause: PauseCause,
    reason: str,
    *,
    actor: str,
    now: datetime,
    since: datetime | None = None,
) -> None:
    """Pauses an active campaign since nobody of it can be reached; one that is paused already learns the reason.

    The people of an open batch stay in it: once somebody has mended it, the same date goes on. Campaigns that are
    neither active nor paused stay as they are.

    Args:
        connection: A transaction that writes.
        campaign_id: Which.
        cause: What kind of cause; a pause that does not end by itself keeps its own.
        reason: One sentence, with what to do.
        actor: Who found out, such as ``WhatsApp``.
        now: The moment, UTC.
        since: When the cause came about, UTC; now, if it was not told.
    """
    campaign = _held(connection, campaign_id)
    if campaign.status not in (CampaignStatus.ACTIVE, CampaignStatus.PAUSED):
        return
    if campaign.status == CampaignStatus.PAUSED and reason in (campaign.status_reason or ""):
        return
    # A template that is unpaused mends nothing else: any other cause stays.
    cause = cause if campaign.paused_by in (None, PauseCause.TEMPLATE) else campaign.paused_by
    told = with_reason(campaign.status_reason, reason)
    values = {"status_reason": told, "paused_by": cause, "paused_at": since or now}
    _set_status(connection, campaign, CampaignStatus.PAUSED, **values)
    record(connection, "campaign_paused", campaign.slug, actor=actor, now=now, details={"reason": reason})


def with_reason(known: str | None, reason: str) -> str:
    """What is known of why something stands still, and one more reason."""
    return f"{known} Also: {reason}" if known else reason


def resume(connection: Connection, reference: str | int, *, actor: str, now: datetime) -> Campaign:
    """Takes a paused campaign up again; what failed before is known, and does not pause it once more.

    Raises:
        CampaignError: It is not paused.
    """
    campaign = _in_status(connection, reference, "resumed", CampaignStatus.PAUSED)
    _take_up(connection, campaign, actor, now)
    return get(connection, campaign.id)


def resume_unpaused(connection: Connection, campaign_id: int, *, said_at: datetime, actor: str, now: datetime) -> bool:
    """Takes up again a campaign that waits for its template alone, which is unpaused; whether that was so.

    Args:
        connection: A transaction that writes.
        campaign_id: Which.
        said_at: When Meta said that the template is well, UTC: older than the pause, it is not about that one.
        actor: Who says so.
        now: The moment, UTC.
    """
    campaign = _held(connection, campaign_id)
    waits = campaign.status == CampaignStatus.PAUSED and campaign.paused_by == PauseCause.TEMPLATE
    if not waits or (campaign.paused_at is not None and said_at < campaign.paused_at):
        return False
    _take_up(connection, campaign, actor, now)
    return True


def _take_up(connection: Connection, campaign: Campaign, actor: str, now: datetime) -> None:
    values = {"status_reason": None, "resumed_at": now, "resumed_by": actor, **_NOT_PAUSED}
    _set_status(connection, campaign, CampaignStatus.ACTIVE, **values)
    record(connection, "campaign_resumed", campaign.slug, actor=actor, now=now)


def cancel(connection: Connection, reference: str | int, *, actor: str, now: datetime) -> Campaign:
    """Ends a campaign for good: whoever was not attempted is skipped, what is in flight or in doubt stays as it is.

    Raises:
        CampaignError: It has ended already.
    """
    fold_alone(connection)
    campaign = _in_status(
        connection, reference, "cancelled", CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED
    )
    _set_status(
        connection,
        campaign,
        CampaignStatus.CANCELLED,
        status_reason=f"cancelled by {actor}",
        finished_at=now,
        **_NOT_PAUSED,
    )
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
        .values(status=CampaignStatus.COMPLETED, status_reason=None, finished_at=now, **_NOT_PAUSED)
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
        raise _refused(campaign, done, *allowed)
    return campaign


def _refused(campaign: Campaign, done: str, *allowed: CampaignStatus) -> CampaignStateError:
    return CampaignStateError(
        f"{campaign.slug} is {campaign.status}: only a campaign that is {' or '.join(allowed)} can be {done}."
    )


def _set_status(connection: Connection, campaign: Campaign, status: CampaignStatus, **values: object) -> None:
    changed = connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id == campaign.id, marketing_campaigns.c.status == campaign.status)
        .values(status=status, **values)
    ).rowcount
    if not changed:
        msg = f"{campaign.slug} was changed by somebody else at the same moment: look at it again."
        raise CampaignStateError(msg)


def _refuse_empty(connection: Connection, campaign: Campaign) -> None:
    anyone = exists().where(campaign_recipients.c.campaign_id == campaign.id, IS_WAITING)
    if not connection.execute(select(anyone)).scalar_one():
        msg = f"{campaign.slug} has nobody in it: `campaign add {campaign.slug} FILE` first."
        raise CampaignStateError(msg)


def _refuse_another_template(campaign: Campaign, lookup: Found) -> None:
    """Somebody may have edited the draft between the look at its template and this transaction."""
    if (lookup.template.name, lookup.template.language) != (campaign.template_name, campaign.template_language):
        msg = f"{campaign.slug} got another template while it was looked up: activate it again."
        raise CampaignStateError(msg)


def _refuse_what_would_fail(connection: Connection, campaign: Campaign, lookup: TemplateLookup) -> None:
    problems = value_problems(connection, campaign.id, campaign.pattern)
    errors = errors_in(findings_of(campaign.pattern, lookup, problems, campaign.slug, campaign.status))
    if errors:
        raise CampaignStateError(" ".join(finding.sentence for finding in errors))


def _of_another_template(campaign: Campaign, draft: CampaignDraft) -> dict[str, None]:
    """The columns to empty when a draft gets another template than the one that was looked up."""
    before = (campaign.template_name, campaign.template_language)
    return {} if (draft.template_name, draft.template_language) == before else NOTHING_KEPT
