"""Taking in status files: each event once, whatever file it comes in, and no bad file or line holds up the others."""

import gzip
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Connection, Row, event, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from campaign_pipeline.delivery import rejected_lines, status_file, status_lines
from campaign_pipeline.delivery.event_store import Stored
from campaign_pipeline.delivery.status_file import FileReport
from campaign_pipeline.delivery.status_files import STATUSES_INGESTED, IngestBounds, ingest_waiting, waiting_files
from campaign_pipeline.delivery.status_lines import StatusLines
from campaign_pipeline.delivery.webhooks import StatusEvent
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_analytics, delivery_events, delivery_files, outbox, send_attempts
from campaign_pipeline.recipients.stop_words import Vocabulary, vocabulary
from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.ingest_process import LINES_A_CHUNK, start_ingest
from campaign_pipeline_tests.delivery.payloads import MARCH, change, inbound, ndjson, payload, status
from campaign_pipeline_tests.support.sending import count_of, states


def files_of(ledger: Ledger) -> list[Row]:
    with ledger.read() as connection:
        return list(connection.execute(select(delivery_files).order_by(delivery_files.c.id)).all())


def events_of(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return count_of(connection, delivery_events)


def lives_of(wamids: list[str]) -> list[dict[str, object]]:
    """Payloads with sent, delivered and read of every message."""
    words = ("sent", "delivered", "read")
    return [payload(status(wamid, word, MARCH + number)) for number, word in enumerate(words) for wamid in wamids]


def test_a_file_is_taken_in_and_kept_as_it_came(post: Post) -> None:
    """The raw file is the only copy of what Meta said; there is no way to ask again."""
    wamids = post.messages(2)
    content = ndjson(lives_of(wamids))
    post.put("statuses.ndjson", content)
    report = post.ingest()
    assert report.files == [FileReport("statuses.ndjson", "done", events=6, new_events=6)]
    assert (report.events, report.new_events, report.unmatched) == (6, 6, 0)
    assert states(post.ledger) == ["read", "read"]
    assert post.names_in("inbox") == []
    (name,) = post.names_in("archive")
    assert name.endswith("-statuses.ndjson")
    assert (post.root / "archive" / name).read_bytes() == content
    (row,) = files_of(post.ledger)
    assert (row.name, row.state, row.events, row.new_events, row.rejected_lines) == ("statuses.ndjson", "done", 6, 6, 0)


def test_an_empty_inbox_or_none_is_no_failure(post: Post) -> None:
    """The sensor looks every few seconds, from the first minute on."""
    assert post.ingest().files == []
    post.folders.inbox.mkdir()
    assert post.ingest().files == []


def test_each_event_keeps_its_file_its_line_and_its_raw_status(post: Post) -> None:
    """When a figure is doubted, somebody has to find the line that it comes from."""
    (wamid,) = post.messages(1)
    odd = status(wamid, "delivered", pricing={"category": "marketing"})
    post.put("a.ndjson", b"\n" + ndjson([payload(odd)]))
    post.ingest()
    with post.ledger.read() as connection:
        event = connection.execute(select(delivery_events)).one()
    assert (event.line_number, event.file_id) == (2, files_of(post.ledger)[0].id)
    assert json.loads(event.raw) == odd


def test_the_same_file_twice_counts_once(post: Post) -> None:
    """An upload that is repeated, or a folder that is copied back."""
    content = ndjson(lives_of(post.messages(1)))
    post.put("a.ndjson", content)
    post.ingest()
    for name in ("a.ndjson", "another-name.ndjson"):
        post.put(name, content)
        (again,) = post.ingest().files
        assert (again.state, again.events, again.new_events) == ("done", 0, 0)
        assert again.reason == "its content was taken in before"
    assert events_of(post.ledger) == 3
    assert len(files_of(post.ledger)) == 1
    assert post.names_in("inbox") == []
    assert len(post.names_in("archive")) == 2


def test_the_same_events_in_another_file_count_once(post: Post) -> None:
    """Meta delivers at least once, and every app that is subscribed gets every retry."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])))
    post.ingest()
    post.put("b.ndjson", ndjson([*lives_of([wamid])[::-1], payload(status(wamid, "failed", code=1))]))
    report = post.ingest()
    assert (report.events, report.new_events) == (4, 1)
    assert states(post.ledger) == ["read"]
    post.put("c.ndjson", ndjson(lives_of([wamid]) * 2) + b"\n")
    assert post.ingest().new_events == 0


@pytest.mark.parametrize("content", [b"", b"\n\n", b"   \n"])
def test_an_empty_file_is_rejected_with_the_reason_beside_it(post: Post, content: bytes) -> None:
    """Usually a copy that failed; taken as done, nobody would send it again."""
    post.put("empty.ndjson", content)
    (report,) = post.ingest().files
    assert (report.state, report.reason) == ("rejected", "the file is empty")
    kept, reason = post.names_in("rejected")
    assert reason == f"{kept}.reason.txt"
    assert (post.root / "rejected" / reason).read_text(encoding="utf-8") == "the file is empty\n"
    assert post.names_in("inbox") == []


NO_STATUS_FILES = {
    "01-noise": bytes(range(256)) * 20,
    "02-zeros": b"\x00" * 100,
    "03-compressed": b"\x1f\x8b\x08\x00gzip",
    "04-page": b"<html>502 Bad Gateway</html>",
    "05-deep-list": b"[" * 200_000,
    "06-deep-object": b'{"a":' * 200_000,
    "07-cut-off": b"[1, 2",
    "08-number": b"12345",
    "09-text": b'"text"',
    "10-empty-object": b"{}",
    "11-lines-of-something": b'{"statuses": []}\n7\nnull\n',
    "12-utf-16": "\ufeff{}".encode("utf-16"),
}


def test_files_that_are_no_status_files_are_rejected_and_hold_up_no_other(post: Post) -> None:
    """One file of rubbish at the head of the inbox must not stop every status after it for ever."""
    (wamid,) = post.messages(1)
    for name, content in NO_STATUS_FILES.items():
        post.put(name, content)
    post.put("99.ndjson", ndjson(lives_of([wamid])))
    found = {report.name: (report.state, bool(report.reason)) for report in post.ingest().files}
    assert found == dict.fromkeys(NO_STATUS_FILES, ("rejected", True)) | {"99.ndjson": ("done", False)}
    assert states(post.ledger) == ["read"]
    kept = [name for name in post.names_in("rejected") if not name.endswith(".reason.txt")]
    assert {(post.root / "rejected" / name).read_bytes() for name in kept} == set(NO_STATUS_FILES.values())
    assert len(post.names_in("rejected")) == 2 * len(kept) == 24


def test_one_bad_line_is_kept_aside_and_the_others_are_taken_in(post: Post) -> None:
    """A line that was cut off says nothing against the ten thousand around it."""
    wamids = post.messages(2)
    good = ndjson(lives_of(wamids)).splitlines()
    bad = b'{"entry": [{"changes": \xff'
    without_id = json.dumps(payload({"status": "sent", "timestamp": MARCH}, status(wamids[0], "played"))).encode()
    post.put("a.ndjson", b"\n".join([*good[:3], bad, *good[3:], without_id]) + b"\n")
    (report,) = post.ingest().files
    assert (report.state, report.events, report.rejected_lines, report.reason) == ("done", 7, 2, None)
    assert states(post.ledger) == ["read", "read"]
    (lines,) = post.names_in("rejected")
    assert lines.endswith("-a.ndjson.lines.ndjson")
    kept = [json.loads(line) for line in (post.root / "rejected" / lines).read_text(encoding="utf-8").splitlines()]
    assert [(each["line_number"], each["text"][:10]) for each in kept] == [(4, '{"entry": '), (8, '{"object":')]
    assert "not JSON" in kept[0]["reason"]
    assert "lacks its id" in kept[1]["reason"]
    assert files_of(post.ledger)[0].rejected_lines == 2


def test_a_last_line_that_was_cut_off_loses_only_itself(post: Post) -> None:
    """A disk that was full, or a writer that was killed."""
    (wamid,) = post.messages(1)
    content = ndjson(lives_of([wamid]))
    post.put("a.ndjson", content[:-30])
    (report,) = post.ingest().files
    assert (report.state, report.events, report.rejected_lines) == ("done", 2, 1)
    assert states(post.ledger) == ["delivered"]
    post.put("a.ndjson", content)
    assert post.ingest().new_events == 1
    assert states(post.ledger) == ["read"]


def test_a_last_line_without_its_line_end_is_a_line(post: Post) -> None:
    """Many programs leave it out."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])).rstrip(b"\n"))
    assert post.ingest().new_events == 3


def test_a_file_with_replies_only_is_done(post: Post) -> None:
    """The webhook brings inbound messages too; they are none of our business and no mistake."""
    reply = {"entry": [{"changes": [{"field": "messages", "value": {"messages": [{"type": "text"}]}}]}]}
    post.put("a.ndjson", ndjson([reply, reply]))
    (report,) = post.ingest().files
    assert (report.state, report.events, report.rejected_lines) == ("done", 0, 0)


def test_a_bad_line_among_replies_is_kept_aside_and_the_file_is_done(post: Post) -> None:
    """The rest of the file can be read; to say that nothing in it can be is not true."""
    reply = {"entry": [{"changes": [{"field": "messages", "value": {"messages": [{"type": "text"}]}}]}]}
    post.put("a.ndjson", ndjson([reply]) + b"{cut off\n")
    (report,) = post.ingest().files
    assert (report.state, report.rejected_lines) == ("done", 1)


ONE_DOCUMENT = {
    "pretty payload": lambda payloads: json.dumps(
        {"entry": [entry for each in payloads for entry in each["entry"]]}, indent=2
    ),
    "payload on one line": lambda payloads: json.dumps(
        {"entry": [entry for each in payloads for entry in each["entry"]]}
    ),
    "pretty list": lambda payloads: json.dumps(payloads, indent=2),
    "list on one line": json.dumps,
    "blank lines around": lambda payloads: "\n\n" + json.dumps(payloads[0]) + "\n \n" + json.dumps(payloads[1]) + "\n",
    "windows line ends": lambda payloads: "\r\n".join(json.dumps(each) for each in payloads) + "\r\n",
    "byte order mark": lambda payloads: "\ufeff" + "\n".join(json.dumps(each) for each in payloads),
    "blank lines before a document": lambda payloads: "\n\n" + json.dumps(payloads, indent=2),
}


def test_a_file_may_be_lines_or_one_document_however_it_is_laid_out(post: Post) -> None:
    """A payload that a person has saved by hand comes indented, or as a list."""
    wamids = iter(post.messages(2 * len(ONE_DOCUMENT)))
    for name, written in ONE_DOCUMENT.items():
        payloads = [payload(status(next(wamids), "delivered")) for _ in range(2)]
        post.put(name, written(payloads).encode())
    found = {report.name: (report.state, report.events, report.rejected_lines) for report in post.ingest().files}
    assert found == dict.fromkeys(ONE_DOCUMENT, ("done", 2, 0))
    assert set(states(post.ledger)) == {"delivered"}


def test_files_that_begin_with_a_dot_are_still_being_written(post: Post) -> None:
    """Half a file taken in is half a file lost: its hash is not that of the whole."""
    (wamid,) = post.messages(1)
    post.put(".a.ndjson", ndjson(lives_of([wamid])))
    (post.folders.inbox / "folder").mkdir()
    assert post.ingest().files == []
    (post.folders.inbox / ".a.ndjson").rename(post.folders.inbox / "a.ndjson")
    assert post.ingest().new_events == 3
    assert post.names_in("inbox") == ["folder"]


def test_a_file_whose_name_is_no_text_is_taken_in_like_any_other(post: Post) -> None:
    """A name in Latin-1 from an old server must not stop the ingest of everything after it."""
    (wamid,) = post.messages(1)
    post.folders.inbox.mkdir(parents=True)
    (post.folders.inbox / os.fsdecode(b"statuses-\xe9.ndjson")).write_bytes(ndjson(lives_of([wamid])))
    assert post.ingest().new_events == 3
    assert states(post.ledger) == ["read"]
    assert post.names_in("inbox") == []


ODD = {
    "1-surrogate-wamid": {"id": "wamid.\ud800"},
    "2-surrogate-callback": {"id": "theirs-2", "biz_opaque_callback_data": "\ud83d"},
    "3-surrogate-title": {"id": "theirs-3", "errors": [{"code": 1, "title": "a\ud800"}]},
    "4-large-code": {"id": "theirs-4", "errors": [{"code": 10**12}]},
    "5-superscript-code": {"id": "theirs-5", "errors": [{"code": "²"}]},
    "6-far-time": {"id": "theirs-6", "timestamp": 10**300},
    "7-unknown-field": {"id": "theirs-7", "nested": [[["\0\ud800"]]]},
    "8-true-code": {"id": "theirs-8", "errors": [{"code": True}]},
    "9-early-time": {"id": "theirs-9", "timestamp": -62_135_596_800},
}


def test_values_that_no_database_takes_hold_up_nobody(post: Post) -> None:
    """A payload by a stranger's hand would stay at the head of the inbox, and everyone's statuses behind it."""
    wamids = post.messages(len(ODD))
    for (name, odd), wamid in zip(ODD.items(), wamids, strict=True):
        post.put(name, ndjson([payload({**status("theirs", "sent"), **odd}), *lives_of([wamid])]))
    assert {report.name: report.state for report in post.ingest().files} == dict.fromkeys(ODD, "done")
    assert set(states(post.ledger)) == {"read"}
    assert post.names_in("inbox") == []


def test_a_word_of_the_first_of_all_days_holds_up_nobody(post: Post) -> None:
    """A reply is looked for in the days before it, of which there are none."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson([inbound("stop", at=-62_135_596_800), *lives_of([wamid])]))
    (report,) = post.ingest().files
    assert (report.state, report.words, report.new_events) == ("done", 1, 3)


@pytest.mark.parametrize("field", [None, 7, [], {"type": "messages"}], ids=["null", "number", "list", "object"])
def test_a_change_whose_field_is_no_text_holds_up_nobody(post: Post, field: object) -> None:
    """The lines behind it would never be read, since the file is rejected."""
    wamids = post.messages(2)
    post.put("a.ndjson", ndjson([*lives_of(wamids[:1]), change(field, {"x": 1}), *lives_of(wamids[1:])]))
    (report,) = post.ingest().files
    assert (report.state, report.new_events) == ("done", 6)
    assert states(post.ledger) == ["read", "read"]


def test_what_is_said_in_too_deep_a_message_holds_up_no_status_beside_it() -> None:
    """A message without an id is known by all that is in it, however deep that is."""
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    both = payload(status())
    both["entry"] += change("messages", {"messages": [{"from": "447911000001", "x": deep}]})["entry"]
    lines = StatusLines(vocabulary())
    lines.add_document(both)
    assert (len(lines.events), len(lines.problems)) == (1, 1)


def test_a_file_of_many_chunks_is_the_same_as_one_of_few(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk's end must not fall between an event and its message."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    wamids = post.messages(3)
    lines = ndjson(lives_of(wamids)).splitlines(keepends=True)
    post.put("a.ndjson", b"\n".join(lines[:5]) + b"broken\n" + b"".join(lines[5:]))
    (report,) = post.ingest().files
    assert (report.events, report.new_events, report.rejected_lines) == (9, 9, 1)
    assert states(post.ledger) == ["read"] * 3


def test_killed_between_two_chunks_the_next_ingest_ends_as_if_nothing_had_happened(
    post: Post, ledger_url: str, tmp_path: Path
) -> None:
    """Events count once, and a file leaves the inbox only when it is done."""
    wamids = post.messages(8)
    post.put("a.ndjson", ndjson(lives_of(wamids)))
    process = start_ingest(ledger_url, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "two chunks are in\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert events_of(post.ledger) == 2 * LINES_A_CHUNK
    assert files_of(post.ledger)[0].state == "reading"
    (left_over,) = post.names_in("inbox")
    assert left_over.endswith("-a.ndjson")

    (report,) = post.ingest().files
    assert (report.state, report.events, report.new_events) == ("done", 24, 24)
    assert report.name == "a.ndjson"
    assert states(post.ledger) == ["read"] * 8
    assert events_of(post.ledger) == 24
    assert (post.names_in("inbox"), len(post.names_in("archive"))) == ([], 1)


def test_rejected_lines_are_kept_once_though_the_ingest_was_killed_after_keeping_them(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mends and sends the bad lines again must not find each of them twice."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    (wamid,) = post.messages(1)
    good = ndjson(lives_of([wamid]))
    post.put("a.ndjson", good + b"bad 1\nbad 2\n" + ndjson([payload(status("theirs"))]))

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The second portion's lines are kept by then, and that they were read is not written down.
        patch.setattr(status_file, "_move_on", _once_and_then(status_file._move_on, killed))
        with pytest.raises(KeyboardInterrupt):
            post.ingest()
    (report,) = post.ingest().files
    assert (report.state, report.events, report.rejected_lines) == ("done", 4, 2)
    (name,) = post.names_in("rejected")
    kept = (post.root / "rejected" / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["line_number"] for line in kept] == [4, 5]


def _once_and_then(first: Callable[..., None], then: Callable[..., None]) -> Callable[..., None]:
    steps = iter((first, then))

    def step(*arguments: object) -> None:
        next(steps)(*arguments)

    return step


def test_an_ingest_without_time_for_all_stops_in_the_middle_and_the_next_goes_on(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a month would hold up the run, and with it everything that came in since."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 4)
    wamids = post.messages(3)
    post.put("a.ndjson", ndjson(lives_of(wamids)))
    post.put("b.ndjson", ndjson([payload(status("theirs"))]))
    no_time = IngestBounds(seconds=1e-9)
    report = ingest_waiting(post.ledger, post.folders, post.clock.now, bounds=no_time)
    assert [(each.name, each.state, each.events) for each in report.files] == [("a.ndjson", "reading", 4)]
    assert report.files[0].reason == "taken in up to line 4; the next ingest goes on"
    assert report.left == 2
    assert states(post.ledger) == ["delivered", "sent", "sent"]
    assert len(post.names_in("inbox")) == 2
    report = post.ingest()
    assert {each.name: (each.state, each.events, each.new_events) for each in report.files} == {
        "a.ndjson": ("done", 9, 9),
        "b.ndjson": ("done", 1, 1),
    }
    assert states(post.ledger) == ["read"] * 3
    assert post.names_in("inbox") == []


def test_an_ingest_of_at_most_so_many_files_leaves_the_others(post: Post) -> None:
    """Ten thousand files in one run is a run of hours that shows nothing."""
    for number in range(3):
        post.put(f"{number}.ndjson", ndjson([payload(status(f"wamid.{number}"))]))
    report = ingest_waiting(post.ledger, post.folders, post.clock.now, bounds=IngestBounds(files=2))
    assert ([each.name for each in report.files], report.left) == (["0.ndjson", "1.ndjson"], 1)
    assert [each.name for each in post.ingest().files] == ["2.ndjson"]


def test_a_compressed_file_is_taken_in_whatever_it_is_called(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps years of webhooks keeps them compressed, and goes on in the middle of them as of any other."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    wamids = post.messages(2)
    post.put("a.ndjson", gzip.compress(ndjson(lives_of(wamids))))
    ingest_waiting(post.ledger, post.folders, post.clock.now, bounds=IngestBounds(seconds=1e-9))
    (report,) = post.ingest().files
    assert (report.state, report.events, report.new_events) == ("done", 6, 6)
    post.put("b.json.gz", gzip.compress(json.dumps(lives_of(wamids), indent=1).encode()))
    (report,) = post.ingest().files
    assert (report.state, report.events, report.new_events) == ("done", 6, 0)
    assert states(post.ledger) == ["read", "read"]


def test_of_a_compressed_file_that_breaks_off_everything_before_the_break_is_taken_in(post: Post) -> None:
    """A copy that was interrupted: what is there counts, and somebody has to be told that there is more."""
    wamids = post.messages(40)
    whole = gzip.compress(ndjson(lives_of(wamids)))
    post.put("a.ndjson.gz", whole[: len(whole) * 2 // 3])
    (report,) = post.ingest().files
    assert report.state == "rejected"
    assert "breaks off" in str(report.reason)
    assert 0 < report.new_events < 120
    assert events_of(post.ledger) == report.new_events
    post.put("b.ndjson.gz", whole)
    (again,) = post.ingest().files
    assert (again.state, again.events, again.new_events) == ("done", 120, 120 - report.new_events)
    assert set(states(post.ledger)) == {"read"}


def test_killed_before_the_analytics_the_next_ingest_brings_them_up_to_date(post: Post) -> None:
    """The files have left the inbox; whoever runs it again must not find old figures for ever."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])))

    def end_of_the_process(done: int, in_all: int) -> None:
        if done == in_all:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_waiting(post.ledger, post.folders, post.clock.now, end_of_the_process)
    post.ingest()
    with post.ledger.read() as connection:
        assert list(connection.execute(select(campaign_analytics.c.read)).scalars()) == [1]


def test_two_ingests_at_once_count_each_event_once_and_both_succeed(post: Post) -> None:
    """The sensor's run and a person's `campaign ingest` in the same second."""
    wamids = post.messages(20)
    for number in range(6):
        chosen = wamids[number * 2 : number * 2 + 10]
        post.put(f"{number}.ndjson", ndjson(lives_of(chosen[:: -1 if number % 2 else 1])))
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: post.ingest(), range(3)))
    assert sum(report.new_events for report in reports) == events_of(post.ledger) == 60
    assert states(post.ledger) == ["read"] * 20
    assert post.names_in("inbox") == []
    assert len(post.names_in("archive")) == 6
    assert [row.state for row in files_of(post.ledger)] == ["done"] * 6


def test_a_file_that_an_ingest_is_at_is_left_to_it(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would each read it whole to know it, and take out of the rejected lines what the other has just kept."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])) + b"bad 1\nbad 2\n")
    readings, beside = count(1), []

    def clock() -> datetime:
        if next(readings) == 3:
            beside.append(post.ingest().files)
        return post.clock.now()

    (report,) = ingest_waiting(post.ledger, post.folders, clock).files
    assert beside == [[]]
    assert (report.state, report.events, report.rejected_lines) == ("done", 3, 2)
    assert post.names_in("inbox") == []


def test_a_compressed_file_that_breaks_off_ends_with_the_first_ingest_that_comes_there(post: Post) -> None:
    """Were it left for the next one, so it would be for ever, once reading up to there takes all the time."""
    post.put("a.gz", gzip.compress(ndjson(lives_of(post.messages(1))))[:-9])
    (report,) = ingest_waiting(post.ledger, post.folders, post.clock.now, bounds=IngestBounds(seconds=0)).files
    assert (report.state, report.rejected_lines) == ("rejected", 1)
    assert post.names_in("inbox") == []


def test_events_that_nobody_here_knows_are_kept_and_counted(post: Post) -> None:
    """Shown as a number, they tell that an inbox belongs to another ledger."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson([payload(status(wamid)), payload(status("theirs")), payload(status("theirs-2"))]))
    report = post.ingest()
    assert (report.events, report.new_events, report.unmatched) == (3, 3, 2)
    with post.ledger.read() as connection:
        matched = select(func.count()).where(delivery_events.c.attempt_id.in_(select(send_attempts.c.id)))
        assert connection.execute(matched).scalar_one() == 1
    post.put("b.ndjson", ndjson([payload(status("theirs"))]))
    assert post.ingest().unmatched == 2


def test_progress_is_told_for_every_file(post: Post) -> None:
    """Ten thousand files without a sign of life look like a program that hangs."""
    for number in range(3):
        post.put(f"{number}.ndjson", ndjson([payload(status(f"wamid.{number}"))]))
    told: list[tuple[int, int]] = []
    ingest_waiting(post.ledger, post.folders, post.clock.now, lambda done, in_all: told.append((done, in_all)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_file_that_is_replaced_while_it_is_read_is_taken_in_the_next_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer with one fixed name: its second file must not be archived in place of the first."""
    first, second = post.messages(2)
    post.put("a.ndjson", ndjson(lives_of([first])))
    read_payload = status_lines.read_payload

    def replaced(document: object) -> object:
        post.put("a.ndjson", ndjson(lives_of([second])))
        return read_payload(document)

    with monkeypatch.context() as patch:
        patch.setattr(status_lines, "read_payload", replaced)
        assert post.ingest().new_events == 3
    assert states(post.ledger) == ["read", "accepted"]
    assert post.ingest().new_events == 3
    assert states(post.ledger) == ["read", "read"]
    assert (post.names_in("inbox"), len(post.names_in("archive"))) == ([], 2)


def _appended_to(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _replaced(path: Path, content: bytes) -> None:
    new = path.with_name(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.mark.parametrize("change", [_appended_to, _replaced], ids=["appended to", "replaced"])
def test_a_file_that_changes_after_it_was_hashed_stays_for_the_next_ingest(
    post: Post, change: Callable[[Path, bytes], None]
) -> None:
    """A writer that still holds the file writes on under any name: archived, its last statuses were never read."""
    first, second = post.messages(2)
    post.put("a.ndjson", ndjson(lives_of([first])))

    def changed(done: int, in_all: int) -> None:
        if done == in_all:
            (set_aside,) = waiting_files(post.folders)
            change(set_aside, ndjson(lives_of([second])))

    (report,) = ingest_waiting(post.ledger, post.folders, post.clock.now, changed).files
    assert (report.state, report.new_events) == ("done", 3)
    assert report.reason == "it changed while it was taken in: it stays in the inbox for the next ingest"
    assert states(post.ledger) == ["read", "accepted"]
    assert len(waiting_files(post.folders)) == 1
    (again,) = post.ingest().files
    assert (again.name, again.new_events, again.reason) == ("a.ndjson", 3, None)
    assert states(post.ledger) == ["read", "read"]
    assert (post.names_in("inbox"), len(post.names_in("archive"))) == ([], 1)


def test_what_a_killed_ingest_has_set_aside_waits(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for hidden files: forgotten there, its statuses would be lost."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])))

    def killed(_path: Path) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(status_file, "_digest", killed)
        with pytest.raises(KeyboardInterrupt):
            post.ingest()
    assert len(waiting_files(post.folders)) == 1
    assert [(each.name, each.new_events) for each in post.ingest().files] == [("a.ndjson", 3)]
    assert waiting_files(post.folders) == []


def test_a_file_with_something_that_nobody_foresaw_is_rejected_and_holds_up_no_other(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next poison is one that no test knows."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", b"poison\n")
    post.put("b.ndjson", ndjson(lives_of([wamid])))
    lines_of = status_lines._lines_of

    def poisoned(path: Path, start: status_lines.Place) -> object:
        if path.name.endswith("a.ndjson"):
            raise ZeroDivisionError
        return lines_of(path, start)

    monkeypatch.setattr(status_lines, "_lines_of", poisoned)
    first, second = post.ingest().files
    assert (first.state, second.state) == ("rejected", "done")
    assert "ZeroDivisionError" in str(first.reason)
    assert [(row.name, row.state) for row in files_of(post.ledger)] == [("a.ndjson", "rejected"), ("b.ndjson", "done")]
    assert len(post.names_in("rejected")) == 2
    assert post.names_in("inbox") == []


def test_the_next_lines_are_read_while_the_database_stores_those_before(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, a large inbox takes a sixth longer, and nobody would notice."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    chunks_of, store_events = status_file.chunks_of, status_file.store_events
    seen: list[str] = []
    is_read = threading.Semaphore(0)

    def chunks(path: Path, vocabulary: Vocabulary, start: status_lines.Place) -> Iterator[status_lines.StatusLines]:
        for number, chunk in enumerate(chunks_of(path, vocabulary, start)):
            seen.append("read")
            if number:
                is_read.release()
            yield chunk

    def storing(
        connection: Connection,
        file_id: int,
        events: list[tuple[int, StatusEvent]],
        now: datetime,
        meanwhile: Callable[[], None],
    ) -> Stored:
        def begun() -> None:
            meanwhile()
            if seen.count("stored") < 2:
                assert is_read.acquire(timeout=60)

        stored = store_events(connection, file_id, events, now, begun)
        seen.append("stored")
        return stored

    monkeypatch.setattr(status_file, "chunks_of", chunks)
    monkeypatch.setattr(status_file, "store_events", storing)
    post.put("a", ndjson(lives_of(post.messages(2))))
    (report,) = post.ingest().files
    assert report.new_events == 6
    assert seen == ["read", "read", "stored", "read", "stored", "stored"]


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_no_text_of_a_temporary_table_goes_by_the_locale_of_the_database(post: Post) -> None:
    """The least of several wamids would be another one on another server."""
    post.put("a", ndjson(lives_of(post.messages(1))))
    post.ingest()
    collations = text(
        "SELECT c.relname || '.' || a.attname, l.collname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_collation l ON l.oid = a.attcollation"
        " WHERE c.relname LIKE 'staged%' AND a.attnum > 0"
    )
    with post.ledger.read() as connection:
        found = dict(connection.execute(collations).all())
    assert "staged_evidence.least_wamid" in found
    assert {*found.values()} == {"C"}


def test_a_line_that_nobody_foresaw_is_kept_aside_alone(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read without fault and refused by the database, it would have everything rejected that stands behind it."""
    wamids = post.messages(3)
    lines = ndjson([*lives_of(wamids[:1]), payload(status("poison")), *lives_of(wamids[1:])])
    post.put("a.gz", gzip.compress(b"bad\n\n" + lines + b"bad too\n\n"))
    store_events = status_file.store_events

    def poisoned(
        connection: Connection,
        file_id: int,
        events: list[tuple[int, StatusEvent]],
        now: datetime,
        meanwhile: Callable[[], None],
    ) -> Stored:
        if any(event.wamid == "poison" for _, event in events):
            raise ZeroDivisionError
        return store_events(connection, file_id, events, now, meanwhile)

    monkeypatch.setattr(status_file, "store_events", poisoned)
    (report,) = post.ingest().files
    assert (report.state, report.events, report.new_events, report.rejected_lines) == ("done", 9, 9, 3)
    assert states(post.ledger) == ["read"] * 3
    (name,) = post.names_in("rejected")
    kept = [json.loads(line) for line in (post.root / "rejected" / name).read_text(encoding="utf-8").splitlines()]
    assert [each["line_number"] for each in kept] == [1, 6, 13]
    assert "ZeroDivisionError" in kept[1]["reason"]
    assert json.loads(kept[1]["text"]) == payload(status("poison"))


def test_of_very_many_lines_that_cannot_be_read_only_so_many_are_kept(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that was put into the inbox by mistake would fill the disk with three times its size."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 10)
    monkeypatch.setattr(rejected_lines, "MOST_KEPT", 3_000)
    (wamid,) = post.messages(1)
    post.put("a.ndjson", b"bad\n" * 1_000 + ndjson(lives_of([wamid])))
    (report,) = post.ingest().files
    assert (report.state, report.events, report.rejected_lines) == ("done", 3, 1_000)
    (name,) = post.names_in("rejected")
    kept = (post.root / "rejected" / name).read_text(encoding="utf-8").splitlines()
    assert len(kept) < 100
    assert "no longer kept" in json.loads(kept[-1])["reason"]


def test_a_ledger_that_is_away_rejects_no_file(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that restarts says nothing against the files that wait for it."""
    post.put("a.ndjson", b"{}\n")

    def away(*_arguments: object) -> None:
        raise OperationalError("", {}, ConnectionError())

    with monkeypatch.context() as patch:
        patch.setattr(status_file, "_begin_file", away)
        with pytest.raises(OperationalError):
            post.ingest()
    assert len(waiting_files(post.folders)) == 1


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
@pytest.mark.parametrize("fault", ["SET TRANSACTION READ ONLY", "SET LOCAL search_path TO pg_catalog"])
def test_a_server_that_is_read_only_or_shows_no_tables_rejects_no_file(post: Post, fault: str) -> None:
    """After a failover, or with a right taken away, all that waits would be put where nobody takes it in again."""
    (wamid,) = post.messages(1)
    post.put("a.ndjson", ndjson(lives_of([wamid])))

    def spoil(connection: Connection) -> None:
        connection.exec_driver_sql(fault)

    event.listen(post.ledger.engine, "begin", spoil)
    try:
        with pytest.raises(DBAPIError):
            post.ingest()
    finally:
        event.remove(post.ledger.engine, "begin", spoil)
    assert post.names_in("rejected") == []
    (report,) = post.ingest().files
    assert (report.state, report.new_events) == ("done", 3)


def test_a_file_with_a_very_long_name_is_taken_in(post: Post) -> None:
    """A hash in front of it makes it longer than a file system allows."""
    (wamid,) = post.messages(1)
    name = "é" * 120 + ".ndjson"
    post.put(name, ndjson(lives_of([wamid])) + b"broken\n")
    (report,) = post.ingest().files
    assert (report.name, report.state, report.rejected_lines) == (name, "done", 1)
    assert post.names_in("archive")[0].endswith("é.ndjson")


def test_blank_lines_do_not_make_a_chunk_endless(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every chunk's last line is a blank one, the whole file would be held in memory."""
    monkeypatch.setattr(status_lines, "LINES_PER_TRANSACTION", 2)
    path = post.put("a.ndjson", b"{}\n\n" * 5)
    assert [chunk.count for chunk in status_lines.chunks_of(path, vocabulary())] == [2, 2, 1]


def test_an_ingest_leaves_word_for_dagster_once_and_only_when_files_came(post: Post) -> None:
    """The desk shows what a person's `campaign ingest` has changed."""
    (wamid,) = post.messages(1)

    def told() -> list[dict[str, object]]:
        with post.ledger.read() as connection:
            return list(
                connection.execute(select(outbox.c.details).where(outbox.c.kind == STATUSES_INGESTED)).scalars()
            )

    post.ingest()
    assert told() == []
    post.put("a.ndjson", ndjson(lives_of([wamid])))
    report = post.ingest()
    post.ingest()
    assert told() == [report.as_details()]
