"""Webhook payloads and status files, composed by hand.

Add here another spelling of a payload that Meta has been seen to use. Keep out expectations: those belong to the tests.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

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
    """One status object."""
    made: dict[str, Any] = {"id": wamid, "status": word, "timestamp": at, "recipient_id": "447911000001", **more}
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


def ndjson(payloads: Iterable[object]) -> bytes:
    """A file of payloads, one a line."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in payloads)


def put(folder: Path, name: str, content: bytes) -> Path:
    """Puts a file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path
