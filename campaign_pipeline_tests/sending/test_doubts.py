"""Attempts in doubt: what is known of them, and what a person's word makes of them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.schema import audit_log, campaign_analytics, campaign_recipients, outbox
from campaign_pipeline.sending import doubts
from campaign_pipeline.sending.batches import take_batch
from campaign_pipeline.sending.doubts import AllOfDate, Choice, DoubtError, DoubtVerdict, Resolution, TheseAttempts
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put, status
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    LOST,
    SECOND_OF_MARCH,
    SendingDesk,
    accepted,
    answer_call,
    attempts,
    batch_phones,
    batch_rows,
    campaign_status,
    holding,
    outcomes,
    people,
    states,
    take_and_admit,
    used_capacity,
)

REACHED, NOT_REACHED = DoubtVerdict.REACHED, DoubtVerdict.NOT_REACHED


def resolve(
    desk: SendingDesk,
    verdict: DoubtVerdict,
    *ids: str,
    all_of: date | None = None,
    by: str = "Ada",
) -> Resolution:
    """Settles some attempts, or all of a date, as a person does."""
    choice: Choice = AllOfDate(all_of) if all_of is not None else TheseAttempts(ids)
    with desk.ledger.write() as connection:
        return doubts.resolve(connection, choice, verdict, by=by, now=desk.clock.now(), reason="asked them")


def listed(desk: SendingDesk, send_date: date | None = None) -> list[doubts.Doubt]:
    """What is in doubt."""
    with desk.ledger.read() as connection:
        return doubts.list_doubts(connection, send_date)


def sent_with_doubts(
    desk: SendingDesk, who: list[int], in_doubt: list[int], fault: str = "server_error", **changes: object
) -> list[str]:
    """Sends a campaign of which some people's answers are lost; gives the ids of their attempts."""
    desk.campaign(who, **changes)
    for number in in_doubt:
        desk.simulator.fault(fault, to=phone(number))
    desk.send(concurrency=1)
    desk.simulator.clear_faults()
    found = [attempt.id for attempt in attempts(desk.ledger, *in_doubt)]
    assert outcomes(desk.ledger, *in_doubt) == ["in_doubt"] * len(in_doubt)
    return found


def hear(desk: SendingDesk, attempt_id: str, word: str) -> None:
    """Takes in one status that names an attempt."""
    desk.simulator.wait_for_statuses()
    folders = desk.status_folders
    for file in folders.inbox.glob("*.ndjson"):
        file.unlink()
    one = status(f"wamid.{attempt_id}", word, callback=attempt_id, code=131026 if word == "failed" else None)
    put(folders.inbox, "one.ndjson", ndjson([payload(one)]))
    ingest_waiting(desk.ledger, folders, desk.clock.now)


# --- what is known ---------------------------------------------------------------------------------------------------


def test_a_doubt_is_told_with_all_that_is_known_of_it(desk: SendingDesk) -> None:
    """Whoever has to decide whether a customer was reached needs more than a number."""
    who = people(5)
    (attempt_id,) = sent_with_doubts(desk, who, who[1:2])
    desk.ingest()
    desk.clock.forward(hours=3)
    (doubt,) = listed(desk)
    row = attempts(desk.ledger, who[1])[0]
    assert (doubt.attempt_id, doubt.campaign, doubt.send_date) == (attempt_id, "spring-sale", SECOND_OF_MARCH)
    assert doubt.phone == f"***{phone(who[1])[-2:]}"
    assert (doubt.since, doubt.age(desk.clock.now())) == (row.started_at, desk.clock.now() - row.started_at)
    assert (doubt.http_status, doubt.error_code, doubt.run_id) == (500, 131000, "run")
    assert (doubt.accepted_of_batch, doubt.heard_of_batch) == (4, 4)
    assert doubt.counts_until == row.answered_at + timedelta(hours=24)


def test_doubts_are_listed_by_date_and_campaign_the_oldest_first(desk: SendingDesk) -> None:
    """The list of a bad day has to be worked through from somewhere."""
    first, second = people(2), people(2)
    sent_with_doubts(desk, first, first[:1])
    desk.clock.forward(days=1)
    desk.campaign(second, "Summer")
    desk.simulator.fault("no_wamid", to=phone(second[1]), accepted=False)
    desk.send("2026-03-03")
    assert [each.campaign for each in listed(desk)] == ["spring-sale", "summer"]
    assert [each.campaign for each in listed(desk, date(2026, 3, 3))] == ["summer"]
    with desk.ledger.read() as connection:
        assert [each.campaign for each in doubts.list_doubts(connection, campaign_id=1)] == ["spring-sale"]


def test_a_call_that_is_still_out_is_no_doubt_and_no_persons_to_settle(desk: SendingDesk) -> None:
    """Its answer may be on the way; said to be not reached, the same person would be called a second time meanwhile."""
    desk.campaign(people(1))
    _, (call,) = take_and_admit(desk.ledger, 1, desk.clock)
    assert listed(desk) == []
    with pytest.raises(DoubtError, match=f"{call.attempt_id} is still being made"):
        resolve(desk, NOT_REACHED, call.attempt_id)
    assert states(desk.ledger) == ["attempting"]


# --- reached ---------------------------------------------------------------------------------------------------------


def test_who_was_reached_counts_as_sent_and_is_never_sent_to_again(desk: SendingDesk) -> None:
    """A customer has told the desk that the message came."""
    who = people(3)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1], "lost_answer")
    assert campaign_status(desk.ledger) == "active"
    resolution = resolve(desk, REACHED, attempt_id)
    assert (resolution.attempt_ids, resolution.states) == ((attempt_id,), {"accepted": 1})
    assert (resolution.dates, resolution.completed) == ((SECOND_OF_MARCH,), ("spring-sale",))
    assert states(desk.ledger) == ["accepted"] * 3
    assert campaign_status(desk.ledger) == "completed"
    with desk.ledger.read() as connection:
        kept = connection.execute(select(campaign_analytics)).one()
    assert (kept.sent, kept.in_doubt) == (3, 0)
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_a_failure_that_is_heard_of_after_reached_counts(desk: SendingDesk) -> None:
    """WhatsApp knows better than the person who guessed."""
    who = people(2)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1], "lost_answer")
    resolve(desk, REACHED, attempt_id)
    hear(desk, attempt_id, "failed")
    assert states(desk.ledger) == ["failed", "accepted"]
    assert outcomes(desk.ledger, who[0]) == ["accepted"]


def test_a_late_answer_takes_nothing_back_from_reached(desk: SendingDesk) -> None:
    """A worker that slept for an hour brings what it knows; the person is not in doubt again."""
    desk.campaign(people(1))
    _, (call,) = take_and_admit(desk.ledger, 1, desk.clock)
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    resolve(desk, REACHED, call.attempt_id)
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    assert states(desk.ledger) == ["accepted"]


# --- not reached -----------------------------------------------------------------------------------------------------


def test_who_was_not_reached_is_sent_to_again_at_the_old_place(desk: SendingDesk) -> None:
    """A 500 that was a real one: the person has waited longest and goes before those who come after."""
    who = people(6)
    (attempt_id,) = sent_with_doubts(desk, who, who[1:2], daily_send_limit=3)
    resolution = resolve(desk, NOT_REACHED, attempt_id)
    assert resolution.states == {"pending": 1}
    assert (outcomes(desk.ledger, who[1]), states(desk.ledger)[1]) == (["voided"], "pending")
    assert batch_rows(desk.ledger)[0].moved_on == 1
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert batch_phones(desk.ledger, "2026-03-03") == [phone(number) for number in (who[1], who[3], who[4])]
    assert outcomes(desk.ledger, who[1]) == ["voided", "accepted"]
    assert [attempt.attempt_number for attempt in attempts(desk.ledger, who[1])] == [1, 2]
    assert sorted(desk.reached(who)) == [phone(number) for number in who[:5]]
    assert [(batch.size, batch.moved_on) for batch in batch_rows(desk.ledger)] == [(3, 1), (3, 0)]


def test_in_an_open_batch_who_was_not_reached_is_sent_to_with_it(desk: SendingDesk) -> None:
    """Three lost answers stopped the run; the date that is started again goes on with everybody who is left."""
    who = people(6)
    desk.campaign(who)
    desk.simulator.fault("server_error", next=3)
    with pytest.raises(RuntimeError):
        desk.send(concurrency=1)
    resolve(desk, NOT_REACHED, all_of=SECOND_OF_MARCH)
    assert states(desk.ledger) == ["claimed"] * 6
    assert desk.send().figures.sent == 6
    assert sorted(desk.reached(who)) == [phone(number) for number in who]


def test_not_reached_can_be_said_of_the_second_attempt_too(desk: SendingDesk) -> None:
    """The same gateway fails at the same person on the next day."""
    who = people(1)
    (first,) = sent_with_doubts(desk, who, who)
    resolve(desk, NOT_REACHED, first)
    desk.clock.forward(days=1)
    desk.simulator.fault("server_error", next=1)
    desk.send("2026-03-03")
    (doubt,) = listed(desk)
    assert (doubt.send_date, doubt.attempt_id != first) == (date(2026, 3, 3), True)
    resolve(desk, NOT_REACHED, doubt.attempt_id)
    desk.clock.forward(days=1)
    desk.send("2026-03-04")
    assert outcomes(desk.ledger, *who) == ["voided", "voided", "accepted"]
    assert campaign_status(desk.ledger) == "completed"


def test_capacity_is_used_as_before_whatever_a_person_says(desk: SendingDesk) -> None:
    """WhatsApp may have reached them after all; their places, given to others, would break the limit."""
    who = people(4)
    first, second = sent_with_doubts(desk, who, who[1:3])
    leaves = {attempt.id: attempt.counts_until for attempt in attempts(desk.ledger)}
    desk.clock.forward(hours=20)
    resolve(desk, NOT_REACHED, first)
    resolve(desk, REACHED, second)
    assert {attempt.id: attempt.counts_until for attempt in attempts(desk.ledger)} == leaves
    assert used_capacity(desk.ledger, desk.clock.now()) == 4


def test_a_repeat_within_24_hours_costs_no_second_place(desk: SendingDesk) -> None:
    """Meta counts different people; with a full window only they can be reached."""
    who = people(3)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1])
    resolve(desk, NOT_REACHED, attempt_id)
    desk.clock.forward(hours=16)
    desk.send("2026-03-03", limit=4)
    assert [attempt.was_counted for attempt in attempts(desk.ledger, who[0])] == [0, 1]
    assert used_capacity(desk.ledger, desk.clock.now()) == 3


def test_in_a_cancelled_campaign_who_was_not_reached_is_skipped(desk: SendingDesk) -> None:
    """Cancelled is final; nobody of it is sent to again, and nobody waits for ever."""
    who = people(4)
    first, second = sent_with_doubts(desk, who, who[:2])
    desk.cancel("spring-sale")
    assert resolve(desk, NOT_REACHED, first).states == {"skipped": 1}
    assert resolve(desk, REACHED, second).states == {"accepted": 1}
    assert states(desk.ledger) == ["skipped", "accepted", "accepted", "accepted"]
    with desk.ledger.read() as connection:
        reasons = connection.execute(select(campaign_recipients.c.reason).order_by(campaign_recipients.c.id)).scalars()
        assert list(reasons) == ["campaign_cancelled", None, None, None]
    assert campaign_status(desk.ledger) == "cancelled"


def test_who_has_unsubscribed_meanwhile_is_not_sent_to_again(desk: SendingDesk) -> None:
    """A person's word about a lost answer is no consent."""
    who = people(2)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1])
    desk.unsubscribe(who[0])
    resolve(desk, NOT_REACHED, attempt_id)
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert states(desk.ledger) == ["skipped", "accepted"]
    assert campaign_status(desk.ledger) == "completed"


# --- evidence after not reached --------------------------------------------------------------------------------------


def test_a_status_that_comes_before_the_next_batch_keeps_the_person_out_of_it(desk: SendingDesk) -> None:
    """The file with the statuses came an hour after the person had lost patience."""
    who = people(3)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1], "lost_answer")
    resolve(desk, NOT_REACHED, attempt_id)
    assert states(desk.ledger)[0] == "pending"
    desk.ingest()
    assert states(desk.ledger) == ["read"] * 3
    assert campaign_status(desk.ledger) == "completed"
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    assert batch_phones(desk.ledger) == [phone(number) for number in who]


def test_a_status_that_comes_after_the_claim_blocks_it(desk: SendingDesk) -> None:
    """The last moment at which a second message can be held back."""
    who = people(3)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1], "lost_answer")
    resolve(desk, NOT_REACHED, attempt_id)
    desk.clock.forward(days=1)
    third = date(2026, 3, 3)
    with holding(desk.ledger, desk.clock) as lease, desk.ledger.write() as connection:
        batch = take_batch(connection, lease.sender_id, third, 250, "next", desk.clock.now())
        assert batch is not None
    assert states(desk.ledger)[0] == "claimed"
    desk.ingest()
    assert states(desk.ledger) == ["read"] * 3
    assert desk.send(third).sent_now == 0
    assert sorted(desk.reached(who)) == [phone(number) for number in who]
    assert outcomes(desk.ledger, who[0]) == ["voided"]


def test_a_late_answer_after_not_reached_keeps_the_person_from_being_sent_to(desk: SendingDesk) -> None:
    """The worker of the lost call wakes up with a wamid in its hands."""
    desk.campaign(people(1))
    _, (call,) = take_and_admit(desk.ledger, 1, desk.clock)
    answer_call(desk.ledger, call, LOST, desk.clock.now())
    resolve(desk, NOT_REACHED, call.attempt_id)
    assert states(desk.ledger) == ["claimed"]
    answer_call(desk.ledger, call, accepted("wamid.late"), desk.clock.now())
    assert states(desk.ledger) == ["accepted"]
    assert campaign_status(desk.ledger) == "completed"


def test_a_failure_that_is_heard_of_after_not_reached_is_final(desk: SendingDesk) -> None:
    """WhatsApp says why it cannot deliver; sent to again all the same, the person costs one more place for nothing."""
    who = people(2)
    (attempt_id,) = sent_with_doubts(desk, who, who[:1], "lost_answer")
    resolve(desk, NOT_REACHED, attempt_id)
    hear(desk, attempt_id, "failed")
    assert states(desk.ledger) == ["failed", "accepted"]


def test_a_word_and_a_status_at_the_same_moment_end_with_the_status(desk: SendingDesk) -> None:
    """Whichever comes first; both change the same rows, and neither may fail over the other."""
    who = people(3)
    ids = sent_with_doubts(desk, who, who[:2], "lost_answer")
    desk.simulator.wait_for_statuses()
    with ThreadPoolExecutor(2) as pool:
        together = threading.Barrier(2)

        def speak() -> None:
            together.wait()
            try:
                resolve(desk, NOT_REACHED, *ids)
            except DoubtError as error:
                assert "is settled: " in str(error), "the statuses were faster"

        def listen() -> None:
            together.wait()
            desk.ingest()

        for each in (pool.submit(speak), pool.submit(listen)):
            each.result()
    assert states(desk.ledger) == ["read"] * 3
    assert campaign_status(desk.ledger) == "completed"


# --- all or nothing --------------------------------------------------------------------------------------------------


def test_all_of_a_date_are_those_in_doubt_and_nobody_else(desk: SendingDesk) -> None:
    """A batch has people in every state; the others keep theirs, and so do the doubts of other dates."""
    who = people(6)
    desk.campaign(who, daily_send_limit=5)
    desk.simulator.fault("refused", to=phone(who[0]))
    for number in (who[1], who[3], who[5]):
        desk.simulator.fault("server_error", to=phone(number))
    desk.send(concurrency=1)
    desk.clock.forward(days=1)
    desk.send("2026-03-03")
    assert states(desk.ledger) == ["failed", "in_doubt", "accepted", "in_doubt", "accepted", "in_doubt"]
    resolution = resolve(desk, NOT_REACHED, all_of=SECOND_OF_MARCH)
    assert (len(resolution.attempt_ids), resolution.states) == (2, {"pending": 2})
    assert states(desk.ledger) == ["failed", "pending", "accepted", "pending", "accepted", "in_doubt"]
    with pytest.raises(DoubtError, match="Nobody of 2026-03-02 is in doubt"):
        resolve(desk, NOT_REACHED, all_of=SECOND_OF_MARCH)


def test_one_attempt_that_is_not_in_doubt_and_none_is_settled(desk: SendingDesk) -> None:
    """Half of what somebody meant to say, done, is worse than nothing done and a sentence about it."""
    who = people(4)
    desk.simulator.fault("refused", to=phone(who[0]))
    (attempt_id,) = sent_with_doubts(desk, who, who[1:2])
    refused, taken = attempts(desk.ledger, who[0])[0].id, attempts(desk.ledger, who[2])[0].id
    before = states(desk.ledger)
    with pytest.raises(DoubtError) as told:
        resolve(desk, REACHED, attempt_id, refused, taken, "no-such-id")
    assert str(told.value).startswith("Nothing was changed")
    for said in (f"{refused} was refused", f"{taken} is settled: accepted", "no-such-id is no attempt"):
        assert said in str(told.value)
    assert f"{attempt_id} " not in str(told.value)
    assert (states(desk.ledger), outcomes(desk.ledger, who[1])) == (before, ["in_doubt"])


def test_a_long_list_of_wrong_attempts_is_told_in_short(desk: SendingDesk) -> None:
    """A line of forty ids says less than five and a number."""
    with pytest.raises(DoubtError, match="and 35 more"):
        resolve(desk, REACHED, *(f"no-{number}" for number in range(40)))


def test_settling_twice_changes_nothing_the_second_time(desk: SendingDesk) -> None:
    """The second click; or two opinions, of which the first one has been acted on already."""
    who = people(2)
    first, second = sent_with_doubts(desk, who, who)
    assert resolve(desk, NOT_REACHED, first, first).attempt_ids == (first,)
    resolve(desk, REACHED, second)
    for verdict in DoubtVerdict:
        with pytest.raises(DoubtError, match="was said to have reached nobody; the person is pending"):
            resolve(desk, verdict, first)
        with pytest.raises(DoubtError, match="is settled: accepted"):
            resolve(desk, verdict, second)
    assert states(desk.ledger) == ["pending", "accepted"]


def test_two_persons_at_once_do_not_both_have_their_way(desk: SendingDesk) -> None:
    """One says reached, one says not; sent to again and counted as reached would be a lie whichever is true."""
    who = people(6)
    ids = sent_with_doubts(desk, who, [who[0], who[2], who[4]])
    together = threading.Barrier(2)

    def speak(verdict: DoubtVerdict) -> DoubtVerdict | None:
        together.wait()
        try:
            resolve(desk, verdict, *ids, by=verdict)
        except DoubtError:
            return None
        return verdict

    with ThreadPoolExecutor(2) as pool:
        heard = [verdict for verdict in pool.map(speak, DoubtVerdict) if verdict is not None]
    assert len(heard) == 1
    assert set(outcomes(desk.ledger, who[0], who[2], who[4])) == {"accepted" if heard == [REACHED] else "voided"}
    with desk.ledger.read() as connection:
        told = connection.execute(select(audit_log.c.actor).where(audit_log.c.action == "doubts_resolved")).scalars()
        assert list(told) == heard


def test_a_person_who_was_reached_by_another_attempt_is_no_doubt(desk: SendingDesk) -> None:
    """The first message came after all, while the second one's answer was lost: nothing is left to decide."""
    who = people(1)
    (first,) = sent_with_doubts(desk, who, who, "lost_answer")
    resolve(desk, NOT_REACHED, first)
    desk.clock.forward(days=1)
    desk.simulator.fault("server_error", next=1)
    desk.send("2026-03-03")
    desk.simulator.wait_for_statuses()
    second = attempts(desk.ledger, *who)[1].id
    desk.ingest()
    assert (states(desk.ledger), outcomes(desk.ledger, *who)) == (["read"], ["voided", "in_doubt"])
    assert listed(desk) == []
    with pytest.raises(DoubtError, match=f"the person of {second} is read by another one"):
        resolve(desk, NOT_REACHED, second)


def test_who_has_spoken_is_written_down(desk: SendingDesk) -> None:
    """The day on which a customer got it twice, somebody asks who had said that nobody was reached."""
    spring, summer = people(3), people(2)
    ids = sent_with_doubts(desk, spring, [spring[0], spring[2]])
    desk.campaign(summer, "Summer")
    desk.clock.forward(days=1)
    desk.simulator.fault("server_error", to=phone(summer[0]))
    desk.send("2026-03-03")
    third = attempts(desk.ledger, summer[0])[0].id
    with pytest.raises(DoubtError, match="Say who"):
        resolve(desk, NOT_REACHED, *ids, by="  ")
    resolve(desk, NOT_REACHED, third, *ids, by=" Ada Lovelace ")
    with desk.ledger.read() as connection:
        audited = connection.execute(select(audit_log).where(audit_log.c.action == "doubts_resolved")).all()
        announced = connection.execute(select(outbox).where(outbox.c.kind == "doubts_resolved")).all()
    assert [(row.actor, row.subject, row.details["people"]) for row in audited] == [
        ("Ada Lovelace", "spring-sale", 2),
        ("Ada Lovelace", "summer", 1),
    ]
    assert (audited[0].details["verdict"], audited[0].details["reason"]) == ("not_reached", "asked them")
    assert (sorted(audited[0].details["attempts"]), audited[1].details["attempts"]) == (sorted(ids), [third])
    assert [(row.campaign_slug, row.details["dates"]) for row in announced] == [
        ("spring-sale", ["2026-03-02"]),
        ("summer", ["2026-03-03"]),
    ]
