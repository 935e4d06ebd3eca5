"""The sender's limit: what is in force, what is used of it, when places get free; and set by an admin.

Add here what else a program may ask or say about the limit.
Keep out what holds when: `sending.limits`.
"""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field

from campaign_pipeline.interfaces.limit_in_force import LimitInForce, look_at_limit
from campaign_pipeline.interfaces.rest_api.callers import By, Place
from campaign_pipeline.interfaces.rest_api.endpoint import act, look
from campaign_pipeline.interfaces.rest_api.shapes import Asked, Date, Line, Told, WholeNumber
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline.sending.limits import MOST_PEOPLE, set_limit

router = APIRouter(prefix="/marketing", tags=["limits"])


class LimitWord(Told):
    """One word on the limit."""

    people: int
    """In 24 hours."""
    effective_from: datetime | None
    """None for settings that no run has noted yet."""
    source: str
    """The setting's name, or who said it."""


class Elsewhere(Told):
    """People whom another system of the same portfolio has reached."""

    people: int
    used_at: datetime
    source: str


class FreedPlaces(Told):
    """So many more people have left the window by a moment than by the one told before."""

    at: datetime
    people: int


class Limits(Told):
    """The limit as it stands, as `campaign limit --json` prints it."""

    limit: LimitWord
    """In force now."""
    used: int
    """People of the last 24 hours, all campaigns and other systems together."""
    used_elsewhere: list[Elsewhere]
    test_sends: int
    free: int
    freed: list[FreedPlaces]
    """When places get free again, hour by hour; those of calls under way are not known yet."""
    history: list[LimitWord]
    """Every word, those to come included, in the order in which they take effect."""


class ToSetLimit(Asked):
    """A person's word on the limit; it holds until the setting is changed, or a later word."""

    people: Annotated[WholeNumber, Field(ge=0, le=MOST_PEOPLE, examples=[2_000])]
    """In 24 hours; 0 stops all sending."""
    from_date: Date | None = None
    """From this date of the business on; else from now on."""
    by: Annotated[Line | None, Field(min_length=1, max_length=100, examples=["Ada"])] = None
    """Who says so; kept beside the token's name."""


_PAST: Final = "A limit cannot be set for the past: leave the date out to set it from now on."


@look(router, "/limits", response_model=Limits)
def show_limits(place: Place) -> dict[str, object]:
    """Show how many people may be reached in 24 hours, who said so, what is used, and when places get free."""
    with place.ledger.read() as connection:
        return look_at_limit(connection, place.settings.sender_limit, place.clock()).as_dict()


@act(router, "/limits", ApiRole.ADMIN, response_model=Limits, refusals={422: _PAST})
def set_limits(place: Place, by: By, body: ToSetLimit) -> dict[str, object]:
    """Set the limit. Said again, it changes nothing."""
    now, setting, source = place.clock(), place.settings.sender_limit, by.said_by(body.by)
    effective_from = place.settings.calendar.from_date_on(body.from_date, now)
    with place.ledger.write() as connection:
        before = look_at_limit(connection, setting, now)
        if not _is_said(before, body.people, effective_from, source, now):
            set_limit(connection, body.people, effective_from, by=source, setting=setting, now=now)
        return look_at_limit(connection, setting, now).as_dict()


def _is_said(found: LimitInForce, people: int, effective_from: datetime, source: str, now: datetime) -> bool:
    """Whether the same one has said the same, and nobody another thing since."""
    if effective_from <= now:
        return (found.word.people, found.word.source) == (people, source)
    latest = [each for each in found.history if each.effective_from == effective_from]
    return bool(latest) and (latest[-1].people, latest[-1].source) == (people, source)
