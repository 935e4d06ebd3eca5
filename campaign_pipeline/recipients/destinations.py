"""Countries into which WhatsApp delivers no marketing messages, whatever the person wants.

Add here another such country, with the page of Meta's that says so. Everything is pure.
Keep out countries that one business may not write to for a while (error 130497): that is learnt by sending.
"""

from enum import StrEnum
from typing import Final

from campaign_pipeline.recipients.phone_numbers import PhoneNumber

UNITED_STATES: Final = "US"

US_REFUSAL: Final = (
    "us_number: WhatsApp delivers no marketing messages to numbers of the United States; if this template is not "
    "marketing, set CAMPAIGN_US_NUMBERS=keep and add the list again"
)


class UsNumbers(StrEnum):
    """What becomes of a number of the United States when a list is added."""

    REJECT = "reject"
    """It is counted as invalid; the safe choice, since Meta answers each such message with an error."""
    KEEP = "keep"
    """It is added like any other: for templates that are not marketing."""


def refusal_of(phone: PhoneNumber, us_numbers: UsNumbers) -> str | None:
    """Why marketing messages do not reach a number, and what lets it through; None where nothing speaks against it.

    Canada and the Caribbean share +1 with the United States and are delivered to. Source:
    Meta's page on limits of marketing messages per person, of 2026-04-29 (reference section 2.2).
    """
    return US_REFUSAL if phone.region == UNITED_STATES and us_numbers is UsNumbers.REJECT else None
