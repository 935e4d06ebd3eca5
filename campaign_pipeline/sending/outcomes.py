"""What an answer of the Cloud API means: for the attempt, for the person, and for the rest of the batch.

Add here a rule that reads an answer. Everything is pure.
Keep out the codes themselves (`whatsapp.errors`), the recording (`sending.attempts`), and what is done for campaigns,
countries and the sender (`delivery.consequences`).
"""

from dataclasses import dataclass
from enum import StrEnum

from campaign_pipeline.ledger.states import AttemptOutcome
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline.whatsapp.errors import Arrival, ErrorClass, KnownError, look_up


class Reaction(StrEnum):
    """What the batch does after an answer."""

    GO_ON = "go_on"
    BACK_OFF = "back_off"
    """The same person again, a little later; everybody else waits as long."""
    DOUBT = "doubt"
    """This person is in doubt; several in a row stop the batch."""
    STOP = "stop"
    """Nobody else can be reached until a person has looked at it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one answer amounts to.

    Attributes:
        outcome: What is known of the attempt now.
        refused_person: Whether this person was refused for good in this campaign.
        reaction: What the batch does.
        error: What is known of the error, if it means something beyond the attempt; None if it does not.
        wait: Seconds before the next call, at least.
    """

    outcome: AttemptOutcome
    refused_person: bool
    reaction: Reaction
    error: KnownError | None = None
    wait: float = 0.0


_REACTIONS = {
    ErrorClass.PERSON: Reaction.GO_ON,
    ErrorClass.UNSUBSCRIBED: Reaction.GO_ON,
    ErrorClass.COUNTRY: Reaction.GO_ON,
    ErrorClass.UNKNOWN: Reaction.GO_ON,
    ErrorClass.THROTTLE: Reaction.BACK_OFF,
    # Its campaign is paused in the ledger, and nobody of a paused campaign is admitted: the others go on.
    ErrorClass.CAMPAIGN: Reaction.GO_ON,
    ErrorClass.ACCOUNT: Reaction.STOP,
}

_OF_THE_PERSON = (ErrorClass.PERSON, ErrorClass.UNSUBSCRIBED, ErrorClass.COUNTRY, ErrorClass.UNKNOWN)
_OF_MORE_THAN_PEOPLE = (ErrorClass.CAMPAIGN, ErrorClass.ACCOUNT)


def judge(answer: Answer) -> Verdict:
    """Reads an answer. Definite is only a call of which no byte was written, or a 4xx that carries a Graph error."""
    if answer.kind is AnswerKind.ACCEPTED:
        return Verdict(AttemptOutcome.ACCEPTED, refused_person=False, reaction=Reaction.GO_ON)
    if answer.kind is AnswerKind.NOT_SENT:
        return Verdict(AttemptOutcome.NOT_SENT, refused_person=False, reaction=Reaction.BACK_OFF)
    if answer.error_code is None:
        return Verdict(AttemptOutcome.IN_DOUBT, refused_person=False, reaction=Reaction.DOUBT)
    error = look_up(answer.error_code, answer.error_text or "")
    return _judge_refusal(error) if answer.kind is AnswerKind.REFUSED else _judge_doubt(error)


def _judge_refusal(error: KnownError) -> Verdict:
    error_class = error.class_in(Arrival.ANSWER)
    throttled = error_class is ErrorClass.THROTTLE
    return Verdict(
        AttemptOutcome.REFUSED,
        refused_person=error_class in _OF_THE_PERSON,
        reaction=_REACTIONS[error_class],
        error=None if throttled else error,
        wait=error.wait if throttled else 0.0,
    )


def _judge_doubt(error: KnownError) -> Verdict:
    """A 5xx proves nothing about the message; but some codes name a fault of the template or account all the same."""
    meant = error if error.is_certain and error.class_in(Arrival.ANSWER) in _OF_MORE_THAN_PEOPLE else None
    stops = meant is not None and meant.error_class is ErrorClass.ACCOUNT
    return Verdict(
        AttemptOutcome.IN_DOUBT,
        refused_person=False,
        reaction=Reaction.STOP if stops else Reaction.DOUBT,
        error=meant,
        wait=error.wait,
    )
