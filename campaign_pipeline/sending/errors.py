"""Why a date could not be sent, or not to its end; each is one sentence for the person who looks at the red partition.

Add here a kind of reason that callers tell apart. Keep out the sentences: they stand where the reason arises,
but for the one that can arise everywhere.
"""

from datetime import datetime

from sqlalchemy.exc import DBAPIError

from campaign_pipeline.campaigns.calendar import SendCalendar
from campaign_pipeline.sending.batches import Batch


class CannotSendError(RuntimeError):
    """A run should have sent and could not.

    Attributes:
        left: How many people of the batch are still to be sent to; None when no batch was taken.
        again_at: When it can go on, in UTC; None when a person has to do something first.
        closed: Earlier batches that this run had closed before, since they had been left unfinished.
    """

    def __init__(self, reason: str, *, left: int | None = None, again_at: datetime | None = None) -> None:
        super().__init__(reason)
        self.left = left
        self.again_at = again_at
        self.closed: tuple[Batch, ...] = ()

    def told(self, calendar: SendCalendar) -> str:
        """The reason, with what its reader asks next: how many are left, and when it can go on."""
        left = f" {self.left} people of the batch are still to be sent to." if self.left else ""
        when = f" It can go on at {calendar.local(self.again_at):%Y-%m-%d %H:%M %Z}." if self.again_at else ""
        return f"{self}{left}{when}"


class LeaseLostError(CannotSendError):
    """Another run has taken the sender over; this one may start no call any more."""


class StoppedError(CannotSendError):
    """The run was asked to stop; people stay claimed, and a re-run of the date goes on with them."""


def stopped_sender(reason: str) -> CannotSendError:
    """The reason when the sender was stopped, by Meta's word or a person's."""
    return CannotSendError(f"The sender is stopped: {reason} Once it is resumed, run the date again.")


def forgetful_ledger(fault: str) -> CannotSendError:
    """The reason when the ledger's database could lose what it was told."""
    return CannotSendError(
        f"{fault} After a crash of the database it could have forgotten whom a message was sent to, and sent it again: "
        "nothing is sent like this."
    )


def another_cloud_api(bound_to: str, cloud_api: str) -> CannotSendError:
    """The reason when a ledger that has sent through one Cloud API is to send through another."""
    return CannotSendError(
        f"This ledger has sent through {bound_to}, and WHATSAPP_BASE_URL now names {cloud_api}. A ledger stays with "
        "one Cloud API, so that the people of a trial are never reached for real: set CAMPAIGN_DATA_DIR or "
        "CAMPAIGN_DATABASE_URL to another ledger, or the address back."
    )


def ledger_failed(error: DBAPIError) -> CannotSendError:
    """The reason when the ledger itself does not answer or takes no more: a full disk, a lost connection, a lock."""
    return CannotSendError(f"The ledger could not be written to: {error.orig}. Run the date again when it can.")
