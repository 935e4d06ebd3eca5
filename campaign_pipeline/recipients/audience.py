"""The audience of a campaign, person by person: who is in it, where each stands, and taking one out.

Add here questions about single people of a campaign.
Keep out adding people (`intake`) and figures over all of them (`campaigns.figures`).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.campaigns.send_schedule import ScheduledDate
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
    rows = connection.execute(_people(campaign_id), execution_options={"yield_per": _ROWS_AT_A_TIME})
    for row in rows:
        waits = row.state == RecipientState.PENDING and row.subscription != SubscriptionStatus.UNSUBSCRIBED
        expected_date = next(expected, None) if waits else None
        if state is None or row.state == state:
            yield _recipient_row(row, expected_date)


def _expected_dates(schedule: list[ScheduledDate]) -> Iterator[date]:
    for each in schedule:
        for _ in range(each.expected_size or 0):
            yield each.send_date


def _people(campaign_id: int) -> Select:
    newest = (
        select(send_attempts.c.recipient_id, func.max(send_attempts.c.attempt_number).label("number"))
        .where(
            send_attempts.c.recipient_id.in_(
                select(campaign_recipients.c.id).where(campaign_recipients.c.campaign_id == campaign_id)
            )
        )
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
            *campaign_recipients.c["phone", "state", "reason", "accepted_at", "line_number"],
            batches.c.send_date,
            *send_attempts.c["sent_at", "delivered_at", "read_at", "failed_at", "wamid"],
            func.coalesce(send_attempts.c.failure_code, send_attempts.c.error_code).label("error_code"),
            recipient_lists.c.name.label("list_name"),
            subscriptions.c.status.label("subscription"),
        )
        .select_from(joined)
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .order_by(campaign_recipients.c.position)
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
