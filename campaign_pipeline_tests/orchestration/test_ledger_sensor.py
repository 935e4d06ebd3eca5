"""What was done outside Dagster, shown in it: campaigns as partitions, changes as materializations without a run."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.journal import announce
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.orchestration.ledger_events import report_ledger_events
from campaign_pipeline.sending.doubts import AllOfDate, DoubtVerdict, resolve
from campaign_pipeline.sending.limits import set_limit
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, metadata_of, rows_of
from campaign_pipeline_tests.support.campaigns import activate, add_people, draft, phone, write_list
from campaign_pipeline_tests.support.sending import people


def tick(desk: OrchestrationDesk) -> str | None:
    """Lets the sensor look once; gives what it says."""
    repository = desk.definitions.get_repository_def()
    with dg.build_sensor_context(
        instance=desk.instance, repository_def=repository, resources=repository.get_top_level_resources()
    ) as context:
        data = repository.get_sensor_def("ledger_sensor").evaluate_tick(context)
    assert not data.run_requests, "it shows what has been done, and starts nothing"
    return data.skip_message


def campaigns_shown(desk: OrchestrationDesk) -> list[str]:
    """The campaigns that are partitions."""
    return sorted(desk.instance.get_dynamic_partitions("campaign"))


def test_a_campaign_made_with_the_command_line_becomes_a_partition(desk: OrchestrationDesk) -> None:
    """An event for a key that was never added is stored, and no partition of that name is ever shown."""
    draft(desk.ledger, "Spring Sale")
    assert campaigns_shown(desk) == []
    assert tick(desk) == "1 changes of the ledger are shown now."
    assert campaigns_shown(desk) == ["spring-sale"]


def test_changes_are_shown_once(desk: OrchestrationDesk) -> None:
    """Every fifteen seconds the same list would be added to the history of its campaign."""
    desk.campaign(people(5))
    tick(desk)
    before = len(desk.materializations("recipient_list")), len(desk.materializations("audience"))
    assert before[0] == 1
    assert tick(desk) == "Nothing new in the ledger."
    assert (len(desk.materializations("recipient_list")), len(desk.materializations("audience"))) == before


def test_each_change_is_shown_on_the_assets_that_it_is_about(desk: OrchestrationDesk) -> None:
    """A list that was added and is not on the list's history has not been added, for whoever looks there."""
    made = draft(desk.ledger, "Spring Sale")
    tick(desk)
    add_people(desk.ledger, made.slug, desk.root, people(7))
    tick(desk)
    for asset in ("recipient_list", "audience"):
        entries = desk.materializations(asset, "spring-sale")
        assert [entry.run_id for entry in entries] == [""], "reported without a run"
        facts = metadata_of(entries[0])
        assert (facts["what"], facts["added"]) == ("list added", 7)
    assert (facts["total"], facts["pending"], facts["read"]) == (7, 7, 0), "rows read are no messages read"

    activate(desk.ledger, made.slug)
    tick(desk)
    facts = metadata_of(desk.materializations("campaign_progress", "spring-sale")[0])
    assert (facts["what"], facts["total"]) == ("campaign activated", 7)

    desk.pause()
    tick(desk)
    facts = metadata_of(desk.materializations("campaign_progress", "spring-sale")[0])
    assert facts["what"] == "campaign paused"


def test_no_number_that_somebody_has_written_is_shown(desk: OrchestrationDesk) -> None:
    """Events are kept for years, and everybody who sees the page reads why a campaign was paused."""
    desk.campaign(people(3))
    with desk.ledger.write() as connection:
        reason = f"{phone(1)} has called"
        lifecycle.pause(connection, "spring-sale", actor="Ada", now=desk.clock.now(), reason=reason)
    tick(desk)
    facts = metadata_of(desk.materializations("campaign_progress", "spring-sale")[0])
    assert facts["reason"] == "***01 has called"


def test_a_draft_that_was_deleted_is_no_partition_any_more(desk: OrchestrationDesk) -> None:
    """Materializing it would fail for ever, with an error about a campaign that nobody remembers."""
    draft(desk.ledger, "Spring Sale")
    kept = draft(desk.ledger, "Summer Sale")
    tick(desk)
    with desk.ledger.write() as connection:
        lifecycle.delete_draft(connection, "spring-sale", actor="test", now=desk.clock.now())
    tick(desk)
    assert campaigns_shown(desk) == [kept.slug]


def test_statuses_ingested_with_the_command_line_are_shown_on_their_dates(desk: OrchestrationDesk) -> None:
    """`campaign ingest` brings the figures up to date; the web UI would go on showing the morning's."""
    desk.campaign(people(4))
    desk.send()
    tick(desk)
    desk.sql("UPDATE campaign_recipients SET state = 'delivered'")
    details = {"files": 1, "events": 8, "new_events": 8, "dates": [THE_DATE]}
    with desk.ledger.write() as connection:
        announce(connection, "statuses_ingested", now=desk.clock.now(), details=details)
    tick(desk)
    told = metadata_of(desk.materializations("delivery_statuses")[0])
    assert (told["files"], told["events"], told["new_events"], told["send_dates_touched"]) == (1, 8, 8, THE_DATE)
    analytics = desk.materializations("campaign_analytics", THE_DATE)
    assert [metadata_of(entry)["delivered"] for entry in analytics] == [4, 0]


def test_doubts_that_a_person_has_settled_are_shown_on_their_dates_and_campaigns(desk: OrchestrationDesk) -> None:
    """The desk would go on asking for somebody to look at people who are settled."""
    who = people(4)
    desk.campaign(who)
    desk.simulator.fault("lost_answer", to=phone(who[0]))
    desk.send()
    tick(desk)
    with desk.ledger.write() as connection:
        choice = AllOfDate(date.fromisoformat(THE_DATE))
        resolve(connection, choice, DoubtVerdict.REACHED, by="Ada", now=desk.clock.now())
    tick(desk)
    analytics = desk.materializations("campaign_analytics", THE_DATE)
    figures = [(metadata_of(entry)["sent"], metadata_of(entry)["in_doubt"]) for entry in analytics]
    assert figures == [(4, 0), (3, 1)]
    shown = [metadata_of(entry) for entry in desk.materializations("campaign_progress", "spring-sale")]
    told = next(facts for facts in shown if "doubts resolved" in facts["what"])
    assert (told["verdict"], told["people"], told["in_doubt"]) == ("reached", 1, 0)


def test_the_plan_follows_a_limit_that_was_raised(desk: OrchestrationDesk) -> None:
    """The plan of last night would foresee another two weeks for people who are reached tomorrow."""
    desk.campaign(people(40), daily_send_limit=1_000)
    desk.sql("DELETE FROM outbox")
    now = desk.clock.now()
    for limit in (10, 20):
        with desk.ledger.write() as connection:
            set_limit(connection, limit, now, by="Ada", setting=250, now=now)
        tick(desk)
    assert [metadata_of(each)["days_left"] for each in desk.materializations("send_plan")] == [2, 4]


def test_a_limit_of_nobody_does_not_hold_up_what_else_is_to_be_shown(desk: OrchestrationDesk) -> None:
    """No plan comes to an end under it; failing over that, the sensor would show nothing ever again."""
    desk.campaign(people(4))
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        set_limit(connection, 0, now, by="Ada", setting=250, now=now)
    tick(desk)
    assert "limit of 0" in metadata_of(desk.materializations("send_plan")[0])["plan"]
    assert tick(desk) == "Nothing new in the ledger."


def test_what_was_cut_off_in_the_middle_is_shown_the_next_time(
    desk: OrchestrationDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick is cut off after a minute; what it had not shown by then must not count as shown."""
    desk.campaign(people(5))

    def cut_off(_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(desk.instance, "report_runless_asset_event", cut_off)
        with pytest.raises(TimeoutError):
            desk.show_ledger()
    assert desk.show_ledger() > 0
    assert len(desk.materializations("recipient_list", "spring-sale")) == 1


def test_a_run_killed_after_its_batch_was_closed_leaves_no_red_date(desk: OrchestrationDesk) -> None:
    """Everybody was sent to, the ledger knows it, and the page never says so: the run that should have is gone."""
    desk.campaign(people(10))
    desk.pipeline.sender.send(date.fromisoformat(THE_DATE), "killed before it could tell Dagster")
    assert desk.colour() == "missing"
    tick(desk)
    assert desk.colour() == "MATERIALIZED"
    [shown] = desk.materializations("daily_batch", THE_DATE)
    assert metadata_of(shown)["summary"] == "2026-03-02: 10 sent, 0 moved on to a later date."


def test_a_date_that_its_own_run_has_told_of_is_not_told_of_again(desk: OrchestrationDesk) -> None:
    """A second report would hide the run's: its funnel, its capacity before and after."""
    desk.clock.set(datetime.now(UTC).isoformat())
    today = desk.clock.now().date().isoformat()
    desk.campaign(people(3))
    assert desk.send(today).success
    tick(desk)
    assert len(desk.materializations("daily_batch", today)) == 1


def test_a_list_that_a_run_has_taken_in_is_not_told_of_again(desk: OrchestrationDesk) -> None:
    """The sensor's report would lie over the run's, with what the run has rejected."""
    desk.campaign(people(5))
    tick(desk)
    waiting = desk.settings.list_folders.waiting / "spring-sale" / "more.csv"
    waiting.parent.mkdir(parents=True)
    write_list(waiting, people(9))
    assert desk.materialize("recipient_list", "spring-sale").success
    tick(desk)
    newest, older = desk.materializations("recipient_list", "spring-sale")
    assert newest.run_id
    assert [row["list"] for row in rows_of(metadata_of(newest)["by_list"])] == ["more.csv", "spring-sale.csv"]
    assert [row["list"] for row in rows_of(metadata_of(older)["by_list"])] == ["spring-sale.csv"]


def test_statuses_that_a_run_has_taken_in_bring_their_campaigns_up_to_date_and_are_told_once(
    desk: OrchestrationDesk,
) -> None:
    """The run's files and rejections hidden under three numbers, and a progress that stands still all campaign long."""
    desk.campaign(people(6))
    desk.send()
    desk.statuses()
    tick(desk)
    assert desk.materialize("delivery_statuses").success
    before = {asset: len(desk.materializations(asset)) for asset in ("delivery_statuses", "campaign_analytics")}
    tick(desk)
    assert {asset: len(desk.materializations(asset)) for asset in before} == before
    shown = desk.materializations("campaign_progress", "spring-sale")[0].asset_materialization
    assert shown is not None
    assert shown.metadata["read"].value == 6
    assert str(shown.metadata["progress"].value).startswith("![")


def test_statuses_taken_in_with_the_command_line_are_shown_file_by_file(desk: OrchestrationDesk) -> None:
    """A file that was rejected at the command line is looked for in vain on the desk."""
    desk.campaign(people(3))
    desk.send()
    desk.statuses()
    (desk.settings.status_folders.inbox / "zzz-broken.ndjson").write_text("no JSON\n", encoding="utf-8")
    ingest_waiting(desk.ledger, desk.settings.status_folders, desk.clock.now)
    tick(desk)
    files = rows_of(metadata_of(desk.materializations("delivery_statuses")[0])["by_file"])
    assert (files[0]["file"], files[0]["state"]) == ("zzz-broken.ndjson", "rejected")
    assert {file["state"] for file in files[1:]} == {"done"}


def test_a_campaign_is_shown_once_however_much_was_done_to_it(desk: OrchestrationDesk) -> None:
    """Ten rows about one campaign are ten pictures of the same moment."""
    desk.campaign(people(5))
    desk.pause()
    tick(desk)
    [shown] = desk.materializations("campaign_progress", "spring-sale")
    assert metadata_of(shown)["what"] == "list added, campaign activated, campaign paused"
    assert metadata_of(shown)["status"] == "paused"


def test_what_there_was_no_time_for_is_shown_by_the_next_ticks(desk: OrchestrationDesk) -> None:
    """A tick that is cut off keeps nothing; with much to show, all of them would be, for ever."""
    for name in ("Spring Sale", "Summer Sale"):
        desk.campaign(people(2), name=name)
    ticks = [report_ledger_events(desk.instance, desk.pipeline, budget=0) for _ in range(10)]
    assert ticks[0] > 0
    assert ticks[1] > 0
    assert ticks[-1] == 0
    for slug in ("spring-sale", "summer-sale"):
        assert len(desk.materializations("recipient_list", slug)) == 1


def test_the_nightly_plan_and_a_progress_say_why_they_have_no_end(desk: OrchestrationDesk) -> None:
    """A limit of nobody is a decision; a plan that is red every night over it hides what is really broken."""
    desk.campaign(people(4))
    now = desk.clock.now()
    with desk.ledger.write() as connection:
        set_limit(connection, 0, now, by="Ada", setting=250, now=now)
    tick(desk)
    assert desk.materialize("send_plan").success
    assert desk.materialize("campaign_progress", "spring-sale").success
    assert "campaign limit set" in metadata_of(desk.materializations("send_plan")[0])["plan"]
    progress = metadata_of(desk.materializations("campaign_progress", "spring-sale")[0])
    assert "limit of 0" in progress["estimated_completion_date"]
