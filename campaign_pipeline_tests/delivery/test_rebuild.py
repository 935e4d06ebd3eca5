"""What was learnt can be thrown away and derived again, and comes out the same to the byte."""

import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, func, select, text, update

from campaign_pipeline.delivery import archive, derivation, event_store, rebuild, status_lines
from campaign_pipeline.delivery.status_files import ingest_waiting, waiting_files
from campaign_pipeline.delivery.webhooks import StatusEvent
from campaign_pipeline.ledger.bulk import load_new
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import (
    audit_log,
    campaign_recipients,
    delivery_events,
    delivery_files,
    inbound_words,
    outbox,
    person_aliases,
    send_attempts,
    senders,
    subscriptions,
)
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.histories import (
    Delivery,
    Rows,
    come_in,
    deliveries,
    histories,
    look,
    put_rows,
    rebuilt,
    rows_of_six_calls,
)
from campaign_pipeline_tests.delivery.payloads import MARCH, account_payload, inbound, ndjson, payload, status
from campaign_pipeline_tests.delivery.rebuild_process import KILLED, NOW, ROWS, run_until
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import LOST, accepted, attempts, outcomes, sender_row, states

EXAMPLES: Final = int(os.environ.get("REBUILD_EXAMPLES", "12"))
KILLS: Final = int(os.environ.get("REBUILD_KILLS", "1"))


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows are several transactions, as a million are."""
    monkeypatch.setattr(derivation, "ROWS_PER_TRANSACTION", ROWS)
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", ROWS)


@dataclass(frozen=True, slots=True)
class Both:
    """A ledger on each database, the rows that both begin with, and folders."""

    ledgers: dict[str, Ledger]
    rows: Rows
    root: Path

    @property
    def attempt_ids(self) -> list[str]:
        """In the order of their people."""
        return [row["id"] for row in sorted(self.rows["send_attempts"], key=lambda row: row["recipient_id"])]


@pytest.fixture
def both(made_ledgers: dict[str, Ledger], clock: HandClock, tmp_path: Path) -> Iterator[Both]:
    """Six calls of different fates, the same on both databases."""
    yield Both(made_ledgers, rows_of_six_calls(made_ledgers["sqlite"], clock, tmp_path), tmp_path)


def test_any_order_any_files_and_any_duplication_come_to_the_same_digest(both: Both) -> None:
    """Whoever takes a backup's files in, or another receiver's, has to know the same of everybody afterwards."""

    @given(st.data())
    @settings(max_examples=EXAMPLES, phases=[Phase.generate, Phase.shrink], database=None)
    def holds(data: st.DataObject) -> None:
        history = data.draw(histories())
        digests = []
        plain = Delivery((history,), ())
        for kind, way in (("sqlite", plain), *((kind, data.draw(deliveries(history))) for kind in both.ledgers)):
            ledger, root = both.ledgers[kind], both.root / "folders"
            shutil.rmtree(root, ignore_errors=True)
            put_rows(ledger, both.rows)
            come_in(ledger, way, both.attempt_ids, root, data.draw(st.randoms()))
            digests.append(look(ledger))
            report = rebuilt(ledger)
            assert report.differs_in == []
            digests.append(report.after)
        first = digests[0]
        assert [first.differing(each) for each in digests] == [[]] * len(digests)

    holds()


def statuses(wamid: str, call: str | None = None) -> list[dict]:
    """The life of one message."""
    return [
        status(wamid, word, MARCH + second, callback=call, recipient_id="447911000000")
        for second, word in enumerate(("sent", "delivered", "read"))
    ]


FORGED = (
    "UPDATE send_attempts SET sent_at = NULL, delivered_at = NULL, read_at = NULL, wamid = NULL, outcome = 'in_doubt'",
    "UPDATE campaign_recipients SET state = 'in_doubt', accepted_at = NULL",
    "UPDATE delivery_events SET attempt_id = NULL, callback_data = NULL, recipient_alias = NULL",
    "UPDATE campaign_analytics SET sent = 7, read_rate = 1",
    "DELETE FROM person_aliases",
)


def test_what_was_derived_is_derived_again_from_the_stored_events(post: Post) -> None:
    """Rows that a fault of a program or a person has made false are put right, and it is told which."""
    (call,) = post.calls(1)
    post.learn(*statuses("a", call.attempt_id))
    before = look(post.ledger)
    for statement in FORGED:
        with post.ledger.write() as connection:
            connection.execute(text(statement))
    report = rebuilt(post.ledger)
    assert report.differs_in == ["aliases", "analytics", "attempts", "events", "recipients"]
    assert (report.after.whole, report.disturbed) == (before.whole, False)
    assert states(post.ledger) == ["read"]
    assert rebuilt(post.ledger).agrees


def test_a_check_tells_what_is_wrong_and_changes_nothing(post: Post) -> None:
    """Whoever only wants to know must not have to trust the answer first."""
    (call,) = post.calls(1)
    post.learn(*statuses("a", call.attempt_id))
    with post.ledger.write() as connection:
        connection.execute(update(campaign_recipients).values(state="sent"))
        connection.execute(delete(delivery_events).where(delivery_events.c.status == "sent"))
    before = look(post.ledger)
    report = rebuild.check(post.ledger, post.folders.archive, lambda: NOW, on_progress=lambda *_: None)
    assert report.differs_in == ["events", "recipients"]
    assert report.archive is not None
    assert report.archive.put_back == 1
    assert look(post.ledger) == before
    with post.ledger.read() as connection:
        assert (
            connection.execute(select(func.count()).where(audit_log.c.action == "delivery_rebuilt")).scalar_one() == 0
        )


@pytest.mark.parametrize("at_once", [True, False])
def test_all_names_that_statuses_give_a_person_are_learnt_whether_they_come_together_or_not(
    post: Post, at_once: bool
) -> None:
    """Of three, the one in between would be known only to whoever took the files in one by one."""
    (call,) = post.calls(1)
    told = [status("a", word, callback=call.attempt_id) for word in ("sent", "delivered", "read")]
    told = [{**each, "recipient_user_id": f"GB.{number}"} for number, each in enumerate(told)]
    for some in [told] if at_once else [[each] for each in (told[0], told[2], told[1])]:
        post.learn(*some)
    with post.ledger.read() as connection:
        aliases = connection.execute(select(person_aliases.c.alias).order_by(person_aliases.c.alias)).scalars()
        assert [alias for alias in aliases if alias.startswith("GB.")] == ["GB.0", "GB.1", "GB.2"]
    assert rebuilt(post.ledger).agrees


@pytest.mark.parametrize("only_check", [True, False])
def test_an_archived_line_that_the_ledger_refuses_holds_up_no_other_one(
    post: Post, monkeypatch: pytest.MonkeyPatch, only_check: bool
) -> None:
    """It was set aside when its file was taken in, and the file archived: every replay would end there for ever."""
    (call,) = post.calls(1)
    post.learn(*statuses("a", call.attempt_id), status("poison"), status("b", "sent"))
    with post.ledger.write() as connection:
        connection.execute(delete(delivery_events))
    store_events = archive.store_events

    def poisoned(
        connection: Connection, file_id: int, events: list[tuple[int, StatusEvent]], now: datetime
    ) -> event_store.Stored:
        if any(event.wamid == "poison" for _, event in events):
            connection.execute(text("INSERT INTO delivery_events (wamid, recipient_alias) VALUES (NULL, '447911')"))
        return store_events(connection, file_id, events, now)

    monkeypatch.setattr(archive, "store_events", poisoned)
    if only_check:
        report = rebuild.check(post.ledger, post.folders.archive, lambda: NOW, on_progress=lambda *_: None)
    else:
        report = rebuilt(post.ledger, post.folders.archive)
    assert report.archive is not None
    assert report.archive.put_back == 4
    (unreadable,) = report.archive.unreadable
    assert "lines refused: 1, the first in line 4" in unreadable
    assert "IntegrityError" in unreadable or "NotNullViolation" in unreadable
    # It is kept in places where nobody looks for people's numbers.
    assert "447911" not in unreadable


def test_the_archive_gives_back_what_the_store_has_lost(post: Post) -> None:
    """The files lie there as they came: a ledger that was restored from before them learns of each message again."""
    (call,) = post.calls(1)
    post.learn(*statuses("a", call.attempt_id), status("b", "failed", code=131042, callback="a stranger's"))
    before = look(post.ledger)
    with post.ledger.write() as connection:
        connection.execute(delete(delivery_events))
        connection.execute(text("DELETE FROM delivery_files"))
    report = rebuilt(post.ledger, post.folders.archive)
    assert report.archive is not None
    assert (report.archive.files, report.archive.put_back) == (1, 4)
    assert report.after.whole == before.whole
    again = rebuilt(post.ledger, post.folders.archive)
    assert again.archive is not None
    assert (again.archive.put_back, again.agrees) == (0, True)
    assert len(post.names_in("archive")) == 1
    assert post.names_in("rejected") == []


def test_a_file_that_the_ledger_has_forgotten_can_go_through_the_inbox_after_a_rebuild(post: Post) -> None:
    """A rebuild puts back statuses only: were the file known by that, each STOP in it would be lost for good."""
    post.messages(1)
    post.put("words.ndjson", ndjson([inbound("stop", sender="447911123456"), payload(status("wamid.0"))]))
    post.ingest()
    with post.ledger.write() as connection:
        for table in (delivery_events, inbound_words, delivery_files):
            connection.execute(delete(table))
    rebuilt(post.ledger, post.folders.archive)
    (name,) = post.names_in("archive")
    (post.folders.archive / name).rename(post.folders.inbox / name)
    (report,) = post.ingest().files
    assert (report.state, report.words, report.new_events) == ("done", 1, 0)


def test_a_rebuild_draws_no_consequence_again(post: Post) -> None:
    """A fault of the account that was mended in spring would stop the sender in summer."""
    call, other = post.calls(2)
    post.answer(call, accepted("a"))
    post.answer(other, accepted("b"))
    post.put("account.ndjson", ndjson([account_payload("account_update", {"event": "ACCOUNT_DELETED"})]))
    post.learn(status("a", "failed", code=131042), status("b", "failed", code=131050))
    assert sender_row(post.ledger).stopped_at is not None
    with post.ledger.write() as connection:
        connection.execute(update(senders).values(stopped_at=None, stop_reason=None))
        connection.execute(delete(subscriptions))
        for table in ("delivery_events", "account_events"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - two tables of ours
    rebuilt(post.ledger, post.folders.archive)
    post.learn(status("a", "failed", MARCH, code=131042))
    assert sender_row(post.ledger).stopped_at is None
    with post.ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(subscriptions)).scalar_one() == 0
        to_do = "SELECT count(*) FROM account_events WHERE acted_at IS NULL"
        assert connection.execute(text(to_do)).scalar_one() == 0
    assert states(post.ledger) == ["failed", "failed"]


@pytest.mark.parametrize("answer", [None, LOST], ids=["calling", "in doubt"])
def test_nobody_goes_back_to_the_queue_when_the_evidence_is_gone(post: Post, answer: object) -> None:
    """Somebody restores half a database: whoever was reached must not be sent to again for it."""
    told, voided = post.calls(2)
    if answer is not None:
        post.answer(told, LOST)
    post.answer(voided, LOST)
    with post.ledger.write() as connection:
        mine = send_attempts.c.id == voided.attempt_id
        connection.execute(update(send_attempts).where(mine).values(outcome="voided"))
    post.learn(status("a", "read", callback=told.attempt_id), status("b", "sent", callback=voided.attempt_id))
    assert states(post.ledger) == ["read", "sent"]
    with post.ledger.write() as connection:
        connection.execute(delete(delivery_events))
    rebuilt(post.ledger)
    assert states(post.ledger) == ["accepted", "accepted"]
    with post.ledger.write() as connection:
        connection.execute(update(send_attempts).values(wamid=None))
    rebuilt(post.ledger)
    assert states(post.ledger) == ["accepted", "accepted"]
    assert outcomes(post.ledger) == ["accepted", "voided"]


def test_a_rebuild_uses_no_capacity_again(post: Post) -> None:
    """Everybody whose call a webhook had answered would count for another day."""
    (call,) = post.calls(1)
    post.learn(status("a", "sent", callback=call.attempt_id))
    (before,) = attempts(post.ledger)
    post.clock.forward(days=3)
    rebuilt(post.ledger)
    (after,) = attempts(post.ledger)
    assert (after.counts_until, after.answered_at) == (before.counts_until, before.answered_at)


def test_what_was_learnt_is_looked_at_without_keeping_writers_waiting(post: Post) -> None:
    """SQLite has one writer: a digest over some million rows would have a run that sends give up meanwhile."""
    post.messages(1)
    post.learn(*statuses("wamid.0"))
    looked: list[bool] = []

    def note(connection: Connection, _cursor: object, statement: str, *_others: object) -> None:
        if statement.startswith("SELECT delivery_events.wamid, delivery_events.status, delivery_events.occurred_at"):
            looked.append(connection.get_execution_options().get("ledger_write", False))

    event.listen(post.ledger.engine, "before_cursor_execute", note)
    try:
        rebuilt(post.ledger)
    finally:
        event.remove(post.ledger.engine, "before_cursor_execute", note)
    assert looked == [False, False]


def test_a_rebuild_is_told_of_to_people_and_to_dagster(post: Post) -> None:
    """Figures that have changed without anybody having sent anything want an explanation."""
    post.messages(1)
    post.learn(*statuses("wamid.0"))
    report = rebuilt(post.ledger)
    with post.ledger.read() as connection:
        noted = connection.execute(select(audit_log).where(audit_log.c.action == "delivery_rebuilt")).one()
        left = connection.execute(select(outbox).where(outbox.c.kind == "delivery_rebuilt")).one()
    assert noted.actor == "test"
    assert noted.details["digest_after"] == report.after.whole
    assert left.details["dates"] == ["2026-03-02"]


def test_an_event_keeps_the_wording_that_tells_more_and_then_finds_its_attempt(post: Post) -> None:
    """A receiver that left out our id, and later the same webhook whole: the doubt is settled by the second."""
    first, second = post.calls(2)
    post.answer(first, accepted("a"))
    post.answer(second, LOST)
    post.learn(status("a", "read"))
    assert states(post.ledger) == ["read", "in_doubt"]
    post.learn(status("a", "read", callback=second.attempt_id))
    assert states(post.ledger) == ["accepted", "read"]
    post.learn(status("a", "read"))
    assert states(post.ledger) == ["accepted", "read"]
    assert rebuilt(post.ledger).agrees


@pytest.mark.parametrize("what", ["ingest", "rebuild"])
def test_killed_at_any_commit_it_is_run_again_and_comes_to_the_same(post: Post, ledger_url: str, what: str) -> None:
    """A machine that goes down in the middle leaves nobody half known for ever."""
    call, other = post.calls(2)
    post.answer(other, accepted("b"))
    told = [*statuses("a", call.attempt_id), *statuses("b"), *statuses("a"), status("b", "failed", code=131026)]
    post.put("told.ndjson", ndjson(payload(each) for each in told))
    if what == "rebuild":
        post.ingest()
        for statement in FORGED[1:3]:
            with post.ledger.write() as connection:
                connection.execute(text(statement))
    chance = random.Random(what)  # noqa: S311 - any number does
    ends = []
    for number in range(KILLS):
        chance.shuffle(told)
        post.put(f"{number}.ndjson", ndjson(payload(each) for each in told))
        ends.append(run_until(chance.randrange(3, 16), what, ledger_url, post.root))
        assert set(states(post.ledger)).isdisjoint({"pending", "claimed"})
    assert KILLED in ends
    assert {*ends} <= {KILLED, 0}
    post.ingest()
    rebuilt(post.ledger, post.folders.archive)
    assert rebuilt(post.ledger, post.folders.archive).agrees
    assert states(post.ledger) == ["read", "read"]
    assert post.names_in("inbox") == []


def test_what_comes_in_meanwhile_counts_and_is_told_of(post: Post) -> None:
    """A rebuild of a million events takes minutes, in which others go on; no digest can be the same then."""
    calls = post.calls(4)
    post.learn(*statuses("a", calls[0].attempt_id))
    late = [statuses(f"b{number}", call.attempt_id) for number, call in enumerate(calls[1:])]

    def on_progress(_what: str, _done: int, _in_all: int) -> None:
        if late:
            post.learn(*late.pop())

    report = rebuild.rebuild(post.ledger, None, lambda: NOW, actor="test", on_progress=on_progress)
    assert late == []
    assert report.disturbed
    assert states(post.ledger) == ["read"] * 4
    again = rebuilt(post.ledger)
    assert (again.agrees, again.disturbed) == (True, False)


def test_rebuilds_and_ingests_beside_each_other_end_where_one_after_the_other_would(post: Post) -> None:
    """An operator orders a replay at noon, when everything is under way: no deadlock, and nothing lost."""
    calls = post.calls(12)
    for number, call in enumerate(calls):
        post.put(f"{number:02d}.ndjson", ndjson(payload(each) for each in statuses(f"w{number}", call.attempt_id)))

    def ingest() -> None:
        for path in waiting_files(post.folders):
            ingest_waiting(post.ledger, post.folders, lambda: NOW, names={path.name})

    with ThreadPoolExecutor(3) as beside:
        under_way = [beside.submit(ingest), *(beside.submit(rebuilt, post.ledger) for _ in range(2))]
        for each in under_way:
            each.result()
    assert states(post.ledger) == ["read"] * 12
    assert rebuilt(post.ledger, post.folders.archive).agrees


def test_one_attempt_that_is_told_any_number_of_wamids_holds_nothing_up(post: Post) -> None:
    """A receiver that numbers messages by itself: more names than a statement takes, and no file comes in any more."""
    (call,) = post.calls(1)
    post.learn(status("0", "read", callback=call.attempt_id))
    rows = [
        {
            "wamid": f"w{number}",
            "status": "sent",
            "occurred_at": NOW,
            "callback_data": call.attempt_id,
            "attempt_id": call.attempt_id,
            "line_number": 1,
            "raw": "{}",
            "received_at": NOW,
        }
        for number in range(35_000)
    ]
    with post.ledger.write() as connection:
        file_id = connection.execute(select(delivery_files.c.id)).scalar_one()
        load_new(connection, delivery_events, [{**row, "file_id": file_id} for row in rows])
    report = post.learn(status("0", "delivered", callback=call.attempt_id))
    assert [each.state for each in report.files] == ["done"]


@pytest.mark.parametrize("turned", [False, True], ids=["one way", "the other"])
def test_of_two_failures_of_one_message_the_same_words_are_kept(post: Post, *, turned: bool) -> None:
    """The reason that a person reads would be the one that happened to come first; of `a` and `B`, `a` by its bytes."""
    (call,) = post.calls(1)
    post.answer(call, accepted("a"))
    told = [
        {**status("a", "failed"), "errors": [{"code": code, "title": title}]}
        for code, title in ((131026, "a"), (131049, "B"))
    ]
    for each in reversed(told) if turned else told:
        post.learn(each)
    with post.ledger.read() as connection:
        assert connection.execute(select(campaign_recipients.c.reason)).scalar_one() == "a"
    (attempt,) = attempts(post.ledger)
    assert (attempt.failure_code, attempt.failure_text) == (131049, "a")
