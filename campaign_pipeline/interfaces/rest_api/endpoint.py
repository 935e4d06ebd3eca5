"""How an endpoint is declared, and what is done for each before it is asked: role, body, Idempotency-Key.

Add here what is true of every look, or of every act.
Keep out single endpoints, and how refusals are described (`contract`).
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from campaign_pipeline.interfaces.rest_api import contract, repeats
from campaign_pipeline.interfaces.rest_api.bodies import JSON, SMALL, ReceivedBody, received
from campaign_pipeline.interfaces.rest_api.callers import Caller, caller_in
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.strict_json import StrictRequest
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import ApiRole

KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"

MANY: Final = 1_000
"""As many as come."""
SLOW: Final = 8
"""Of what takes long; all requests of a process share 40 threads (Starlette's)."""

_BODY: Final = "campaign_pipeline.body"
_log: Final = logging.getLogger(__name__)

_Answer = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which an endpoint answers.

    Attributes:
        role: What the caller's token has to allow.
        acts: Whether it changes something, and so takes a body and a key.
        in_memory: The largest body, in bytes, of each content type that is read into memory.
        in_files: Content types whose bodies go to a file, bounded by the settings.
        era: A word that changes when the same request means something else: a key of another era is another one.
        keeps_answers: Whether a repetition under the same key gets the first answer.
        at_once: How many are done at once; others wait, without a thread.
    """

    role: ApiRole
    acts: bool
    in_memory: Mapping[str, int] = field(default_factory=lambda: {JSON: SMALL})
    in_files: tuple[str, ...] = ()
    era: Callable[[Workplace], str] = field(default=lambda _: "")
    keeps_answers: bool = True
    at_once: int = MANY


def look(
    router: APIRouter,
    path: str,
    role: ApiRole = ApiRole.VIEWER,
    *,
    at_once: int = MANY,
    **documented: Any,  # noqa: ANN401 - FastAPI's own
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a GET.

    Args:
        router: Of the resource.
        path: Below `/marketing`.
        role: What the caller's token has to allow.
        at_once: How many are done at once, if each takes long.
        **documented: As `APIRouter.get` takes it; `refusals` are sentences by status, for the contract.
    """
    return _declare(router, path, "GET", Terms(role, acts=False, at_once=at_once), documented)


def act(
    router: APIRouter,
    path: str,
    role: ApiRole = ApiRole.OPERATOR,
    *,
    in_memory: Mapping[str, int] | None = None,
    in_files: tuple[str, ...] = (),
    era: Callable[[Workplace], str] = lambda _: "",
    at_once: int = MANY,
    **documented: Any,  # noqa: ANN401 - FastAPI's own
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a POST.

    Args:
        router: Of the resource.
        path: Below `/marketing`.
        role: What the caller's token has to allow.
        in_memory: The largest body of each content type; small JSON if it is left out.
        in_files: Content types whose bodies go to a file.
        era: A word that changes when the same request means something else, such as a date.
        at_once: How many are done at once, if each takes long.
        **documented: As `APIRouter.post` takes it; `refusals` are sentences by status, for the contract.
    """
    terms = Terms(role, acts=True, in_memory=in_memory or {JSON: SMALL}, in_files=in_files, era=era, at_once=at_once)
    return _declare(router, path, "POST", terms, documented)


def inquire(
    router: APIRouter,
    path: str,
    role: ApiRole = ApiRole.VIEWER,
    **documented: Any,  # noqa: ANN401 - FastAPI's own
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a POST that only looks: what is looked for, such as a phone number, must not stand in an address.

    A repetition gets the answer of its own moment, and nothing is kept under its key.

    Args:
        router: Of the resource.
        path: Below `/marketing`.
        role: What the caller's token has to allow.
        **documented: As `APIRouter.post` takes it; `refusals` are sentences by status, for the contract.
    """
    return _declare(router, path, "POST", Terms(role, acts=True, keeps_answers=False), documented)


def body_of(request: Request) -> ReceivedBody:
    """The body of a request, for an endpoint that reads it itself."""
    return request.scope[_BODY]


def _declare(
    router: APIRouter, path: str, method: str, terms: Terms, documented: dict[str, Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    refusals = documented.pop("refusals", {})
    extra = {**documented.pop("openapi_extra", {}), "x-required-role": terms.role.value}
    responses = {**contract.refusals_of(path, refusals, acts=terms.acts), **documented.pop("responses", {})}

    def declare(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            responses=responses,
            openapi_extra=contract.with_key(extra) if terms.acts and terms.keeps_answers else extra,
            route_class_override=_route_under(terms),
            **documented,
        )
        return endpoint

    return declare


def _route_under(terms: Terms) -> type[APIRoute]:
    return type("GuardedRoute", (_GuardedRoute,), {"terms": terms})


class _GuardedRoute(APIRoute):
    """An endpoint behind its terms."""

    terms: ClassVar[Terms]

    def get_route_handler(self) -> _Answer:
        answer = super().get_route_handler()
        terms = self.terms

        async def guarded(request: Request) -> Response:
            caller = caller_in(request)
            if not caller.may(terms.role):
                detail = (
                    f"This takes a token of the role {terms.role}, and this one is of the role {caller.token.role}."
                )
                raise Problem(403, detail)
            if not terms.acts:
                async with _place_of(request, terms):
                    return await answer(request)
            settings = request.app.state.workplace.settings
            in_files = dict.fromkeys(terms.in_files, settings.upload_limit)
            return await _act(request, caller, answer, terms, in_files, settings.upload_folder)

        return guarded


async def _act(
    request: Request, caller: Caller, answer: _Answer, terms: Terms, in_files: Mapping[str, int], folder: Path
) -> Response:
    try:
        async with received(request, terms.in_memory, in_files, folder) as body, _place_of(request, terms):
            request.scope[_BODY] = body
            again = StrictRequest(request.scope, _replay(body.data))
            keys = request.headers.getlist(KEY_HEADER)
            if not keys or not terms.keeps_answers:
                return await answer(again)
            endpoint = _hash(request.method, request.url.path, terms.era(request.app.state.workplace))
            content = _hash(request.url.query, body.kind, body.sha256)
            repeatable = repeats.Request(caller.token.id, endpoint, repeats.checked_key(keys), content)
            return await _once(again, repeatable, answer)
    except ClientDisconnect:
        # Nobody hears this.
        return Response(status_code=400)


def _place_of(request: Request, terms: Terms) -> asyncio.Semaphore:
    """A place among those of this endpoint: the threads are shared by all, and slow acts must leave some to others."""
    places: dict[str, asyncio.Semaphore] = request.app.state.places
    endpoint = f"{request.method} {request.scope['route'].path}"
    return places.setdefault(endpoint, asyncio.Semaphore(terms.at_once))


async def _once(request: Request, repeatable: repeats.Request, answer: _Answer) -> Response:
    """Answers a request that may be a repetition."""
    workplace: Workplace = request.app.state.workplace

    def claim() -> repeats.Kept | str:
        with workplace.ledger.write() as connection:
            return repeats.claim(connection, repeatable, workplace.clock())

    def give_back(taken: str) -> None:
        with workplace.ledger.write() as connection:
            repeats.give_back(connection, repeatable, taken)

    def keep(taken: str, status: int, text: str) -> None:
        with workplace.ledger.write() as connection:
            repeats.keep(connection, repeatable, taken, status, text)

    claimed = await run_in_threadpool(claim)
    if isinstance(claimed, repeats.Kept):
        headers = {REPLAYED_HEADER: "true"}
        if claimed.status == HTTPStatus.CREATED:
            # As it was answered first: what is made under an address stands below it by its id.
            headers["Location"] = f"{request.url.path}/{json.loads(claimed.answer)['id']}"
        return Response(claimed.answer, claimed.status, headers, media_type=JSON)
    try:
        response = await answer(request)
    except Exception:
        await run_in_threadpool(give_back, claimed)
        raise
    try:
        await run_in_threadpool(keep, claimed, response.status_code, bytes(response.body).decode())
    except Exception:
        # It is done, and whoever asked has to know; a repetition is done anew, which is safe.
        _log.exception("The answer under an Idempotency-Key could not be kept")
    return response


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _replay(data: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return receive
