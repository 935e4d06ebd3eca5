"""Who wants messages: looked up, subscribed, unsubscribed, by a number in the body.

Add here another way in which a person says yes or no.
Keep out what it means for campaigns: `recipients.subscriptions`.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection

from campaign_pipeline.interfaces.rest_api.callers import By, Caller, Place
from campaign_pipeline.interfaces.rest_api.endpoint import act, inquire
from campaign_pipeline.interfaces.rest_api.shapes import Told, Who, shown_number, without_numbers
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import SubscriptionStatus
from campaign_pipeline.recipients import subscriptions
from campaign_pipeline.recipients.phone_numbers import PhoneNumber

router = APIRouter(prefix="/marketing/subscriptions", tags=["subscriptions"])

_NO_NUMBER: Final = {422: "the number has no country code, and no default region is set."}


class SubscriptionAnswer(Told):
    """The latest word of a person."""

    phone: str
    """E.164; a viewer sees its last two digits."""
    status: SubscriptionStatus | None
    """None when the person has said nothing: then a list counts as consent."""
    source: str | None
    """Who noted it, or the list that said so."""
    changed_at: datetime | None


@inquire(router, "/find", response_model=SubscriptionAnswer, refusals=_NO_NUMBER)
def find_subscription(place: Place, by: By, body: Who) -> SubscriptionAnswer:
    """Tell whether a person wants messages."""
    phone = place.phone(str(body.phone), body.region)
    with place.ledger.read() as connection:
        return _answer(by, connection, phone)


@act(router, "/subscribe", response_model=SubscriptionAnswer, refusals=_NO_NUMBER)
def subscribe(place: Place, by: By, body: Who) -> SubscriptionAnswer:
    """Note that a person wants messages, for campaigns to come; who was skipped stays skipped."""
    return _note(place, by, body, subscriptions.subscribe)


@act(router, "/unsubscribe", response_model=SubscriptionAnswer, refusals=_NO_NUMBER)
def unsubscribe(place: Place, by: By, body: Who) -> SubscriptionAnswer:
    """Note that a person wants no messages, of any campaign; in force before the next message."""
    return _note(place, by, body, subscriptions.unsubscribe)


def _note(place: Workplace, by: Caller, who: Who, note: Callable[..., bool]) -> SubscriptionAnswer:
    phone = place.phone(str(who.phone), who.region)
    with place.ledger.write() as connection:
        note(connection, phone, source=by.actor, now=place.clock())
        return _answer(by, connection, phone)


def _answer(by: Caller, connection: Connection, phone: PhoneNumber) -> SubscriptionAnswer:
    found = subscriptions.find_subscription(connection, phone)
    source = None if found is None else found.source
    return SubscriptionAnswer(
        phone=shown_number(phone.e164, in_full=by.sees_numbers),
        status=None if found is None else found.status,
        source=source if by.sees_numbers else without_numbers(source),
        changed_at=None if found is None else found.changed_at,
    )
