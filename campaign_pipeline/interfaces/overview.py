"""A look at more than one room at once: a campaign with its lists, and the day with what needs attention.

Add here a read-only look that combines rooms. Nothing here changes a row, and the moment comes in as an argument.
Keep out how it is shown, and figures: `campaigns.figures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, select

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.catalogue import Campaign, list_all
from campaign_pipeline.campaigns.figures import Figures, batch_figures
from campaign_pipeline.campaigns.plan import PlanError, share_of_date
from campaign_pipeline.campaigns.queue import demands_in_order
from campaign_pipeline.campaigns.send_schedule import ScheduledDate, first_open_date, read_schedule, read_schedule_of
from campaign_pipeline.delivery.impediments import impediments
from campaign_pipeline.ledger.conditions import IS_UNSETTLED
from campaign_pipeline.ledger.schema import batches, campaign_recipients, marketing_campaigns, recipient_lists, senders
from campaign_pipeline.ledger.states import BatchState, CampaignStatus, PauseCause, RecipientState
from campaign_pipeline.recipients.identity import shared_in_campaigns
from campaign_pipeline.sending.batches import Batch, batch_of
from campaign_pipeline.sending.capacity import SENDER, Capacity, capacity_at, next_freed

_COUNTS = ("added", "duplicate_in_list", "already_in_campaign", "invalid", "unsubscribed")
_NOT_IN_THE_QUEUE = (CampaignStatus.DRAFT, CampaignStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class NextBatch:
    """The batch that is foreseen next: its date, when it is started, and how many people of which campaign it takes."""

    send_date: date
    starts_at: datetime
    sizes: dict[str, int]

    @property
    def size(self) -> int:
        """How many people it takes in all."""
        return sum(self.sizes.values())


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a person should look at; `kind` is for programs, the sentence for people."""

    kind: str
    sentence: str
    campaign: str | None = None
    people: int | None = None
    send_date: date | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """How today stands.

    Attributes:
        today: The business's date.
        window_is_open: Whether messages may go out now.
        next_opening: When they may again; now, if they may.
        batch: Today's batch; None while none was taken.
        figures: Its figures.
        capacity: The moving 24 hours now.
        next_freed: When the first person leaves these 24 hours.
        coming: The batch that is foreseen next.
        concerns: What a person should look at.
    """

    today: date
    window_is_open: bool
    next_opening: datetime
    batch: Batch | None
    figures: Figures
    capacity: Capacity
    next_freed: datetime | None
    coming: NextBatch
    concerns: tuple[Concern, ...]


def look_at_day(connection: Connection, calendar: SendCalendar, sender_limit: int, now: datetime) -> Day:
    """Looks at the day as it stands at a moment."""
    today = calendar.date_of(now)
    capacity, freed = _capacity(connection, sender_limit, now)
    batch = batch_of(connection, today)
    coming = _next_batch(connection, calendar, sender_limit, now)
    is_open = calendar.window_is_open(now)
    in_the_way = _impediments(connection, now)
    is_stopped = any(each.kind == "sender_stopped" for each in in_the_way)
    is_time = is_open and calendar.send_moment(today) <= now
    could_send = batch is None and coming.size > 0 and is_time and not is_stopped
    not_sent = (_not_sent(today),) if could_send and calendar.start_date <= today else ()
    return Day(
        today=today,
        window_is_open=is_open,
        next_opening=calendar.next_opening(now),
        batch=batch,
        figures=batch_figures(connection, today),
        capacity=capacity,
        next_freed=freed,
        coming=coming,
        concerns=(
            *in_the_way,
            *_nothing_allowed(sender_limit),
            *not_sent,
            *_unfinished_batches(connection, today),
            *_doubts(connection),
            *_shared_accounts(connection, now),
            *_paused(connection),
        ),
    )


def schedule_of(
    connection: Connection, campaign_id: int, first_date: date, sender_limit: int
) -> tuple[list[ScheduledDate], str | None]:
    """A campaign's schedule; under limits that no plan comes to an end with, only what is past, and why."""
    try:
        return read_schedule(connection, campaign_id, first_date, sender_limit), None
    except PlanError as error:
        return read_schedule_of(connection, campaign_id, []), str(error)


def completion_date(campaign: Campaign, waiting: int, schedule: Sequence[ScheduledDate]) -> date | None:
    """The date on which a campaign's last batch is expected; when nobody waits, the date on which it was.

    Args:
        campaign: The campaign.
        waiting: How many of its people are pending.
        schedule: Its schedule.

    Returns:
        The date; None while people wait and the campaign is not in the queue, or when it never sent anything.
    """
    expected = [each.send_date for each in schedule if each.expected_size]
    if expected:
        return expected[-1]
    if waiting and campaign.status in _NOT_IN_THE_QUEUE:
        return None
    taken = [each.send_date for each in schedule if each.batch_size is not None]
    return taken[-1] if taken else None


def lists_of(connection: Connection, campaign_id: int) -> list[dict[str, object]]:
    """The recipient lists of a campaign with their counts, in the order in which they came."""
    lists = recipient_lists.c
    counts = (lists.rows_read.label("read"), *(lists[name] for name in _COUNTS))
    query = (
        select(lists.id, lists.name, lists.state, lists.error, *counts, lists.rejections_file, lists.kept_as)
        .add_columns(lists.received_at, lists.finished_at)
        .where(lists.campaign_id == campaign_id)
        .order_by(lists.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _capacity(connection: Connection, limit: int, now: datetime) -> tuple[Capacity, datetime | None]:
    # The sender's row is made by the first run: until then nothing was sent, and looking makes none.
    sender = connection.execute(select(senders.c.id).where(senders.c.name == SENDER)).scalar_one_or_none()
    if sender is None:
        return Capacity(limit, 0), None
    return capacity_at(connection, sender, limit, now), next_freed(connection, sender, now)


def _next_batch(connection: Connection, calendar: SendCalendar, sender_limit: int, now: datetime) -> NextBatch:
    slugs = {each.id: each.slug for each in list_all(connection)}
    shares = share_of_date(demands_in_order(connection), sender_limit)
    send_date = first_open_date(connection, calendar, now)
    sizes = {slugs[campaign_id]: size for campaign_id, size in shares.items()}
    return NextBatch(send_date, calendar.send_moment(send_date), sizes)


def _not_sent(today: date) -> Concern:
    sentence = "People wait and no batch was taken today: `campaign send` takes it now, else the next date has them."
    return Concern("not_sent_today", sentence, send_date=today)


def _nothing_allowed(sender_limit: int) -> list[Concern]:
    sentence = (
        "The sender's limit is 0: nobody can be reached until CAMPAIGN_SENDER_LIMIT is raised, or another limit set "
        "with `campaign limit set`."
    )
    return [] if sender_limit else [Concern("limit_is_zero", sentence)]


def _impediments(connection: Connection, now: datetime) -> list[Concern]:
    return [
        Concern(each.kind, each.sentence, campaign=each.campaign, people=each.people)
        for each in impediments(connection, now)
    ]


def _unfinished_batches(connection: Connection, today: date) -> list[Concern]:
    query = (
        select(batches.c.send_date, func.count(campaign_recipients.c.id).label("left"))
        .outerjoin(
            campaign_recipients,
            (campaign_recipients.c.batch_id == batches.c.id)
            & campaign_recipients.c.state.in_((RecipientState.CLAIMED, RecipientState.ATTEMPTING)),
        )
        .where(batches.c.state == BatchState.OPEN, batches.c.send_date < today)
        .group_by(batches.c.send_date)
        .order_by(batches.c.send_date)
    )
    sentence = "The batch of {} is unfinished, {} left: the next batch takes them, or `campaign send --date {}`."
    return [
        Concern(
            "batch_unfinished",
            sentence.format(row.send_date, row.left, row.send_date),
            people=row.left,
            send_date=row.send_date,
        )
        for row in connection.execute(query)
    ]


def _doubts(connection: Connection) -> list[Concern]:
    campaigns = marketing_campaigns.c
    # Counted campaign by campaign, of which there are few, rather than looked for among all who are unsettled.
    in_doubt = (
        select(func.count())
        .where(
            campaign_recipients.c.campaign_id == campaigns.id,
            IS_UNSETTLED,
            campaign_recipients.c.state == RecipientState.IN_DOUBT,
        )
        .correlate(marketing_campaigns)
        .scalar_subquery()
    )
    counted = select(campaigns.id, campaigns.slug, in_doubt.label("people")).subquery("counted")
    query = select(counted.c.slug, counted.c.people).where(counted.c.people > 0).order_by(counted.c.id)
    sentence = (
        "{}: {} in doubt (the answer to their call was lost); they are not sent to again by themselves. `campaign "
        "doubts` lists what is known of each."
    )
    return [
        Concern("in_doubt", sentence.format(row.slug, row.people), campaign=row.slug, people=row.people)
        for row in connection.execute(query)
    ]


def _shared_accounts(connection: Connection, now: datetime) -> list[Concern]:
    return [
        Concern(
            "shared_account",
            f"{each.campaign}: people turned out to share one WhatsApp account ({each.skipped} skipped before they got "
            f"the message again, {each.reached} sent to before it was known). Look in its lists for one person under "
            "two numbers.",
            campaign=each.campaign,
            people=each.skipped + each.reached,
        )
        for each in shared_in_campaigns(connection, now)
    ]


def _paused(connection: Connection) -> list[Concern]:
    query = (
        select(marketing_campaigns.c.slug, marketing_campaigns.c.status_reason)
        .where(
            marketing_campaigns.c.status == CampaignStatus.PAUSED, marketing_campaigns.c.paused_by == PauseCause.PERSON
        )
        .order_by(marketing_campaigns.c.id)
    )
    sentence = "{} is paused ({}): `campaign resume {}` takes it up again."
    return [
        Concern("paused", sentence.format(slug, reason or "no reason given", slug), campaign=slug)
        for slug, reason in connection.execute(query)
    ]
