"""What Meta says of the limit is taken over: lowered at once, raised no further than the user allows."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from campaign_pipeline.campaigns.catalogue import CampaignChange, find
from campaign_pipeline.campaigns.lifecycle import edit
from campaign_pipeline.campaigns.send_schedule import expected_end, first_open_date
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, outbox
from campaign_pipeline.sending import capacity, limits
from campaign_pipeline.sending.limits import Limit, LimitError
from campaign_pipeline_tests.support.campaigns import activate, active_campaign, add_people, calendar, draft
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import SendingDesk, batch_rows, people

SAID = "meta: TIER_2K"


def told(
    ledger: Ledger,
    people: int | None,
    now: datetime,
    *,
    ceiling: int | None = None,
    setting: int | None = 250,
    source: str = SAID,
) -> Limit | None:
    """Takes a limit over."""
    with ledger.write() as connection:
        sender = capacity.sender_id(connection)
        return limits.take_over_limit(connection, sender, people, ceiling, now, source, setting=setting)


def in_force(ledger: Ledger, now: datetime, setting: int = 250) -> int:
    """The limit in force."""
    with ledger.read() as connection:
        return limits.limit_in_force(connection, setting, now)


def say(ledger: Ledger, people: int, now: datetime, *, in_days: int = 0) -> None:
    """A person sets the limit."""
    with ledger.write() as connection:
        limits.set_limit(connection, people, now + timedelta(days=in_days), by="Ada", setting=250, now=now)


def told_tier(ledger: Ledger, tier: int, now: datetime, *, ceiling: int | None = None) -> Limit | None:
    """Takes over a tier that is named by its number, as webhooks do."""
    return told(ledger, tier, now, ceiling=ceiling, source=f"meta: {tier}")


def test_without_a_ceiling_meta_raises_nothing_above_what_was_set(ledger: Ledger, clock: HandClock) -> None:
    """A user who wants 250 a day would find 2,000 people written to one morning."""
    assert told(ledger, 2_000, clock.now()) is None
    assert in_force(ledger, clock.now()) == 250


@pytest.mark.parametrize(("tier", "ceiling", "limit"), [(2_000, 2_000, 2_000), (10_000, 1_500, 1_500), (2_000, 99, 99)])
def test_with_a_ceiling_meta_raises_it_as_far_as_that(
    ledger: Ledger, clock: HandClock, tier: int, ceiling: int, limit: int
) -> None:
    """The ceiling is the user's word for how far the machine may go by itself."""
    taken = told(ledger, tier, clock.now(), ceiling=ceiling)
    assert taken == Limit(limit, clock.now(), SAID)
    assert in_force(ledger, clock.now()) == limit


def test_a_lowered_tier_is_in_force_at_once_and_comes_back_as_far_as_it_was(ledger: Ledger, clock: HandClock) -> None:
    """Beyond its tier Meta drops the messages; the lowered limit must not stay when the tier is back."""
    say(ledger, 2_000, clock.now())
    told(ledger, 250, clock.now())
    assert in_force(ledger, clock.now()) == 250
    clock.forward(days=1)
    told(ledger, 10_000, clock.now())
    assert in_force(ledger, clock.now()) == 2_000


@pytest.mark.parametrize(("tier", "holds"), [(100, 100), (1_000, 1_000), (10_000, 2_000)])
def test_a_raise_that_was_ordered_before_meta_spoke_goes_no_higher_than_the_tier(
    ledger: Ledger, clock: HandClock, tier: int, holds: int
) -> None:
    """The tier was lowered on Tuesday, and on the tenth an old order opens it again: Meta drops what is beyond it."""
    say(ledger, 2_000, clock.now(), in_days=8)
    clock.forward(days=1)
    told_tier(ledger, tier, clock.now())
    assert in_force(ledger, clock.now()) == min(tier, 250)
    clock.forward(days=8)
    assert in_force(ledger, clock.now()) == holds
    assert told_tier(ledger, tier, clock.now()) is None
    with ledger.read() as connection:
        assert 2_000 in [word.people for word in limits.history(connection)]


def test_a_tier_that_is_raised_again_lets_the_ordered_raise_go_as_far(ledger: Ledger, clock: HandClock) -> None:
    """Held to what Meta said before, it would stay too low until somebody notices."""
    say(ledger, 2_000, clock.now(), in_days=8)
    told_tier(ledger, 250, clock.now())
    clock.forward(days=1)
    told_tier(ledger, 10_000, clock.now())
    assert in_force(ledger, clock.now()) == 250
    clock.forward(days=3)
    told_tier(ledger, 500, clock.now())
    clock.forward(days=6)
    assert in_force(ledger, clock.now()) == 500
    told_tier(ledger, 10_000, clock.now())
    assert in_force(ledger, clock.now()) == 2_000


def test_a_ceiling_below_the_tier_does_not_lower_what_was_ordered(ledger: Ledger, clock: HandClock) -> None:
    """The ceiling is for what Meta raises; a person's own order goes as far as Meta lets it."""
    say(ledger, 2_000, clock.now(), in_days=8)
    told_tier(ledger, 10_000, clock.now(), ceiling=100)
    assert in_force(ledger, clock.now()) == 100
    clock.forward(days=8)
    assert in_force(ledger, clock.now()) == 2_000


def test_who_orders_a_raise_after_meta_has_spoken_is_heard(ledger: Ledger, clock: HandClock) -> None:
    """The person has been told of the tier, and knows when it is mended."""
    told_tier(ledger, 100, clock.now())
    say(ledger, 2_000, clock.now(), in_days=8)
    clock.forward(days=8)
    assert in_force(ledger, clock.now()) == 2_000
    assert in_force(ledger, clock.now(), setting=1_000) == 1_000


def test_a_lowered_tier_is_remembered_while_a_person_has_stopped_all_sending(ledger: Ledger, clock: HandClock) -> None:
    """Nothing changes at that moment; but the date from which on more is sent was set before."""
    say(ledger, 2_000, clock.now(), in_days=8)
    say(ledger, 0, clock.now())
    told_tier(ledger, 250, clock.now(), ceiling=2_000)
    assert in_force(ledger, clock.now()) == 0
    clock.forward(days=8)
    assert in_force(ledger, clock.now()) == 250


def test_a_person_who_has_stopped_all_sending_is_not_overruled(ledger: Ledger, clock: HandClock) -> None:
    """0 is said in an emergency, and a webhook of an unrelated change would end it."""
    say(ledger, 0, clock.now())
    assert told(ledger, 2_000, clock.now(), ceiling=2_000) is None
    assert in_force(ledger, clock.now()) == 0


def test_what_is_unknown_or_no_news_changes_nothing(ledger: Ledger, clock: HandClock) -> None:
    """Webhooks come twice, and a tier that is new is no reason to stop or to send more."""
    assert told(ledger, None, clock.now(), ceiling=2_000) is None
    assert told(ledger, 2_000, clock.now(), ceiling=2_000) is not None
    assert told(ledger, 2_000, clock.now(), ceiling=2_000) is None
    assert told(ledger, 2_000, clock.now(), ceiling=2_000, setting=None) is None
    with ledger.read() as connection:
        audited = connection.execute(select(audit_log.c.actor).where(audit_log.c.action == "limit_set")).scalars().all()
        announced = connection.execute(select(outbox.c.kind).order_by(outbox.c.id)).scalars().all()
    assert (list(audited), list(announced)) == ([SAID], ["limit_set"])


def test_a_new_setting_is_the_later_word(ledger: Ledger, clock: HandClock) -> None:
    """Whoever writes another number into the settings means that number."""
    told(ledger, 2_000, clock.now(), ceiling=2_000)
    assert in_force(ledger, clock.now(), setting=100) == 100


def test_nobody_can_speak_in_the_name_of_meta(ledger: Ledger, clock: HandClock) -> None:
    """A person's word would be taken for a tier, and no longer be what the user has set."""
    with ledger.write() as connection, pytest.raises(LimitError, match="by a person's name"):
        limits.set_limit(connection, 5, clock.now(), by=SAID, setting=250, now=clock.now())


def test_a_raised_tier_plans_forty_days_of_a_campaign_that_follows_it_anew_into_five(
    ledger: Ledger, clock: HandClock, tmp_path: Path
) -> None:
    """10,000 people at 250 a day; a daily limit of its own would keep it at 40 days however far the tier goes."""
    campaign = draft(ledger, follows_sender_limit=True)
    add_people(ledger, campaign.slug, tmp_path, range(10_000))
    activate(ledger, campaign.slug)

    def days() -> int:
        with ledger.read() as connection:
            now = clock.now()
            limit = limits.limit_in_force(connection, 250, now)
            return expected_end(connection, campaign.id, first_open_date(connection, calendar(), now), limit).days

    assert days() == 40
    told(ledger, 2_000, clock.now(), ceiling=2_000)
    assert days() == 5
    with ledger.write() as connection:
        edit(
            connection,
            campaign.slug,
            CampaignChange(daily_send_limit=500, follows_sender_limit=False),
            actor="Ada",
            now=clock.now(),
        )
        assert find(connection, campaign.slug).daily_limit == 500
    assert days() == 20


def test_a_batch_of_a_campaign_that_follows_the_sender_is_as_large_as_the_limit(desk: SendingDesk) -> None:
    """The plan says 30 on the date, and its batch takes what the campaign was made with."""
    desk.campaign(people(50), follows_sender_limit=True, daily_send_limit=5)
    desk.send(limit=30)
    assert [each.size for each in batch_rows(desk.ledger)] == [30]
    desk.clock.forward(days=1, hours=1)
    told(desk.ledger, 12, desk.clock.now(), setting=30)
    desk.send("2026-03-03", limit=30)
    assert [each.size for each in batch_rows(desk.ledger)] == [30, 12]


def test_two_campaigns_that_follow_the_sender_share_it_by_priority(
    ledger: Ledger, clock: HandClock, tmp_path: Path
) -> None:
    """Each by itself may take all of the limit, and together they would go beyond it."""
    first = active_campaign(ledger, tmp_path, range(30), name="First", priority=1, follows_sender_limit=True)
    second = active_campaign(ledger, tmp_path, range(50, 80), name="Second", follows_sender_limit=True)
    with ledger.read() as connection:
        assert expected_end(connection, first.id, clock.now().date(), 20).days == 2
        assert expected_end(connection, second.id, clock.now().date(), 20).last_date == date(2026, 3, 4)
