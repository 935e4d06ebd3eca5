"""The job `preview_batch`: what it shows for which date, and that it touches nothing."""

import json
import re
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import insert, select

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.schema import external_usage, metadata
from campaign_pipeline.recipients.phone_numbers import mask_phone
from campaign_pipeline.sending.capacity import sender_id
from campaign_pipeline_tests.orchestration.desk import THE_DATE, DeskMaker, OrchestrationDesk, rows_of
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import batch_phones, people
from campaign_pipeline_tests.support.templates import body, template

YESTERDAY = "2026-03-01"
TOMORROW = "2026-03-03"


def run_of(desk: OrchestrationDesk, send_date: str = THE_DATE) -> dg.ExecuteInProcessResult:
    """Runs the job for a date."""
    job = desk.definitions.resolve_job_def("preview_batch")
    config = {"ops": {"foresee_batch": {"config": {"send_date": send_date}}}}
    return job.execute_in_process(run_config=config, instance=desk.instance, raise_on_error=False)


def previewed(desk: OrchestrationDesk, send_date: str = THE_DATE) -> dict[str, Any]:
    """What the job shows for a date, as metadata of its run."""
    run = run_of(desk, send_date)
    assert run.success
    (output,) = [event.step_output_data for event in run.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in output.metadata.items()}


def sentence(desk: OrchestrationDesk, send_date: str) -> str:
    """What the job says of a date, in one line."""
    return str(previewed(desk, send_date)["summary"])


def everything(desk: OrchestrationDesk) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the ledger."""
    with desk.ledger.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def test_it_shows_who_would_be_sent_what(desk: OrchestrationDesk) -> None:
    """A wrong name in a template is found by 250 people at nine o'clock, unless somebody can look before."""
    numbers = people(40)
    desk.campaign(numbers[:30], parameters=(TemplateParameter("1", "first_name"),))
    desk.campaign(numbers[30:], "Summer Sale", template_language="de")
    facts = previewed(desk)
    assert facts["summary"] == "2026-03-02: 40 people would be taken."
    assert (facts["send_date"], facts["people"], facts["skipped_as_unsubscribed"]) == (THE_DATE, 40, 0)
    assert (facts["sender_limit"], facts["capacity"], facts["kept_free_for_today"]) == (250, 250, 0)
    assert rows_of(facts["by_campaign"]) == [
        {"campaign": "spring-sale", "people": 30},
        {"campaign": "summer-sale", "people": 10},
    ]
    shown = rows_of(facts["first_people"])
    assert len(shown) == 25
    components = json.loads(shown[0].pop("components"))
    assert shown[0] == {
        "campaign": "spring-sale",
        "place": 1,
        "to": mask_phone(phone(numbers[0])),
        "template": "spring_sale",
        "language": "en_US",
    }
    assert components == [{"type": "body", "parameters": [{"type": "text", "text": "Ada"}]}]


def test_it_shows_the_messages_as_people_would_see_them_once_the_template_is_known(desk: OrchestrationDesk) -> None:
    """A name in the wrong place reads right among parameters and wrong in the sentence."""
    numbers = people(2)
    campaign = desk.campaign(numbers, parameters=(TemplateParameter("1", "first_name"),))
    known = template(body("Dear {{1}},"), {"type": "FOOTER", "text": "Reply STOP"}, parameter_format="POSITIONAL")
    with desk.ledger.write() as connection:
        keep_template(connection, find(connection, campaign), known, desk.clock.now())
    shown = rows_of(previewed(desk)["first_people"])
    assert [row["message"] for row in shown] == ["Dear Ada,\nReply STOP"] * 2


def test_it_shows_exactly_those_who_are_sent_to_then(desk: OrchestrationDesk) -> None:
    """A preview by rules of its own is believed until the day on which the two differ."""
    numbers = people(30)
    desk.campaign(numbers[:20], daily_send_limit=8)
    desk.campaign(numbers[20:], "Summer Sale", priority=1, daily_send_limit=6)
    desk.unsubscribe(numbers[1], numbers[22])
    facts = previewed(desk)
    desk.send()
    assert (facts["people"], facts["skipped_as_unsubscribed"]) == (14, 2)
    # Of two campaigns the one that goes first was made last.
    taken = batch_phones(desk.ledger, THE_DATE)
    assert [row["to"] for row in rows_of(facts["first_people"])] == [mask_phone(each) for each in taken[8:] + taken[:8]]


def test_it_calls_nothing_takes_nothing_and_makes_no_asset(new_desk: DeskMaker) -> None:
    """People press it ten times before they press the other button; every time something would have happened."""
    desk = new_desk(WHATSAPP_BASE_URL="http://127.0.0.1:9")
    numbers = people(12)
    desk.campaign(numbers, daily_send_limit=10)
    desk.unsubscribe(numbers[0])
    before = everything(desk)
    messages, health = desk.simulator.messages(), desk.simulator.health()
    for send_date in ("", YESTERDAY, THE_DATE, TOMORROW):
        run = run_of(desk, send_date)
        assert run.success
        assert run.get_asset_materialization_events() == []
    assert everything(desk) == before
    assert (desk.simulator.messages(), desk.simulator.health()) == (messages, health)
    assert list(desk.instance.all_asset_keys()) == []


def test_its_run_shows_two_digits_of_a_number_and_no_more(desk: OrchestrationDesk) -> None:
    """Whoever may look at runs may not for that know the numbers of 250 customers."""
    numbers = people(30)
    desk.campaign(numbers)
    run = run_of(desk)
    told = "\n".join(dg.serialize_value(entry) for entry in desk.instance.all_logs(run.run_id))
    assert mask_phone(phone(numbers[7])) in told
    assert [number for number in numbers if phone(number).removeprefix("+44") in told] == []
    shown = [row["to"] for row in rows_of(previewed(desk)["first_people"])]
    assert [re.fullmatch(r"\*{3}\d\d", each) is not None for each in shown] == [True] * 25


def test_without_a_date_it_is_about_the_next_batch(desk: OrchestrationDesk) -> None:
    """Started with nothing filled in, most of all by people who want to know what happens at nine."""
    desk.campaign(people(5))
    desk.clock.set("2026-03-02T08:00:00+00:00")
    assert sentence(desk, "") == "2026-03-02: 5 people would be taken."
    desk.clock.set("2026-03-02T09:30:00+00:00")
    assert sentence(desk, "") == "2026-03-03: 5 people would be taken."


def test_a_past_date_shows_what_todays_batch_leaves_over(new_desk: DeskMaker) -> None:
    """Yesterday was missed: whether a backfill is of any use is what one wants to know before starting it."""
    desk = new_desk(CAMPAIGN_SENDER_LIMIT="30")
    desk.campaign(people(50), daily_send_limit=20)
    assert sentence(desk, YESTERDAY) == (
        "2026-03-01, which is past: 10 people would be taken. Today's batch keeps 20 places for itself."
    )


def use_elsewhere(desk: OrchestrationDesk, size: int) -> None:
    """Notes that another system has reached some people just now."""
    used = {"people": size, "used_at": desk.clock.now(), "source": "the newsletter"}
    with desk.ledger.write() as connection:
        connection.execute(insert(external_usage).values(sender_id=sender_id(connection), **used))


def test_a_past_date_for_which_there_is_no_room_says_why(new_desk: DeskMaker) -> None:
    """A room for -5 people is a riddle, and "nobody waits" a lie."""
    desk = new_desk(CAMPAIGN_SENDER_LIMIT="30")
    desk.campaign(people(50), daily_send_limit=20)
    use_elsewhere(desk, 15)
    assert sentence(desk, YESTERDAY) == (
        "2026-03-01, which is past: nobody would be taken, since the 24-hour window has no room. "
        "Today's batch keeps 20 places for itself."
    )


def test_a_date_to_come_says_that_others_come_before_it(desk: OrchestrationDesk) -> None:
    """Shown without a word, the people of tomorrow stand under the date of Friday."""
    desk.campaign(people(5))
    assert sentence(desk, "2026-03-06") == (
        "2026-03-06, if it were next: 5 people would be taken. Dates before it take theirs first."
    )
    assert sentence(desk, TOMORROW) == "2026-03-03: 5 people would be taken.", "it is next after nine o'clock"


def test_a_window_that_stays_full_is_told(new_desk: DeskMaker) -> None:
    """Another system has used the limit up: "nobody waits" would send people looking for a fault in the list."""
    desk = new_desk(CAMPAIGN_SENDER_LIMIT="10")
    desk.campaign(people(20))
    use_elsewhere(desk, 10)
    assert sentence(desk, THE_DATE) == "2026-03-02: nobody would be taken, since the 24-hour window has no room."


def test_nobody_to_send_to_is_told(desk: OrchestrationDesk) -> None:
    """An empty table and no word is what a broken job looks like."""
    facts = previewed(desk)
    assert facts["summary"] == "2026-03-02: nobody would be taken, since nobody waits in an active campaign."
    assert (facts["people"], facts["by_campaign"], facts["first_people"]) == (0, "nothing", "nothing")


def test_a_date_whose_batch_was_taken_shows_how_it_stands(desk: OrchestrationDesk) -> None:
    """A batch is never topped up; a preview that shows the next 250 people for it announces just that."""
    numbers = people(20)
    desk.campaign(numbers, daily_send_limit=10)
    desk.simulator.fault("account", to=phone(numbers[5]))
    assert not desk.send().success
    assert sentence(desk, THE_DATE) == (
        "2026-03-02: a batch of 10 was taken and can be gone on with; nobody else is taken."
    )
    desk.mend()
    desk.clock.forward(days=1)
    assert desk.send(TOMORROW).success
    assert sentence(desk, THE_DATE) == "2026-03-02: a batch of 10 was taken and is finished; nobody else is taken."
    assert previewed(desk, THE_DATE)["people"] == 0


NO_DATES = {
    "words": ("tomorrow", "'tomorrow' is no date: write it like 2026-03-02, or leave it empty for the next batch."),
    "a day that is not": ("2026-02-30", "'2026-02-30' is no date: write it like 2026-03-02, or leave it empty"),
    "before the first": ("2020-01-01", "2020-01-01 is before the first send date, 2026-03-01."),
}


@pytest.mark.parametrize(("written", "told"), NO_DATES.values(), ids=NO_DATES.keys())
def test_what_is_no_send_date_is_refused_in_one_sentence(desk: OrchestrationDesk, written: str, told: str) -> None:
    """A page of traceback for a slip of the hand."""
    desk.campaign(people(3))
    job = desk.definitions.resolve_job_def("preview_batch")
    config = {"ops": {"foresee_batch": {"config": {"send_date": written}}}}
    with pytest.raises(dg.Failure) as caught:
        job.execute_in_process(run_config=config, instance=desk.instance)
    assert str(caught.value.description).startswith(told)
    assert caught.value.allow_retries is False
