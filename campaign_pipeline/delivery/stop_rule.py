"""When the failures of a campaign's last messages are reason to pause it, before it has burnt its audience.

Add here what is concluded from several failures together. Everything is pure.
Keep out what one failure means (`whatsapp.errors`) and the pausing (`consequences`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

IN_A_ROW: Final = 3
"""So many people refused in a row, for reasons that may lie beyond them, are no chance."""


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """How one message ended, as far as is known.

    Attributes:
        failed: Whether the person was refused, or it failed later.
        code: Meta's, if it failed.
        only_here: Whether the failure says nothing about the next person.
    """

    failed: bool
    code: int | None = None
    only_here: bool = True


@dataclass(frozen=True, slots=True)
class StopRule:
    """The share of failures that pauses a campaign.

    Attributes:
        last: Messages that are looked at; a campaign that has sent fewer is left alone.
        percent: More failures among them pause it; 100 turns the rule off.
    """

    last: int = 50
    percent: int = 30

    def reason_to_pause(self, answers: Sequence[MessageEnd], ends: Sequence[MessageEnd]) -> str | None:
        """Why a campaign has to be paused, or None.

        Args:
            answers: How its last calls were answered since it was resumed, accepted or refused, the newest first.
            ends: How its last messages ended, the newest first: those of which nothing more was heard are left out.
        """
        for looked_at in (answers, ends):
            pointing_beyond = list(takewhile(lambda end: end.failed and not end.only_here, looked_at))
            if len(pointing_beyond) >= IN_A_ROW:
                codes = ", ".join(str(code) for code in sorted({end.code or 0 for end in pointing_beyond}))
                return (
                    f"{len(pointing_beyond)} people in a row failed with error {codes}, which may be a fault of the "
                    "template or of the account rather than theirs"
                )
        last = ends[: self.last]
        failed = sum(end.failed for end in last)
        if len(last) == self.last and failed * 100 > self.percent * self.last:
            return f"{failed} of its last {self.last} messages failed, more than {self.percent} %"
        return None


DEFAULT_RULE: Final = StopRule()
