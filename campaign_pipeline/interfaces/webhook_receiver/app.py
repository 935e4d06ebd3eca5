"""The receiver over HTTP: `POST /webhook` before everything else, `GET /webhook` and `GET /healthz` in FastAPI.

Add here an address of the receiver's, or what a verdict is answered with.
Keep out what is taken and what becomes of it: `receiver`.

The payloads do not go through FastAPI: a thousand of them a second leave it no time to look at each.
"""

import logging
from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from campaign_pipeline.interfaces.webhook_receiver.bodies import (
    LARGEST_BODY,
    GoneError,
    TooLargeError,
    announced_length,
    read_body,
)
from campaign_pipeline.interfaces.webhook_receiver.receiver import MOST_BYTES_HELD, Receiver, Verdict
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom

PATH: Final = "/webhook"

_LONGEST_CHALLENGE: Final = 1_024
_RETRY_AFTER_SECONDS: Final = 5

_STATUSES: Final = {
    Verdict.KEPT: 200,
    Verdict.UNSIGNED: 403,
    # Not 403: Meta tries again for a week, so that nothing is lost by a setting that was forgotten.
    Verdict.NOTHING_TO_CHECK_WITH: 503,
    Verdict.NOT_KEPT: 503,
    Verdict.LOOP: 508,
}
_TOO_LARGE: Final = 413
_TOO_BUSY: Final = 503

_seldom = Seldom(logging.getLogger(__name__), seconds=60)


class _TooBusyError(Exception):
    """More bodies are in memory than may be."""


class ReceiverApp:
    """An ASGI app: the receiver, and everything else beside it."""

    def __init__(self, receiver: Receiver, beside: ASGIApp) -> None:
        """Puts the two together.

        Args:
            receiver: Takes what is posted to the webhook.
            beside: Answers everything else, and has the lifespan.
        """
        self._receiver = receiver
        self._beside = beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await self._take(scope, receive, send)
        else:
            await self._beside(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        if announced_length(scope["headers"]) > LARGEST_BODY:
            await self._refuse_as_too_large(send)
            return
        held = 0

        def hold(length: int) -> None:
            nonlocal held
            if self._receiver.bytes_held + length > MOST_BYTES_HELD:
                raise _TooBusyError
            held += length
            self._receiver.bytes_held += length

        try:
            body = await read_body(receive, hold)
            await _answer(send, _STATUSES[await self._receiver.take(scope["headers"], body)])
        except TooLargeError:
            await self._refuse_as_too_large(send)
        except _TooBusyError:
            self._receiver.refusals.too_busy += 1
            _seldom.error("Webhooks are answered 503: more bodies are in memory than may be; the disk is too slow.")
            await _answer(send, _TOO_BUSY)
        except GoneError:
            pass
        finally:
            self._receiver.bytes_held -= held

    async def _refuse_as_too_large(self, send: Send) -> None:
        self._receiver.refusals.too_large += 1
        _seldom.warning("A webhook was refused: it is larger than Meta's largest, 3 MB.")
        await _answer(send, _TOO_LARGE)


def webhook_routes(receiver: Receiver) -> APIRouter:
    """What is asked with GET at the webhook's address."""
    routes = APIRouter()

    @routes.get(PATH, include_in_schema=False)
    async def verify(request: Request) -> Response:
        """Meta's question, when the webhook is set up, whether it is ours."""
        said = request.query_params
        challenge = said.get("hub.challenge", "")
        is_ours = receiver.is_verified(said.get("hub.mode", ""), said.get("hub.verify_token", ""))
        if not is_ours or len(challenge) > _LONGEST_CHALLENGE:
            _seldom.warning("A question whether this is our webhook was refused: it has another WEBHOOK_VERIFY_TOKEN.")
            return PlainTextResponse("Not ours.", 403)
        return PlainTextResponse(challenge, headers={"X-Content-Type-Options": "nosniff"})

    return routes


def create_app(receiver: Receiver) -> ReceiverApp:
    """The receiver alone, with an address that says whether it is well."""
    alone = FastAPI(openapi_url=None)
    alone.include_router(webhook_routes(receiver))

    @alone.get("/healthz")
    async def health() -> JSONResponse:
        """200 while payloads are being kept, 503 after one that the disk has refused."""
        counts = receiver.counts()
        document = {
            "status": "ok" if receiver.is_well else "the disk refuses",
            "durable": counts.commits.durable,
            "forwards_waiting_bytes": counts.forwards_waiting_bytes,
        }
        return JSONResponse(document, 200 if receiver.is_well else 503)

    return ReceiverApp(receiver, alone)


def _headers_of(status: int) -> Sequence[tuple[bytes, bytes]]:
    length = (b"content-length", b"0")
    return (length, (b"retry-after", b"%d" % _RETRY_AFTER_SECONDS)) if status == _TOO_BUSY else (length,)


async def _answer(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers_of(status)})
    await send({"type": "http.response.body", "body": b""})
