"""What an answer of the Cloud API means: for the attempt, for the person, and for the rest of the batch.

Add here a rule that reads an answer. Everything is pure.
Keep out the codes themselves (`whatsapp.errors`) and the recording (`sending.attempts`).
"""

from dataclasses import dataclass
from enum import StrEnum

from campaign_pipeline.ledger.states import AttemptOutcome
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline.whatsapp.errors import ErrorClass, classify


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
    """

    outcome: AttemptOutcome
    refused_person: bool
    reaction: Reaction


def judge(answer: Answer) -> Verdict:
    """Reads an answer. Definite is only a call of which no byte was written, or a 4xx that carries a Graph error."""
    if answer.kind is AnswerKind.ACCEPTED:
        return Verdict(AttemptOutcome.ACCEPTED, refused_person=False, reaction=Reaction.GO_ON)
    if answer.kind is AnswerKind.NOT_SENT:
        return Verdict(AttemptOutcome.NOT_SENT, refused_person=False, reaction=Reaction.BACK_OFF)
    if answer.kind is AnswerKind.REFUSED and answer.error_code is not None:
        return _judge_refusal(classify(answer.error_code))
    return Verdict(AttemptOutcome.IN_DOUBT, refused_person=False, reaction=Reaction.DOUBT)


def _judge_refusal(error_class: ErrorClass) -> Verdict:
    reactions = {
        ErrorClass.PERSON: Reaction.GO_ON,
        ErrorClass.THROTTLE: Reaction.BACK_OFF,
        ErrorClass.STOP: Reaction.STOP,
    }
    return Verdict(
        AttemptOutcome.REFUSED,
        refused_person=error_class is ErrorClass.PERSON,
        reaction=reactions[error_class],
    )
