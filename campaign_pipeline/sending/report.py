"""What a run did with a send date, for the people who look at the partition.

Add here a fact that a run's end should tell. Keep out how it is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from campaign_pipeline.campaigns.figures import Figures
from campaign_pipeline.sending.batches import Batch
from campaign_pipeline.sending.capacity import Capacity


class DateEnd(StrEnum):
    """How a run's work on a date ended."""

    FINISHED = "finished"
    """The batch was sent, and is closed."""
    WAS_FINISHED = "was_finished"
    """It had been closed before; this run sent nothing."""
    NOBODY_WAITS = "nobody_waits"
    """Nobody waits in any active campaign; no batch was taken."""


@dataclass(frozen=True, slots=True)
class DateReport:
    """A date that needs nothing more.

    Attributes:
        send_date: The date.
        end: How this run's work on it ended.
        batch: Its batch; None when nobody waits.
        figures: The batch's figures as they are now.
        sent_now: Messages of this run that WhatsApp accepted.
        attempted_now: Calls that this run made.
        closed: Earlier batches that this run closed, since they had been left unfinished.
        before: The window before this run's first call.
        after: The window now.
        held_back: People who wait in countries that are held, by the countries' letters; of a date that sends nothing.
    """

    send_date: date
    end: DateEnd
    batch: Batch | None
    figures: Figures
    sent_now: int
    attempted_now: int
    closed: tuple[Batch, ...]
    before: Capacity
    after: Capacity
    held_back: Mapping[str, int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What happened, in one line."""
        if self.end is DateEnd.NOBODY_WAITS:
            return nobody_waits(self.send_date, self.held_back)
        parts = [f"{self.figures.sent} of {self.figures.total} accepted by WhatsApp"]
        moved_on = self.batch.moved_on if self.batch is not None else 0
        counted = {
            "failed": self.figures.failed,
            "skipped": self.figures.skipped,
            "in doubt": self.figures.in_doubt,
            "moved on to a later date": moved_on,
        }
        parts += [f"{number} {word}" for word, number in counted.items() if number]
        beginning = "was finished before; nothing sent now" if self.end is DateEnd.WAS_FINISHED else "finished"
        return f"{self.send_date}: {beginning} ({', '.join(parts)})."


def nobody_waits(send_date: date, held_back: Mapping[str, int]) -> str:
    """Why there is nothing to send on a date.

    Args:
        send_date: The date.
        held_back: People who wait in countries that are held, by the countries' letters.
    """
    held = ", ".join(f"{people} people wait in {region}" for region, people in held_back.items() if people)
    if not held:
        return f"{send_date}: nobody waits in an active campaign; nothing to send."
    return f"{send_date}: nothing to send; {held}, which is held: `campaign sender` says why."


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, while it runs.

    Attributes:
        done: People of the batch who need no more call.
        total: People in the batch.
        waiting_for: What the run waits for; None while it sends.
    """

    done: int
    total: int
    waiting_for: str | None = None
