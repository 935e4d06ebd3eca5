"""The preview of a date: who would be sent what, with nothing called, nothing taken and nothing written.

Add here a question about a batch that is still to come.
Keep out the taking itself: `batches` and `attempts` do that, by the same queue and the same message.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.catalogue import Campaign, find
from campaign_pipeline.campaigns.plan import share_of_date
from campaign_pipeline.campaigns.queue import demands_up_to, head_of_queue
from campaign_pipeline.campaigns.value_problems import PREVIEW_ID
from campaign_pipeline.ledger.schema import campaign_recipients
from campaign_pipeline.sending.batches import Batch, batch_of, need_of_date
from campaign_pipeline.sending.capacity import Capacity, capacity_at, sender_id_or_none
from campaign_pipeline.sending.limits import limit_in_force
from campaign_pipeline.whatsapp.template_rendering import RenderedMessage


@dataclass(frozen=True, slots=True)
class PreviewedPerson:
    """One person who would be in the batch, and the request that would be made.

    `rendered` is what the person would see; None while nobody has looked at the template.
    """

    campaign: str
    place: int
    phone: str
    request: dict[str, Any]
    rendered: RenderedMessage | None


@dataclass(frozen=True, slots=True)
class BatchPreview:
    """What a date's batch would be, if it were taken now.

    Attributes:
        send_date: The date.
        standing: The batch that was taken for it already; then nobody else would be.
        people: Who would be taken, in the order of sending.
        unsubscribed: How many would be skipped on the way.
        capacity: The window when the batch could be sent to at the latest.
        kept_free: Places that the batch of today needs, if this is a past date.
    """

    send_date: date
    standing: Batch | None
    people: tuple[PreviewedPerson, ...]
    unsubscribed: int
    capacity: Capacity
    kept_free: int


def preview_date(
    connection: Connection, send_date: date, *, calendar: SendCalendar, limit_setting: int, now: datetime
) -> BatchPreview:
    """Foresees the batch of a date from the queue and the window as they stand."""
    today = calendar.date_of(now)
    limit = limit_in_force(connection, limit_setting, now)
    sender = sender_id_or_none(connection)
    # Today's batch may wait until its window closes, one of a later date until that day's; a past date never waits.
    counted_at = now if send_date < today else calendar.window_of(send_date)[1]
    capacity = capacity_at(connection, sender, limit, counted_at) if sender is not None else Capacity(limit, 0)
    kept_free = need_of_date(connection, today, limit) if send_date < today else 0
    standing = batch_of(connection, send_date)
    if standing is not None:
        return BatchPreview(send_date, standing, (), 0, capacity, kept_free)
    people, unsubscribed = _next_people(connection, max(0, capacity.free - kept_free))
    return BatchPreview(send_date, None, people, unsubscribed, capacity, kept_free)


def _next_people(connection: Connection, room: int) -> tuple[tuple[PreviewedPerson, ...], int]:
    people: list[PreviewedPerson] = []
    unsubscribed = 0
    for campaign_id, share in share_of_date(demands_up_to(connection, room), room).items():
        campaign = find(connection, campaign_id)
        place = 0
        taken = 0
        while taken < share:
            head = head_of_queue(connection, campaign_id, share - taken, place)
            if not head:
                break
            place = head[-1].position
            sendable = [each.recipient_id for each in head if not each.unsubscribed]
            unsubscribed += len(head) - len(sendable)
            taken += len(sendable)
            people += _previewed(connection, campaign, sendable)
    return tuple(people), unsubscribed


def _previewed(connection: Connection, campaign: Campaign, recipient_ids: list[int]) -> list[PreviewedPerson]:
    rows = connection.execute(
        select(campaign_recipients.c.position, campaign_recipients.c.phone, campaign_recipients.c.parameters)
        .where(campaign_recipients.c.id.in_(recipient_ids))
        .order_by(campaign_recipients.c.position)
    )
    people: list[PreviewedPerson] = []
    for row in rows:
        message = campaign.pattern.message(row.phone, row.parameters, PREVIEW_ID)
        rendered = campaign.pattern.rendered(message)
        people.append(PreviewedPerson(campaign.slug, row.position, row.phone, message.as_request(), rendered))
    return people
