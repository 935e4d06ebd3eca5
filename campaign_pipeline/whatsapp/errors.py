"""Meta's error codes for template sends: what each means, whose fault it is, and what a person can do about it.

Add here a code, with its meaning; `docs/errors.md` is made from this table. A code that is not listed fails one person.
Keep out what is then done: `sending.outcomes` for an answer, `delivery.consequences` for what is to be done at large.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes, read 2026-09-11; whose
fault a code is, is our reading of it. Meta asks to decide by code, never by HTTP status or title.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """Whose fault a failure is."""

    PERSON = "person"
    """This person cannot be reached in this campaign; everybody else can."""
    UNSUBSCRIBED = "unsubscribed"
    """This person wants no messages, of any campaign."""
    COUNTRY = "country"
    """Nobody in this person's country can be reached until a person has looked at it."""
    THROTTLE = "throttle"
    """Too fast, or nobody there; the same request is good a little later."""
    CAMPAIGN = "campaign"
    """Nobody of this campaign can be reached until a person has looked at it."""
    ACCOUNT = "account"
    """Nobody at all can be reached until a person has looked at it."""
    UNKNOWN = "unknown"
    """Nobody here knows the code: this person is failed, never tried again, and somebody is told."""


class Arrival(StrEnum):
    """How a failure is told."""

    ANSWER = "answer"
    """By the answer to the call."""
    WEBHOOK = "webhook"
    """By a status webhook, after the call was accepted."""
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class KnownError:
    """One row of the table.

    Attributes:
        code: Meta's.
        meaning: What it means, in our words.
        error_class: Whose fault it is.
        arrival: How it is told, as far as it is documented or was seen.
        advice: What a person can do; empty where there is nothing to do.
        wait: Seconds before the next call, at least; of a throttle only.
        in_webhook: Whose fault it is when a webhook tells it, if that differs.
        only_here: Whether the same code for the next people points beyond them: several in a row pause the campaign.
        is_certain: Whether the code names this fault whatever it comes with. One that is not may be any fault of
            Meta's when it comes with a 5xx.
    """

    code: int
    meaning: str
    error_class: ErrorClass
    arrival: Arrival = Arrival.ANSWER
    advice: str = ""
    wait: float = 0.0
    in_webhook: ErrorClass | None = None
    only_here: bool = True
    is_certain: bool = True

    def class_in(self, arrival: Arrival) -> ErrorClass:
        """Whose fault it is when it is told in this way.

        After an accepted call there is nothing to try again: what throttles a call has failed a message for good.
        """
        if arrival is not Arrival.WEBHOOK:
            return self.error_class
        if self.in_webhook is not None:
            return self.in_webhook
        return ErrorClass.PERSON if self.error_class is ErrorClass.THROTTLE else self.error_class


_PERSON: Final = ErrorClass.PERSON
_CAMPAIGN: Final = ErrorClass.CAMPAIGN
_ACCOUNT: Final = ErrorClass.ACCOUNT
_THROTTLE: Final = ErrorClass.THROTTLE
_WEBHOOK: Final = Arrival.WEBHOOK
_EITHER: Final = Arrival.EITHER

_NEW_TOKEN: Final = "Make a new token for the system user and set WHATSAPP_ACCESS_TOKEN."  # noqa: S105 - advice
_PERMIT: Final = "Give the system user whatsapp_business_messaging for this business account, then make a new token."
_REGISTER: Final = "Register the phone number for the Cloud API in the WhatsApp Manager."
_SUPPORT: Final = "Look at the account in the WhatsApp Manager, and ask Meta's support."
_PARAMETERS: Final = "Compare the campaign's parameters with the template."

KNOWN_ERRORS: Final = (
    KnownError(
        0,
        "the app could not be authenticated; in a webhook, an error without a readable code",
        _ACCOUNT,
        advice=_NEW_TOKEN,
        in_webhook=ErrorClass.UNKNOWN,
        only_here=False,
    ),
    KnownError(
        1, "an invalid request, or a fault of Meta's", _CAMPAIGN, advice="Compare the request.", is_certain=False
    ),
    KnownError(2, "down for a moment, or overloaded", _THROTTLE, wait=5, is_certain=False),
    KnownError(3, "the app lacks a capability or permission", _ACCOUNT, advice=_PERMIT),
    KnownError(4, "too many calls by the app", _THROTTLE, wait=60),
    KnownError(10, "a permission was not given or was taken away", _ACCOUNT, advice=_PERMIT),
    KnownError(33, "the business phone number was deleted", _ACCOUNT, advice="Set WHATSAPP_PHONE_NUMBER_ID."),
    KnownError(
        100,
        "a parameter that Meta does not know or take",
        _CAMPAIGN,
        advice=_PARAMETERS,
    ),
    KnownError(104, "a token is missing", _ACCOUNT, advice=_NEW_TOKEN),
    KnownError(190, "the token has expired or was withdrawn", _ACCOUNT, advice=_NEW_TOKEN),
    KnownError(368, "the business account is restricted for a breach of policy", _ACCOUNT, advice=_SUPPORT),
    KnownError(803, "there is nothing by the id that was asked for", _ACCOUNT, advice="Set WHATSAPP_PHONE_NUMBER_ID."),
    KnownError(80007, "too many calls by the business account", _THROTTLE, wait=60),
    KnownError(130403, "the business has blocked this person", _PERSON, _EITHER),
    KnownError(130429, "the throughput of the phone number is reached", _THROTTLE, _EITHER, wait=1),
    KnownError(130472, "the person is in an experiment of Meta's, and gets no marketing messages", _PERSON, _WEBHOOK),
    KnownError(
        130497,
        "the business may not message people in this country",
        ErrorClass.COUNTRY,
        _WEBHOOK,
        advice="Verify the business with Meta.",
    ),
    KnownError(131000, "an error that Meta does not explain", _PERSON, _EITHER, only_here=False, is_certain=False),
    KnownError(131005, "the permission is missing or was taken away", _ACCOUNT, advice=_PERMIT),
    KnownError(131008, "a parameter is missing", _CAMPAIGN, advice=_PARAMETERS),
    KnownError(131009, "a parameter has a value that is not valid", _CAMPAIGN, advice=_PARAMETERS),
    KnownError(131016, "the service is not available for a moment", _THROTTLE, _EITHER, wait=5, is_certain=False),
    KnownError(131021, "sender and recipient are the same number", _PERSON),
    KnownError(131026, "not on WhatsApp, terms not accepted, or an old app", _PERSON, _EITHER),
    KnownError(
        131030,
        "a test number may send to a few allowed numbers only, and this is none of them",
        _PERSON,
        advice="Send from a real number, or put the people on the test number's list.",
        only_here=False,
    ),
    KnownError(131031, "the business account is locked, or its data could not be verified", _ACCOUNT, advice=_SUPPORT),
    KnownError(
        131037, "the phone number has no approved display name", _ACCOUNT, advice="Have the display name approved."
    ),
    KnownError(
        131042, "there is a problem with the payment", _ACCOUNT, _EITHER, advice="Mend the account's payment method."
    ),
    KnownError(131045, "the phone number is not registered rightly", _ACCOUNT, advice=_REGISTER),
    KnownError(131047, "more than 24 hours since the person wrote; no fault of a template", _CAMPAIGN, _WEBHOOK),
    KnownError(
        131048,
        "too many people have blocked or reported the number",
        _ACCOUNT,
        _EITHER,
        advice="Send no more today. Look at the number's quality, and at whom you send to.",
    ),
    KnownError(131049, "Meta spares the person more marketing messages just now", _PERSON, _WEBHOOK),
    KnownError(131050, "the person has stopped this business's marketing messages", ErrorClass.UNSUBSCRIBED, _WEBHOOK),
    KnownError(131051, "an unsupported type of message", _CAMPAIGN),
    KnownError(131052, "media that a person sent could not be fetched; no fault of a template", _PERSON, _WEBHOOK),
    KnownError(
        131053, "the header's media could not be fetched", _CAMPAIGN, _EITHER, advice="Mend the header's media."
    ),
    KnownError(131055, "the endpoint takes no message of this kind", _CAMPAIGN),
    KnownError(131056, "too many messages to the same person in a short time", _THROTTLE, _EITHER, wait=6),
    KnownError(131057, "the account is in maintenance for a minute or more", _THROTTLE, wait=60),
    KnownError(131058, "hello_world goes out from public test numbers only", _CAMPAIGN),
    KnownError(131062, "this message cannot go to a business-scoped user id", _PERSON),
    KnownError(131063, "marketing through the Cloud API is turned off for this account", _ACCOUNT, advice=_SUPPORT),
    KnownError(
        131064,
        "a lower messaging limit, since templates were filed under the wrong category; Meta lifts it by itself",
        _ACCOUNT,
        advice="Send no more today. Look at the templates' categories.",
    ),
    KnownError(132000, "another number of parameters than the template has", _CAMPAIGN, advice=_PARAMETERS),
    KnownError(
        132001,
        "no approved template of this name in this language",
        _CAMPAIGN,
        advice="Have it approved, or edit the campaign's template.",
    ),
    KnownError(132005, "the text became too long with this person's values", _PERSON, only_here=False),
    KnownError(132007, "the template breaks a policy", _CAMPAIGN, advice="Use another template."),
    KnownError(132012, "a value of this person's has a form that the template does not take", _PERSON, only_here=False),
    KnownError(
        132015,
        "the template is paused for its low quality",
        _CAMPAIGN,
        _EITHER,
        advice="Wait until Meta has unpaused it, or unpause it in the WhatsApp Manager.",
    ),
    KnownError(132016, "the template is disabled for good", _CAMPAIGN, _EITHER, advice="Use another template."),
    KnownError(132018, "the parameters do not pass the template's own check", _CAMPAIGN, advice=_PARAMETERS),
    KnownError(132068, "the template's Flow is blocked", _CAMPAIGN, advice="Mend the Flow."),
    KnownError(132069, "the template's Flow is throttled", _CAMPAIGN, advice="Mend the Flow."),
    KnownError(133000, "an earlier registration was not undone rightly", _ACCOUNT, advice=_REGISTER),
    KnownError(133004, "the server is not available for a moment", _THROTTLE, wait=5, is_certain=False),
    KnownError(133005, "the PIN of the phone number is wrong", _ACCOUNT, advice=_REGISTER),
    KnownError(133006, "the phone number has to be verified first", _ACCOUNT, advice=_REGISTER),
    KnownError(133008, "too many wrong PINs", _ACCOUNT, advice=_REGISTER),
    KnownError(133009, "PINs were entered too fast", _ACCOUNT, advice=_REGISTER),
    KnownError(133010, "the phone number is not registered", _ACCOUNT, advice=_REGISTER),
    KnownError(133015, "the phone number was deleted a moment ago", _ACCOUNT, advice=_REGISTER),
    KnownError(133016, "the phone number was registered too often", _ACCOUNT, advice=_REGISTER),
    KnownError(134011, "the terms of WhatsApp Payments wait to be accepted", _ACCOUNT, advice="Accept them."),
    KnownError(134100, "this endpoint takes marketing templates only", _CAMPAIGN, advice="Use a marketing template."),
    KnownError(
        134101, "the template is still being made known to the ads system", _CAMPAIGN, advice="Wait ten minutes."
    ),
    KnownError(134102, "the Marketing Messages API cannot be used by this account", _ACCOUNT, advice=_SUPPORT),
    KnownError(
        135000,
        "parameters that Meta has no better error for; in a webhook, a held message that was dropped",
        _CAMPAIGN,
        _EITHER,
        advice=f"{_PARAMETERS} After held messages: Meta blocks the account until it has been reviewed.",
        in_webhook=_ACCOUNT,
        is_certain=False,
    ),
    KnownError(137000, "the person has changed, as far as the identity check goes", _PERSON),
    KnownError(2388019, "the account has too many templates", _CAMPAIGN, advice="Delete templates."),
    KnownError(2494100, "the phone number is in maintenance for some minutes", _THROTTLE, wait=60),
)

PERMISSION_CODES: Final = range(200, 300)
"""All of them say that a permission is missing."""

_BY_CODE: Final = {error.code: error for error in KNOWN_ERRORS}

_ABOUT_VALUES: Final = frozenset({100, 131008, 131009, 132018})
"""Codes that are a fault of the campaign, unless Meta's details name what one person brought along."""

_NO_SUCH_OBJECT: Final = re.compile(r"does not exist, cannot be loaded due to missing permissions", re.IGNORECASE)
"""What Meta says with subcode 33 of code 100."""

_NAMES_THE_PERSON: Final = re.compile(
    r"\bparam(eter)? to\b(?! is required)|\brecipient\b|new-?line|\btab\b|consecutive spaces", re.IGNORECASE
)


def look_up(code: int, details: str = "") -> KnownError:
    """The row of the table for a code.

    Args:
        code: Meta's; one that is in no row gets one of its own, of class UNKNOWN.
        details: What Meta says beside it: some codes are the person's fault if it names something of the person's.
    """
    if code in PERMISSION_CODES:
        return KnownError(code, "a permission is missing", _ACCOUNT, advice=_PERMIT)
    known = _BY_CODE.get(code)
    if known is None:
        return KnownError(
            code,
            "a code that is in no table of ours",
            ErrorClass.UNKNOWN,
            _EITHER,
            advice="Look the code up in Meta's list before anybody is put into another campaign.",
            only_here=False,
            is_certain=False,
        )
    if code == 100 and _NO_SUCH_OBJECT.search(details):
        advice = "Set WHATSAPP_PHONE_NUMBER_ID to one that the token may use."
        return KnownError(code, "there is no such phone number, or the token may not see it", _ACCOUNT, advice=advice)
    if code in _ABOUT_VALUES and _NAMES_THE_PERSON.search(details):
        return KnownError(code, known.meaning, _PERSON, known.arrival, only_here=False)
    return known
