"""There is one queue, with one order, and nobody in it loses their place."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.catalogue import CampaignChange
from campaign_pipeline.campaigns.plan import Demand
from campaign_pipeline.campaigns.queue import demands_in_order, demands_up_to, head_of_queue
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.campaigns import NOON, active_campaign, add_people, draft, phone


def _unsubscribe(ledger: Ledger, *numbers: int) -> None:
    with ledger.write() as connection:
        for number in numbers:
            person = PhoneNumber(phone(number), phone(number))
            subscriptions.unsubscribe(connection, person, source="test", now=NOON)


def _people(ledger: Ledger, campaign_id: int, size: int, after: int = 0) -> list[str]:
    """The phone numbers at the head of a campaign's queue; who does not want messages has an x."""
    with ledger.read() as connection:
        head = head_of_queue(connection, campaign_id, size, after)
        rows = connection.execute(select(campaign_recipients.c.id, campaign_recipients.c.phone))
        phones = {row.id: row.phone for row in rows}
    return [phones[each.recipient_id] + ("x" if each.unsubscribed else "") for each in head]


def test_campaigns_are_served_by_priority_then_by_activation(ledger: Ledger, tmp_path: Path) -> None:
    """Under a shared limit the order decides who is reached today and who in a month."""
    later = NOON + timedelta(seconds=1)
    second = active_campaign(ledger, tmp_path, [1, 2], name="Second", now=later, daily_send_limit=20)
    first = active_campaign(ledger, tmp_path, [1], name="First", now=NOON, daily_send_limit=10)
    urgent = active_campaign(ledger, tmp_path, [1, 2, 3], name="Urgent", now=later, priority=1)
    spare = active_campaign(ledger, tmp_path, [1], name="Spare", now=NOON, priority=-1)
    also_first = active_campaign(ledger, tmp_path, [2], name="Also First", now=NOON)
    draft(ledger, "Unready")
    paused = active_campaign(ledger, tmp_path, [1], name="Paused", priority=9)
    empty = active_campaign(ledger, tmp_path, [9], name="Empty", now=later)
    with ledger.write() as connection:
        lifecycle.pause(connection, paused.id, actor="test", now=NOON)
        connection.execute(
            update(campaign_recipients).where(campaign_recipients.c.campaign_id == empty.id).values(state="failed")
        )
    in_order = [
        Demand(urgent.id, 3, 250),
        Demand(first.id, 1, 10),
        Demand(also_first.id, 1, 250),
        Demand(second.id, 2, 20),
        Demand(empty.id, 0, 250),
        Demand(spare.id, 1, 250),
    ]
    with ledger.read() as connection:
        assert demands_in_order(connection) == in_order
        assert demands_up_to(connection, 250) == in_order
        assert [each.waiting for each in demands_up_to(connection, 1)] == [1, 1, 1, 1, 0, 1]


def test_a_new_priority_counts_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """The marketer who moves a campaign to the front means today's batch."""
    first = active_campaign(ledger, tmp_path, [1], name="First")
    second = active_campaign(ledger, tmp_path, [2], name="Second", now=NOON + timedelta(hours=1))
    with ledger.write() as connection:
        lifecycle.edit(connection, second.id, CampaignChange(priority=5), actor="test", now=NOON)
        assert [each.campaign_id for each in demands_in_order(connection)] == [second.id, first.id]


def test_people_come_in_the_order_of_their_lists(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever is in the first list waits no longer than whoever was added last week."""
    campaign = active_campaign(ledger, tmp_path, [5, 3, 4])
    add_people(ledger, campaign.slug, tmp_path, [3, 1, 2], name="more.csv")
    assert _people(ledger, campaign.id, 10) == [phone(number) for number in (5, 3, 4, 1, 2)]
    assert _people(ledger, campaign.id, 2) == [phone(5), phone(3)]
    with ledger.read() as connection:
        place = head_of_queue(connection, campaign.id, 2, 0)[-1].position
    assert _people(ledger, campaign.id, 2, after=place) == [phone(4), phone(1)]
    assert _people(ledger, campaign.id, 0) == []


def test_whoever_comes_back_to_the_queue_has_their_old_place(ledger: Ledger, tmp_path: Path) -> None:
    """A missed day must not send the people of its batch behind everybody else."""
    campaign = active_campaign(ledger, tmp_path, range(1, 5))
    mine = campaign_recipients.c.phone.in_([phone(1), phone(3)])
    with ledger.write() as connection:
        put(connection, "senders")
        put(connection, "batches")
        connection.execute(update(campaign_recipients).where(mine).values(state="claimed", batch_id=1))
    assert _people(ledger, campaign.id, 10) == [phone(2), phone(4)]
    with ledger.write() as connection:
        connection.execute(update(campaign_recipients).where(mine).values(state="pending", batch_id=None))
    assert _people(ledger, campaign.id, 10) == [phone(number) for number in (1, 2, 3, 4)]


def test_the_unsubscribed_are_marked_and_wait_in_no_plan(ledger: Ledger, tmp_path: Path) -> None:
    """They use no capacity: a batch of 250 is 250 people who want the message."""
    campaign = active_campaign(ledger, tmp_path, range(1, 6))
    _unsubscribe(ledger, 1, 4)
    assert _people(ledger, campaign.id, 4) == [phone(1) + "x", phone(2), phone(3), phone(4) + "x"]
    with ledger.read() as connection:
        assert demands_in_order(connection) == [Demand(campaign.id, 3, 250)]
        # Never too little: this one decides whether a run is worth its while.
        assert demands_up_to(connection, 250) == [Demand(campaign.id, 5, 250)]
