"""The checks of the present state: green while all is well, and a warning as soon as something is not."""

from typing import Any

import dagster as dg
import pytest

from campaign_pipeline.orchestration.jobs import STANDING_CHECKS
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, checks_of
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import people

ALL_WELL = {
    "nobody_left_behind": True,
    "doubts_by_age": True,
    "statuses_come_in": True,
    "one_account_each": True,
    "nothing_waits_for_a_person": True,
}


def evaluated(desk: OrchestrationDesk) -> dict[str, dg.AssetCheckEvaluation]:
    """What the job that runs every hour has found, by check."""
    job = desk.definitions.resolve_job_def(STANDING_CHECKS)
    run = job.execute_in_process(instance=desk.instance, raise_on_error=False)
    assert run.success, "a warning is no failed run"
    assert run.get_asset_materialization_events() == []
    return {each.check_name: each for each in run.get_asset_check_evaluations()}


def passed(desk: OrchestrationDesk) -> dict[str, bool]:
    """Which of the checks passed."""
    return {name: each.passed for name, each in evaluated(desk).items()}


def facts(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """What a check has found."""
    return {name: value.value for name, value in evaluation.metadata.items()}


def ingest(desk: OrchestrationDesk) -> None:
    """Takes in every status that there is to tell."""
    desk.statuses()
    assert desk.materialize("delivery_statuses").success


def left_in_doubt(desk: OrchestrationDesk, size: int = 5, in_doubt: int = 2) -> None:
    """Sends to some people, the answers of the last of whom are lost; the statuses of the others are in."""
    numbers = people(size)
    desk.campaign(numbers)
    for number in numbers[-in_doubt:]:
        desk.simulator.fault("server_error", to=phone(number), accepted=False)
    assert desk.send().success
    ingest(desk)
    assert desk.figures().in_doubt == in_doubt


def left_behind(desk: OrchestrationDesk) -> int:
    """Leaves a batch in the middle; gives how many of its people are still to be sent to."""
    numbers = people(10)
    desk.campaign(numbers)
    desk.simulator.fault("account", to=phone(numbers[4]))
    assert not desk.send().success
    desk.mend()
    ingest(desk)
    return desk.figures().pending


def test_an_installation_in_which_nothing_has_happened_is_well(desk: OrchestrationDesk) -> None:
    """Three warnings on the first day, and nobody reads the fourth."""
    assert passed(desk) == ALL_WELL


def test_a_day_that_went_well_stays_well(desk: OrchestrationDesk) -> None:
    """The checks look at what is long ago: a finished batch grows old without becoming a fault."""
    desk.campaign(people(5))
    desk.send()
    assert passed(desk) == ALL_WELL, "statuses are on their way"
    ingest(desk)
    for days in (0, 1, 40):
        desk.clock.forward(days=days)
        assert passed(desk) == ALL_WELL


def test_people_left_in_an_old_batch_are_told_of_after_a_day(desk: OrchestrationDesk) -> None:
    """The run was stopped and no date came after it: five people wait for something that nobody will start."""
    people_left = left_behind(desk)
    assert people_left > 0
    desk.clock.forward(hours=23)
    assert passed(desk) == ALL_WELL, "its date is not over"
    desk.clock.forward(hours=2)
    found = evaluated(desk)["nobody_left_behind"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert facts(found) == {
        "expected": 0,
        "people": people_left,
        "what_to_do": "materialize today's date, or the date of the batch",
    }
    assert passed(desk) == ALL_WELL | {"nobody_left_behind": False}


@pytest.mark.parametrize("advice", ["today", "the date of the batch"])
def test_what_the_check_advises_makes_it_green_again(desk: OrchestrationDesk, advice: str) -> None:
    """Advice that does not help teaches people to leave the warning where it is."""
    left_behind(desk)
    desk.clock.forward(hours=25)
    assert passed(desk)["nobody_left_behind"] is False
    desk.send("2026-03-03" if advice == "today" else THE_DATE)
    ingest(desk)
    assert passed(desk) == ALL_WELL


def test_a_doubt_is_told_of_after_a_day(desk: OrchestrationDesk) -> None:
    """A status settles most of them within seconds; one that stays is a person who may have got nothing."""
    left_in_doubt(desk)
    found = evaluated(desk)["doubts_by_age"]
    assert (found.passed, facts(found)) == (
        True,
        {"expected": 0, "in_doubt": 2, "for_over_a_day": 0, "for_over_a_week": 0},
    )
    desk.clock.forward(hours=25)
    found = evaluated(desk)["doubts_by_age"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert facts(found) == {"expected": 0, "in_doubt": 2, "for_over_a_day": 2, "for_over_a_week": 0}
    desk.clock.forward(days=7)
    assert facts(evaluated(desk)["doubts_by_age"])["for_over_a_week"] == 2
    assert passed(desk) == ALL_WELL | {"doubts_by_age": False}


def test_a_doubt_that_a_late_status_settles_is_told_of_no_more(desk: OrchestrationDesk) -> None:
    """The file came two days late, and the warning would stay for ever."""
    numbers = people(5)
    desk.campaign(numbers)
    desk.simulator.fault("lost_answer", to=phone(numbers[4]))
    assert desk.send().success
    desk.clock.forward(days=2)
    assert passed(desk)["doubts_by_age"] is False
    ingest(desk)
    assert passed(desk) == ALL_WELL


def test_silence_while_messages_are_out_is_told_of_within_the_hour(desk: OrchestrationDesk) -> None:
    """Whoever receives the webhooks has stopped: every figure stays at "sent", and it looks like a bad campaign."""
    desk.campaign(people(5))
    desk.send()
    accepted_at = desk.clock.now()
    desk.clock.forward(minutes=59)
    assert passed(desk) == ALL_WELL
    desk.clock.forward(minutes=2)
    found = evaluated(desk)["statuses_come_in"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert facts(found) == {
        "expected": "a status within the hour",
        "messages_out_without_a_word": 5,
        "oldest_accepted_at": str(accepted_at),
        "last_heard_at": "never",
    }
    ingest(desk)
    assert passed(desk) == ALL_WELL


def test_silence_that_begins_on_the_second_day_is_told_of_as_well(desk: OrchestrationDesk) -> None:
    """Yesterday's statuses are no sign of life."""
    desk.campaign(people(10), daily_send_limit=5)
    desk.send()
    ingest(desk)
    heard_at = desk.clock.now()
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    desk.clock.forward(hours=2)
    found = evaluated(desk)["statuses_come_in"]
    assert (found.passed, facts(found)["last_heard_at"]) == (False, str(heard_at))


def test_a_receiver_that_stops_after_the_first_status_is_told_of_as_well(desk: OrchestrationDesk) -> None:
    """One status came at once, the other messages were never heard of again: "something came" is no sign of life."""
    desk.campaign(people(5))
    desk.send()
    desk.statuses()
    inbox = desk.settings.status_folders.inbox
    first, *others = (line for file in sorted(inbox.iterdir()) for line in file.read_text().splitlines(keepends=True))
    for file in inbox.iterdir():
        file.unlink()
    desk.clock.forward(seconds=20)
    (inbox / "first.ndjson").write_text(first)
    assert desk.materialize("delivery_statuses").success
    assert passed(desk) == ALL_WELL
    desk.clock.forward(hours=9)
    assert passed(desk)["statuses_come_in"] is False
    (inbox / "others.ndjson").write_text("".join(others))
    assert desk.materialize("delivery_statuses").success
    assert passed(desk) == ALL_WELL


def test_the_checks_are_run_by_the_hour(desk: OrchestrationDesk) -> None:
    """Run along with the ingest alone, they are silent just when no file comes in."""
    schedule = desk.definitions.resolve_schedule_def("standing_checks_schedule")
    assert schedule.job_name == STANDING_CHECKS
    assert str(schedule.cron_schedule).split()[1:] == ["*", "*", "*", "*"]


def test_a_lost_answer_warns_on_its_batch_and_the_batch_is_finished(desk: OrchestrationDesk) -> None:
    """A doubt that turns the date red looks like people who have to be sent to again; they must not be."""
    numbers = people(5)
    desk.campaign(numbers)
    desk.simulator.fault("lost_answer", to=phone(numbers[4]))
    run = desk.send()
    assert (run.success, desk.colour()) == (True, "MATERIALIZED")
    (found,) = [each for each in run.get_asset_check_evaluations() if each.check_name == "nobody_in_doubt"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert facts(found) == {"expected": 0, "in_doubt": 1, "send_date": THE_DATE}
    assert [name for name, is_green in checks_of(run).items() if not is_green] == ["nobody_in_doubt"]


def test_the_checks_of_a_batch_pass_where_no_batch_was_taken(desk: OrchestrationDesk) -> None:
    """Started by hand on a new installation, all four fail with an error of the database, or claim a batch."""
    job = desk.definitions.resolve_implicit_global_asset_job_def()
    names = ("nobody_twice", "within_limits", "states_sum", "nobody_in_doubt")
    run = job.get_subset(
        asset_selection=frozenset(),
        asset_check_selection=frozenset(dg.AssetCheckKey(dg.AssetKey("daily_batch"), name) for name in names),
    ).execute_in_process(tags={"dagster/partition": THE_DATE}, instance=desk.instance, raise_on_error=False)
    assert checks_of(run) == dict.fromkeys(names, True)
    told = {each.check_name: facts(each) for each in run.get_asset_check_evaluations()}
    assert told["nobody_twice"] == {"found": "no batch was taken"}
    assert (told["nobody_in_doubt"]["in_doubt"], told["nobody_in_doubt"]["send_date"]) == (0, THE_DATE)
