"""Reading Meta's webhook payloads: which status events one of them carries.

Add here a kind of payload, or a spelling of a field that Meta has been seen to use. Everything is pure; fields that
nobody knows are kept with the raw payload and refused nowhere.
Keep out what an event does to a recipient (`folding`).

Source: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from msgspec import Struct

from campaign_pipeline.whatsapp.graph_answers import storable, storable_json, without_token

_MILLISECONDS_FROM: Final = 100_000_000_000
"""Unix times are seconds; some senders of test data write milliseconds, which are this large since 1973."""

LONGEST_ALIAS: Final = 200
"""Bytes; a business-scoped user id has at most 131 characters."""

LONGEST_WORD: Final = 1_000
"""Bytes; Meta's ids of messages have about 60, and what a sender may have sent along at most 512."""

_LARGEST_CODE: Final = 2**31 - 1
_CODE_AS_TEXT: Final = re.compile(r"[0-9]{1,10}")

ACCOUNT_FIELDS: Final = frozenset(
    {
        "account_alerts",
        "account_update",
        "business_capability_update",
        "message_template_quality_update",
        "message_template_status_update",
        "phone_number_quality_update",
        "template_category_update",
    }
)
"""The webhooks about the account rather than about messages."""

_NO_DATABASE_TAKES: Final = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and half characters, which have no UTF-8."""


class PayloadError(ValueError):
    """What came is not a webhook payload that status events can be read from."""


class StatusEvent(Struct, frozen=True, gc=False):
    """One status of one message, as a webhook told it.

    Attributes:
        wamid: Meta's id of the message.
        status: sent, delivered, read, failed … as Meta writes it, in lower case.
        occurred_at: When Meta says that it happened, UTC.
        error_code: Meta's code of a failure; 0 when there is none.
        error_text: What Meta says of it.
        callback_data: What the sender put into `biz_opaque_callback_data`; ours is an attempt's id.
        raw: The status object as it came, as JSON.
        recipient_id: What WhatsApp calls the person, usually a wa_id; None where it says nothing, or names a group.
        recipient_user_id: The person's business-scoped user id, if it says it.
    """

    wamid: str
    status: str
    occurred_at: datetime
    error_code: int
    error_text: str | None
    callback_data: str | None
    raw: str
    recipient_id: str | None = None
    recipient_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """One word of Meta's about the account, its limits or its templates.

    Attributes:
        sha256: Of the change as it came, with its account and time: the same webhook sent again is the same.
        field: Meta's name of the webhook.
        occurred_at: When Meta says that it was, UTC.
        business_account_id: Which account it is about.
        value: What was said.
    """

    sha256: str
    field: str
    occurred_at: datetime
    business_account_id: str
    value: dict[str, Any]

    @property
    def raw(self) -> str:
        """The change as it came, as JSON."""
        return json.dumps({"id": self.business_account_id, "field": self.field, "value": self.value})


@dataclass(frozen=True, slots=True)
class ReadPayload:
    """What one payload tells of messages and of the account, and what is wrong with the parts that cannot be read."""

    events: list[StatusEvent]
    problems: list[str]
    account_events: list[AccountEvent] = field(default_factory=list)


def read_payload(payload: object) -> ReadPayload:
    """Reads every status event of a payload: of each entry, each change and each status in it.

    Payloads of another kind (inbound messages, template updates) carry none. One status that cannot be read does not
    hold up the others.

    Raises:
        PayloadError: It is no webhook payload at all.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("entry"), list):
        msg = "not a webhook payload: it has no list named entry"
        raise PayloadError(msg)
    read = ReadPayload([], [])
    read.account_events.extend(_account_events(payload))
    for value in _values(payload):
        for status in _list_in(value, "statuses"):
            try:
                read.events.append(_read_status(status))
            except PayloadError as problem:
                read.problems.append(str(problem))
    return read


def _account_events(payload: dict[str, Any]) -> Iterator[AccountEvent]:
    for entry in _list_in(payload, "entry"):
        for change in _list_in(entry, "changes"):
            name = change.get("field") if isinstance(change, dict) else None
            value = change.get("value") if isinstance(change, dict) else None
            if isinstance(name, str) and name in ACCOUNT_FIELDS and isinstance(value, dict):
                account = storable(str(entry.get("id", "")))
                value = storable_json(value)
                whole = json.dumps([account, entry.get("time"), name, value], sort_keys=True)
                digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()
                yield AccountEvent(digest, name, _time_of(entry), account, value)


def _time_of(entry: dict[str, Any]) -> datetime:
    """When an entry was sent; one that does not say so is older than any that does."""
    try:
        return read_timestamp(entry.get("time"))
    except PayloadError:
        return datetime.fromtimestamp(0, UTC)


def _values(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in _list_in(payload, "entry"):
        for change in _list_in(entry, "changes"):
            value = change.get("value") if isinstance(change, dict) else None
            if isinstance(value, dict):
                yield value


def _list_in(holder: object, key: str) -> list[Any]:
    items = holder.get(key) if isinstance(holder, dict) else None
    return items if isinstance(items, list) else []


def _read_status(status: object) -> StatusEvent:
    if not isinstance(status, dict):
        msg = "a status is not an object"
        raise PayloadError(msg)
    wamid, word = status.get("id"), status.get("status")
    if isinstance(word, str):
        word = word.lower()
    if not _is_word(wamid, LONGEST_WORD) or not _is_word(word, 40):
        msg = "a status lacks its id or its status"
        raise PayloadError(msg)
    code, text = _read_error(status)
    callback_data = status.get("biz_opaque_callback_data")
    return StatusEvent(
        wamid=wamid,
        status=word,
        occurred_at=read_timestamp(status.get("timestamp")),
        error_code=code,
        error_text=text,
        callback_data=callback_data if _is_word(callback_data, LONGEST_WORD) else None,
        raw=json.dumps(status, separators=(",", ":")),
        recipient_id=None if status.get("recipient_type") == "group" else _alias_in(status, "recipient_id"),
        recipient_user_id=_alias_in(status, "recipient_user_id"),
    )


def _alias_in(status: dict[str, Any], name: str) -> str | None:
    alias = status.get(name)
    return alias if _is_word(alias, LONGEST_ALIAS) else None


def _is_word(value: object, longest: int) -> TypeGuard[str]:
    """Whether a value is text that the ledger can keep, of at most so many bytes: an index has a bound."""
    return isinstance(value, str) and not _NO_DATABASE_TAKES.search(value) and 0 < len(value.encode("utf-8")) <= longest


def read_timestamp(value: object) -> datetime:
    """A webhook's time: Unix seconds as a string or a number, milliseconds where it is too large for seconds.

    Raises:
        PayloadError: It is no such time, or is before 1970: no calendar has the hours before the first of all days.
    """
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        if number is None or number < 0:
            msg = f"a status has no readable timestamp: {value!r}"
            raise PayloadError(msg)
        seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        msg = f"a status has no readable timestamp: {value!r}"
        raise PayloadError(msg) from error


def _read_error(status: dict[str, Any]) -> tuple[int, str | None]:
    first = next(iter(_list_in(status, "errors")), None)
    if not isinstance(first, dict):
        return 0, None
    data = first.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    title = first.get("title") or first.get("message")
    told = ": ".join(dict.fromkeys(part for part in (title, details) if isinstance(part, str) and part))
    return _code_of(first.get("code")), without_token(told) if _is_word(told, 10_000) else None


def _code_of(value: object) -> int:
    """An error's code; 0 for what is none (true is no number here), or more than a column holds."""
    if isinstance(value, str) and _CODE_AS_TEXT.fullmatch(value):
        value = int(value)
    return value if type(value) is int and abs(value) <= _LARGEST_CODE else 0
