"""What Dagster calls stale: a new list or a new status file must not mark every date that was ever sent."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk
from campaign_pipeline_tests.support.campaigns import add_people, phone, write_list
from campaign_pipeline_tests.support.sending import people


def stale(desk: OrchestrationDesk) -> set[str]:
    """The dated assets that the web UI marks as out of date for the date that was sent."""
    resolver = CachingStaleStatusResolver(
        desk.instance, desk.definitions.resolve_asset_graph(), LoadingContextForTest(desk.instance)
    )
    names = ("daily_batch", "campaign_analytics")
    return {name for name in names if resolver.get_status(dg.AssetKey(name), THE_DATE).value != "FRESH"}


def sent(desk: OrchestrationDesk) -> Sequence[int]:
    """Sends a date, with all around it materialized; gives numbers, the first half of which are in the campaign."""
    numbers = people(20)
    desk.campaign(numbers[:10], daily_send_limit=5)
    desk.show_ledger()
    for asset in ("recipient_list", "audience"):
        assert desk.materialize(asset, "spring-sale").success
    assert desk.send().success
    assert desk.materialize("delivery_statuses").success
    assert desk.materialize("campaign_analytics", THE_DATE).success
    assert stale(desk) == set()
    return numbers


def test_a_date_that_has_just_been_sent_is_not_stale(desk: OrchestrationDesk) -> None:
    """The first date of an installation, before any status: yellow at once, and nothing to be done about it."""
    desk.campaign(people(5))
    desk.show_ledger()
    assert desk.send().success
    assert stale(desk) == set()


def test_a_new_list_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """Forty dates in yellow, and a button "materialize all stale" beside them."""
    numbers = sent(desk)
    waiting = desk.settings.list_folders.waiting / "spring-sale" / "more.csv"
    waiting.parent.mkdir(parents=True)
    write_list(waiting, numbers[10:])
    assert desk.materialize("recipient_list", "spring-sale").success
    assert desk.materialize("audience", "spring-sale").success
    assert stale(desk) == set()


def test_a_new_campaign_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """Each campaign would turn every date of those before it yellow."""
    sent(desk)
    desk.campaign(people(5), "Summer Sale")
    assert desk.show_ledger() > 0
    assert stale(desk) == set()


def test_a_list_added_with_the_command_line_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """The ledger sensor reports it without a run, and has to say the same data version as a run does."""
    numbers = sent(desk)
    add_people(desk.ledger, "spring-sale", desk.root, numbers[10:], name="more.csv")
    assert desk.show_ledger() > 0
    assert stale(desk) == set()


def test_a_new_status_file_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """Statuses of one date come for weeks; each of them would mark every other date."""
    sent(desk)
    desk.statuses()
    run = desk.materialize("delivery_statuses")
    assert run.success
    assert stale(desk) == set()


def test_a_status_file_of_another_date_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """The statuses of the third of March are no news about the second."""
    desk.campaign(people(20), daily_send_limit=10)
    desk.show_ledger()
    assert desk.send().success
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    assert stale(desk) == set()


def test_a_date_that_was_closed_by_the_next_one_is_not_stale_after_a_new_list(desk: OrchestrationDesk) -> None:
    """Its last materialization was reported without a run, so Dagster does not know by itself what it was made from."""
    numbers = people(80)
    desk.campaign(numbers[:70], daily_send_limit=30)
    desk.show_ledger()
    desk.simulator.fault("account", to=phone(numbers[10]))
    assert not desk.send().success
    desk.mend()
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    add_people(desk.ledger, "spring-sale", desk.root, numbers[70:], name="more.csv")
    assert desk.show_ledger() > 0
    assert stale(desk) == set()


def test_a_campaign_that_ends_makes_no_date_stale(desk: OrchestrationDesk) -> None:
    """Its last date completes it, which is news for its progress and for no date."""
    desk.campaign(people(5))
    desk.show_ledger()
    assert desk.send().success
    assert desk.show_ledger() > 0
    assert desk.materialize("campaign_progress", "spring-sale").success
    assert stale(desk) == set()
