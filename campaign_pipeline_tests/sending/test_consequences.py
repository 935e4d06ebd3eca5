"""What a refusal means for the rest of a date: who is held up, what the run says, and how the date goes on."""

import pytest

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.held_countries import release_country
from campaign_pipeline.campaigns.queue import demands_in_order
from campaign_pipeline.delivery.impediments import impediments
from campaign_pipeline.delivery.stop_rule import StopRule
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.report import DateEnd
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    attempts,
    batch_rows,
    campaign_status,
    people,
    states,
    used_capacity,
)

PAUSED_TEMPLATE = 132015


def pause_by_a_fault(desk: SendingDesk, who: list[int], code: int = PAUSED_TEMPLATE) -> CannotSendError:
    """The third person's call is refused for a fault of the campaign."""
    desk.simulator.fault("error", code=code, to=phone(who[2]))
    with pytest.raises(CannotSendError) as red:
        desk.send("2026-03-02", concurrency=1)
    desk.simulator.clear_faults()
    return red.value


def test_a_campaign_that_is_refused_is_paused_and_the_date_is_red_with_the_reason(desk: SendingDesk) -> None:
    """Green, nobody looks; and each further call would tell Meta once more that nobody here reads its answers."""
    who = people(5)
    desk.campaign(who)
    red = pause_by_a_fault(desk, who)
    assert str(red).startswith(
        "spring-sale is paused: WhatsApp refuses its messages: error 132015, the template is paused"
    )
    assert "Then `campaign resume spring-sale`." in str(red)
    assert red.left == 3
    assert states(desk.ledger) == ["accepted", "accepted", "claimed", "claimed", "claimed"]
    assert campaign_status(desk.ledger) == "paused"


def test_once_it_is_mended_the_same_date_goes_on_with_the_same_people(desk: SendingDesk) -> None:
    """Given back to the queue, they would wait for tomorrow although the template was repaired within the hour."""
    who = people(5)
    desk.campaign(who)
    pause_by_a_fault(desk, who)
    with pytest.raises(CannotSendError, match="spring-sale is paused"):
        desk.send("2026-03-02", "too early")
    desk.resume("spring-sale")
    report = desk.send("2026-03-02", "mended")
    assert (report.end, report.figures.sent) == (DateEnd.FINISHED, 5)
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_when_the_day_is_over_the_people_of_a_paused_campaign_go_first_in_the_next_batch(desk: SendingDesk) -> None:
    """Left in a batch that nobody goes on with, they would be forgotten."""
    who = people(5)
    desk.campaign(who, daily_send_limit=4)
    pause_by_a_fault(desk, who)
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").end is DateEnd.NOBODY_WAITS
    assert [batch.state for batch in batch_rows(desk.ledger)] == ["closed"]
    assert states(desk.ledger) == ["accepted", "accepted", "pending", "pending", "pending"]
    desk.resume("spring-sale")
    assert desk.send("2026-03-03", "mended").figures.sent == 3
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_another_campaign_of_the_same_batch_is_sent_all_the_same(desk: SendingDesk) -> None:
    """One paused template must not hold up everybody else's messages."""
    who, others = people(5), people(3)
    desk.campaign(who, priority=5)
    desk.campaign(others, name="Second")
    red = pause_by_a_fault(desk, who)
    assert red.left == 3
    assert states(desk.ledger, "second") == ["accepted"] * 3


def test_a_person_who_pauses_as_well_gives_the_people_back_at_the_end_of_the_run(desk: SendingDesk) -> None:
    """A person's pause is for long: nobody should be kept in a batch for it."""
    who = people(5)
    desk.campaign(who)
    pause_by_a_fault(desk, who)
    desk.pause("spring-sale")
    report = desk.send("2026-03-02", "again")
    assert (report.end, report.figures.sent) == (DateEnd.FINISHED, 2)
    assert states(desk.ledger) == ["accepted", "accepted", "pending", "pending", "pending"]


def test_a_stopped_sender_closes_yesterdays_batch_before_it_refuses_todays(desk: SendingDesk) -> None:
    """Its people have to be in the queue again, and who was being attempted in doubt, whatever today is stopped for."""
    who = people(4)
    desk.campaign(who, daily_send_limit=2)
    desk.simulator.fault("error", code=190, http_status=401, to=phone(who[1]))
    with pytest.raises(CannotSendError, match="the sender is stopped"):
        desk.send("2026-03-02", concurrency=1)
    desk.simulator.clear_faults()
    desk.clock.forward(days=1)
    with pytest.raises(CannotSendError, match=r"The sender is stopped: error 190.*run the date again") as refused:
        desk.send("2026-03-03")
    assert [batch.send_date.isoformat() for batch in refused.value.closed] == ["2026-03-02"]
    assert refused.value.left is None
    assert states(desk.ledger) == ["accepted", "pending", "pending", "pending"]
    desk.resume_sender()
    assert desk.send("2026-03-03", "mended").figures.sent == 2


def test_a_batch_that_is_through_is_closed_although_the_sender_was_stopped_by_its_last_answer(
    desk: SendingDesk,
) -> None:
    """Nobody is left who could be sent to: red, somebody would repair a date that needs nothing."""
    who = people(2)
    desk.campaign(who)
    desk.simulator.fault("error", code=190, http_status=500, to=phone(who[1]), accepted=False)
    report = desk.send("2026-03-02", concurrency=1)
    assert (report.end, report.figures.sent, report.figures.in_doubt) == (DateEnd.FINISHED, 1, 1)


def test_people_of_a_held_country_are_passed_over_and_taken_once_it_is_released(desk: SendingDesk) -> None:
    """Each of them would fail for good; held, they keep their place. Everybody else goes on."""
    who = people(4)
    desk.campaign(who, daily_send_limit=3)
    desk.simulator.fault("error", code=130497, to=phone(who[0]))
    report = desk.send("2026-03-02", concurrency=1)
    assert (report.end, report.figures.sent, report.figures.failed) == (DateEnd.FINISHED, 0, 1)
    assert states(desk.ledger) == ["failed", "pending", "pending", "pending"]
    assert campaign_status(desk.ledger) == "active"
    with desk.ledger.read() as connection:
        assert [demand.waiting for demand in demands_in_order(connection)] == [0]
    desk.simulator.clear_faults()
    desk.clock.forward(days=1)
    report = desk.send("2026-03-03")
    assert report.end is DateEnd.NOBODY_WAITS
    assert "3 people wait in GB, which is held" in report.sentence
    with desk.ledger.write() as connection:
        release_country(connection, "GB", actor="test", now=desk.clock.now())
    assert desk.send("2026-03-03", "released").figures.sent == 3


def test_three_refusals_in_a_row_that_nobody_can_explain_pause_the_campaign(desk: SendingDesk) -> None:
    """One by one, a code that is new at Meta fails the whole audience in a morning."""
    who = people(6)
    desk.campaign(who)
    desk.simulator.fault("error", code=987_654, share=1)
    with pytest.raises(CannotSendError, match="3 people in a row failed with error 987654") as red:
        desk.send(concurrency=1)
    assert red.value.left == 3
    assert states(desk.ledger) == ["failed"] * 3 + ["claimed"] * 3


def test_the_stop_rule_of_the_terms_is_the_one_that_is_applied(desk: SendingDesk) -> None:
    """A setting that reaches nobody protects nobody."""
    who = people(8)
    desk.campaign(who)
    desk.simulator.fault("refused", share=1)
    with pytest.raises(CannotSendError, match="4 of its last 4 messages failed, more than 50 %"):
        desk.send(concurrency=1, stop_rule=StopRule(last=4, percent=50))
    assert states(desk.ledger).count("failed") == 4


def test_three_answers_in_doubt_end_the_run_whatever_their_codes_say(desk: SendingDesk) -> None:
    """Each of them is a person whom nobody may send to again; a paused campaign does not make that good."""
    who = people(6)
    desk.campaign(who[:1], name="A")
    desk.campaign(who[1:2], name="B")
    desk.campaign(who[2:3], name="C")
    desk.campaign(who[3:], name="D")
    desk.simulator.fault("error", code=PAUSED_TEMPLATE, http_status=500, share=1, accepted=False)
    with pytest.raises(CannotSendError, match="3 answers in a row were lost"):
        desk.send(concurrency=1)
    with desk.ledger.write() as connection:
        assert lifecycle.pause(connection, "d", actor="test", now=desk.clock.now()).status == "paused"


@pytest.mark.parametrize("code", [132015, 135000])
def test_a_held_message_is_in_flight_and_never_sent_again_whatever_becomes_of_it(desk: SendingDesk, code: int) -> None:
    """Held for quality, hours without a status: sent again, everybody has it twice once Meta lets go of both."""
    who = people(3)
    desk.campaign(who, daily_send_limit=2)
    desk.simulator.fault("held", next=2)
    assert desk.send("2026-03-02").figures.sent == 2
    assert [attempt.message_status for attempt in attempts(desk.ledger)] == ["held_for_quality_assessment"] * 2
    assert used_capacity(desk.ledger, desk.clock.now()) == 2
    assert desk.send("2026-03-02", "again").end is DateEnd.WAS_FINISHED
    desk.simulator.drop_held(code)
    desk.ingest()
    assert states(desk.ledger) == ["failed", "failed", "pending"]
    with desk.ledger.read() as connection:
        found = [each.kind for each in impediments(connection, desk.clock.now())]
    assert found == ["campaign_held_up" if code == PAUSED_TEMPLATE else "sender_stopped"]
    assert len(desk.reached(who)) == 2


def test_a_held_message_that_is_let_go_is_delivered_like_any_other(desk: SendingDesk) -> None:
    """Given up as lost, its person would be in the next campaign's list of the unreached."""
    desk.campaign(people(1))
    desk.simulator.fault("held", next=1)
    desk.send()
    desk.simulator.release_held()
    desk.ingest()
    assert states(desk.ledger) == ["read"]


def test_after_a_fault_of_metas_server_nobody_else_is_called_for_its_time(desk: SendingDesk) -> None:
    """Each call into it is one more person in doubt, and three of them end the run."""
    who = people(4)
    desk.campaign(who)
    desk.simulator.fault("error", code=131057, http_status=500, to=phone(who[0]), accepted=False)
    began = desk.clock.elapsed
    report = desk.send(concurrency=1)
    assert (report.figures.sent, report.figures.in_doubt) == (3, 1)
    assert desk.clock.elapsed - began >= 60
