"""The quick way of reading says what the careful one says, or nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from campaign_pipeline.delivery.plain_statuses import read_plain_statuses
from campaign_pipeline.delivery.webhooks import PayloadError, ReadPayload, StatusEvent, read_payload
from campaign_pipeline_tests.delivery.payloads import MARCH, account_payload, payload, status

ODD = st.sampled_from(["", "\0", "\ud800", "ä", "a" * 1_001, "GB.123", 7, 1.5, None, True, [], {}, ["x"], {"code": 1}])
FIELDS = {
    "id": st.just("wamid.1") | ODD,
    "status": st.sampled_from(["sent", "READ", "delivered", "failed", "played"]) | ODD,
    "timestamp": st.sampled_from([str(MARCH), MARCH, MARCH * 1000, "0", "²", "-1", str(10**12)]) | ODD,
    "recipient_id": st.just("447911000001") | ODD,
    "recipient_user_id": st.just("GB.1") | ODD,
    "recipient_type": st.sampled_from(["individual", "group"]) | ODD,
    "biz_opaque_callback_data": st.just("an attempt") | ODD,
    "errors": st.just([{"code": 131026, "title": "Message undeliverable"}]) | ODD,
    "pricing": st.just({"category": "marketing"}) | ODD,
}
STATUSES = st.fixed_dictionaries({}, optional=FIELDS) | ODD | st.just(status())
EXTRAS = st.dictionaries(st.sampled_from(["messages", "contacts", "errors", "metadata", "user_preferences"]), ODD)


def carefully(line: bytes) -> ReadPayload | None:
    try:
        return read_payload(json.loads(line))
    except PayloadError:
        return None


def told(read: ReadPayload) -> list[dict[str, Any]]:
    """What events say; the status as it came may be spaced in another way."""
    return [{**asdict(event), "raw": json.loads(event.raw)} for event in read.events]


@given(
    st.lists(STATUSES, max_size=3), EXTRAS, st.sampled_from(["messages", "account_update", "x"]) | ODD, st.booleans()
)
def test_whatever_is_read_quickly_is_read_carefully_in_the_same_way(
    statuses: list[object], extras: dict[str, object], field: object, ascii_only: bool
) -> None:
    """Two readings of one line would give two different figures, by which program took it in."""
    change = {"field": field, "value": {"statuses": statuses, **extras}}
    document = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    line = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    quick = read_plain_statuses(line)
    if quick is None:
        return
    careful = carefully(line)
    assert careful is not None
    assert (told(quick), quick.problems) == (told(careful), careful.problems)
    assert (careful.account_events, quick.account_events) == ([], [])


def test_a_usual_line_is_read_quickly_and_keeps_the_status_as_it_came() -> None:
    """Were every line left to the careful reading, a million of them would take minutes."""
    one = status("wamid.1", "read", str(MARCH), callback="an attempt", recipient_id="447911000001")
    line = json.dumps(payload(one, {**one, "status": "sent"})).encode()
    read = read_plain_statuses(line)
    assert read is not None
    first, second = read.events
    assert (first.status, second.status, first.callback_data) == ("read", "sent", "an attempt")
    assert first.raw == json.dumps(one)
    assert isinstance(first, StatusEvent)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        json.dumps(payload(status(at=str(MARCH), code=131026))).encode(),
        json.dumps(account_payload("account_update", {"event": "ACCOUNT_DELETED"})).encode(),
        json.dumps([payload(status(at=str(MARCH)))]).encode(),
        b"\xef\xbb\xbf" + json.dumps(payload(status(at=str(MARCH)))).encode(),
    ],
)
def test_what_is_not_as_usual_is_left_to_the_careful_reading(line: bytes) -> None:
    """A failure or a word of Meta's about the account that is passed over is one that nobody acts on."""
    assert read_plain_statuses(line) is None
