"""The app: every router, behind authentication, with the headers and the refusals that all answers share.

Add here a router.
Keep out what it answers.
"""

import logging
import re
import time
from traceback import format_exc
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from campaign_pipeline.interfaces.rest_api import (
    audience,
    audit,
    campaigns,
    contract,
    daily_run,
    doubts,
    health,
    limits,
    metrics,
    people,
    recipients,
    rejections,
    subscriptions,
)
from campaign_pipeline.interfaces.rest_api.bodies import remove_leftovers
from campaign_pipeline.interfaces.rest_api.callers import Authentication
from campaign_pipeline.interfaces.rest_api.failures import FailureLimit
from campaign_pipeline.interfaces.rest_api.measuring import Measured, RequestMeter
from campaign_pipeline.interfaces.rest_api.problems import Problem, answer_foreseen, answer_wrong_method, problem_of
from campaign_pipeline.recipients.phone_numbers import hide_phones

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from campaign_pipeline.interfaces.webhook_receiver.receiver import ReceiverCounts
    from campaign_pipeline.interfaces.workplace import Workplace

ROUTERS: Final = (
    campaigns.router,
    recipients.router,
    audience.router,
    rejections.router,
    people.router,
    subscriptions.router,
    doubts.router,
    limits.router,
    daily_run.router,
    audit.router,
    metrics.router,
    health.router,
)

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""An answer is data for a program: no browser should run, frame or keep it."""

_LONGEST_UPLOAD_SECONDS: Final = 24 * 3600

_WAMID: Final = re.compile(r"wamid\.[\w+/=-]+")
"""Meta's id of a message, which spells a phone number in base64."""

_log: Final = logging.getLogger(__name__)


def build_app(
    workplace: "Workplace",
    failures: FailureLimit | None = None,
    conditions: "Mapping[str, Callable[[], bool]] | None" = None,
    receiver_counts: "Callable[[], ReceiverCounts] | None" = None,
) -> FastAPI:
    """Builds the REST API around a workplace, whose settings and ledger are opened at once.

    Args:
        workplace: Settings, ledger and clock.
        failures: How often a token may be wrong; None is the usual.
        conditions: What else has to hold for the server to be ready, by the sentence that is told when it does not.
        receiver_counts: What the webhook receiver beside it has counted; None is no receiver.

    Raises:
        LedgerError: The ledger cannot be used as it is.
    """
    # Here and not with the first request: what is wrong is found at the start, and several threads would open several.
    _ = workplace.ledger
    remove_leftovers(workplace.settings.upload_folder, time.time() - _LONGEST_UPLOAD_SECONDS)
    app = FastAPI(title="campaign_pipeline", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.workplace = workplace
    app.state.places = {}
    app.state.conditions = conditions or {}
    app.state.receiver_counts = receiver_counts
    app.state.meter = RequestMeter()
    for router in ROUTERS:
        app.include_router(router)
    for foreseen in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(foreseen, answer_foreseen)
    app.state.methods_of = _methods_of
    app.add_exception_handler(405, answer_wrong_method)
    contract.describe(app)
    # The last is the outermost.
    app.add_middleware(Authentication, workplace=workplace, failures=failures or FailureLimit())
    app.add_middleware(_AnsweredAlways)
    app.add_middleware(Measured, meter=app.state.meter)
    return app


def _without_people(text: str) -> str:
    """A text for the log, with whatever tells a phone number masked."""
    return hide_phones(_WAMID.sub("wamid.***", text))


def _methods_of(path: str) -> str:
    """What an address takes, as the header Allow says it."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return ", ".join(
        sorted({method for each in routes if each.path_regex.match(path) for method in each.methods or ()})
    )


class _AnsweredAlways:
    """Gives every answer its headers, and answers errors that no handler was asked for."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def send_with_headers(message: "Message") -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if is_begun:
                raise
            problem = problem_of(error)
            if problem is None:
                # An error may quote what it is about, and no log shows a number.
                _log.error("A request ended with an error that nobody foresaw\n%s", _without_people(format_exc()))
                problem = Problem(500, "This is a fault of the program: it is written down in the server's log.")
            await problem.response(scope, receive, send_with_headers)
