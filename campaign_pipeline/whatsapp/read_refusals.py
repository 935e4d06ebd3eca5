"""What it means when the Graph API refuses to show something: token, permission, a wrong id, too many questions.

Add here a code that questions are refused with, and what it points to.
Keep out what a code means for a message (`errors`), and the words for a person: `template_reading`, the diagnosis.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes, and
developers.facebook.com/docs/graph-api/guides/error-handling.
"""

from enum import StrEnum
from typing import Final

from campaign_pipeline.whatsapp.errors import ErrorClass, look_up

_TOKEN: Final = frozenset({0, 104, 190})
_WRONG_ID: Final = frozenset({33, 100, 803})
_PERMISSION: Final = frozenset({3, 10, 131005, *range(200, 300)})


class ReadRefusal(StrEnum):
    """What a refused question points to."""

    TOKEN = "token"  # noqa: S105 - a kind of refusal
    """The token is missing, wrong or has expired."""
    PERMISSION = "permission"
    """The token may not ask this."""
    WRONG_ID = "wrong_id"
    """Nothing has this id, or the token may not see it: Meta answers alike."""
    TOO_FAST = "too_fast"
    """The same question is good a little later."""
    OTHER = "other"
    """Nothing that helps."""


def refusal_by(code: int) -> ReadRefusal:
    """What the error code of a refused question points to."""
    if code in _TOKEN:
        return ReadRefusal.TOKEN
    if code in _PERMISSION:
        return ReadRefusal.PERMISSION
    if code in _WRONG_ID:
        return ReadRefusal.WRONG_ID
    return ReadRefusal.TOO_FAST if look_up(code).error_class is ErrorClass.THROTTLE else ReadRefusal.OTHER
