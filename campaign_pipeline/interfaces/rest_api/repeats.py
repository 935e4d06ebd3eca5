"""Requests that may be sent again: done once for each Idempotency-Key, with the answer kept for whoever repeats them.

Only answers that say that something was done are kept. A refused request has changed nothing, and its key is free
again. What breaks off is taken over by a repetition after a while; all operations are safe to do twice.

Add here what is true of a key. Keep out what is done under it.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.ledger.schema import api_requests
from campaign_pipeline.ledger.upsert import insert_new

KEPT_FOR: Final = timedelta(hours=48)
TAKEN_OVER_AFTER: Final = timedelta(minutes=15)
"""Longer than anything but the largest lists takes."""

_KEY: Final = re.compile(r"[!-~]{1,255}")
_RETRY: Final = {"Retry-After": "2"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be repeated.

    Attributes:
        token_id: Whose it is.
        endpoint: Hash of its method and address; elsewhere the same key is another one.
        key: As its sender calls it.
        fingerprint: Hash of everything else, which has to be the same when it is repeated.
    """

    token_id: int
    endpoint: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of a request that was done before."""

    status: int
    answer: str


def checked_key(given: Sequence[str]) -> str:
    """The Idempotency-Key of a request, if it can be used.

    Raises:
        Problem: It cannot, or there are several.
    """
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise Problem(400, "Send one Idempotency-Key of 1 to 255 visible ASCII characters: a UUID is a good one.")
    return given[0]


def claim(connection: Connection, request: Request, now: datetime) -> Kept | str:
    """Takes a request on.

    Returns:
        The claim, by which its answer is stored; or the answer that was kept.

    Raises:
        Problem: Another request came under the key before, or the same is just being done.
    """
    forget_old(connection, now)
    taken = str(uuid.uuid4())
    row = {**asdict(request), "claim": taken, "claimed_at": now}
    if insert_new(connection, api_requests, [row]):
        return taken
    found = connection.execute(select(api_requests).where(_is(request)).with_for_update()).one_or_none()
    if found is None:
        # It was refused, and its key given back, since the row was met.
        raise _being_done()
    if found.fingerprint != request.fingerprint:
        raise Problem(422, "This Idempotency-Key was used for another request: take a new key for a new request.")
    if found.status is not None:
        return Kept(found.status, found.answer)
    if found.claimed_at > now - TAKEN_OVER_AFTER:
        raise _being_done()
    connection.execute(update(api_requests).where(_is(request)).values(claim=taken, claimed_at=now))
    return taken


def keep(connection: Connection, request: Request, taken: str, status: int, answer: str) -> None:
    """Stores the answer of a request that was done."""
    mine = _is(request) & (api_requests.c.claim == taken)
    connection.execute(update(api_requests).where(mine).values(status=status, answer=answer))


def forget_old(connection: Connection, now: datetime) -> None:
    """Removes the answers that have been kept for long enough; they hold phone numbers."""
    connection.execute(delete(api_requests).where(api_requests.c.claimed_at < now - KEPT_FOR))


def give_back(connection: Connection, request: Request, taken: str) -> None:
    """Frees the key of a request that was refused."""
    unanswered = _is(request) & (api_requests.c.claim == taken) & api_requests.c.status.is_(None)
    connection.execute(delete(api_requests).where(unanswered))


def _being_done() -> Problem:
    return Problem(409, "The same request is just being done: ask again for its answer.", headers=_RETRY)


def _is(request: Request) -> ColumnElement[bool]:
    columns = api_requests.c
    return and_(columns.token_id == request.token_id, columns.endpoint == request.endpoint, columns.key == request.key)
