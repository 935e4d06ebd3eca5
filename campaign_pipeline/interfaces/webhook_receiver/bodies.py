"""The body of a webhook: read within its bound, and as the one line that it becomes in a file of the inbox.

Add here what concerns the bytes of one body.
Keep out the signature (`whatsapp.signature`) and what a payload says (`delivery.webhooks`).
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Final

from starlette.types import Receive

LARGEST_BODY: Final = 3 * 1024 * 1024
"""Bytes. Source: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint,
read 2026-09-11."""

NOT_A_LINE: Final = "not_a_line_of_json"
"""The key under which a body that is no JSON over several lines is kept, in base64."""


class TooLargeError(Exception):
    """The body is larger than Meta's largest."""


class GoneError(Exception):
    """The client has gone away before its body was whole."""


def announced_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The length of a body as its headers tell it; 0 when it comes in chunks."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return 0


async def read_body(receive: Receive, held: Callable[[int], None]) -> bytes:
    """Reads a body, of at most `LARGEST_BODY` bytes.

    Args:
        receive: The request's events.
        held: Told how many bytes more are in memory; it may raise to end the reading.

    Raises:
        TooLargeError: It is larger, whatever its headers say.
        GoneError: The client has gone away, or was too slow.
    """
    pieces: list[bytes] = []
    length = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise GoneError
        piece: bytes = event.get("body", b"")
        length += len(piece)
        if length > LARGEST_BODY:
            raise TooLargeError
        held(len(piece))
        pieces.append(piece)
        if not event.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def line_of(body: bytes) -> bytes:
    """A body as one line, without its end: the same JSON, with nothing changed but line ends between its tokens.

    One that is no JSON is kept as it is when it is one line, and in base64 otherwise. Either way ingestion rejects that
    line, and no other.
    """
    if b"\n" not in body:
        return body if body.strip() else _wrapped(body)
    try:
        json.loads(body.decode())
    except (ValueError, RecursionError):
        return _wrapped(body)
    # In JSON a line end stands only between tokens: within a string it is written as an escape.
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def _wrapped(body: bytes) -> bytes:
    return json.dumps({NOT_A_LINE: base64.b64encode(body).decode()}).encode()
