"""Refusals as problem documents (RFC 9457): what is wrong, in a sentence that says what to do.

Add here a kind of refusal, or an error of the rooms with the status that it means.
Keep out the sentences of the rooms: they stand where it goes wrong.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

PROBLEM_JSON: Final = "application/problem+json"
_TYPE: Final = "urn:campaign-pipeline:problem:"

MOST_ERRORS: Final = 50
"""Faults of one body that are told; a list of 10,000 wrong numbers has them all."""

KINDS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("unreadable", "The request cannot be read"),
    401: ("no-token", "A token is needed"),
    403: ("not-allowed", "This token may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("wrong-method", "This address does not take that method"),
    409: ("conflict", "That does not fit how things stand"),
    413: ("too-large", "The body is too large"),
    415: ("wrong-kind-of-body", "This kind of body is not taken"),
    422: ("cannot-be-used", "Something in the request cannot be used"),
    429: ("too-many-failures", "Too many failed attempts"),
    500: ("fault", "This is a fault of the program"),
    502: ("dagster-refused", "Dagster refused"),
    503: ("not-available", "Not available at the moment"),
}
"""For each status the word that programs tell it by, and a title for people."""

_log: Final = logging.getLogger(__name__)

_OF_HTTP: Final[Mapping[int, str]] = {
    400: "The body cannot be read: send one JSON document in UTF-8.",
    404: "There is nothing at this address: /openapi.json lists every address.",
    405: "Use one of the methods that the header Allow names.",
}


class FieldError(BaseModel):
    """One fault of a request."""

    model_config = ConfigDict(extra="forbid")

    location: str
    """Where: ``body.daily_send_limit``, ``query.limit``."""
    message: str


class ProblemDocument(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(Exception):  # noqa: N818 - it is the name of the thing (RFC 9457)
    """A refusal that is about HTTP, or a room's error with its status.

    Attributes:
        status: The HTTP status.
        detail: What is wrong and what to do, in a sentence.
        headers: Headers of the answer.
        errors: The faults one by one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)

    @property
    def response(self) -> Response:
        """The refusal as an answer."""
        content = described(self.status, self.detail)
        if self.errors:
            content["errors"] = [each.model_dump() for each in self.errors]
        return JSONResponse(content, self.status, self.headers, media_type=PROBLEM_JSON)


def described(status: int, detail: str) -> dict[str, Any]:
    """A problem document, without single faults."""
    kind, title = KINDS.get(status, ("other", HTTPStatus(status).phrase))
    return {"type": _TYPE + kind, "title": title, "status": status, "detail": detail}


def problem_of(error: Exception) -> Problem | None:
    """What an error that was foreseen means for whoever asked; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error.errors())
    if isinstance(error, HTTPException):
        detail = _OF_HTTP.get(error.status_code, str(error.detail))
        return Problem(error.status_code, detail, headers=error.headers)
    return _of_rooms(error)


async def answer_foreseen(_request: Request, error: Exception) -> Response:
    """Answers an error that was foreseen.

    Raises:
        Exception: The error itself, when nobody foresaw it.
    """
    problem = problem_of(error)
    if problem is None:
        raise error
    return problem.response


async def answer_wrong_method(request: Request, error: Exception) -> Response:
    """Answers a method that an address does not take, with all that it does take: each route knows only its own."""
    problem = problem_of(error) or Problem(405, _OF_HTTP[405])
    allowed = request.app.state.methods_of(request.url.path)
    return Problem(405, problem.detail, headers={**problem.headers, **({"Allow": allowed} if allowed else {})}).response


def _of_validation(faults: Sequence[Any]) -> Problem:
    for fault in faults:
        if fault["type"] == "json_invalid":
            why = fault["ctx"]["error"]
            return Problem(400, f"The body is no JSON ({why}): send one JSON document in UTF-8.")
    errors = [
        FieldError(location=".".join(map(str, fault["loc"])), message=_told(fault["msg"]))
        for fault in faults[:MOST_ERRORS]
    ]
    more = f" {len(faults) - MOST_ERRORS} more are not listed." if len(faults) > MOST_ERRORS else ""
    detail = f"{errors[0].location}: {errors[0].message}." if errors else "The request does not fit its description."
    return Problem(422, f"{detail} Every fault stands in `errors`.{more}", errors=errors)


def _told(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")


def _of_rooms(error: Exception) -> Problem | None:
    from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, TimeoutError

    from campaign_pipeline.campaigns.errors import CampaignError, CampaignNotFoundError, CampaignStateError
    from campaign_pipeline.campaigns.plan import PlanError
    from campaign_pipeline.ledger.engine import LedgerError
    from campaign_pipeline.recipients.list_files import ListFileError
    from campaign_pipeline.recipients.phone_numbers import InvalidPhone
    from campaign_pipeline.sending.doubts import DoubtError
    from campaign_pipeline.sending.limits import LimitError

    statuses: tuple[tuple[type[Exception], int], ...] = (
        (CampaignNotFoundError, 404),
        (CampaignStateError, 409),
        (PlanError, 409),
        (CampaignError, 422),
        (ListFileError, 422),
        (InvalidPhone, 422),
        (DoubtError, 409),
        (LimitError, 422),
        (LedgerError, 503),
    )
    for kind, status in statuses:
        if isinstance(error, kind):
            return Problem(status, " ".join(str(error).split()))
    if isinstance(error, IntegrityError):
        return Problem(409, "Somebody else has done the same at this moment: look, then ask again.")
    if isinstance(error, OperationalError | InterfaceError | TimeoutError):
        _log.error("The ledger does not answer: %s", type(error).__name__)
        return Problem(503, "The ledger does not answer: try again in a moment.", headers={"Retry-After": "5"})
    if isinstance(error, OSError):
        _log.error("A file could not be written or read: %s", error.strerror)
        return Problem(503, "A file could not be written or read: look at the server's disk, then try again.")
    return None
