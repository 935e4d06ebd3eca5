"""The nightly proof of everything that was ever sent: an asset and a job of its own, and in no run that sends."""

import asyncio
from typing import Any

import dagster as dg
from dagster._core.loader import LoadingContextForTest

from campaign_pipeline.orchestration.assets.sending import PROMISES_KEPT, PROOF
from campaign_pipeline.orchestration.jobs import PROVE_PROMISES
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, checks_of, metadata_of, rows_of
from campaign_pipeline_tests.support.sending import people


def proved(desk: OrchestrationDesk) -> dg.AssetCheckEvaluation:
    """What the job that runs every night has found."""
    run = desk.definitions.resolve_job_def(PROVE_PROMISES).execute_in_process(instance=desk.instance)
    assert run.success, "a broken promise is no failed run"
    assert [event.asset_key for event in run.get_asset_materialization_events()] == [PROOF]
    (found,) = run.get_asset_check_evaluations()
    assert found.asset_check_key == PROMISES_KEPT
    return found


def facts(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """What the check has found."""
    return {name: value.value for name, value in evaluation.metadata.items()}


def break_a_promise(desk: OrchestrationDesk) -> None:
    """Says of two people that they have read what was only accepted."""
    desk.sql("UPDATE campaign_recipients SET state = 'read' WHERE id IN (1, 2)")


def test_kept_promises_are_green_with_a_row_for_each(desk: OrchestrationDesk) -> None:
    """A green mark that does not say what was asked is taken on trust."""
    assert proved(desk).passed, "an installation that has sent nothing"
    desk.campaign(people(5))
    desk.send()
    found = proved(desk)
    assert found.passed
    assert facts(found)["recipients"] == facts(found)["attempts"] == 5
    rows = rows_of(found.metadata["promises"])
    assert {row["kept"] for row in rows} == {"yes"}
    assert {"nobody_twice", "window_within_limit"} <= {row["promise"] for row in rows}


def test_a_broken_promise_is_an_error_that_names_the_rows(desk: OrchestrationDesk) -> None:
    """Whoever sees red in the morning has to find the rows without a word to anyone who wrote the check."""
    desk.campaign(people(5))
    desk.send()
    break_a_promise(desk)
    found = proved(desk)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert facts(found)["broken"] == 1
    (broken,) = (row for row in rows_of(found.metadata["promises"]) if row["kept"] == "NO")
    assert (broken["promise"], broken["broken_by"], broken["rows"]) == ("states_are_the_fold", 2, "recipients 1, 2")


def test_a_doubt_is_shown_and_breaks_nothing(desk: OrchestrationDesk) -> None:
    """A lost answer is nobody's fault, and waits for a person on another page."""
    desk.campaign(people(5))
    desk.simulator.fault("lost_answer", next=1)
    desk.send()
    found = proved(desk)
    assert (found.passed, facts(found)["in_doubt"]) == (True, 1)
    assert rows_of(found.metadata["in_doubt_by_date"]) == [{"send_date": THE_DATE, "attempts": 1}]


def shown_on_the_page(desk: OrchestrationDesk) -> bool | None:
    """Whether the check is green on its page; None where it shows no result, since that is of an earlier state."""
    record = desk.instance.event_log_storage.get_latest_asset_check_execution_by_key([PROMISES_KEPT])[PROMISES_KEPT]
    if not asyncio.run(record.targets_latest_materialization(LoadingContextForTest(desk.instance))):
        return None
    assert record.evaluation is not None
    return record.evaluation.passed


def test_a_broken_promise_is_still_red_after_the_next_send(desk: OrchestrationDesk) -> None:
    """Found at 04:20, and gone at 09:00 when the day's batch was sent, before anybody had opened the page."""
    desk.campaign(people(10), daily_send_limit=5)
    desk.send()
    break_a_promise(desk)
    assert not proved(desk).passed
    assert shown_on_the_page(desk) is False
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    assert desk.materialize("daily_batch", THE_DATE).success
    assert shown_on_the_page(desk) is False


def test_the_proof_shows_what_the_check_has_found(desk: OrchestrationDesk) -> None:
    """Two sets of figures on one page, and nobody knows which to believe."""
    desk.campaign(people(5))
    desk.send()
    found = proved(desk)
    (entry,) = desk.materializations("proof")
    assert metadata_of(entry) == facts(found)


def test_no_run_that_sends_reads_everything(desk: OrchestrationDesk) -> None:
    """Forty dates in a backfill would each read all that was ever sent."""
    desk.campaign(people(5))
    for run in (desk.send(), desk.materialize("daily_batch", THE_DATE)):
        assert run.success
        assert set(checks_of(run)) == {"nobody_twice", "within_limits", "states_sum", "nobody_in_doubt"}
    assert desk.materializations("proof") == []
