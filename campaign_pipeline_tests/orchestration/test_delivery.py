"""Status files taken in by a run, and the figures that are shown then."""

from pathlib import Path

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, metadata_of, rows_of, shown
from campaign_pipeline_tests.support.sending import people

NEXT_DATE = "2026-03-03"


def put_aside(desk: OrchestrationDesk) -> list[Path]:
    """Takes the files of the inbox away, as if they were late."""
    desk.statuses()
    files = sorted(desk.settings.status_folders.inbox.iterdir())
    return [file.rename(desk.root / file.name) for file in files]


def bring(desk: OrchestrationDesk, files: list[Path]) -> None:
    """Puts files into the inbox."""
    for file in files:
        file.rename(desk.settings.status_folders.inbox / file.name)


def reports(desk: OrchestrationDesk) -> dict[str, int]:
    """How often the analytics of each date were reported."""
    return {each: len(desk.materializations("campaign_analytics", each)) for each in (THE_DATE, NEXT_DATE)}


def test_statuses_are_taken_in_and_the_analytics_of_their_date_shown(desk: OrchestrationDesk) -> None:
    """Delivered and read in the database, and 0 in the web UI until somebody thinks of pressing a button."""
    desk.campaign(people(10))
    desk.send()
    desk.statuses()
    waiting = len(list(desk.settings.status_folders.inbox.iterdir()))
    run = desk.materialize("delivery_statuses")
    assert run.success
    statuses = shown(run, "delivery_statuses")
    assert (statuses["files"], statuses["events"], statuses["new_events"], statuses["not_ours"]) == (waiting, 30, 30, 0)
    assert statuses["send_dates_touched"] == THE_DATE
    files = rows_of(statuses["by_file"])
    assert len(files) == waiting
    assert {file["state"] for file in files} == {"done"}
    assert sum(file["new_events"] for file in files) == 30
    analytics = shown(run, "campaign_analytics")
    assert (analytics["sent"], analytics["delivered"], analytics["read"]) == (10, 10, 10)
    figures = desk.figures()
    assert (figures.sent, figures.delivered, figures.read) == (10, 10, 10)


def test_exactly_the_dates_that_the_statuses_are_about_are_reported(desk: OrchestrationDesk) -> None:
    """A "read" that comes a day late must reach its own date; reporting all forty would bury it."""
    desk.campaign(people(20), daily_send_limit=10)
    desk.send()
    late = put_aside(desk)
    desk.clock.forward(days=1)
    desk.send(NEXT_DATE)
    desk.statuses()
    assert reports(desk) == {THE_DATE: 1, NEXT_DATE: 1}

    assert shown(desk.materialize("delivery_statuses"), "delivery_statuses")["send_dates_touched"] == NEXT_DATE
    assert reports(desk) == {THE_DATE: 1, NEXT_DATE: 2}

    bring(desk, late)
    assert shown(desk.materialize("delivery_statuses"), "delivery_statuses")["send_dates_touched"] == THE_DATE
    assert reports(desk) == {THE_DATE: 2, NEXT_DATE: 2}
    assert metadata_of(desk.materializations("campaign_analytics", THE_DATE)[0])["read"] == 10


def test_an_empty_inbox_is_taken_in_and_touches_no_date(desk: OrchestrationDesk) -> None:
    """Most runs of the ingest find nothing, and none of them may fail for that."""
    run = desk.materialize("delivery_statuses")
    assert run.success
    statuses = shown(run, "delivery_statuses")
    assert (statuses["files"], statuses["send_dates_touched"], statuses["by_file"]) == (0, "none", "nothing")
    assert desk.materializations("campaign_analytics") == []


def test_a_file_that_cannot_be_read_is_shown_and_holds_up_no_other(desk: OrchestrationDesk) -> None:
    """One poisoned file, and the statuses of every later day wait behind it."""
    desk.campaign(people(3))
    desk.send()
    desk.statuses()
    broken = desk.settings.status_folders.inbox / "aaa-broken.ndjson"
    broken.write_text("no JSON\n", encoding="utf-8")
    run = desk.materialize("delivery_statuses")
    assert run.success
    files = {file["file"]: file for file in rows_of(shown(run, "delivery_statuses")["by_file"])}
    assert files[broken.name]["state"] == "rejected"
    assert "line 1" in files[broken.name]["reason"]
    assert desk.figures().read == 3


def test_the_analytics_of_a_date_can_be_derived_anew(desk: OrchestrationDesk) -> None:
    """After somebody has mended the ledger by hand, the figures have to follow without a status file."""
    desk.campaign(people(6))
    desk.send()
    desk.sql("UPDATE campaign_recipients SET state = 'delivered' WHERE id <= 2")
    analytics = shown(desk.materialize("campaign_analytics", THE_DATE), "campaign_analytics")
    assert (analytics["total"], analytics["sent"], analytics["delivered"], analytics["read"]) == (6, 6, 2, 0)
    assert [(row["campaign"], row["delivery_rate"]) for row in rows_of(analytics["campaigns"])] == [
        ("spring-sale", 33.33)
    ]


def test_the_analytics_of_a_date_without_a_batch_are_nothing(desk: OrchestrationDesk) -> None:
    """Somebody materializes the whole range; a date that was never sent is no error."""
    run = desk.materialize("campaign_analytics", "2026-03-01")
    assert run.success
    assert (shown(run, "campaign_analytics")["total"], shown(run, "campaign_analytics")["campaigns"]) == (0, "nothing")


def test_the_progress_of_a_campaign_tells_its_figures_and_its_end(desk: OrchestrationDesk) -> None:
    """Marketers open the web UI with one question: when is it done?"""
    desk.campaign(people(25), daily_send_limit=10)
    desk.show_ledger()
    desk.send()
    progress = shown(desk.materialize("campaign_progress", "spring-sale"), "campaign_progress")
    assert (progress["status"], progress["total"], progress["sent"], progress["pending"]) == ("active", 25, 10, 15)
    assert progress["progress_percentage"] == 40.0
    assert (progress["days_left"], progress["estimated_completion_date"]) == (2, "2026-03-04")
    assert rows_of(progress["states"]) == [{"state": "pending", "people": 15}, {"state": "accepted", "people": 10}]


def test_the_progress_of_a_campaign_that_is_done_names_no_date(desk: OrchestrationDesk) -> None:
    """An end in the future for a campaign that has ended."""
    desk.campaign(people(5))
    desk.send()
    desk.show_ledger()
    progress = shown(desk.materialize("campaign_progress", "spring-sale"), "campaign_progress")
    assert (progress["status"], progress["progress_percentage"]) == ("completed", 100.0)
    assert (progress["days_left"], progress["estimated_completion_date"]) == (0, "nobody waits")
