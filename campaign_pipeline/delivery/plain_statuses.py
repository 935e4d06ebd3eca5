"""The quick way to read what most lines are: payloads of nothing but statuses, typed, at several times the usual speed.

Add here only what makes usual lines faster. Keep out every odd one: whatever is not as expected is left to `webhooks`,
which reads all there is, and alone decides what a payload means.
"""

from datetime import UTC, datetime
from typing import Any, Final

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from campaign_pipeline.delivery.webhooks import LONGEST_ALIAS, LONGEST_WORD, ReadPayload, StatusEvent

_USUAL_WORDS: Final = frozenset({"sent", "delivered", "read"})
"""Those without errors; a failure is read with care."""

_USUAL_TIMES: Final = range(1_000_000_000, 10_000_000_000)
"""Ten digits of seconds: from 2001 to 2286."""


class _Change(Struct, gc=False):
    field: str
    value: Raw


class _Entry(Struct, gc=False):
    changes: list[_Change]


class _Payload(Struct, gc=False):
    entry: list[_Entry]


class _Value(Struct, forbid_unknown_fields=True, gc=False):
    statuses: list[Raw]
    messaging_product: Raw | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET
    contacts: Raw | UnsetType = UNSET


class _Status(Struct, gc=False):
    id: str
    status: str
    timestamp: str
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    recipient_type: str | None = None
    biz_opaque_callback_data: str | None = None
    errors: Any = None


_payloads: Final = Decoder(_Payload)
_values: Final = Decoder(_Value)
_statuses: Final = Decoder(_Status)


def read_plain_statuses(line: bytes) -> ReadPayload | None:
    """The status events of one line of JSON; None if anything about it is not as usual."""
    try:
        changes = [change for entry in _payloads.decode(line).entry for change in entry.changes]
        if any(change.field != "messages" for change in changes):
            return None
        raws = [raw for change in changes for raw in _values.decode(change.value).statuses]
        events = [_event(_statuses.decode(raw), bytes(raw)) for raw in raws]
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    usual = [event for event in events if event is not None]
    return ReadPayload(usual, []) if len(usual) == len(events) else None


def _event(status: _Status, raw: bytes) -> StatusEvent | None:
    callback = status.biz_opaque_callback_data
    seconds = int(status.timestamp) if status.timestamp.isascii() and status.timestamp.isdigit() else 0
    is_usual = (
        status.status in _USUAL_WORDS
        and not status.errors
        and status.recipient_type is None
        and seconds in _USUAL_TIMES
        and _is_usual(status.id, LONGEST_WORD)
        and (callback is None or _is_usual(callback, LONGEST_WORD))
        and (status.recipient_id is None or _is_usual(status.recipient_id, LONGEST_ALIAS))
        and (status.recipient_user_id is None or _is_usual(status.recipient_user_id, LONGEST_ALIAS))
    )
    if not is_usual:
        return None
    return StatusEvent(
        status.id,
        status.status,
        datetime.fromtimestamp(seconds, UTC),
        0,
        None,
        callback,
        raw.decode(),
        status.recipient_id,
        status.recipient_user_id,
    )


def _is_usual(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isascii() and text.isprintable()
