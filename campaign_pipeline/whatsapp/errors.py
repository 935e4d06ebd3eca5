"""Meta's error codes for template sends, and the class that says whose fault each is.

Add here a code, with its meaning. A code that is not listed is nobody's fault that we know of: it stops the batch.
Keep out what is then done: `sending.outcomes`.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes, read 2026-09-11. Meta
asks to decide by code, never by HTTP status or title.
"""

from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """Whose fault a refusal is."""

    PERSON = "person"
    """This person cannot be reached; everybody else can."""
    THROTTLE = "throttle"
    """Too fast; the same request is good a little later."""
    STOP = "stop"
    """The template, the account or something that we do not know: nobody can be reached until a person looks at it."""


_PERSON: Final = {
    130403: "the person has blocked the business",
    130472: "the person is part of an experiment of Meta's and gets no marketing messages",
    131021: "sender and recipient are the same number",
    131026: "undeliverable: not on WhatsApp, terms not accepted, or an old app",
    131030: "the number is not on the test number's list of allowed recipients",
    131050: "the person has stopped marketing messages from this business",
    131062: "this message cannot be sent to a business-scoped user id",
    132012: "a value of this person's has a form that the template does not take",
}

_THROTTLE: Final = {
    4: "too many calls by the app",
    80007: "too many calls by the business account",
    130429: "throughput of the phone number reached",
    131056: "too many messages to the same person in a short time",
    131057: "the account is in maintenance, for a minute or so",
}


def classify(code: int) -> ErrorClass:
    """The class of a Graph error code that came with a 4xx answer."""
    if code in _PERSON:
        return ErrorClass.PERSON
    if code in _THROTTLE:
        return ErrorClass.THROTTLE
    return ErrorClass.STOP


def meaning(code: int) -> str | None:
    """What a code means, in our words; None for one that is not in the table."""
    return _PERSON.get(code) or _THROTTLE.get(code)
