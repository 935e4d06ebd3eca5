"""Webhook payloads and status files, composed by hand.

Add here another spelling of a payload that Meta has been seen to use. Keep out expectations: those belong to the tests.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

_messages = count()

MARCH = int(datetime.fromisoformat("2026-03-02T10:00:00+00:00").timestamp())


def status(
    wamid: str = "wamid.1",
    word: str = "sent",
    at: object = MARCH,
    *,
    callback: str | None = None,
    code: object = None,
    **more: object,
) -> dict[str, Any]:
    """One status object; without `recipient_id`, by which different people would seem to share one account."""
    made: dict[str, Any] = {"id": wamid, "status": word, "timestamp": at, **more}
    if callback is not None:
        made["biz_opaque_callback_data"] = callback
    if code is not None:
        made["errors"] = [{"code": code, "title": "Message undeliverable"}]
    return made


def payload(*statuses: object) -> dict[str, Any]:
    """A webhook payload with some statuses in one change."""
    value = {"messaging_product": "whatsapp", "statuses": list(statuses)}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    }


def account_payload(field: str, value: dict[str, Any], at: int = MARCH) -> dict[str, Any]:
    """A webhook payload about the account."""
    entry = {"id": "102290129340398", "time": at, "changes": [{"value": value, "field": field}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def template_payload(event: str, name: str = "spring_sale", at: int = MARCH) -> dict[str, Any]:
    """A webhook payload about a template."""
    value = {"event": event, "message_template_name": name, "message_template_language": "en-US", "reason": None}
    return account_payload("message_template_status_update", value, at)


def inbound(
    said: object = None,
    *,
    sender: str | None = "447911000001",
    at: object = MARCH,
    message_id: str | None = None,
    user_id: str | None = None,
    context: str | None = None,
    **more: object,
) -> dict[str, Any]:
    """A webhook payload with a person's message: a text, or of another type if `more` says so."""
    message: dict[str, Any] = {"id": message_id or f"wamid.in.{next(_messages)}", "timestamp": str(at), **more}
    if said is not None:
        message |= {"type": "text", "text": {"body": said}}
    if sender is not None:
        message["from"] = sender
    if user_id is not None:
        message["from_user_id"] = user_id
    if context is not None:
        message["context"] = {"from": "15550783881", "id": context}
    return change("messages", {"messaging_product": "whatsapp", "messages": [message]})


def tap(payload: str, text: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever `inbound` takes
    """A webhook payload with a tap on a quick reply of a template."""
    return inbound(type="button", button={"payload": payload, "text": text}, **more)


def preference(value: str, *, at: object = MARCH, **who: object) -> dict[str, Any]:
    """A webhook payload about somebody's setting in WhatsApp itself."""
    entry = {"category": "marketing_messages", "value": value, "timestamp": at, "detail": "The user asked", **who}
    return change("user_preferences", {"messaging_product": "whatsapp", "user_preferences": [entry]})


def changed_number(before: str, after: str, *, at: object = MARCH, **more: object) -> dict[str, Any]:
    """A webhook payload that tells of a person's new number."""
    system = {"type": "user_changed_number", "wa_id": after, "body": "User changed the number", **more}
    return inbound(sender=before, at=at, type="system", system=system)


def change(field: object, value: dict[str, Any]) -> dict[str, Any]:
    """A webhook payload with one change."""
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": field}]}],
    }


def ndjson(payloads: Iterable[object]) -> bytes:
    """A file of payloads, one a line."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in payloads)


def put(folder: Path, name: str, content: bytes) -> Path:
    """Puts a file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path
