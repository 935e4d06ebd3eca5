"""The audience of a campaign, person by person: who is in it, where each stands, and taking one out.

Add here questions about single people of a campaign.
Keep out adding people (`intake`) and figures over all of them (`campaigns.figures`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, or_, select, update

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.campaigns.send_schedule import ScheduledDate
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.schema import batches, campaign_recipients, recipient_lists, send_attempts, subscriptions
from campaign_pipeline.ledger.states import CampaignStatus, RecipientState, SkipReason, SubscriptionStatus
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone

_ROWS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """One person of a campaign, and everything that is known of their message.

    Attributes:
        phone: E.164.
        state: Where the person stands.
        reason: Why, for who is skipped or failed.
        send_date: The date of the batch that the person is in.
        expected_date: The date that the queue foresees, for who still waits.
        accepted_at: When WhatsApp accepted the message, UTC; likewise the next four.
        error_code: Meta's code of a refusal or failure.
        wamid: Meta's id of the message.
        list_name: The list that the person came with, and `line_number` the line in it.
    """

    phone: str
    state: str
    reason: str | None
    send_date: date | None
    expected_date: date | None
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    error_code: int | None
    wamid: str | None
    list_name: str | None
    line_number: int | None

    def as_dict(self) -> dict[str, object]:
        """The row by column."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RecipientPage:
    """Some people of a campaign.

    Attributes:
        rows: The people.
        last_id: Where the next page goes on; None when this is the last.
    """

    rows: list[RecipientRow]
    last_id: int | None


def remove_person(connection: Connection, campaign: str, phone: PhoneNumber, *, actor: str, now: datetime) -> None:
    """Takes one person out of a campaign: out of a draft altogether, else skipped from now on.

    Raises:
        CampaignError: There is no such person in it, or a message is on its way or was sent.
    """
    found = find(connection, campaign)
    in_campaign = (
        campaign_recipients.c.campaign_id == found.id,
        campaign_recipients.c.person_key == phone.person_key,
    )
    state = connection.execute(select(campaign_recipients.c.state).where(*in_campaign)).scalar_one_or_none()
    if state is None:
        msg = f"{mask_phone(phone.e164)} is not in {found.slug}."
        raise CampaignError(msg)
    if state not in (RecipientState.PENDING, RecipientState.CLAIMED):
        msg = f"{mask_phone(phone.e164)} is {state} in {found.slug}: only who waits can be removed."
        raise CampaignError(msg)
    still_waits = (*in_campaign, campaign_recipients.c.state.in_((RecipientState.PENDING, RecipientState.CLAIMED)))
    if found.status == CampaignStatus.DRAFT:
        removed = connection.execute(delete(campaign_recipients).where(*still_waits)).rowcount
    else:
        removed = connection.execute(
            update(campaign_recipients)
            .where(*still_waits)
            .values(state=RecipientState.SKIPPED, reason=SkipReason.REMOVED, changed_at=now)
        ).rowcount
        complete_settled(connection, now)
    if not removed:
        msg = f"{mask_phone(phone.e164)} was being sent to at this moment: look at it again."
        raise CampaignError(msg)
    details = {"person": mask_phone(phone.e164)}
    record(connection, "person_removed", found.slug, actor=actor, now=now, details=details)


def read_recipients(
    connection: Connection, campaign_id: int, *, state: RecipientState | None, schedule: list[ScheduledDate]
) -> Iterator[RecipientRow]:
    """The people of a campaign in the order of its queue, read as they are asked for.

    Args:
        connection: Open for as long as rows are taken.
        campaign_id: The campaign.
        state: Only who is in this state.
        schedule: The campaign's schedule, from which the expected dates are told.
    """
    expected = _expected_dates(schedule)
    people = _people(campaign_recipients.c.campaign_id == campaign_id).order_by(campaign_recipients.c.position)
    rows = connection.execute(people, execution_options={"yield_per": _ROWS_AT_A_TIME})
    for row in rows:
        expected_date = next(expected, None) if _waits(row) else None
        if state is None or row.state == state:
            yield _recipient_row(row, expected_date)


def read_recipient_page(
    connection: Connection,
    campaign_id: int,
    *,
    state: RecipientState | None,
    schedule: list[ScheduledDate],
    after_id: int,
    size: int,
) -> RecipientPage:
    """Some people of a campaign, in the order in which they were added to its queue.

    Args:
        connection: A transaction.
        campaign_id: The campaign.
        state: Only who is in this state.
        schedule: The campaign's schedule, from which the expected dates are told.
        after_id: `last_id` of the page before; 0 begins.
        size: How many people.
    """
    columns = campaign_recipients.c
    wanted = select(columns.id).where(columns.campaign_id == campaign_id, columns.id > after_id)
    if state is not None:
        wanted = wanted.where(columns.state == state)
    ids = list(connection.execute(wanted.order_by(columns.id).limit(size + 1)).scalars())
    is_last = len(ids) <= size
    found = connection.execute(_people(columns.id.in_(ids[:size])).order_by(columns.id)).all()
    dates = _dates_of(connection, campaign_id, [row.position for row in found if _waits(row)], schedule)
    rows = [_recipient_row(row, dates.get(row.position) if _waits(row) else None) for row in found]
    return RecipientPage(rows, None if is_last else ids[size - 1])


def _waits(row: Row) -> bool:
    return row.state == RecipientState.PENDING and row.subscription != SubscriptionStatus.UNSUBSCRIBED


def _dates_of(
    connection: Connection, campaign_id: int, places: Sequence[int], schedule: list[ScheduledDate]
) -> dict[int, date]:
    """The expected date of whoever waits at some places of a campaign's queue, by place."""
    if not places:
        return {}
    columns = campaign_recipients.c
    in_queue = (
        columns.campaign_id == campaign_id,
        IS_WAITING,
        or_(subscriptions.c.status.is_(None), subscriptions.c.status != SubscriptionStatus.UNSUBSCRIBED),
    )
    queue = campaign_recipients.outerjoin(subscriptions, subscriptions.c.person_key == columns.person_key)
    ahead = select(func.count()).select_from(queue).where(*in_queue, columns.position < min(places))
    between = select(columns.position).select_from(queue).where(*in_queue)
    between = between.where(columns.position.between(min(places), max(places))).order_by(columns.position)
    expected = islice(_expected_dates(schedule), connection.execute(ahead).scalar_one(), None)
    return dict(zip(connection.execute(between).scalars(), expected, strict=False))


def _expected_dates(schedule: list[ScheduledDate]) -> Iterator[date]:
    for each in schedule:
        for _ in range(each.expected_size or 0):
            yield each.send_date


def _people(which: ColumnElement[bool]) -> Select:
    newest = (
        select(send_attempts.c.recipient_id, func.max(send_attempts.c.attempt_number).label("number"))
        .where(send_attempts.c.recipient_id.in_(select(campaign_recipients.c.id).where(which)))
        .group_by(send_attempts.c.recipient_id)
        .subquery()
    )
    joined = (
        campaign_recipients.outerjoin(newest, newest.c.recipient_id == campaign_recipients.c.id)
        .outerjoin(
            send_attempts,
            (send_attempts.c.recipient_id == newest.c.recipient_id)
            & (send_attempts.c.attempt_number == newest.c.number),
        )
        .outerjoin(batches, batches.c.id == campaign_recipients.c.batch_id)
        .outerjoin(recipient_lists, recipient_lists.c.id == campaign_recipients.c.list_id)
        .outerjoin(subscriptions, subscriptions.c.person_key == campaign_recipients.c.person_key)
    )
    return (
        select(
            *campaign_recipients.c["phone", "state", "reason", "accepted_at", "line_number", "position"],
            batches.c.send_date,
            *send_attempts.c["sent_at", "delivered_at", "read_at", "failed_at", "wamid"],
            func.coalesce(send_attempts.c.failure_code, send_attempts.c.error_code).label("error_code"),
            recipient_lists.c.name.label("list_name"),
            subscriptions.c.status.label("subscription"),
        )
        .select_from(joined)
        .where(which)
    )


def _recipient_row(row: Row, expected_date: date | None) -> RecipientRow:
    return RecipientRow(
        phone=row.phone,
        state=row.state,
        reason=row.reason,
        send_date=row.send_date,
        expected_date=expected_date,
        accepted_at=row.accepted_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        failed_at=row.failed_at,
        error_code=row.error_code,
        wamid=row.wamid,
        list_name=row.list_name,
        line_number=row.line_number,
    )
