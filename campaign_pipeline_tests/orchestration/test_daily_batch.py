"""A date materialized: what it sends, what it shows on the desk, and how it is refused."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from campaign_pipeline.orchestration.build import build_definitions
from campaign_pipeline.orchestration.jobs import DAILY_SEND
from campaign_pipeline_tests.orchestration.desk import (
    THE_DATE,
    DeskMaker,
    OrchestrationDesk,
    checks_of,
    metadata_of,
    rows_of,
    shown,
)
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import batch_phones, batch_rows, campaign_status, people, states
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess


def reached(desk: OrchestrationDesk, numbers: Iterable[int]) -> list[str]:
    """Which of some people the simulator took a message for, each as often as it did."""
    phones = {phone(number) for number in numbers}
    return sorted(message["to"] for message in desk.simulator.messages() if message["to"] in phones)


def stop_in_the_middle(desk: OrchestrationDesk, send_date: str, at: int) -> None:
    """Sends a date until WhatsApp refuses the account at one person, then makes everything well again."""
    desk.simulator.fault("account", to=phone(at))
    assert not desk.send(send_date).success
    desk.mend()


def test_a_date_sends_its_batch_and_shows_the_figures_of_the_ledger(desk: OrchestrationDesk) -> None:
    """Two sets of figures, one in the web UI and one in the database, and nobody knows which to believe."""
    numbers = people(30)
    desk.campaign(numbers, daily_send_limit=20)
    run = desk.send()
    assert run.success
    assert reached(desk, numbers) == [phone(number) for number in numbers[:20]] == batch_phones(desk.ledger)
    batch = shown(run, "daily_batch")
    figures = desk.figures().as_dict()
    assert {name: batch[name] for name in figures if name != "states"} == {
        name: value for name, value in figures.items() if name != "states"
    }
    assert rows_of(batch["states"]) == [{"state": "accepted", "people": 20}]
    assert batch["summary"] == "2026-03-02: finished (20 of 20 accepted by WhatsApp)."
    assert (batch["dagster/row_count"], batch["sent_in_this_run"], batch["calls_in_this_run"]) == (20, 20, 20)
    assert (batch["sender_limit"], batch["capacity_before"], batch["capacity_after"]) == (250, 250, 230)
    assert (desk.colour(), desk.colour("2026-03-01")) == ("MATERIALIZED", "missing")


def test_the_checks_of_a_true_batch_pass(desk: OrchestrationDesk) -> None:
    """A check that fails on a good day is switched off, and is missed on a bad one."""
    desk.campaign(people(5))
    assert checks_of(desk.send()) == {
        "nobody_twice": True,
        "within_limits": True,
        "states_sum": True,
        "nobody_in_doubt": True,
    }


def test_the_analytics_of_the_date_are_shown_with_its_batch(desk: OrchestrationDesk) -> None:
    """Until the first status file comes, the analytics of a sent date would be missing."""
    desk.campaign(people(5), "Spring Sale", priority=1)
    desk.campaign(people(3), "Summer Sale")
    run = desk.send()
    analytics = shown(run, "campaign_analytics")
    assert (analytics["total"], analytics["sent"], analytics["delivered"]) == (8, 8, 0)
    assert [(row["campaign"], row["sent"]) for row in rows_of(analytics["campaigns"])] == [
        ("spring-sale", 5),
        ("summer-sale", 3),
    ]
    assert desk.colour(asset="campaign_analytics") == "MATERIALIZED"
    assert len(desk.materializations("campaign_analytics")) == 1


def test_a_date_materialized_again_sends_nothing_and_stays_green(desk: OrchestrationDesk) -> None:
    """Dagster never skips a partition that is there already: two backfills over one date would reach everyone twice."""
    numbers = people(40)
    desk.campaign(numbers, daily_send_limit=20)
    desk.send()
    again = desk.send()
    assert again.success
    assert reached(desk, numbers) == [phone(number) for number in numbers[:20]]
    batch = shown(again, "daily_batch")
    assert (batch["sent_in_this_run"], batch["calls_in_this_run"], batch["sent"]) == (0, 0, 20)
    assert "finished before; nothing sent now" in batch["summary"]
    assert all(checks_of(again).values())
    assert desk.colour() == "MATERIALIZED"


def test_dates_follow_one_another_through_the_queue(desk: OrchestrationDesk) -> None:
    """The second day sends to the first day's people if a batch is anything else than the head of what waits."""
    numbers = people(50)
    desk.campaign(numbers, daily_send_limit=20)
    for send_date, size in (("2026-03-02", 20), ("2026-03-03", 20), ("2026-03-04", 10)):
        run = desk.send(send_date)
        assert shown(run, "daily_batch")["sent_in_this_run"] == size
        desk.clock.forward(days=1)
    assert reached(desk, numbers) == [phone(number) for number in numbers]


REFUSALS = {
    "the window is closed": (
        THE_DATE,
        {"CAMPAIGN_SEND_TIME": "08:00", "CAMPAIGN_SEND_WINDOW": "08:00-08:30"},
        "Outside the send window 08:00-08:30 nothing is sent; nobody was taken. It can go on at 2026-03-03 08:00 UTC.",
    ),
    "there is no token": (
        THE_DATE,
        {"WHATSAPP_ACCESS_TOKEN": ""},
        "Nothing can be sent: set WHATSAPP_ACCESS_TOKEN (of a system user) in the environment or .env.",
    ),
    "the limit is zero": (
        THE_DATE,
        {"CAMPAIGN_SENDER_LIMIT": "0"},
        "The sender's limit is 0: nobody can be reached until it is raised.",
    ),
    "today's batch needs the whole limit": (
        "2026-03-01",
        {"CAMPAIGN_SENDER_LIMIT": "10"},
        "No capacity to spare for 2026-03-01: 10 people in 24 hours, today's batch first. Nobody was taken; they are "
        "first in the queue for the next batch, so this date needs no repair.",
    ),
    "the date is still to come": (
        "2026-03-03",
        {},
        "2026-03-03 is still to come (today is 2026-03-02); a batch is taken on its own date, not before. "
        "It can go on at 2026-03-03 09:00 UTC.",
    ),
}


@pytest.mark.parametrize(("send_date", "changed", "sentence"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_date_is_red_says_why_and_takes_nobody(
    new_desk: DeskMaker, send_date: str, changed: dict[str, str], sentence: str
) -> None:
    """A red partition with a stack trace is a riddle at nine in the morning; one with people in it loses them."""
    desk = new_desk(**changed)
    numbers = people(10)
    desk.campaign(numbers)
    refusal = desk.refusal_of(send_date)
    assert refusal.description == sentence
    assert refusal.allow_retries is False
    assert desk.colour(send_date) == "FAILED"
    assert batch_rows(desk.ledger) == []
    assert set(states(desk.ledger)) == {"pending"}
    assert reached(desk, numbers) == []
    assert desk.materializations("campaign_analytics") == []


def test_a_past_date_without_capacity_says_when_it_can_go_on(new_desk: DeskMaker) -> None:
    """The fourth date of a backfill is refused by the moving 24 hours; "tomorrow" would be wrong by fifteen hours."""
    desk = new_desk(CAMPAIGN_SENDER_LIMIT="10")
    numbers = people(30)
    desk.campaign(numbers)
    desk.send()
    desk.clock.forward(hours=3)
    sentence = str(desk.refusal_of("2026-03-01").description)
    assert sentence.startswith("No capacity to spare for 2026-03-01: ")
    assert sentence.endswith(" It can go on at 2026-03-03 09:00 UTC.")
    assert (desk.colour(), desk.colour("2026-03-01")) == ("MATERIALIZED", "FAILED")
    assert len(reached(desk, numbers)) == 10
    assert len(batch_rows(desk.ledger)) == 1


def test_a_finished_date_stays_green_whatever_is_missing_by_now(new_desk: DeskMaker) -> None:
    """At midnight, with the token expired and the window closed, a date that was sent must not turn red."""
    new_desk().campaign(people(3))
    new_desk().send()
    later = new_desk(
        WHATSAPP_ACCESS_TOKEN="",
        CAMPAIGN_SEND_TIME="08:00",
        CAMPAIGN_SEND_WINDOW="08:00-08:30",
        CAMPAIGN_SENDER_LIMIT="0",
    )
    assert later.send().success
    assert later.colour() == "MATERIALIZED"


def test_a_date_on_which_nobody_waits_stays_missing(desk: OrchestrationDesk) -> None:
    """A green date without a message is a lie, and a red one a false alarm."""
    run = desk.send()
    assert run.success
    assert run.get_asset_materialization_events() == []
    assert desk.colour() == "missing"
    assert batch_rows(desk.ledger) == []


def test_a_date_on_which_only_the_unsubscribed_wait_settles_them_and_stays_missing(desk: OrchestrationDesk) -> None:
    """They use up no place and no date, and the campaign ends instead of waiting for them for ever."""
    numbers = people(3)
    desk.campaign(numbers)
    desk.unsubscribe(*numbers)
    assert desk.send().success
    assert desk.colour() == "missing"
    assert states(desk.ledger) == ["skipped"] * 3
    assert campaign_status(desk.ledger) == "completed"


def test_a_date_stopped_in_the_middle_is_red_with_its_count_and_goes_on_when_run_again(
    desk: OrchestrationDesk,
) -> None:
    """The account is refused in mid-batch; the operator has to know how many people are left, and lose none."""
    numbers = people(40)
    desk.campaign(numbers)
    desk.simulator.fault("account", to=phone(numbers[24]))
    refusal = desk.refusal_of()
    desk.mend()
    sent = len(reached(desk, numbers))
    assert 0 < sent < 40
    sentence = str(refusal.description)
    assert sentence.startswith("WhatsApp refuses every message, and the sender is stopped: error 190")
    assert sentence.endswith(f" {40 - sent} people of the batch are still to be sent to.")
    assert "\n" not in sentence
    assert {name: value.value for name, value in refusal.metadata.items()} == {"people_left": 40 - sent}
    assert refusal.allow_retries is False
    assert metadata_of(desk.materializations("campaign_analytics", THE_DATE)[0])["sent"] == sent
    assert (desk.colour(), desk.colour(asset="campaign_analytics")) == ("FAILED", "MATERIALIZED")

    again = desk.send()
    assert shown(again, "daily_batch")["sent_in_this_run"] == 40 - sent
    assert reached(desk, numbers) == [phone(number) for number in numbers]
    assert desk.colour() == "MATERIALIZED"


def test_a_batch_with_doubts_is_green_and_counts_them(desk: OrchestrationDesk) -> None:
    """One lost answer must not make somebody run the date again, and must not be hidden either."""
    numbers = people(10)
    desk.campaign(numbers)
    desk.simulator.fault("lost_answer", to=phone(numbers[4]))
    run = desk.send()
    assert run.success
    batch = shown(run, "daily_batch")
    assert (batch["sent"], batch["in_doubt"]) == (9, 1)
    assert "1 in doubt" in batch["summary"]
    assert desk.colour() == "MATERIALIZED"


def test_an_unfinished_date_that_the_next_take_closes_is_reported_and_no_longer_red(desk: OrchestrationDesk) -> None:
    """Its people have moved on, so nobody has to repair it; a partition that stays red for ever hides the next one."""
    numbers = people(40)
    desk.campaign(numbers)
    stop_in_the_middle(desk, THE_DATE, numbers[24])
    sent = len(reached(desk, numbers))
    assert desk.colour() == "FAILED"

    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    assert desk.colour() == "MATERIALIZED"
    closing = desk.materializations("daily_batch", THE_DATE)
    assert [entry.run_id for entry in closing] == [""], "reported without a run"
    facts = metadata_of(closing[0])
    assert facts["summary"] == f"2026-03-02: {sent} sent, {40 - sent} moved on to a later date."
    assert facts["moved_on"] == 40 - sent
    assert reached(desk, numbers) == [phone(number) for number in numbers]


def test_a_closed_date_is_reported_also_when_the_date_that_closed_it_fails(desk: OrchestrationDesk) -> None:
    """A token refused two days in a row: the first day's people have moved on, and its red would stay for good."""
    numbers = people(60)
    desk.campaign(numbers)
    stop_in_the_middle(desk, THE_DATE, numbers[20])
    desk.clock.forward(days=1)
    stop_in_the_middle(desk, "2026-03-03", numbers[50])
    assert [batch.state for batch in batch_rows(desk.ledger)] == ["closed", "open"]
    assert desk.colour("2026-03-03") == "FAILED"
    assert desk.colour(THE_DATE) == "MATERIALIZED"


def test_a_closed_date_is_reported_also_when_nobody_waits_any_more(desk: OrchestrationDesk) -> None:
    """The campaign was paused for good after it had stopped in the middle: the date would stay red for good."""
    numbers = people(40)
    desk.campaign(numbers)
    stop_in_the_middle(desk, THE_DATE, numbers[24])
    desk.pause()
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    assert [batch.state for batch in batch_rows(desk.ledger)] == ["closed"]
    assert desk.colour(THE_DATE) == "MATERIALIZED"


def test_a_ledger_that_takes_no_more_writes_turns_the_date_red_with_its_sentence(desk: OrchestrationDesk) -> None:
    """The disk was remounted to be read only. A stack trace of three pages tells nobody so who opens the red date."""
    desk.campaign(people(10))

    def only_read(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    desk.ledger.close()
    event.listen(desk.ledger.engine, "connect", only_read)
    refusal = desk.refusal_of()
    assert refusal.description is not None
    assert refusal.description.startswith("The ledger could not be written to: attempt to write a readonly database.")
    assert desk.colour() == "FAILED"
    event.remove(desk.ledger.engine, "connect", only_read)
    desk.ledger.close()
    assert desk.send().success, "once it can be written to again, the date goes on"
    assert desk.figures().sent == 10


def test_production_sends_by_the_machines_own_clock(desk: OrchestrationDesk, simulator: SimulatorProcess) -> None:
    """Every other test here brings a clock; the pipeline that is deployed has to find its own."""
    numbers = people(5)
    desk.clock.set(datetime.now(UTC).isoformat())
    desk.campaign(numbers)
    today = desk.clock.now().date().isoformat()
    job = build_definitions(desk.settings).resolve_job_def(DAILY_SEND)
    run = job.execute_in_process(partition_key=today, instance=desk.instance, raise_on_error=False)
    assert shown(run, "daily_batch")["sent_in_this_run"] == 5
    assert reached(desk, numbers) == [phone(number) for number in numbers]
