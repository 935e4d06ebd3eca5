"""Reading Meta's webhook payloads: every status in them, in every spelling, and nothing held up by a bad one."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign_pipeline.delivery.webhooks import PayloadError, StatusEvent, read_payload, read_timestamp
from campaign_pipeline_tests.delivery.payloads import MARCH, payload, status

REAL_PAYLOADS = Path(__file__).parents[3] / "shared" / "webhook-payloads"

MOMENT = datetime(2026, 3, 2, 10, tzinfo=UTC)

PLAIN = payload(status(callback="attempt-1"))


def webhooks_in(document: object) -> Iterator[object]:
    """Every webhook payload in a collection of samples: some files have several, by name, or lists of them."""
    if isinstance(document, dict) and "entry" in document:
        yield document
    elif isinstance(document, dict | list):
        for inner in document.values() if isinstance(document, dict) else document:
            yield from webhooks_in(inner)


OWN = {
    "plain": PLAIN,
    "as of 2026": payload(
        status(
            "wamid.2",
            "delivered",
            str(MARCH),
            recipient_id="447911000001",
            recipient_user_id="GB.13491208655302741918",
            recipient_parent_user_id="GB.ENT.11815799212886844830",
            pricing={"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
        )
    ),
    "failed": payload(status("wamid.3", "failed", code=131049)),
    "many": payload(status("wamid.4", "sent"), status("wamid.4", "read", callback="attempt-4")),
    "with fields that nobody knows": payload(
        status("wamid.5", "glanced", glance={"depth": [1, None]}, pricing="free", errors={"code": 1})
    ),
}
"""Composed by hand, for machines without the real ones."""


def samples() -> list[object]:
    """Some payloads of our own and every real one that there is on this machine, with its name."""
    found = [pytest.param(each, id=name) for name, each in OWN.items()]
    for path in sorted(REAL_PAYLOADS.rglob("*.json")):
        payloads = webhooks_in(json.loads(path.read_text(encoding="utf-8")))
        found += [pytest.param(each, id=f"{path.stem}-{number}") for number, each in enumerate(payloads)]
    return found


def statuses_in(sample: Any) -> list[object]:  # noqa: ANN401 - a payload as JSON has it
    """The status objects of a payload, in their order."""
    changes = [change for entry in sample["entry"] for change in entry["changes"]]
    return [each for change in changes for each in change.get("value", {}).get("statuses", ())]


@pytest.mark.parametrize("sample", samples())
def test_every_payload_of_meta_is_read_without_a_problem(sample: dict[str, object]) -> None:
    """What Meta really sends is never all in its reference."""
    read = read_payload(sample)
    assert read.problems == []
    raw = json.dumps(sample)
    assert len(read.events) == len(statuses_in(sample))
    for event in read.events:
        assert event.wamid in raw
        assert event.occurred_at.year >= 2019


@pytest.mark.parametrize("sample", samples())
def test_what_nobody_knows_of_a_status_is_kept_as_it_came(sample: dict[str, object]) -> None:
    """There is no way to ask Meta again: what is thrown away today is missing when somebody learns what it means."""
    assert [json.loads(event.raw) for event in read_payload(sample).events] == statuses_in(sample)


def test_whom_a_status_names_is_read_beside_it() -> None:
    """A recipient_id may be missing since 2026, may be no digits, and is a group's where one was sent to."""
    (event,) = read_payload(OWN["as of 2026"]).events
    assert (event.recipient_id, event.recipient_user_id) == ("447911000001", "GB.13491208655302741918")
    for odd in (None, 447911000001, "", "x" * 201, ["447911000001"], "a\0b"):
        (event,) = read_payload(payload(status(recipient_id=odd, recipient_user_id=odd))).events
        assert (event.recipient_id, event.recipient_user_id) == (None, None)
    (event,) = read_payload(payload(status(recipient_id="group-1", recipient_type="group"))).events
    assert event.recipient_id is None


def test_a_status_is_read_field_by_field() -> None:
    """The plain case."""
    given_status = status("wamid.7", "DELIVERED", "1772445600", callback="attempt-7")
    (event,) = read_payload(payload(given_status)).events
    assert event == StatusEvent(
        wamid="wamid.7",
        status="delivered",
        occurred_at=MOMENT,
        error_code=0,
        error_text=None,
        callback_data="attempt-7",
        raw=json.dumps(given_status, separators=(",", ":")),
    )


def test_every_status_of_every_change_of_every_entry_is_read() -> None:
    """Meta batches up to a thousand updates; reading only the first of them loses the rest for good."""
    first, second = payload(status("a"), status("b")), payload(status("c"))
    both = {"object": "x", "entry": [*first["entry"], *second["entry"]]}
    both["entry"][0]["changes"].append({"field": "messages", "value": {"statuses": [status("d")]}})
    assert [event.wamid for event in read_payload(both).events] == ["a", "b", "d", "c"]


@pytest.mark.parametrize(
    "written", [MARCH, str(MARCH), float(MARCH), MARCH * 1000, str(MARCH * 1000), f" {MARCH} ", f"{MARCH}.0"]
)
def test_a_time_is_read_in_every_spelling(written: object) -> None:
    """Strings by the book, numbers and milliseconds in the wild; read as seconds, these would be in the year 58,000."""
    assert read_timestamp(written) == MOMENT


@pytest.mark.parametrize(
    "written", [None, "", "soon", True, [], {}, "nan", "inf", -1e30, 10**400, "9" * 5_000, float("nan")]
)
def test_what_is_no_time_is_a_problem_and_no_crash(written: object) -> None:
    """One odd number must not hold up a file of ten thousand lines."""
    with pytest.raises(PayloadError, match="timestamp"):
        read_timestamp(written)


BAD = [
    "not an object",
    None,
    [],
    {},
    {"id": "wamid.1"},
    {"status": "sent", "timestamp": MARCH},
    {"id": "", "status": "sent", "timestamp": MARCH},
    {"id": 7, "status": "sent", "timestamp": MARCH},
    {"id": "wamid.1", "status": 7, "timestamp": MARCH},
    {"id": "wamid.1", "status": "x" * 41, "timestamp": MARCH},
    {"id": "w" * 1001, "status": "sent", "timestamp": MARCH},
    {"id": "wamid.\0", "status": "sent", "timestamp": MARCH},
    {"id": "wamid.\ud800", "status": "sent", "timestamp": MARCH},
    {"id": "wamid.1", "status": "sent"},
    {"id": "wamid.1", "status": "sent", "timestamp": "never"},
]


@pytest.mark.parametrize("bad", BAD)
def test_a_status_that_cannot_be_read_is_a_problem_of_its_own(bad: object) -> None:
    """The statuses beside it are other people's messages."""
    read = read_payload(payload(status("before"), bad, status("after")))
    assert [event.wamid for event in read.events] == ["before", "after"]
    assert len(read.problems) == 1


@pytest.mark.parametrize("word", ["played", "deleted", "warning", "held_for_review"])
def test_a_status_that_nobody_knows_yet_is_read_like_the_others(word: str) -> None:
    """Meta adds words; one that is refused today cannot be looked up tomorrow."""
    assert [event.status for event in read_payload(payload(status(word=word))).events] == [word]


def test_fields_that_nobody_knows_are_kept_with_the_raw_status() -> None:
    """What is not understood yet is still evidence."""
    odd = status(recipient_user_id="US.1", pricing={"billable": True, "type": "new"}, nested=[{"a": "é\ud800"}])
    (event,) = read_payload(payload(odd)).events
    assert json.loads(event.raw) == odd


@pytest.mark.parametrize(
    ("errors", "code", "text"),
    [
        ([{"code": 131049, "title": "Not delivered"}], 131049, "Not delivered"),
        ([{"code": "132015", "title": "Paused"}], 132015, "Paused"),
        ([{"code": 131026, "message": "Undeliverable"}], 131026, "Undeliverable"),
        ([{"code": 131026}], 131026, None),
        ([{"title": "No code"}], 0, "No code"),
        ([{"code": "²", "title": "odd"}], 0, "odd"),
        ([{"code": 10**12, "title": "too large for a column"}], 0, "too large for a column"),
        ([{"code": -(10**12)}], 0, None),
        ([{"code": "9" * 5_000}], 0, None),
        ([{"code": None}], 0, None),
        ([{"code": 1, "title": ""}], 1, None),
        ([{"code": 1, "title": "a\0b"}], 1, None),
        ([{"code": 1, "title": "a\ud800b"}], 1, None),
        ([{"code": 1}, {"code": 2}], 1, None),
        (["odd"], 0, None),
        ([], 0, None),
        ("odd", 0, None),
        (None, 0, None),
    ],
)
def test_the_error_of_a_failure_is_read_as_far_as_there_is_one(errors: object, code: int, text: str | None) -> None:
    """A code that is text, or an error without a code, is still a failure."""
    (event,) = read_payload(payload(status(word="failed", errors=errors))).events
    assert (event.error_code, event.error_text) == (code, text)


@pytest.mark.parametrize("data", [7, None, "", ["attempt"], "x" * 1001, "a\0b", "a\ud800b"])
def test_callback_data_that_cannot_be_ours_is_left_out(data: object) -> None:
    """Other systems on the same number put there what they like."""
    (event,) = read_payload(payload({**status(), "biz_opaque_callback_data": data})).events
    assert event.callback_data is None


@pytest.mark.parametrize(
    "other",
    [
        {"object": "x", "entry": []},
        {"entry": ["odd", None, 7]},
        {"entry": [{"changes": "odd"}, {"changes": ["odd", {"value": []}, {"value": {"statuses": "odd"}}]}]},
        {"entry": [{"changes": [{"field": "messages", "value": {"messages": [{"type": "text"}]}}]}]},
        {"entry": [{"changes": [{"field": "account_update", "value": {"event": "DISABLED_UPDATE"}}]}]},
    ],
)
def test_payloads_of_other_kinds_carry_no_status_and_no_problem(other: object) -> None:
    """Replies and account news come through the same webhook; rejected, they would fill the folder of bad files."""
    read = read_payload(other)
    assert (read.events, read.problems) == ([], [])


@pytest.mark.parametrize("other", [None, [], "text", 7, {}, {"entry": None}, {"entry": {}}, {"statuses": [status()]}])
def test_what_is_no_webhook_at_all_is_refused(other: object) -> None:
    """An export of something else in the inbox has to be noticed."""
    with pytest.raises(PayloadError, match="entry"):
        read_payload(other)


_text = st.text(max_size=4) | st.sampled_from(["sent", "failed", "\0", "\ud800", "²", "9" * 5_000])
_value = st.none() | st.booleans() | st.integers() | st.floats() | _text | st.lists(_text, max_size=2)
_errors = st.lists(st.fixed_dictionaries({}, optional={"code": _value, "title": _value, "message": _value}), max_size=2)
_status = st.fixed_dictionaries(
    {"id": _text, "status": _text, "timestamp": st.just(MARCH) | _value},
    optional={"errors": _errors | _value, "biz_opaque_callback_data": _value, "extra": _value},
)


@given(st.lists(_status | _value, max_size=4))
@settings(max_examples=300)
def test_no_status_whatever_makes_the_reading_fail_or_gives_what_no_database_takes(statuses: list[object]) -> None:
    """One line written by a stranger must not be able to stop the ingest of everybody's statuses."""
    read = read_payload(payload(*statuses))
    assert len(read.events) + len(read.problems) == len(statuses)
    for event in read.events:
        for text in (event.wamid, event.status, event.error_text or "", event.callback_data or "", event.raw):
            assert "\0" not in text
            text.encode()
        assert -(2**31) <= event.error_code < 2**31
