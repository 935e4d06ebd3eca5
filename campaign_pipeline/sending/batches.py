"""Batches: taking one for a send date, going on with it, closing it.

Add here what happens to a batch as a whole; each function is a step in its caller's transaction.
Keep out single people's attempts (`attempts`) and the order of the queue (`campaigns.queue`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    case,
    delete,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from campaign_pipeline.campaigns.figures import batch_figures
from campaign_pipeline.campaigns.held_countries import held_regions
from campaign_pipeline.campaigns.journal import announce
from campaign_pipeline.campaigns.lifecycle import PAUSED_BY_A_CAUSE, complete_settled
from campaign_pipeline.campaigns.plan import Demand
from campaign_pipeline.campaigns.queue import QueuedPerson, demands_up_to, head_of_queue
from campaign_pipeline.delivery.analytics import refresh_date
from campaign_pipeline.delivery.folding import CAPACITY_WINDOW, newest_time, refold
from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.locks import fold_alone
from campaign_pipeline.ledger.schema import batches, campaign_recipients, marketing_campaigns, send_attempts
from campaign_pipeline.ledger.states import (
    AttemptOutcome,
    BatchState,
    CampaignStatus,
    RecipientState,
    SkipReason,
)
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.recipients.opt_ins import opted_in_among

BATCH_CLOSED: Final = "batch_closed"
"""The kind of the outbox row that tells of a closed batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One date's batch.

    Attributes:
        id: Its row.
        send_date: Its date, which no other batch has.
        is_open: Whether people of it may still be sent to.
        size: How many people it was taken with.
        moved_on: How many went back to the queue when it was closed before they were sent to.
        close_reason: Why it was closed; None while it is open.
    """

    id: int
    send_date: date
    is_open: bool
    size: int
    moved_on: int
    close_reason: str | None


def batch_of(connection: Connection, send_date: date) -> Batch | None:
    """The batch of a date, if one was taken."""
    row = connection.execute(select(batches).where(batches.c.send_date == send_date)).one_or_none()
    return _batch(row) if row is not None else None


def take_batch(
    connection: Connection,
    sender_id: int,
    send_date: date,
    room: int,
    run_id: str,
    now: datetime,
    consent: ConsentNeeded = ConsentNeeded.UPLOAD,
) -> Batch | None:
    """Takes the next people of the queue for a date: each campaign up to its daily limit, in all up to `room`.

    The unsubscribed become skipped as the queue reaches them and use up no place, and so does whoever lacks the consent
    that is needed. Nobody to take makes no batch.
    """
    taken: list[int] = []
    for demand in demands_up_to(connection, 1):
        wanted = min(demand.daily_limit, room - len(taken))
        taken += _next_sendable(connection, demand, wanted, consent, now)
    complete_settled(connection, now)
    if not taken:
        return None
    batch_id = connection.execute(
        insert(batches)
        .values(
            send_date=send_date,
            sender_id=sender_id,
            state=BatchState.OPEN,
            size=len(taken),
            taken_by_run=run_id,
            taken_at=now,
        )
        .returning(batches.c.id)
    ).scalar_one()
    claimed = _claim(connection, batch_id, taken, now)
    if claimed < len(taken):
        # Somebody was removed or cancelled between the look at the queue and here.
        if not claimed:
            connection.execute(delete(batches).where(batches.c.id == batch_id))
            return None
        connection.execute(update(batches).where(batches.c.id == batch_id).values(size=claimed))
    announce(connection, "batch_taken", now=now, send_date=send_date, details={"size": claimed})
    return Batch(batch_id, send_date, is_open=True, size=claimed, moved_on=0, close_reason=None)


def close_other_batches(connection: Connection, send_date: date, today: date, now: datetime) -> list[Batch]:
    """Closes every unfinished batch but that of `send_date` and, while its day lasts, today's.

    Called by whoever holds the sender, so nobody is at work on them: who was claimed goes back to the old place in the
    queue, who was being attempted is in doubt.
    """
    unfinished = connection.execute(
        select(batches)
        .where(batches.c.state == BatchState.OPEN, batches.c.send_date.not_in((send_date, today)))
        .order_by(batches.c.send_date)
    ).all()
    return [close_batch(connection, _batch(row), f"closed by the batch of {send_date}", now) for row in unfinished]


def close_batch(connection: Connection, batch: Batch, reason: str, now: datetime) -> Batch:
    """Closes a batch for good; people who were not sent to go back to their old place in the queue."""
    doubt_unanswered(connection, batch, now)
    moved_on = _give_back(connection, batch, now)
    connection.execute(
        update(batches)
        .where(batches.c.id == batch.id, batches.c.state == BatchState.OPEN)
        .values(state=BatchState.CLOSED, closed_at=now, close_reason=reason, moved_on=batches.c.moved_on + moved_on)
    )
    complete_settled(connection, now)
    refresh_date(connection, batch.send_date, now)
    figures = batch_figures(connection, batch.send_date)
    closed = _reread(connection, batch)
    details = {
        "sent": figures.sent,
        "failed": figures.failed,
        "skipped": figures.skipped,
        "in_doubt": figures.in_doubt,
        "moved_on": closed.moved_on,
        "reason": reason,
    }
    announce(connection, BATCH_CLOSED, now=now, send_date=batch.send_date, details=details)
    return closed


def doubt_unanswered(connection: Connection, batch: Batch, now: datetime) -> int:
    """Puts in doubt whoever is still being attempted, once nobody is left who could bring the answer.

    Called by whoever has just taken over the sender. They count as used capacity for 24 hours from now, since nobody
    knows when the call ended.
    """
    fold_alone(connection)
    stamp = newest_time(connection, now)
    calling = (send_attempts.c.batch_id == batch.id, send_attempts.c.outcome == AttemptOutcome.CALLING)
    people = connection.execute(select(send_attempts.c.recipient_id).where(*calling)).scalars().all()
    if people:
        connection.execute(
            update(send_attempts)
            .where(*calling)
            .values(
                outcome=AttemptOutcome.IN_DOUBT,
                answered_at=stamp,
                counts_until=stamp + CAPACITY_WINDOW,
                error_text="the run that made this call ended before its answer came",
            )
        )
        refold(connection, select(campaign_recipients.c.id).where(campaign_recipients.c.id.in_(people)), now)
    return len(people)


def release_held_up(connection: Connection, batch: Batch, now: datetime) -> int:
    """Gives back to the queue the claimed people of held countries, and of campaigns that a person has paused or ended.

    Those of a campaign that was paused by what WhatsApp says stay: once it is mended, the date goes on with them.

    Returns:
        How many were given back.
    """
    campaign = marketing_campaigns.c
    given_up = select(campaign.id).where(campaign.status != CampaignStatus.ACTIVE, ~PAUSED_BY_A_CAUSE)
    of_nobody_sent_to = or_(
        campaign_recipients.c.campaign_id.in_(given_up), campaign_recipients.c.region.in_(held_regions(connection))
    )
    moved_on = _give_back(connection, batch, now, of_nobody_sent_to)
    connection.execute(update(batches).where(batches.c.id == batch.id).values(moved_on=batches.c.moved_on + moved_on))
    return moved_on


def held_up(connection: Connection, batch: Batch) -> dict[str, str]:
    """The campaigns that people of a batch cannot be sent to for, though no person has paused them: slug and reason."""
    campaign = marketing_campaigns.c
    waits = exists().where(
        campaign_recipients.c.batch_id == batch.id,
        campaign_recipients.c.state == RecipientState.CLAIMED,
        campaign_recipients.c.campaign_id == campaign.id,
    )
    rows = connection.execute(
        select(*campaign["slug", "status_reason"]).where(PAUSED_BY_A_CAUSE, waits).order_by(campaign.id)
    )
    return {row.slug: row.status_reason or "" for row in rows}


def people_left(connection: Connection, batch: Batch) -> int:
    """How many people of a batch are still to be sent to."""
    query = select(func.count()).where(
        campaign_recipients.c.batch_id == batch.id, campaign_recipients.c.state == RecipientState.CLAIMED
    )
    return connection.execute(query).scalar_one()


def has_unfinished_before(connection: Connection, send_date: date) -> bool:
    """Whether an earlier batch was left unfinished: whoever is in it waits for the next take to close it."""
    earlier = exists().where(batches.c.state == BatchState.OPEN, batches.c.send_date < send_date)
    return connection.execute(select(earlier)).scalar_one()


def anybody_waits(connection: Connection) -> bool:
    """Whether anybody is in the queue of an active campaign."""
    return any(demand.waiting for demand in demands_up_to(connection, 1))


def need_of_date(connection: Connection, send_date: date, sender_limit: int) -> int:
    """How many people the batch of a date still wants to reach: the claimed ones, or what it would take now."""
    batch = batch_of(connection, send_date)
    if batch is not None:
        return people_left(connection, batch) if batch.is_open else 0
    demands = demands_up_to(connection, sender_limit)
    return min(sender_limit, sum(min(demand.waiting, demand.daily_limit) for demand in demands))


def _next_sendable(
    connection: Connection, demand: Demand, wanted: int, consent: ConsentNeeded, now: datetime
) -> list[int]:
    sendable: list[int] = []
    place = 0
    while len(sendable) < wanted:
        head = head_of_queue(connection, demand.campaign_id, wanted - len(sendable), place)
        if not head:
            break
        place = head[-1].position
        unwilling = [each for each in head if each.unsubscribed]
        unproven = _without_opt_in(connection, [each for each in head if not each.unsubscribed], consent)
        skip_unsubscribed(connection, [each.recipient_id for each in unwilling], now)
        _skip(connection, [each.recipient_id for each in unproven], SkipReason.NO_OPT_IN, now)
        left_out = {*unwilling, *unproven}
        sendable += [each.recipient_id for each in head if each not in left_out]
    return sendable


def skip_unsubscribed(connection: Connection, recipient_ids: list[int], now: datetime) -> None:
    """Skips people who do not want messages, if they were not attempted in the meantime."""
    _skip(connection, recipient_ids, SkipReason.UNSUBSCRIBED, now)


def _without_opt_in(connection: Connection, people: list[QueuedPerson], consent: ConsentNeeded) -> list[QueuedPerson]:
    """Those of some people of whom nothing shows that they agreed, where that is asked for."""
    if consent is ConsentNeeded.UPLOAD:
        return []
    shown = opted_in_among(connection, [each.person_key for each in people])
    return [each for each in people if each.person_key not in shown]


def _skip(connection: Connection, recipient_ids: list[int], reason: SkipReason, now: datetime) -> None:
    if recipient_ids:
        connection.execute(
            update(campaign_recipients)
            .where(
                campaign_recipients.c.id.in_(recipient_ids),
                campaign_recipients.c.state.in_((RecipientState.PENDING, RecipientState.CLAIMED)),
            )
            .values(state=RecipientState.SKIPPED, reason=reason, changed_at=now)
        )


def _claim(connection: Connection, batch_id: int, recipient_ids: list[int], now: datetime) -> int:
    claimed = 0
    for some in in_portions(recipient_ids):
        claimed += connection.execute(
            update(campaign_recipients)
            .where(campaign_recipients.c.id.in_(some), campaign_recipients.c.state == RecipientState.PENDING)
            .values(state=RecipientState.CLAIMED, batch_id=batch_id, changed_at=now)
        ).rowcount
    return claimed


def _give_back(connection: Connection, batch: Batch, now: datetime, *which: ColumnElement[bool]) -> int:
    cancelled = campaign_recipients.c.campaign_id.in_(
        select(marketing_campaigns.c.id).where(marketing_campaigns.c.status == CampaignStatus.CANCELLED)
    )
    return connection.execute(
        update(campaign_recipients)
        .where(
            campaign_recipients.c.batch_id == batch.id, campaign_recipients.c.state == RecipientState.CLAIMED, *which
        )
        .values(
            state=case((cancelled, RecipientState.SKIPPED.value), else_=RecipientState.PENDING.value),
            reason=case((cancelled, SkipReason.CANCELLED.value), else_=null()),
            batch_id=case((cancelled, campaign_recipients.c.batch_id), else_=null()),
            changed_at=now,
        )
    ).rowcount


def _reread(connection: Connection, batch: Batch) -> Batch:
    return _batch(connection.execute(select(batches).where(batches.c.id == batch.id)).one())


def _batch(row: Row) -> Batch:
    return Batch(row.id, row.send_date, row.state == BatchState.OPEN, row.size, row.moved_on, row.close_reason)
