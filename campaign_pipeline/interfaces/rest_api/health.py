"""Whether the server lives, and whether it can work; for whoever starts and watches it.

Add here another thing without which nothing can be answered.
Keep out how the day stands: that is `campaign status`.
"""

from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from campaign_pipeline.interfaces.rest_api.callers import Place
from campaign_pipeline.interfaces.rest_api.contract import refusals_of
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.shapes import Told
from campaign_pipeline.ledger import migrate

router = APIRouter(tags=["health"])


class Health(Told):
    """The server answers."""

    status: Literal["ok"] = "ok"


_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    status: refusal
    for status, refusal in refusals_of("", {}, acts=False).items()
    if status in (400, 405, 408, 500, 503)
}


@router.get("/healthz", responses=_REFUSALS)
async def healthz() -> Health:
    """Whether the server lives."""
    # In no thread: it lives, however many requests wait for one.
    return Health()


@router.get("/readyz", responses=_REFUSALS)
def readyz(request: Request, place: Place) -> Health:
    """Whether the ledger can be read and is of this version, and whatever else is served beside is well."""
    try:
        with place.ledger.read() as connection:
            connection.execute(text("SELECT 1"))
        current = migrate.is_current(place.ledger.engine)
    except DBAPIError as error:
        raise Problem(503, "The ledger does not answer: look at its database.") from error
    if not current:
        raise Problem(503, "The ledger's tables are of another version: run `campaign init`, or the newer program.")
    for sentence, holds in request.app.state.conditions.items():
        if not holds():
            raise Problem(503, sentence)
    return Health()
