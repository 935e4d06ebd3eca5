"""The send schedule of each campaign: as it was planned at activation, as it is expected now, and as it happened.

Add here what reads or writes `campaign_send_schedule`.
Keep out the rules of planning (`plan`) and the taking of batches (`sending.batches`).
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.campaigns.plan import PlannedBatch, plan_dates
from campaign_pipeline.campaigns.queue import demands_in_order
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.schema import batches, campaign_recipients, campaign_send_schedule, marketing_campaigns
from campaign_pipeline.ledger.upsert import upsert


@dataclass(frozen=True, slots=True)
class ScheduledDate:
    """One campaign's part of one send date.

    Attributes:
        campaign: The campaign's slug.
        send_date: The date of the batch.
        batch_number: 1 for the campaign's first date.
        planned_size: People foreseen at activation; None for a date that was not in that plan.
        expected_size: People foreseen now; None for a date that is past or whose batch was taken.
        batch_size: People in the batch as it stands; None while no batch was taken.
        messages_sent: Messages that WhatsApp accepted; None while no batch was taken.
        messages_remaining: People who are left for later dates; None for a planned date that passed unused.
    """

    campaign: str
    send_date: date
    batch_number: int
    planned_size: int | None
    expected_size: int | None
    batch_size: int | None
    messages_sent: int | None
    messages_remaining: int | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long an audience takes from now on: the number of send dates, and the last of them."""

    days: int
    last_date: date | None


def first_open_date(connection: Connection, calendar: SendCalendar, now: datetime) -> date:
    """The date of the next batch to be taken: that of the next send time, unless its batch was taken already."""
    upcoming = calendar.next_send_date(now)
    newest = connection.execute(select(func.max(batches.c.send_date))).scalar_one()
    return upcoming if newest is None else max(upcoming, newest + timedelta(days=1))


def keep_plan(connection: Connection, campaign_id: int, first_date: date, sender_limit: int, now: datetime) -> Estimate:
    """Writes down the plan of a campaign that has just become active, as it is foreseen beside the others."""
    planned = _expected_of(connection, campaign_id, first_date, sender_limit)
    if planned:
        connection.execute(
            insert(campaign_send_schedule),
            [
                {
                    "campaign_id": campaign_id,
                    "send_date": each.send_date,
                    "batch_number": number,
                    "planned_size": each.size,
                    "messages_remaining": each.remaining,
                    "refreshed_at": now,
                }
                for number, each in enumerate(planned, start=1)
            ],
        )
    return _estimate(planned)


def expected_end(connection: Connection, campaign_id: int, first_date: date, sender_limit: int) -> Estimate:
    """The dates that a campaign still needs, as foreseen now; none when it is not active or nobody of it waits."""
    return _estimate(_expected_of(connection, campaign_id, first_date, sender_limit))


def refresh_actuals(connection: Connection, send_date: date, now: datetime) -> None:
    """Brings what became of one date into the kept schedule, for every campaign in its batch."""
    taken = connection.execute(_campaigns_on(send_date)).scalars().all()
    # A campaign of which everyone has moved on was not sent on this date.
    connection.execute(
        update(campaign_send_schedule)
        .where(
            campaign_send_schedule.c.send_date == send_date,
            campaign_send_schedule.c.batch_size.is_not(None),
            campaign_send_schedule.c.campaign_id.not_in(taken),
        )
        .values(batch_size=None, messages_sent=None, messages_remaining=None, refreshed_at=now)
    )
    for campaign_id in taken:
        schedule = read_schedule_of(connection, campaign_id, [])
        scheduled = next(each for each in schedule if each.send_date == send_date)
        upsert(
            connection,
            campaign_send_schedule,
            keys={"campaign_id": campaign_id, "send_date": send_date},
            values={
                "batch_number": scheduled.batch_number,
                "batch_size": scheduled.batch_size,
                "messages_sent": scheduled.messages_sent,
                "messages_remaining": scheduled.messages_remaining,
                "refreshed_at": now,
            },
        )


def read_schedule(
    connection: Connection, campaign_id: int | None, first_date: date, sender_limit: int
) -> list[ScheduledDate]:
    """The whole schedule, past and to come, of one campaign or of all, by campaign and date.

    What is past is read from the rows; what is to come is planned anew from the queue as it stands.
    """
    expected: dict[int, list[PlannedBatch]] = defaultdict(list)
    for each in plan_dates(demands_in_order(connection), first_date, sender_limit):
        expected[each.campaign_id].append(each)
    if campaign_id is not None:
        return read_schedule_of(connection, campaign_id, expected[campaign_id])
    ids = connection.execute(select(marketing_campaigns.c.id).order_by(marketing_campaigns.c.id)).scalars().all()
    return [each for one_id in ids for each in read_schedule_of(connection, one_id, expected[one_id])]


def read_schedule_of(connection: Connection, campaign_id: int, expected: list[PlannedBatch]) -> list[ScheduledDate]:
    """One campaign's schedule, from what was kept, what was taken and what is expected."""
    kept = {row.send_date: row.planned_size for row in connection.execute(_kept(campaign_id))}
    taken = {row.send_date: row for row in connection.execute(_taken(campaign_id))}
    to_come = {each.send_date: each for each in expected}
    slug = _slug_of(connection, campaign_id)
    left = sum(row.people for row in taken.values()) + _waiting(connection, campaign_id)
    schedule: list[ScheduledDate] = []
    for number, send_date in enumerate(sorted({*kept, *taken, *to_come}), start=1):
        batch: Row | None = taken.get(send_date)
        coming = to_come.get(send_date)
        left -= batch.people if batch else 0
        schedule.append(
            ScheduledDate(
                campaign=slug,
                send_date=send_date,
                batch_number=number,
                planned_size=kept.get(send_date),
                expected_size=coming.size if coming else None,
                batch_size=batch.people if batch else None,
                messages_sent=batch.accepted if batch else None,
                messages_remaining=left if batch else (coming.remaining if coming else None),
            )
        )
    return schedule


def _expected_of(connection: Connection, campaign_id: int, first_date: date, sender_limit: int) -> list[PlannedBatch]:
    planned = plan_dates(demands_in_order(connection), first_date, sender_limit)
    return [each for each in planned if each.campaign_id == campaign_id]


def _estimate(planned: list[PlannedBatch]) -> Estimate:
    return Estimate(len(planned), planned[-1].send_date if planned else None)


def _kept(campaign_id: int) -> Select:
    return select(campaign_send_schedule.c.send_date, campaign_send_schedule.c.planned_size).where(
        campaign_send_schedule.c.campaign_id == campaign_id, campaign_send_schedule.c.planned_size.is_not(None)
    )


def _campaigns_on(send_date: date) -> Select:
    """The campaigns that have people in the batch of a date."""
    return (
        select(campaign_recipients.c.campaign_id)
        .join(batches, batches.c.id == campaign_recipients.c.batch_id)
        .where(batches.c.send_date == send_date)
        .distinct()
    )


def _taken(campaign_id: int) -> Select:
    """A campaign's people in each date's batch, and those of them whom WhatsApp accepted."""
    # Counted before the dates are looked up: joined, every batch is read, with the people of the other campaigns.
    by_batch = (
        select(
            campaign_recipients.c.batch_id,
            func.count().label("people"),
            func.count(campaign_recipients.c.accepted_at).label("accepted"),
        )
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .group_by(campaign_recipients.c.batch_id)
        .subquery("by_batch")
    )
    return select(batches.c.send_date, by_batch.c.people, by_batch.c.accepted).join(
        by_batch, by_batch.c.batch_id == batches.c.id
    )


def _waiting(connection: Connection, campaign_id: int) -> int:
    query = select(func.count()).where(campaign_recipients.c.campaign_id == campaign_id, IS_WAITING)
    return connection.execute(query).scalar_one()


def _slug_of(connection: Connection, campaign_id: int) -> str:
    query = select(marketing_campaigns.c.slug).where(marketing_campaigns.c.id == campaign_id)
    return connection.execute(query).scalar_one()
