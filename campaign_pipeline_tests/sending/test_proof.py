"""The proof on what was really sent: it passes, and tells apart what a person ordered and what is not settled yet."""

from datetime import date

import pytest
from sqlalchemy import delete, event, insert, update
from sqlalchemy.exc import IntegrityError

from campaign_pipeline.campaigns.errors import CampaignNotFoundError
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import batches, campaign_recipients, send_attempts
from campaign_pipeline.recipients.audience import remove_person
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.sending.batches import close_batch
from campaign_pipeline.sending.doubts import DoubtVerdict, TheseAttempts, resolve
from campaign_pipeline.sending.proof import BatchProof, DoubtsOfDate, Found, Proof, prove, prove_batch, reached_twice
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put, status
from campaign_pipeline_tests.support.campaigns import activate, add_people, draft, phone
from campaign_pipeline_tests.support.sending import (
    LOST,
    SECOND_OF_MARCH,
    SendingDesk,
    accepted,
    answer_call,
    attempts,
    outcomes,
    people,
    states,
    take_and_admit,
)

NOT_REACHED = [
    Answer(AnswerKind.REFUSED, 400, 130429, "too fast"),
    Answer(AnswerKind.NOT_SENT, error_text="connection refused"),
]


def proof_of(ledger: Ledger) -> BatchProof:
    with ledger.read() as connection:
        proof = prove_batch(connection, SECOND_OF_MARCH)
    assert proof is not None
    return proof


def attempt_again(ledger: Ledger, number: int) -> None:
    """Writes a second attempt for somebody, as a bug or a hand in the database would."""
    (first,) = attempts(ledger, number)
    copy = {column.name: getattr(first, column.name) for column in send_attempts.c}
    with ledger.write() as connection:
        connection.execute(insert(send_attempts).values(**{**copy, "id": f"second-{number}", "attempt_number": 2}))


def hear(desk: SendingDesk, *statuses: dict[str, object]) -> None:
    """Takes in some statuses, as if Meta had told them."""
    put(desk.status_folders.inbox, "heard.ndjson", ndjson([payload(*statuses)]))
    ingest_waiting(desk.ledger, desk.status_folders, desk.clock.now)


def test_a_date_without_a_batch_has_nothing_to_prove(ledger: Ledger) -> None:
    """The check of an empty day must not fail."""
    with ledger.read() as connection:
        assert prove_batch(connection, SECOND_OF_MARCH) is None
        assert reached_twice(connection) == []


def test_a_batch_that_was_sent_with_all_kinds_of_trouble_proves_itself(desk: SendingDesk) -> None:
    """Refused, throttled, lost, paused away: none of it may look like a broken promise."""
    who = people(6)
    campaign = desk.campaign(who)
    desk.simulator.fault("refused", to=phone(who[0]))
    desk.simulator.fault("lost_answer", to=phone(who[1]))
    desk.simulator.fault("throttle", next=1)

    def pause_near_the_end(progress: object) -> None:
        if getattr(progress, "done", 0) == 4:
            desk.pause(campaign)

    desk.send(concurrency=1, on_progress=pause_near_the_end)
    proof = proof_of(desk.ledger)
    assert (proof.people, proof.moved_on, proof.size) == (4, 2, 6)
    assert (proof.nobody_twice, proof.within_limits, proof.sums) == (True, True, True)


def test_everything_that_was_really_sent_is_proved(desk: SendingDesk) -> None:
    """Two campaigns over three dates, with every kind of trouble and all statuses: none of it is a broken promise."""
    who = people(12)
    desk.campaign(who, daily_send_limit=4)
    desk.campaign(who[:3], "Summer", daily_send_limit=1)
    desk.simulator.fault("refused", to=phone(who[0]))
    desk.simulator.fault("lost_answer", to=phone(who[1]))
    desk.simulator.fault("throttle", next=1)
    desk.unsubscribe(who[9])
    for send_date in ("2026-03-02", "2026-03-03", "2026-03-04"):
        desk.send(send_date, limit=5)
        desk.clock.forward(days=1)
    before = prove(desk.ledger)
    assert (before.broken, before.in_doubt) == ((), 2)
    assert before.doubts == (
        DoubtsOfDate(SECOND_OF_MARCH, 1, before.doubts[0].oldest_started_at),
        DoubtsOfDate(date(2026, 3, 3), 1, before.doubts[1].oldest_started_at),
    )
    desk.ingest()
    after = prove(desk.ledger)
    assert (after.broken, after.in_doubt, after.unfinished.count) == ((), 0, 0)
    assert (after.recipients, after.attempts) == (15, len(attempts(desk.ledger)))
    assert prove(desk.ledger, "summer").recipients == 3


def test_a_proof_in_the_middle_of_a_run_finds_nothing(desk: SendingDesk) -> None:
    """An operator who is worried looks while it sends; calls under way are no broken promise."""
    desk.campaign(people(40))
    proofs: list[Proof] = []
    desk.send(concurrency=4, on_progress=lambda _: proofs.append(prove(desk.ledger)))
    assert len(proofs) > 5
    assert [each.broken for each in proofs] == [()] * len(proofs)


def test_a_proof_sees_everything_at_one_moment(desk: SendingDesk) -> None:
    """Its questions take seconds: one half asked before an answer was recorded, and one after, would not add up."""
    desk.campaign(people(2))
    desk.send()
    forged: list[str] = []

    def forge_in_between(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not forged and "send_attempts" in statement:
            forged.append(statement)
            with desk.ledger.write() as connection:
                connection.execute(update(campaign_recipients).values(state="failed"))

    event.listen(desk.ledger.engine, "after_cursor_execute", forge_in_between)
    try:
        proof = prove(desk.ledger)
    finally:
        event.remove(desk.ledger.engine, "after_cursor_execute", forge_in_between)
    assert forged
    assert proof.kept
    assert not prove(desk.ledger).kept


def test_a_repeat_that_a_person_ordered_is_listed_apart(desk: SendingDesk) -> None:
    """Somebody has said that nobody was reached, and was wrong: that is no fault of the program, and must be seen."""
    (who,) = people(1)
    desk.campaign([who])
    _, (call,) = take_and_admit(desk.ledger, 1, desk.clock)
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    with desk.ledger.write() as connection:
        chosen = TheseAttempts((call.attempt_id,))
        resolve(connection, chosen, DoubtVerdict.NOT_REACHED, by="Ada", now=desk.clock.now())
    assert prove(desk.ledger).ordered_repeats.count == 0
    desk.send()
    assert outcomes(desk.ledger, who) == ["voided", "accepted"]
    assert prove(desk.ledger).ordered_repeats.count == 0
    hear(desk, status("wamid.late", "sent", callback=call.attempt_id))
    proof = prove(desk.ledger)
    assert proof.broken == ()
    assert proof.ordered_repeats == Found(1, (attempts(desk.ledger, who)[0].recipient_id,))
    assert prove(desk.ledger, "spring-sale").ordered_repeats.count == 1


def test_a_repeat_after_a_failure_that_confirms_the_person_is_none(desk: SendingDesk) -> None:
    """WhatsApp itself says that the first message reached nobody: sending again was right."""
    (who,) = people(1)
    desk.campaign([who])
    _, (call,) = take_and_admit(desk.ledger, 1, desk.clock)
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    with desk.ledger.write() as connection:
        chosen = TheseAttempts((call.attempt_id,))
        resolve(connection, chosen, DoubtVerdict.NOT_REACHED, by="Ada", now=desk.clock.now())
    desk.send()
    hear(desk, status("wamid.late", "failed", callback=call.attempt_id, code=131026))
    assert (prove(desk.ledger).broken, prove(desk.ledger).ordered_repeats.count) == ((), 0)


def test_a_refusal_that_was_delivered_all_the_same_and_repeated_is_found(desk: SendingDesk) -> None:
    """No rule of ours was broken, and somebody has the message twice: that is what the promise is about."""
    (who,) = people(1)
    desk.campaign([who])
    desk.simulator.fault("throttle", next=1)
    desk.send()
    assert outcomes(desk.ledger, who) == ["refused", "accepted"]
    refused = attempts(desk.ledger, who)[0]
    assert prove(desk.ledger).kept
    hear(desk, status("wamid.refused", "delivered", callback=refused.id))
    proof = prove(desk.ledger)
    (twice,) = proof.broken
    assert proof.ordered_repeats.count == 0
    assert (twice.name, twice.offenders) == ("nobody_twice", Found(1, (refused.recipient_id,)))
    with desk.ledger.read() as connection:
        batch_id = refused.batch_id
        assert reached_twice(connection, batch_id) == reached_twice(connection) == [refused.recipient_id]
        assert reached_twice(connection, batch_id + 1) == []
    assert not proof_of(desk.ledger).nobody_twice


def test_a_run_that_died_is_unfinished_and_breaks_nothing(desk: SendingDesk) -> None:
    """Its calls are put in doubt by the next run; until then nobody can tell them from calls that are being made."""
    desk.campaign(people(3))
    _, calls = take_and_admit(desk.ledger, 2, desk.clock)
    proof = prove(desk.ledger)
    assert (proof.broken, proof.in_doubt) == ((), 0)
    assert proof.unfinished == Found(2, tuple(sorted(call.attempt_id for call in calls)))
    desk.send()
    after = prove(desk.ledger)
    assert (after.broken, after.in_doubt, after.unfinished.count) == ((), 2, 0)


def test_a_proof_of_no_campaign_is_refused(ledger: Ledger) -> None:
    """A name with a slip of the pen has nobody in it, and everything about nobody is true."""
    with pytest.raises(CampaignNotFoundError):
        prove(ledger, "summer")
    assert prove(ledger).kept


def test_people_who_were_removed_from_a_draft_are_missed_by_nobody(desk: SendingDesk) -> None:
    """Their list has added more people than there are; whoever was removed later is still there, as skipped."""
    made = draft(desk.ledger, now=desk.clock.now())
    add_people(desk.ledger, made.slug, desk.root, range(4), now=desk.clock.now())

    def remove(number: int) -> None:
        desk.clock.forward(minutes=1)
        with desk.ledger.write() as connection:
            who = parse_phone(phone(number), "GB")
            remove_person(connection, made.slug, who, actor="Ada", now=desk.clock.now())

    remove(0)
    activate(desk.ledger, made.slug, now=desk.clock.now())
    remove(1)
    assert prove(desk.ledger).broken == ()
    with desk.ledger.write() as connection:
        connection.execute(delete(campaign_recipients).where(campaign_recipients.c.phone == phone(2)))
    assert [each.name for each in prove(desk.ledger).broken] == ["states_sum"]


def test_the_database_takes_no_second_attempt_while_the_first_may_have_been_accepted(desk: SendingDesk) -> None:
    """The last line: whatever a program does wrong above it, nobody is written down for a second call."""
    who = people(4)
    desk.campaign(who)
    _, calls = take_and_admit(desk.ledger, 4, desk.clock)
    answer_call(desk.ledger, calls[0], accepted("wamid.1"), desk.clock.now())
    answer_call(desk.ledger, calls[1], Answer(AnswerKind.UNKNOWN), desk.clock.now())
    for number in who[:3]:
        with pytest.raises(IntegrityError):
            attempt_again(desk.ledger, number)
    answer_call(desk.ledger, calls[3], NOT_REACHED[0], desk.clock.now())
    attempt_again(desk.ledger, who[3])
    assert [attempt.attempt_number for attempt in attempts(desk.ledger, who[3])] == [1, 2]


def test_a_batch_that_grew_or_lost_people_is_found(desk: SendingDesk) -> None:
    """Somebody put into a batch by hand, or taken out of it, is a batch that cannot be accounted for."""
    desk.campaign(people(4), daily_send_limit=2)
    desk.send()
    with desk.ledger.write() as connection:
        connection.execute(update(batches).values(size=1))
    proof = proof_of(desk.ledger)
    assert (proof.within_limits, proof.sums) == (False, False)
    with desk.ledger.write() as connection:
        connection.execute(update(batches).values(size=3))
    proof = proof_of(desk.ledger)
    assert (proof.within_limits, proof.sums) == (True, False)


def test_the_database_takes_no_attempt_beyond_the_limit_that_is_stored_with_it(desk: SendingDesk) -> None:
    """The count and the limit stand on each row, so that the promise can be read off the rows alone."""
    desk.campaign(people(2))
    desk.send()
    with pytest.raises(IntegrityError), desk.ledger.write() as connection:
        connection.execute(update(send_attempts).values(admitted_count=send_attempts.c.admitted_limit + 1))
    assert proof_of(desk.ledger).beyond_limit == 0


@pytest.mark.parametrize("late", NOT_REACHED)
def test_a_late_answer_that_reached_nobody_leaves_a_closed_batch_adding_up(desk: SendingDesk, late: Answer) -> None:
    """The person goes back to the queue from a batch that was closed with a doubt; the batch has to know."""
    desk.campaign(people(2))
    batch, calls = take_and_admit(desk.ledger, 2, desk.clock)
    answer_call(desk.ledger, calls[1], accepted("wamid.2"), desk.clock.now())
    with desk.ledger.write() as connection:
        close_batch(connection, batch, "closed by a test", desk.clock.now())
    assert proof_of(desk.ledger).sums
    answer_call(desk.ledger, calls[0], late, desk.clock.now())
    assert states(desk.ledger) == ["pending", "accepted"]
    assert proof_of(desk.ledger).sums
