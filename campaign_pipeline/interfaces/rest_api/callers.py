"""Who calls: a bearer token is held against the ledger before anything else of a request is read.

Add here what is known of a caller.
Keep out what tokens are (`tokens`) and what each role may do (the endpoints say that).
"""

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from campaign_pipeline.interfaces.rest_api.failures import FailureLimit
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.repeats import forget_old
from campaign_pipeline.interfaces.rest_api.tokens import Token, find_token, note_use, prefix_of
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline.settings import MetricsAccess

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_TO_ALL: Final = frozenset(("/healthz", "/readyz", "/openapi.json", "/webhook"))
"""Tell nothing about anybody; the webhook has its own signatures."""

METRICS: Final = "/metrics"
"""May be open: a setting says so."""

_log: Final = logging.getLogger(__name__)

_CALLER: Final = "campaign_pipeline.caller"
_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_RANK: Final = {role: rank for rank, role in enumerate(ApiRole)}
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="campaign_pipeline"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds the token of a request."""

    token: Token

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"{self.token.name} (API)"

    def said_by(self, name: str | None) -> str:
        """Whose word it is: a person's name beside the token that brought it, which alone is known for sure."""
        return self.actor if name is None else f"{name.strip()}, by {self.actor}"

    @property
    def sees_numbers(self) -> bool:
        """Whether phone numbers are shown in full; a viewer sees their last two digits."""
        return self.may(ApiRole.OPERATOR)

    def may(self, role: ApiRole) -> bool:
        """Whether the token allows what this role is needed for."""
        return _RANK[self.token.role] >= _RANK[role]


_ANYBODY: Final = Caller(Token(0, "anybody", ApiRole.VIEWER, "", datetime.min, "", None, None))  # noqa: DTZ901


class Authentication:
    """Lets a request through with its caller, or answers 401 or 429."""

    def __init__(self, app: "ASGIApp", workplace: Workplace, failures: FailureLimit) -> None:
        self._app = app
        self._workplace = workplace
        self._failures = failures
        self._noting: asyncio.Task[None] | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_TO_ALL:
            await self._app(scope, receive, send)
            return
        if scope["path"] == METRICS and self._workplace.settings.metrics is MetricsAccess.OPEN:
            scope[_CALLER] = _ANYBODY
            await self._app(scope, receive, send)
            return
        try:
            token = await self._token_of(scope)
        except Problem as problem:
            await problem.response(scope, receive, send)
            return
        scope[_CALLER] = Caller(token)
        await self._app(scope, receive, send)
        now = self._workplace.clock()
        is_due = token.last_used_at is None or now - token.last_used_at >= _USE_NOTED_EVERY
        # Beside the connection, whose next request must not wait for the ledger; and one at a time, as it can wait.
        if is_due and self._noting is None:
            self._noting = asyncio.create_task(run_in_threadpool(self._note_use, token, now))
            self._noting.add_done_callback(self._noted)

    def _noted(self, _task: "asyncio.Task[None]") -> None:
        self._noting = None

    def _note_use(self, token: Token, now: datetime) -> None:
        try:
            note_use(self._workplace.ledger, token.id, now)
            with self._workplace.ledger.write() as connection:
                # Also where nobody sends a key any more.
                forget_old(connection, now)
        except SQLAlchemyError:
            # The request was answered, and the next one notes it.
            _log.warning("The use of the token of %s could not be noted: the ledger is busy.", token.name)

    async def _token_of(self, scope: "Scope") -> Token:
        address = _address_of(scope)
        self._failures.refuse_if_too_many(address)
        text = _bearer(scope)
        if text is None:
            detail = "Send the header `Authorization: Bearer TOKEN`; `campaign token create` makes a token."
            raise Problem(401, detail, headers=_CHALLENGE)
        token = await run_in_threadpool(find_token, self._workplace.ledger, text)
        if token is None:
            # Only after the look: whoever guesses at a token must not lock out its holder elsewhere.
            self._failures.note(address, f"token {prefix_of(text)}")
            detail = "This token is not known, or was revoked: `campaign token create` makes another."
            raise Problem(
                401, detail, headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'}
            )
        return token


def _bearer(scope: "Scope") -> str | None:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, text = given[0].decode("latin-1").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def _address_of(scope: "Scope") -> str:
    """Where a request comes from; of IPv6 the network, since one machine has as many addresses as it likes."""
    client = scope.get("client")
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0]
    return str(address) if address.version == 4 else str(ipaddress.ip_network(f"{address}/64", strict=False))


def caller_in(request: Request) -> Caller:
    """The caller of a request that was let through."""
    return request.scope[_CALLER]


async def _caller(request: Request) -> Caller:
    return caller_in(request)


async def _workplace(request: Request) -> Workplace:
    return request.app.state.workplace


By = Annotated[Caller, Depends(_caller)]
Place = Annotated[Workplace, Depends(_workplace)]
