"""What an ingest has stored and not folded yet counts already for whoever sends again or settles a doubt."""

from collections.abc import Callable
from datetime import date, datetime
from itertools import count

import pytest

from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.sending import doubts
from campaign_pipeline.sending.attempts import admit
from campaign_pipeline.sending.batches import batch_of
from campaign_pipeline.sending.doubts import AllOfDate, Choice, DoubtError, DoubtVerdict, TheseAttempts
from campaign_pipeline.sending.proof import prove
from campaign_pipeline_tests.delivery.payloads import ndjson, payload, put, status
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import (
    LOST,
    SECOND_OF_MARCH,
    SendingDesk,
    accepted,
    answer_call,
    holding,
    outcomes,
    people,
    states,
    take_and_admit,
)

NEXT_DAY = date(2026, 3, 3)
READ_BEFORE_THE_FOLD = 2
"""The clock is read when a file is begun and when its lines are stored."""


def store_and_die(desk: SendingDesk, *attempt_ids: str) -> None:
    """An ingest that was killed when it had stored that some messages were delivered, and nothing more."""
    folders = desk.status_folders
    for file in folders.inbox.glob("*.ndjson"):
        file.unlink()
    told = [payload(status(f"wamid.{each}", "delivered", callback=each)) for each in attempt_ids]
    put(folders.inbox, "told.ndjson", ndjson(told))
    with pytest.raises(KeyboardInterrupt):
        ingest_waiting(desk.ledger, folders, _clock_that_ends(desk))


def _clock_that_ends(desk: SendingDesk) -> Callable[[], datetime]:
    readings = count(1)

    def read() -> datetime:
        if next(readings) > READ_BEFORE_THE_FOLD:
            raise KeyboardInterrupt
        return desk.clock.now()

    return read


def resolve(desk: SendingDesk, choice: Choice) -> None:
    """A person says that nobody was reached."""
    with desk.ledger.write() as connection:
        doubts.resolve(connection, choice, DoubtVerdict.NOT_REACHED, by="Ada", now=desk.clock.now())


def in_doubt(desk: SendingDesk, numbers: list[int]) -> list[str]:
    """Calls to some people, whose answers are lost; gives the ids."""
    desk.campaign(numbers)
    _, calls = take_and_admit(desk.ledger, len(numbers), desk.clock)
    for call in calls:
        answer_call(desk.ledger, call, LOST, desk.clock.now())
    return [call.attempt_id for call in calls]


def test_who_was_delivered_to_is_not_taken_again_though_the_ingest_was_killed_before_its_fold(
    desk: SendingDesk,
) -> None:
    """The second message would go out while the evidence of the first lies in the ledger."""
    who = people(2)
    first, second = in_doubt(desk, who)
    resolve(desk, TheseAttempts((first, second)))
    store_and_die(desk, first)
    desk.clock.forward(days=1)
    desk.send(NEXT_DAY)
    assert desk.reached(who) == [phone(who[1])]
    assert states(desk.ledger)[0] == "delivered"


def test_who_is_claimed_is_not_admitted_once_something_is_stored_of_an_earlier_attempt(desk: SendingDesk) -> None:
    """An ingest beside the run stores it between the take and the call; the fold may be a quarter of a minute away."""
    who = people(3)
    ids = in_doubt(desk, who)
    resolve(desk, AllOfDate(SECOND_OF_MARCH))
    with desk.ledger.read() as connection:
        batch = batch_of(connection, SECOND_OF_MARCH)
    assert batch is not None
    with holding(desk.ledger, desk.clock) as lease:
        store_and_die(desk, ids[0])
        with desk.ledger.write() as connection:
            admission = admit(
                connection,
                lease,
                batch,
                size=2,
                limit_setting=250,
                keep_free_for=None,
                run_id="next",
                now=desk.clock.now(),
            )
    assert [call.message.to for call in admission.calls] == [phone(number) for number in who[1:]]
    desk.ingest()
    assert states(desk.ledger) == ["delivered", "attempting", "attempting"]


def test_a_doubt_that_a_stored_status_settles_is_no_persons_to_settle(desk: SendingDesk) -> None:
    """Said to be not reached, the person would be in the queue again."""
    who = people(2)
    first, second = in_doubt(desk, who)
    store_and_die(desk, first)
    with pytest.raises(DoubtError, match=f"{first} is settled: delivered"):
        resolve(desk, TheseAttempts((first, second)))
    resolve(desk, AllOfDate(SECOND_OF_MARCH))
    assert states(desk.ledger) == ["delivered", "claimed"]
    assert outcomes(desk.ledger) == ["accepted", "voided"]


def test_the_proof_holds_between_the_store_and_the_fold(desk: SendingDesk) -> None:
    """An answer that comes in between brings what is stored onto its attempt, and an alarm would wake somebody."""
    desk.campaign(people(2))
    _, (first, second) = take_and_admit(desk.ledger, 2, desk.clock)
    store_and_die(desk, first.attempt_id, second.attempt_id)
    answer_call(desk.ledger, first, accepted(f"wamid.{first.attempt_id}"), desk.clock.now())
    assert states(desk.ledger) == ["delivered", "attempting"]
    assert prove(desk.ledger).broken == ()
    desk.ingest()
    assert states(desk.ledger) == ["delivered", "delivered"]
    assert prove(desk.ledger).broken == ()
