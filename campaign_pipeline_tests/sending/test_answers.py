"""Each way in which a call can end, and what becomes of the person, of the rest of the batch and of the window."""

import socket
import threading

import pytest
from sqlalchemy import update

from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.sending.errors import CannotSendError
from campaign_pipeline.sending.report import DateEnd
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    SendingDesk,
    attempts,
    campaign_status,
    outcomes,
    people,
    sender_row,
    states,
    used_capacity,
)


@pytest.mark.parametrize(
    ("kind", "takes_it", "http_status"),
    [
        ("lost_answer", None, None),
        ("reset_before", None, None),
        ("server_error", True, 500),
        ("server_error", False, 500),
        ("no_wamid", True, 200),
        ("html", True, 502),
        ("redirect", None, 302),
    ],
)
def test_an_answer_that_proves_nothing_leaves_one_person_in_doubt_for_good(
    desk: SendingDesk, kind: str, takes_it: bool | None, http_status: int | None
) -> None:
    """WhatsApp may have the message. Sent again, the person has it twice; nobody but a webhook or a person may say."""
    who = people(3)
    desk.campaign(who, daily_send_limit=2)
    desk.simulator.fault(kind, to=phone(who[0]), accepted=takes_it)
    report = desk.send("2026-03-02")
    assert (report.end, report.figures.sent, report.figures.in_doubt) == (DateEnd.FINISHED, 1, 1)
    assert "1 in doubt" in report.sentence
    assert used_capacity(desk.ledger, desk.clock.now()) == 2
    desk.simulator.clear_faults()

    assert desk.send("2026-03-02", "again").end is DateEnd.WAS_FINISHED
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").figures.sent == 1
    assert states(desk.ledger) == ["in_doubt", "accepted", "accepted"]
    (attempt,) = attempts(desk.ledger, who[0])
    assert (attempt.outcome, attempt.http_status, attempt.wamid) == ("in_doubt", http_status, None)
    assert attempt.error_text
    assert len(desk.reached(who[:1])) == (kind == "lost_answer" or bool(takes_it))
    assert campaign_status(desk.ledger) == "active"


def test_a_person_who_is_refused_is_failed_and_the_others_go_on(desk: SendingDesk) -> None:
    """One number that is not on WhatsApp must not hold up 249 others, nor be tried every day."""
    who = people(3)
    desk.campaign(who)
    desk.simulator.fault("refused", to=phone(who[1]))
    report = desk.send()
    assert (report.end, report.figures.sent, report.figures.failed) == (DateEnd.FINISHED, 2, 1)
    assert states(desk.ledger) == ["accepted", "failed", "accepted"]
    (attempt,) = attempts(desk.ledger, who[1])
    assert (attempt.outcome, attempt.error_code, attempt.http_status) == ("refused", 131026, 400)
    assert attempt.counts_until is None
    assert campaign_status(desk.ledger) == "completed"


def test_a_fault_of_the_account_stops_the_batch_and_costs_nobody_anything(desk: SendingDesk) -> None:
    """An expired token refuses everybody; 250 people marked as failed would never be sent to."""
    who = people(4)
    desk.campaign(who)
    desk.simulator.fault("account", share=1)
    with pytest.raises(CannotSendError, match=r"the sender is stopped: error 190, Invalid OAuth.*Mend that") as stopped:
        desk.send(concurrency=1)
    assert (stopped.value.left, stopped.value.again_at) == (4, None)
    assert states(desk.ledger) == ["claimed"] * 4
    assert outcomes(desk.ledger) == ["refused"]
    assert used_capacity(desk.ledger, desk.clock.now()) == 0

    desk.simulator.clear_faults()
    with pytest.raises(CannotSendError, match=r"error 190, the token has expired.*Make a new token.*sender resume"):
        desk.send(run_id="too early")
    assert outcomes(desk.ledger) == ["refused"]
    desk.resume_sender()
    assert desk.send(run_id="with a new token").figures.sent == 4
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    assert [attempt.attempt_number for attempt in attempts(desk.ledger, who[0])] == [1, 2]


def test_a_throttled_call_is_made_again_a_little_later(desk: SendingDesk) -> None:
    """Meta says "too fast", not "no": the person is still owed the message, and the others wait as long."""
    who = people(3)
    desk.campaign(who)
    desk.simulator.fault("throttle", next=2)
    began = desk.clock.elapsed
    report = desk.send(concurrency=1)
    assert (report.end, report.figures.sent, report.attempted_now) == (DateEnd.FINISHED, 3, 5)
    assert desk.clock.elapsed - began >= 3
    assert outcomes(desk.ledger, who[0]) == ["refused", "refused", "accepted"]
    assert desk.reached(who) == [phone(number) for number in who]
    assert report.after.used == 3


def test_calls_that_are_throttled_together_are_one_reason_to_back_off(desk: SendingDesk) -> None:
    """With sixteen calls in flight a single moment of "too fast" refuses sixteen; it must not count as a minute's."""
    who = people(12)
    desk.campaign(who)
    desk.simulator.fault("throttle", next=8)
    desk.simulator.hold()
    threading.Timer(0.4, desk.simulator.release).start()
    report = desk.send(concurrency=8)
    assert (report.end, report.figures.sent) == (DateEnd.FINISHED, 12)
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_throttled_for_a_minute_the_run_gives_up_and_nobody_is_lost(desk: SendingDesk) -> None:
    """Trying for ever would hold the sender all day; the next run of the date goes on where this one stood."""
    who = people(4)
    desk.campaign(who)
    desk.simulator.fault("throttle", share=1)
    began = desk.clock.elapsed
    with pytest.raises(CannotSendError, match=r"took no call 6 times in a row: error 130429.*Nobody is lost"):
        desk.send(concurrency=1)
    assert desk.clock.elapsed - began >= 31
    assert states(desk.ledger) == ["claimed"] * 4
    desk.simulator.clear_faults()
    assert desk.send(run_id="later").figures.sent == 4
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_when_nobody_answers_the_door_nobody_is_in_doubt(desk: SendingDesk) -> None:
    """A refused connection wrote nothing: those people were certainly not reached, and use no place."""
    who = people(3)
    desk.campaign(who)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CannotSendError, match=r"took no call 6 times in a row:.*ConnectionRefused.*run the date again"):
        desk.send(concurrency=1, base_url=f"http://127.0.0.1:{port}")
    assert set(outcomes(desk.ledger)) == {"not_sent"}
    assert states(desk.ledger) == ["claimed"] * 3
    assert used_capacity(desk.ledger, desk.clock.now()) == 0
    assert desk.send(run_id="later").figures.sent == 3
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_three_doubts_in_a_row_stop_the_batch(desk: SendingDesk) -> None:
    """Each doubt is a person who may never be sent to again; a broken line must not use up the whole audience."""
    who = people(6)
    desk.campaign(who)
    desk.simulator.fault("lost_answer", share=1)
    with pytest.raises(CannotSendError, match="3 answers in a row were lost") as stopped:
        desk.send(concurrency=1)
    assert stopped.value.left == 3
    assert states(desk.ledger) == ["in_doubt"] * 3 + ["claimed"] * 3
    desk.simulator.clear_faults()
    report = desk.send(run_id="later")
    assert (report.sent_now, report.figures.in_doubt, report.end) == (3, 3, DateEnd.FINISHED)
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_doubts_between_answers_do_not_stop_the_batch(desk: SendingDesk) -> None:
    """A line that loses one answer in two is bad, but three in a row were never lost."""
    who = people(6)
    desk.campaign(who)
    for number in who[::2]:
        desk.simulator.fault("lost_answer", to=phone(number))
    report = desk.send(concurrency=1)
    assert (report.end, report.figures.sent, report.figures.in_doubt) == (DateEnd.FINISHED, 3, 3)


def test_a_batch_that_ends_in_doubts_is_finished_with_them(desk: SendingDesk) -> None:
    """Green with a warning: running the date again would find nobody to send to."""
    who = people(4)
    desk.campaign(who)
    for number in who[1:]:
        desk.simulator.fault("lost_answer", to=phone(number))
    report = desk.send(concurrency=1)
    assert (report.end, report.figures.sent, report.figures.in_doubt) == (DateEnd.FINISHED, 1, 3)


def test_a_campaign_is_completed_with_the_last_doubt_and_not_before(desk: SendingDesk) -> None:
    """`completed` means that nobody is left unsettled; said too early, a doubt is never looked at."""
    who = people(2)
    desk.campaign(who)
    desk.simulator.fault("lost_answer", to=phone(who[0]))
    desk.send()
    assert campaign_status(desk.ledger) == "active"
    desk.ingest()
    assert states(desk.ledger) == ["read", "read"]
    assert campaign_status(desk.ledger) == "completed"


def test_a_campaign_with_people_left_for_tomorrow_is_not_completed(desk: SendingDesk) -> None:
    """Forty days long, each day's last answer is not the campaign's."""
    desk.campaign(people(3), daily_send_limit=2)
    desk.send()
    assert campaign_status(desk.ledger) == "active"
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert campaign_status(desk.ledger) == "completed"


def test_a_sender_that_was_stopped_sends_nothing_until_it_is_cleared(desk: SendingDesk) -> None:
    """A person has stopped everything, for a reason that every run has to repeat."""
    who = people(2)
    desk.campaign(who, daily_send_limit=1)
    desk.send("2026-03-02")
    desk.clock.forward(days=1)
    with desk.ledger.write() as connection:
        connection.execute(update(senders).values(stopped_at=desk.clock.now(), stop_reason="The account is locked."))
    with pytest.raises(CannotSendError, match=r"The account is locked\."):
        desk.send("2026-03-03")
    assert len(desk.reached(who)) == 1
    desk.resume_sender()
    assert desk.send("2026-03-03", "cleared").figures.sent == 1
    assert sender_row(desk.ledger).lease_holder is None
