"""Each promise of the proof, against a ledger that was made to break it: a proof that cannot fail proves nothing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline.sending.promises import PROMISES
from campaign_pipeline.sending.proof import MOST_SHOWN, Proof, prove
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.forgery import copy_row, forge, unguard
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.sending import SendingDesk, people
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

FIRST = "recipient_id = 1"
ATTEMPT_OF_FIRST = "SELECT id FROM send_attempts WHERE recipient_id = 1"
SHARED = {"batches_sum", "window_within_limit"}
"""What campaigns share is always asked of all of them."""

WAITING = 5
"""The one person of the second campaign."""


@dataclass(frozen=True)
class Forgery:
    """How a promise is broken, and what the proof has to say of it.

    Attributes:
        promise: The promise.
        make: Breaks it.
        offenders: A query for the ids of the rows that break it.
        unguarded: Tables whose constraints would refuse it.
        also: Other promises that it cannot be broken without.
    """

    promise: str
    make: Callable[[Ledger], None]
    offenders: str
    unguarded: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def by(*statements: str) -> Callable[[Ledger], None]:
    return lambda ledger: forge(ledger, *statements)


def second_attempt(**changes: str) -> Callable[[Ledger], None]:
    """Writes another attempt for the first person, of which nothing was heard."""
    unknown = dict.fromkeys(("wamid", "message_status", "sent_at", "delivered_at", "read_at", "failed_at"), "NULL")
    given = {"id": "'forged'", "attempt_number": "attempt_number + 1", **unknown, **changes}
    return lambda ledger: copy_row(ledger, "send_attempts", FIRST, **given)


def given_up_by_nobody(ledger: Ledger) -> None:
    """Writes an attempt that counts as having reached nobody, where a person has said so of another one."""
    second_attempt(outcome="'voided'")(ledger)
    forge(
        ledger,
        "INSERT INTO audit_log (id, at, actor, action, subject, details) VALUES (9999, '2026-03-02 09:00:00', 'Ada', "
        """'doubts_resolved', 'spring-sale', '{"verdict": "not_reached", "attempts": ["another"]}')""",
    )


def two_calls(ledger: Ledger) -> None:
    """Writes two attempts for the first person of which no answer has come."""
    second_attempt(outcome="'calling'")(ledger)
    copy_row(ledger, "send_attempts", "id = 'forged'", id="'forged again'", attempt_number="attempt_number + 1")


def another_event(**changes: str) -> Callable[[Ledger], None]:
    """Writes another status of the first person's attempt, among those that are folded."""
    which = (
        "id = (SELECT min(event.id) FROM delivery_events AS event JOIN send_attempts AS attempt "
        "ON attempt.id = event.attempt_id WHERE recipient_id = 1)"
    )
    given = {"id": "-9999", "wamid": "'wamid.forged'", "status": "'warning'", **changes}
    return lambda ledger: copy_row(ledger, "delivery_events", which, **given)


ATTEMPTS, RECIPIENTS = ("send_attempts",), ("campaign_recipients",)

FORGERIES = {
    "a second attempt in doubt": Forgery(
        "nobody_twice", second_attempt(outcome="'in_doubt'"), "SELECT 1", unguarded=ATTEMPTS
    ),
    "a second attempt accepted": Forgery(
        "nobody_twice", second_attempt(wamid="'wamid.forged'"), "SELECT 1", unguarded=ATTEMPTS
    ),
    "a second attempt was refused and taken all the same": Forgery(
        "nobody_twice",
        second_attempt(outcome="'refused'", counts_until="NULL", message_status="'accepted'"),
        "SELECT 1",
    ),
    "an attempt given up by nobody": Forgery("repeats_were_ordered", given_up_by_nobody, "SELECT 'forged'"),
    "two calls at once": Forgery(
        "one_call_at_a_time",
        two_calls,
        "SELECT 1",
        unguarded=ATTEMPTS,
        also=("nobody_twice",),
    ),
    "statuses of two messages": Forgery("one_message_per_attempt", another_event(), ATTEMPT_OF_FIRST),
    "a person twice in a campaign": Forgery(
        "one_place_per_person",
        lambda ledger: copy_row(
            ledger,
            "campaign_recipients",
            "id = 1",
            id="99",
            list_id="NULL",
            batch_id="NULL",
            accepted_at="NULL",
            state="'skipped'",
            reason="'forged'",
        ),
        "SELECT 1 UNION SELECT 99",
        unguarded=RECIPIENTS,
    ),
    "an attempt of somebody else": Forgery(
        "attempts_of_their_person",
        by("UPDATE send_attempts SET person_key = '+15550001' WHERE recipient_id = 1"),
        ATTEMPT_OF_FIRST,
    ),
    "an attempt of nobody": Forgery(
        "attempts_of_their_person",
        by("DELETE FROM campaign_recipients WHERE id = 1"),
        ATTEMPT_OF_FIRST,
        unguarded=ATTEMPTS,
        also=("batches_sum", "states_sum"),
    ),
    "admitted past its limit": Forgery(
        "admitted_within_limit",
        by("UPDATE send_attempts SET admitted_count = admitted_limit + 1 WHERE recipient_id = 1"),
        ATTEMPT_OF_FIRST,
        unguarded=ATTEMPTS,
    ),
    "admitted past its limit with a smaller number written down": Forgery(
        "window_within_limit",
        by("UPDATE send_attempts SET admitted_limit = 3, admitted_count = 3"),
        "SELECT id FROM send_attempts",
    ),
    "a list added more than there are": Forgery(
        "states_sum",
        by("UPDATE recipient_lists SET added = added + 1, rows_read = rows_read + 1 WHERE campaign_id = 1"),
        "SELECT 1",
    ),
    "a list added fewer than there are": Forgery(
        "states_sum",
        by("UPDATE recipient_lists SET added = added - 1, rows_read = rows_read - 1 WHERE campaign_id = 1"),
        "SELECT 1",
    ),
    "a person in no state": Forgery(
        "states_sum",
        by("UPDATE campaign_recipients SET state = 'forgotten' WHERE id = 1"),
        "SELECT 1",
        unguarded=RECIPIENTS,
        also=("states_are_the_fold",),
    ),
    "a person lost on the way back": Forgery(
        "batches_sum", by("UPDATE batches SET moved_on = moved_on + 1"), "SELECT 1"
    ),
    "a batch that grew": Forgery("batches_sum", by("UPDATE batches SET moved_on = -1, size = size - 1"), "SELECT 1"),
    "waiting in a closed batch": Forgery(
        "nobody_in_closed_batch",
        by(
            "UPDATE campaign_recipients SET state = 'claimed', batch_id = 1 WHERE id = 5",
            "UPDATE batches SET size = size + 1",
        ),
        f"SELECT {WAITING}",
    ),
    "waiting in a completed campaign": Forgery(
        "ended_is_settled",
        by("UPDATE marketing_campaigns SET status = 'completed' WHERE slug = 'summer'"),
        f"SELECT {WAITING}",
    ),
    "waiting in a cancelled campaign": Forgery(
        "ended_is_settled",
        by("UPDATE marketing_campaigns SET status = 'cancelled' WHERE slug = 'summer'"),
        f"SELECT {WAITING}",
    ),
    "less than the attempts say": Forgery(
        "states_are_the_fold", by("UPDATE campaign_recipients SET state = 'accepted' WHERE id = 1"), "SELECT 1"
    ),
    "more than any attempt says": Forgery(
        "states_are_the_fold",
        by("UPDATE campaign_recipients SET state = 'failed' WHERE id = 5"),
        f"SELECT {WAITING}",
    ),
    "a status that nobody told": Forgery(
        "evidence_is_noted",
        by("UPDATE send_attempts SET failed_at = started_at WHERE recipient_id = 1"),
        ATTEMPT_OF_FIRST,
    ),
    "a status that was not noted": Forgery(
        "evidence_is_noted", by("UPDATE send_attempts SET sent_at = NULL WHERE recipient_id = 1"), ATTEMPT_OF_FIRST
    ),
    "a status of ours without an attempt": Forgery(
        "statuses_are_matched",
        another_event(attempt_id="NULL", callback_data=f"({ATTEMPT_OF_FIRST})"),
        "SELECT -9999",
    ),
    "a status of our message without an attempt": Forgery(
        "statuses_are_matched",
        another_event(attempt_id="NULL", wamid="wamid", callback_data="NULL"),
        "SELECT -9999",
    ),
    "accepted by no run": Forgery(
        "accepted_has_its_record", by("UPDATE send_attempts SET run_id = ' ' WHERE recipient_id = 1"), "SELECT 1"
    ),
    "accepted at no time": Forgery(
        "accepted_has_its_record", by("UPDATE campaign_recipients SET accepted_at = NULL WHERE id = 1"), "SELECT 1"
    ),
    "accepted in no batch": Forgery(
        "accepted_has_its_record",
        by("DELETE FROM batches"),
        "SELECT id FROM campaign_recipients WHERE campaign_id = 1",
        unguarded=(*ATTEMPTS, *RECIPIENTS),
    ),
    "accepted in a batch that its person is not in": Forgery(
        "accepted_has_its_record",
        by("UPDATE campaign_recipients SET batch_id = NULL WHERE id = 1"),
        "SELECT 1",
        also=("batches_sum",),
    ),
    "accepted without an attempt": Forgery(
        "accepted_has_its_record",
        by(
            "DELETE FROM delivery_events WHERE attempt_id = (SELECT id FROM send_attempts WHERE recipient_id = 1)",
            "DELETE FROM send_attempts WHERE recipient_id = 1",
            "UPDATE campaign_recipients SET accepted_at = NULL WHERE id = 1",
        ),
        "SELECT 1",
        also=("states_are_the_fold",),
    ),
}


@pytest.fixture(scope="module")
def sent_ledgers(
    shared_simulator: SimulatorProcess,
    migrated_sqlite: Path,
    postgres: PostgresServer,
    migrated_postgres: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """A ledger of each kind, to be copied: four people have their message, and one of another campaign waits."""
    file = tmp_path_factory.mktemp("sent") / "ledger.sqlite3"
    shutil.copy(migrated_sqlite, file)
    urls = {"sqlite": f"sqlite:///{file}", "postgresql": postgres.new_database(migrated_postgres)}
    for url in urls.values():
        ledger = connect(url)
        desk = SendingDesk(ledger, shared_simulator, HandClock(), tmp_path_factory.mktemp("desk"))
        desk.campaign(people(4))
        desk.send()
        desk.ingest()
        desk.pause(desk.campaign(people(1), "Summer"))
        desk.close()
        ledger.close()
    return urls


@pytest.fixture(params=["sqlite", "postgresql"])
def sent(
    request: pytest.FixtureRequest, sent_ledgers: dict[str, str], postgres: PostgresServer, tmp_path: Path
) -> Iterator[Ledger]:
    """A copy of such a ledger for each test, which may take its constraints away."""
    url = sent_ledgers[request.param]
    if request.param == "sqlite":
        shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "ledger.sqlite3")
        url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    else:
        url = postgres.new_database(url.rsplit("/", 1)[1])
    ledger = connect(url)
    yield ledger
    ledger.close()


def broken(proof: Proof) -> set[str]:
    return {each.name for each in proof.broken}


def ids(ledger: Ledger, query: str) -> list[int | str]:
    with ledger.read() as connection:
        return sorted(connection.execute(text(query)).scalars(), key=str)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_promise_that_was_broken_is_named_with_the_rows_that_break_it(sent: Ledger, forgery: Forgery) -> None:
    """An installation that sends twice and says that it does not is worse than one that says nothing."""
    assert broken(prove(sent)) == set()
    unguard(sent, *forgery.unguarded)
    before = ids(sent, forgery.offenders)
    forgery.make(sent)
    offenders = before or ids(sent, forgery.offenders)
    proof = prove(sent)
    assert broken(proof) == {forgery.promise, *forgery.also}
    (finding,) = (each for each in proof.broken if each.name == forgery.promise)
    assert finding.offenders.count == len(offenders)
    assert sorted(finding.offenders.ids, key=str) == offenders
    # Each campaign answers for its own rows, and for what both of them share.
    of_spring, of_summer = broken(prove(sent, "spring-sale")), broken(prove(sent, "summer"))
    assert of_spring | of_summer <= broken(proof)
    assert of_spring & of_summer == broken(proof) & SHARED


def test_every_promise_was_broken_once() -> None:
    """A promise without a forgery could be a question that no row ever answers."""
    names = {promise.name for promise in PROMISES} | {"window_within_limit"}
    assert {each.promise for each in FORGERIES.values()} == names
    assert {promise.name for promise in PROMISES if promise.of_all} < SHARED


def test_of_many_rows_the_first_are_named_and_all_are_counted(ledger: Ledger) -> None:
    """Ten thousand ids on a terminal hide the nine other promises."""
    with ledger.write() as connection:
        put(connection, "marketing_campaigns")
        for number in range(MOST_SHOWN + 5):
            changes = {
                "id": number + 1,
                "person_key": str(number),
                "batch_id": None,
                "state": "failed",
                "position": number,
            }
            put(connection, "campaign_recipients", **changes)
    (fold,) = prove(ledger).broken
    assert fold.offenders.count == MOST_SHOWN + 5
    assert fold.offenders.ids == tuple(range(1, MOST_SHOWN + 1))
