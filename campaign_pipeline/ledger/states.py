"""The states that the ledger's rows can be in, as the words that the database stores.

Add here a state together with its place in a CHECK constraint (a migration) and in the fold of `delivery.folding`.
Keep out the rules for moving between states: they stand with the room that moves them.
"""

from enum import StrEnum
from typing import Final


class CampaignStatus(StrEnum):
    """Where a campaign stands in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class RecipientState(StrEnum):
    """Where one person of one campaign stands."""

    PENDING = "pending"
    CLAIMED = "claimed"
    ATTEMPTING = "attempting"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    SKIPPED = "skipped"
    IN_DOUBT = "in_doubt"


UNSETTLED: Final = (
    RecipientState.PENDING,
    RecipientState.CLAIMED,
    RecipientState.ATTEMPTING,
    RecipientState.IN_DOUBT,
)
"""A campaign is completed when nobody is left in one of these."""


class SkipReason(StrEnum):
    """Why a person is skipped for good in one campaign."""

    UNSUBSCRIBED = "unsubscribed"
    CANCELLED = "campaign_cancelled"
    REMOVED = "removed"
    NO_OPT_IN = "no_opt_in"
    """Nothing shows that the person agreed, and the settings ask for that."""
    SAME_PERSON = "same_person"
    """Shares the WhatsApp account of somebody who has the message, or stands before; whose, follows in words."""


class AliasKind(StrEnum):
    """What WhatsApp calls a person by."""

    WA_ID = "wa_id"
    BSUID = "bsuid"
    """A business-scoped user id; it stands also where a wa_id is expected, if the person hides the number."""


class ApiRole(StrEnum):
    """What a token of the REST API allows; each role may also do what the ones before it may."""

    VIEWER = "viewer"
    """Looks at everything, with phone numbers masked."""
    OPERATOR = "operator"
    """Makes campaigns, adds people, starts and stops sending, and sees phone numbers."""
    ADMIN = "admin"
    """Sets limits, and reads who did what."""


class PauseCause(StrEnum):
    """What paused a campaign. Only a person's pause gives the people of an open batch back to the queue."""

    PERSON = "person"
    FAULT = "fault"
    """An answer or a failed webhook said that nobody of the campaign can be reached."""
    FAILURES = "failures"
    """Too many of its last messages failed."""
    TEMPLATE = "template"
    """Meta has paused the template; once it is unpaused, the campaign goes on by itself."""
    QUALITY = "quality"
    """Meta rates the template RED."""


class BatchState(StrEnum):
    """A batch is open from the moment it is taken until its date is finished; closed is final."""

    OPEN = "open"
    CLOSED = "closed"


class AttemptOutcome(StrEnum):
    """What is known of one HTTP call."""

    CALLING = "calling"
    """Written down; the call is being made, or its worker is gone and nobody has noticed yet."""
    ACCEPTED = "accepted"
    """WhatsApp has it: an answer with a wamid, or a webhook that names this attempt."""
    REFUSED = "refused"
    """A 4xx that carries a Graph error: certainly not accepted."""
    NOT_SENT = "not_sent"
    """No byte of the request left this machine: certainly not accepted."""
    IN_DOUBT = "in_doubt"
    """The call was made and its answer was lost."""
    VOIDED = "voided"
    """A person has said that an attempt in doubt reached nobody."""


CERTAINLY_NOT_ACCEPTED: Final = (AttemptOutcome.REFUSED, AttemptOutcome.NOT_SENT)
"""These attempts use no capacity."""

MAY_BE_REPEATED: Final = (*CERTAINLY_NOT_ACCEPTED, AttemptOutcome.VOIDED)
"""Only after these may the same person be attempted again; the database refuses a second attempt after any other."""


class SubscriptionStatus(StrEnum):
    """Whether a person wants messages."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


class Voice(StrEnum):
    """By whom, or through what, it was said whether a person wants messages."""

    PERSON = "person"
    """The person wrote it to us, or tapped a button of ours."""
    META = "meta"
    """The person's setting in WhatsApp itself, as Meta tells of it; it lifts only what it has set."""
    OPERATOR = "operator"
    """Somebody of the business noted it."""
    LIST = "list"
    """A column of a recipient list says no."""
    FILE = "file"
    """A file of opt-outs."""


class InboundKind(StrEnum):
    """What is kept of what came in from a person."""

    STOP = "stop"
    START = "start"
    PREFERENCE_STOP = "preference_stop"
    """`user_preferences`: marketing messages were stopped in WhatsApp itself."""
    PREFERENCE_RESUME = "preference_resume"
    CHANGED = "changed"
    """A `system` message: WhatsApp calls the person by another number or id now."""
    REPLY = "reply"
    """Any other message; nothing of it is kept but that it came."""


class RejectionReason(StrEnum):
    """Why a row of a list did not become a recipient."""

    INVALID = "invalid"
    DUPLICATE_IN_LIST = "duplicate_in_list"
    ALREADY_IN_CAMPAIGN = "already_in_campaign"
    UNSUBSCRIBED = "unsubscribed"


class ListState(StrEnum):
    """How far the reading of a recipient list has come."""

    READING = "reading"
    DONE = "done"
    FAILED = "failed"


class DeliveryFileState(StrEnum):
    """How far the ingest of a status file has come."""

    READING = "reading"
    DONE = "done"
    REJECTED = "rejected"
