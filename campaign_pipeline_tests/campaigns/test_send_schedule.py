"""The schedule shows three things side by side: what was planned, what is expected now, and what happened."""

from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.send_schedule import (
    Estimate,
    ScheduledDate,
    expected_end,
    first_open_date,
    read_schedule,
    refresh_actuals,
)
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, campaign_send_schedule
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.campaigns import NOON, active_campaign, add_people, calendar, phone

LIMIT = 10


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def _schedule(ledger: Ledger, campaign_id: int | None, at: str) -> list[ScheduledDate]:
    with ledger.read() as connection:
        first = first_open_date(connection, calendar(), _at(at))
        return read_schedule(connection, campaign_id, first, LIMIT)


def _rows(schedule: list[ScheduledDate]) -> list[tuple[object, ...]]:
    """Day, number, planned, expected, taken, sent, remaining."""
    return [
        (
            each.send_date.day,
            each.batch_number,
            each.planned_size,
            each.expected_size,
            each.batch_size,
            each.messages_sent,
            each.messages_remaining,
        )
        for each in schedule
    ]


def _take(ledger: Ledger, day: int, size: int, *, accepted: int, campaign_id: int | None = None) -> None:
    """Puts the first people of the queue into the batch of a date, and lets WhatsApp accept some of them."""
    query = (
        select(campaign_recipients.c.id)
        .where(campaign_recipients.c.state == "pending")
        .order_by(campaign_recipients.c.campaign_id, campaign_recipients.c.position)
        .limit(size)
    )
    if campaign_id is not None:
        query = query.where(campaign_recipients.c.campaign_id == campaign_id)
    with ledger.write() as connection:
        if day == 3:
            put(connection, "senders")
        put(connection, "batches", id=day, send_date=date(2026, 3, day), size=size)
        for number, recipient_id in enumerate(connection.execute(query).scalars().all()):
            outcome = {"state": "sent", "accepted_at": NOON} if number < accepted else {"state": "failed"}
            connection.execute(
                update(campaign_recipients)
                .where(campaign_recipients.c.id == recipient_id)
                .values(batch_id=day, **outcome)
            )


def test_the_first_open_date_is_that_of_the_next_send_time_unless_its_batch_was_taken(ledger: Ledger) -> None:
    """A plan that begins on a date whose batch was taken already promises the same day twice."""
    with ledger.write() as connection:
        assert first_open_date(connection, calendar(), _at("2026-03-02T08:00:00")) == date(2026, 3, 2)
        assert first_open_date(connection, calendar(), _at("2026-03-02T09:00:00")) == date(2026, 3, 3)
        put(connection, "senders")
        put(connection, "batches", send_date=date(2026, 3, 2))
        assert first_open_date(connection, calendar(), _at("2026-03-02T08:00:00")) == date(2026, 3, 3)
        assert first_open_date(connection, calendar(), _at("2026-03-02T09:00:00")) == date(2026, 3, 3)
        # The batch of a date long past changes nothing.
        assert first_open_date(connection, calendar(), _at("2026-05-01T08:00:00")) == date(2026, 5, 1)


def test_the_plan_stays_as_it_was_activated_while_what_is_expected_moves(ledger: Ledger, tmp_path: Path) -> None:
    """Nobody sends on the third: whoever looks must see both what was promised and when it will be now."""
    campaign = active_campaign(ledger, tmp_path, range(25), limit=LIMIT)
    planned = [(3, 1, 10, 10, None, None, 15), (4, 2, 10, 10, None, None, 5), (5, 3, 5, 5, None, None, 0)]
    assert _rows(_schedule(ledger, campaign.id, "2026-03-02T12:00:00")) == planned
    # Not yet missed: its send time is still to come.
    assert _rows(_schedule(ledger, campaign.id, "2026-03-03T08:59:00")) == planned
    assert _rows(_schedule(ledger, campaign.id, "2026-03-03T12:00:00")) == [
        (3, 1, 10, None, None, None, None),
        (4, 2, 10, 10, None, None, 15),
        (5, 3, 5, 10, None, None, 5),
        (6, 4, None, 5, None, None, 0),
    ]
    with ledger.read() as connection:
        assert expected_end(connection, campaign.id, date(2026, 3, 4), LIMIT) == Estimate(3, date(2026, 3, 6))


def test_what_was_taken_replaces_what_was_expected(ledger: Ledger, tmp_path: Path) -> None:
    """Sent and remaining are what people ask for first; both have to come from the rows, not from the plan."""
    campaign = active_campaign(ledger, tmp_path, range(25), limit=LIMIT)
    _take(ledger, 3, 8, accepted=7)
    expected = [
        (3, 1, 10, None, 8, 7, 17),
        (4, 2, 10, 10, None, None, 7),
        (5, 3, 5, 7, None, None, 0),
    ]
    assert _rows(_schedule(ledger, campaign.id, "2026-03-03T12:00:00")) == expected
    _take(ledger, 4, 10, accepted=10)
    _take(ledger, 5, 7, accepted=0)
    assert _rows(_schedule(ledger, campaign.id, "2026-03-05T12:00:00")) == [
        (3, 1, 10, None, 8, 7, 17),
        (4, 2, 10, None, 10, 10, 7),
        (5, 3, 5, None, 7, 0, 0),
    ]


def test_the_kept_schedule_is_brought_up_to_what_happened_and_keeps_its_plan(ledger: Ledger, tmp_path: Path) -> None:
    """The table is read by reports that know nothing of the queue."""
    first = active_campaign(ledger, tmp_path, range(12), name="First", limit=LIMIT)
    second = active_campaign(ledger, tmp_path, range(12, 15), name="Second", limit=LIMIT)
    _take(ledger, 3, 10, accepted=9)
    _take(ledger, 4, 5, accepted=5)
    add_people(ledger, first.slug, tmp_path, [90], name="more.csv")
    _take(ledger, 5, 1, accepted=1)
    with ledger.write() as connection:
        for day in (3, 4, 5, 6):
            refresh_actuals(connection, date(2026, 3, day), _at(f"2026-03-0{day}T20:00:00"))
            refresh_actuals(connection, date(2026, 3, day), _at(f"2026-03-0{day}T21:00:00"))
        kept = connection.execute(
            select(campaign_send_schedule).order_by(
                campaign_send_schedule.c.campaign_id, campaign_send_schedule.c.send_date
            )
        ).all()
    assert [
        (
            row.campaign_id,
            row.send_date.day,
            row.batch_number,
            row.planned_size,
            row.batch_size,
            row.messages_sent,
            row.messages_remaining,
            row.refreshed_at.hour,
        )
        for row in kept
    ] == [
        (first.id, 3, 1, 10, 10, 9, 3, 21),
        (first.id, 4, 2, 2, 2, 2, 1, 21),
        (first.id, 5, 3, None, 1, 1, 0, 21),
        (second.id, 4, 1, 3, 3, 3, 0, 21),
    ]


def test_a_campaign_is_planned_beside_those_that_were_there_before(ledger: Ledger, tmp_path: Path) -> None:
    """A plan made as if it had the sender to itself is wrong on its first day."""
    first = active_campaign(ledger, tmp_path, range(15), name="First", limit=LIMIT)
    second = active_campaign(ledger, tmp_path, range(20, 32), name="Second", limit=LIMIT, daily_send_limit=4)
    assert _rows(_schedule(ledger, second.id, "2026-03-02T12:00:00")) == [
        (4, 1, 4, 4, None, None, 8),
        (5, 2, 4, 4, None, None, 4),
        (6, 3, 4, 4, None, None, 0),
    ]
    together = _schedule(ledger, None, "2026-03-02T12:00:00")
    assert [(each.campaign, each.send_date.day) for each in together] == [
        ("first", 3),
        ("first", 4),
        ("second", 4),
        ("second", 5),
        ("second", 6),
    ]
    with ledger.write() as connection:
        lifecycle.pause(connection, first.id, actor="test", now=NOON)
    # The first one waits: what was planned for it stays, nothing is expected, and the second moves up.
    assert _rows(_schedule(ledger, first.id, "2026-03-02T12:00:00")) == [
        (3, 1, 10, None, None, None, None),
        (4, 2, 5, None, None, None, None),
    ]
    moved_up = _schedule(ledger, second.id, "2026-03-02T12:00:00")
    assert [each.send_date.day for each in moved_up if each.expected_size] == [3, 4, 5]
    with ledger.read() as connection:
        assert expected_end(connection, first.id, date(2026, 3, 3), LIMIT) == Estimate(0, None)


def test_the_unsubscribed_are_in_no_plan(ledger: Ledger, tmp_path: Path) -> None:
    """They are skipped without using a place, so the campaign ends earlier than its audience is long."""
    campaign = active_campaign(ledger, tmp_path, range(11), limit=LIMIT)
    with ledger.write() as connection:
        person = PhoneNumber(phone(0), phone(0))
        subscriptions.unsubscribe(connection, person, source="test", now=NOON)
        assert expected_end(connection, campaign.id, date(2026, 3, 3), LIMIT) == Estimate(1, date(2026, 3, 3))
