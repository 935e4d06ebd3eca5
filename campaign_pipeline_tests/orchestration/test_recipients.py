"""Lists, audience and plan as they are materialized on the desk."""

from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, rows_of, shown
from campaign_pipeline_tests.support.campaigns import write_list
from campaign_pipeline_tests.support.sending import people, states


def test_lists_that_wait_in_the_campaigns_folder_are_taken_in(desk: OrchestrationDesk) -> None:
    """A marketer drops a file into the folder and presses the button; it has to be counted, kept and taken away."""
    numbers = people(12)
    desk.campaign(numbers[:5])
    desk.show_ledger()
    waiting = desk.settings.list_folders.waiting / "spring-sale" / "more.csv"
    waiting.parent.mkdir(parents=True)
    write_list(waiting, numbers[3:12])
    run = desk.materialize("recipient_list", "spring-sale")
    assert run.success
    facts = shown(run, "recipient_list")
    assert (facts["lists"], facts["taken_in_now"]) == (2, 1)
    rows = rows_of(facts["by_list"])
    assert [(row["list"], row["state"], row["read"], row["added"], row["already_in_campaign"]) for row in rows] == [
        ("more.csv", "done", 9, 7, 2),
        ("spring-sale.csv", "done", 5, 5, 0),
    ]
    assert not waiting.exists()
    assert len(states(desk.ledger)) == 12


def test_a_list_materialized_again_takes_in_nothing(desk: OrchestrationDesk) -> None:
    """Whoever presses the button twice must not find everybody counted twice."""
    desk.campaign(people(5))
    desk.show_ledger()
    facts = shown(desk.materialize("recipient_list", "spring-sale"), "recipient_list")
    assert (facts["lists"], facts["taken_in_now"]) == (1, 0)
    assert len(states(desk.ledger)) == 5


def test_a_list_that_cannot_be_read_is_set_aside_with_its_reason_and_holds_up_no_other(desk: OrchestrationDesk) -> None:
    """A file without a phone column, taken away without a word, is a list of people who never hear of the sale."""
    numbers = people(8)
    desk.campaign(numbers[:5])
    desk.show_ledger()
    waiting = desk.settings.list_folders.waiting / "spring-sale"
    waiting.mkdir(parents=True)
    (waiting / "a-nonsense.csv").write_text("colour,size\nred,XL\n", encoding="utf-8")
    write_list(waiting / "b-good.csv", numbers[5:])
    run = desk.materialize("recipient_list", "spring-sale")
    assert run.success
    facts = shown(run, "recipient_list")
    assert facts["taken_in_now"] == 1
    assert "a-nonsense.csv" in facts["rejected_now"]
    assert len(states(desk.ledger)) == 8
    assert list(waiting.iterdir()) == []
    assert [file for file in desk.settings.list_folders.rejected.rglob("*") if "nonsense" in file.name]


def test_the_audience_shows_how_many_are_in_which_state(desk: OrchestrationDesk) -> None:
    """Its figures are those of the command line, or one of the two is wrong."""
    numbers = people(20)
    desk.campaign(numbers, daily_send_limit=10)
    desk.unsubscribe(numbers[0])
    desk.send()
    desk.show_ledger()
    facts = shown(desk.materialize("audience", "spring-sale"), "audience")
    assert facts["dagster/row_count"] == 20
    assert (facts["total"], facts["pending"], facts["sent"], facts["skipped"]) == (20, 9, 10, 1)
    assert {row["state"]: row["people"] for row in rows_of(facts["states"])} == {
        "pending": 9,
        "accepted": 10,
        "skipped": 1,
    }


def test_the_plan_shows_what_was_planned_what_is_expected_and_what_was_sent(desk: OrchestrationDesk) -> None:
    """Planned at activation for noon, so from the next day on; sent at once, a day earlier than planned."""
    desk.campaign(people(25), daily_send_limit=10)
    desk.send()
    plan = shown(desk.materialize("send_plan"), "send_plan")
    assert (plan["days_left"], plan["people_waiting"], plan["estimated_completion_date"]) == (2, 15, "2026-03-04")
    rows = {row["send_date"]: row for row in rows_of(plan["plan"])}
    assert (rows[THE_DATE]["taken"], rows[THE_DATE]["sent"], rows[THE_DATE]["remaining"]) == (10, 10, 15)
    assert [(rows[day]["expected"], rows[day]["remaining"]) for day in ("2026-03-03", "2026-03-04")] == [
        (10, 5),
        (5, 0),
    ]
    assert {row["campaign"] for row in rows.values()} == {"spring-sale"}


def test_a_plan_for_nobody_says_so(desk: OrchestrationDesk) -> None:
    """A new installation, whose operator presses every button once."""
    run = desk.materialize("send_plan")
    assert run.success
    plan = shown(run, "send_plan")
    assert (plan["days_left"], plan["people_waiting"], plan["plan"]) == (0, 0, "nothing")
    assert plan["estimated_completion_date"] == "nobody waits"
