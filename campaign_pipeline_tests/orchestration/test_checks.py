"""The checks of a batch, against ledgers that somebody has made false."""

import warnings

import dagster as dg
import pytest

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, checks_of, shown
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import people

IN_DOUBT = dg.AssetCheckKey(dg.AssetKey("daily_batch"), "nobody_in_doubt")

FALSEHOODS = {
    "nobody_twice": [
        # The index that forbids it would refuse this row.
        "DROP INDEX uq_send_attempts_never_twice",
        """
        INSERT INTO send_attempts (id, recipient_id, attempt_number, batch_id, sender_id, person_key, run_id,
            lease_fence, admitted_limit, admitted_count, started_at, outcome)
        SELECT 'another', recipient_id, attempt_number + 1, batch_id, sender_id, person_key, run_id,
            lease_fence, admitted_limit, admitted_count, started_at, 'in_doubt'
        FROM send_attempts LIMIT 1
        """,
    ],
    "within_limits": [
        # The constraint that forbids it would refuse this change.
        "PRAGMA ignore_check_constraints = ON",
        "UPDATE send_attempts SET admitted_count = admitted_limit + 1 WHERE recipient_id = 1",
        "PRAGMA ignore_check_constraints = OFF",
    ],
    "states_sum": [
        "UPDATE campaign_recipients SET state = 'pending', batch_id = NULL, accepted_at = NULL WHERE id = 1",
    ],
}


@pytest.mark.parametrize(("check", "statements"), FALSEHOODS.items(), ids=FALSEHOODS.keys())
def test_a_ledger_made_false_fails_the_check_that_watches_over_it(
    desk: OrchestrationDesk, check: str, statements: list[str]
) -> None:
    """A check that passes whatever the rows say is worse than none: people trust the green mark."""
    desk.campaign(people(10))
    assert all(checks_of(desk.send()).values())
    desk.sql(*statements)
    again = desk.send()
    assert checks_of(again) == {
        "nobody_twice": True,
        "within_limits": True,
        "states_sum": True,
        "nobody_in_doubt": True,
    } | {check: False}


def test_a_batch_larger_than_it_was_taken_is_not_within_limits(desk: OrchestrationDesk) -> None:
    """Somebody has added a person to a batch by hand, past the limit that it was taken under."""
    desk.campaign(people(10), daily_send_limit=9)
    desk.send()
    desk.sql("UPDATE campaign_recipients SET batch_id = 1, state = 'claimed' WHERE state = 'pending'")
    assert checks_of(desk.send())["within_limits"] is False


def test_people_lost_on_their_way_back_to_the_queue_fail_the_sum(desk: OrchestrationDesk) -> None:
    """A batch that says three moved on, when they did not, has three people too many."""
    desk.campaign(people(10))
    desk.send()
    desk.sql("UPDATE batches SET moved_on = moved_on + 3")
    assert checks_of(desk.send()) == {
        "nobody_twice": True,
        "within_limits": True,
        "states_sum": False,
        "nobody_in_doubt": True,
    }


def test_a_check_tells_what_was_expected_and_what_was_found(desk: OrchestrationDesk) -> None:
    """A red mark without numbers sends people to the database."""
    desk.campaign(people(10))
    desk.send()
    desk.sql(*FALSEHOODS["nobody_twice"])
    found = {each.check_name: each for each in desk.send().get_asset_check_evaluations()}
    facts = {name: value.value for name, value in found["nobody_twice"].metadata.items()}
    assert facts == {
        "expected": "Nobody of the batch has two attempts that may both have been accepted.",
        "send_date": "2026-03-02",
        "people": 10,
        "reached_twice": 1,
    }
    assert found["nobody_twice"].severity.value == "ERROR"


def colours(desk: OrchestrationDesk) -> dict[str, str]:
    """What the web UI shows of `nobody_in_doubt`, by date: where it has a result that is not older than the batch."""
    dates = desk.definitions.resolve_asset_graph().get(IN_DOUBT).partitions_def
    states = desk.instance.event_log_storage.get_asset_check_state([(IN_DOUBT, dates)])
    return {
        send_date: status.value
        for status, subset in states[IN_DOUBT].subsets.items()
        for send_date in subset.subset_value.get_partition_keys()
    }


def check_by_itself(desk: OrchestrationDesk) -> None:
    """Executes the check without its batch and without a date."""
    job = desk.definitions.resolve_implicit_global_asset_job_def()
    job.get_subset(asset_selection=frozenset(), asset_check_selection=frozenset({IN_DOUBT})).execute_in_process(
        instance=desk.instance
    )


def doubt_then_a_day_that_goes_well(desk: OrchestrationDesk) -> None:
    """Loses an answer on 2 March, and nothing on 3 March."""
    numbers = people(10)
    desk.campaign(numbers, daily_send_limit=5)
    desk.simulator.fault("lost_answer", to=phone(numbers[4]))
    assert checks_of(desk.send())["nobody_in_doubt"] is False
    desk.clock.forward(days=1)
    assert checks_of(desk.send("2026-03-03"))["nobody_in_doubt"] is True


def test_the_result_of_a_date_stands_when_the_next_one_is_sent(desk: OrchestrationDesk) -> None:
    """2 March has a doubt, 3 March is sent, and the page is green: nobody looks for the person in doubt."""
    doubt_then_a_day_that_goes_well(desk)
    assert colours(desk) == {THE_DATE: "FAILED", "2026-03-03": "SUCCEEDED"}


def test_a_date_is_checked_again_without_sending(desk: OrchestrationDesk) -> None:
    """A warning that stays when the doubt is settled is one that people learn to pass over."""
    doubt_then_a_day_that_goes_well(desk)
    desk.statuses()
    assert desk.materialize("delivery_statuses").success
    assert shown(desk.send(), "daily_batch")["calls_in_this_run"] == 0
    assert colours(desk) == {THE_DATE: "SUCCEEDED", "2026-03-03": "SUCCEEDED"}


def test_a_check_without_a_date_says_that_it_needs_one(desk: OrchestrationDesk) -> None:
    """It would fail on "partition key ranges", or answer for a batch that nobody asked about and change its result."""
    doubt_then_a_day_that_goes_well(desk)
    with pytest.raises(dg.Failure, match="materialize that date"):
        check_by_itself(desk)
    assert colours(desk) == {THE_DATE: "FAILED", "2026-03-03": "SUCCEEDED"}


def test_loading_the_checks_warns_of_nothing(desk: OrchestrationDesk) -> None:
    """Dagster calls partitions of checks a preview: `campaign send` would say so every day, and nothing can be done."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IN_DOUBT in desk.definitions.resolve_asset_graph().asset_check_keys
