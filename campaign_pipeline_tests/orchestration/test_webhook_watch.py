"""Statuses that stop coming while messages are out: what the freshness of `webhook_inbox` says of it."""

import asyncio
from contextlib import AbstractContextManager

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time

from campaign_pipeline_tests.orchestration.desk import OrchestrationDesk, metadata_of
from campaign_pipeline_tests.orchestration.test_staleness import sent, stale
from campaign_pipeline_tests.orchestration.ticking import TickingSensor
from campaign_pipeline_tests.support.sending import people


@pytest.fixture
def sensor(desk: OrchestrationDesk) -> TickingSensor:
    """The sensor."""
    return TickingSensor(desk, "webhook_watch_sensor")


def dagster_at_the_desks_time(desk: OrchestrationDesk) -> AbstractContextManager[object]:
    """Dagster looks at the clock of the desk, as the freshness daemon looks at the machine's."""
    return freeze_time(desk.clock.now())


def tick(sensor: TickingSensor) -> str | None:
    """Lets it look once."""
    with dagster_at_the_desks_time(sensor.desk):
        return sensor.tick().said


def freshness(desk: OrchestrationDesk) -> FreshnessState:
    """What the daemon finds."""
    node = desk.definitions.resolve_asset_graph().get(dg.AssetKey("webhook_inbox"))
    with dagster_at_the_desks_time(desk):
        evaluated = TimeWindowFreshnessPolicyEvaluator().evaluate_freshness(LoadingContextForTest(desk.instance), node)
        return asyncio.run(evaluated)


def test_an_inbox_into_which_nothing_is_due_stays_fresh(sensor: TickingSensor) -> None:
    """Between two campaigns nobody sends anything: weeks in red, and the red of the day after is not looked at."""
    assert freshness(sensor.desk) == FreshnessState.UNKNOWN
    for _ in range(3):
        assert tick(sensor) == "No status is due."
        assert freshness(sensor.desk) == FreshnessState.PASS
        sensor.desk.clock.forward(days=10)


def test_statuses_that_stop_coming_while_messages_are_out_make_it_overdue(sensor: TickingSensor) -> None:
    """The receiver died at noon, and every message of the afternoon is "accepted" for ever."""
    desk = sensor.desk
    desk.campaign(people(5))
    assert desk.send().success
    assert tick(sensor) == "Statuses come in."
    desk.clock.forward(minutes=65)
    said = tick(sensor)
    assert said is not None
    assert said.startswith("Statuses have stopped coming while 5 messages are out, the oldest since ")
    assert freshness(desk) == FreshnessState.FAIL
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    assert tick(sensor) == "No status is due."
    assert freshness(desk) == FreshnessState.PASS


def test_a_daemon_that_is_down_is_noticed_as_well(sensor: TickingSensor) -> None:
    """Nobody looks: that is no sign that all is well."""
    tick(sensor)
    sensor.desk.clock.forward(minutes=35)
    assert freshness(sensor.desk) == FreshnessState.WARN
    sensor.desk.clock.forward(minutes=15)
    assert freshness(sensor.desk) == FreshnessState.FAIL


def test_what_is_noted_says_when_something_was_heard_last_and_makes_no_date_stale(sensor: TickingSensor) -> None:
    """A note every ten minutes that turns forty dates yellow would be switched off."""
    sent(sensor.desk)
    tick(sensor)
    assert stale(sensor.desk) == set()
    sensor.desk.statuses()
    assert sensor.desk.materialize("delivery_statuses").success
    tick(sensor)
    noted = metadata_of(sensor.desk.materializations("webhook_inbox")[0])
    assert noted == {"messages_out_without_a_word": 0, "last_heard_at": "2026-03-02 09:00:00 UTC"}
    assert stale(sensor.desk) == set()
