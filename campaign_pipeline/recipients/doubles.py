"""Doubles: who of several people of one campaign is skipped, since they are one WhatsApp account.

Add here a rule by which one of them is chosen. Everything is pure.
Keep out how it is found out that they are one, and the skipping: `identity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campaign_pipeline.ledger.states import RecipientState, SkipReason
from campaign_pipeline.recipients.phone_numbers import mask_phone

WAITING: Final = (RecipientState.PENDING, RecipientState.CLAIMED)


@dataclass(frozen=True, slots=True)
class Member:
    """One person in one campaign, as far as it matters for who of two is skipped.

    Attributes:
        unreached: Whether every call to somebody who failed was certainly not accepted: nobody has this message.
    """

    recipient_id: int
    campaign_id: int
    person_key: str
    phone: str
    state: str
    reason: str | None
    position: int
    unreached: bool = False

    @property
    def waits(self) -> bool:
        """Whether nothing was sent to them yet, and something will be."""
        return self.state in WAITING

    @property
    def was_attempted(self) -> bool:
        """Whether they have the message, or may have it."""
        return not (self.waits or self.unreached or self.state == RecipientState.SKIPPED)

    @property
    def is_double(self) -> bool:
        """Whether they were skipped since somebody else has their account."""
        return self.state == RecipientState.SKIPPED and (self.reason or "").startswith(SkipReason.SAME_PERSON)

    @property
    def is_out(self) -> bool:
        """Whether they were skipped or refused in a way that says nothing about who else shares their account."""
        return self.unreached or (self.state == RecipientState.SKIPPED and self.reason != SkipReason.UNSUBSCRIBED)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Somebody who is skipped, since somebody else has the same account."""

    member: Member
    because_of: Member

    @property
    def in_words(self) -> str:
        """Why, as it is kept."""
        return f"{SkipReason.SAME_PERSON}: shares the WhatsApp account of {mask_phone(self.because_of.phone)}"


def whom_to_skip(members: Sequence[Member]) -> list[Skipped]:
    """Who of the people of one campaign that are one account is skipped.

    Everybody who waits, when one of them was attempted or wants no messages; else all but the one at the earliest
    place. Of those who were attempted nobody can be skipped any more.
    """
    in_it = [member for member in members if not member.is_out]
    if not in_it:
        return []
    ahead = min(in_it, key=lambda member: (member.waits, member.position))
    return [Skipped(member, ahead) for member in in_it if member.waits and member is not ahead]
