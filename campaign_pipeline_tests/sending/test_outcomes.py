"""What an answer means, as a table."""

import pytest

from campaign_pipeline.ledger.states import CERTAINLY_NOT_ACCEPTED, MAY_BE_REPEATED, AttemptOutcome
from campaign_pipeline.sending.outcomes import Reaction, judge
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline.whatsapp.errors import Arrival, ErrorClass, look_up

ACCEPTED, REFUSED, NOT_SENT, IN_DOUBT = (
    AttemptOutcome.ACCEPTED,
    AttemptOutcome.REFUSED,
    AttemptOutcome.NOT_SENT,
    AttemptOutcome.IN_DOUBT,
)


@pytest.mark.parametrize(
    ("answer", "outcome", "person", "reaction"),
    [
        (Answer(AnswerKind.ACCEPTED, 200, wamid="wamid.1"), ACCEPTED, False, Reaction.GO_ON),
        (Answer(AnswerKind.NOT_SENT, error_text="refused"), NOT_SENT, False, Reaction.BACK_OFF),
        (Answer(AnswerKind.REFUSED, 400, 131026), REFUSED, True, Reaction.GO_ON),
        (Answer(AnswerKind.REFUSED, 400, 131050), REFUSED, True, Reaction.GO_ON),
        (Answer(AnswerKind.REFUSED, 400, 130429), REFUSED, False, Reaction.BACK_OFF),
        (Answer(AnswerKind.REFUSED, 429, 80007), REFUSED, False, Reaction.BACK_OFF),
        (Answer(AnswerKind.REFUSED, 400, 131056), REFUSED, False, Reaction.BACK_OFF),
        (Answer(AnswerKind.REFUSED, 401, 190), REFUSED, False, Reaction.STOP),
        (Answer(AnswerKind.REFUSED, 400, 132001), REFUSED, False, Reaction.GO_ON),
        (Answer(AnswerKind.REFUSED, 400, 131048), REFUSED, False, Reaction.STOP),
        (Answer(AnswerKind.REFUSED, 400, 999_999), REFUSED, True, Reaction.GO_ON),
        (Answer(AnswerKind.REFUSED, 400, 100, "Param to is not a phone number"), REFUSED, True, Reaction.GO_ON),
        (Answer(AnswerKind.REFUSED, 400, None), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 131000), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 503, 130429), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 131026), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 1), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 135000), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 132015), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN, 500, 3), IN_DOUBT, False, Reaction.STOP),
        (Answer(AnswerKind.UNKNOWN, 401, 190), IN_DOUBT, False, Reaction.STOP),
        (Answer(AnswerKind.UNKNOWN, 200), IN_DOUBT, False, Reaction.DOUBT),
        (Answer(AnswerKind.UNKNOWN), IN_DOUBT, False, Reaction.DOUBT),
    ],
)
def test_an_answer_is_judged_by_what_it_proves(
    answer: Answer, outcome: AttemptOutcome, person: bool, reaction: Reaction
) -> None:
    """Read too kindly, somebody is sent to twice; too strictly, somebody who was never reached is given up."""
    verdict = judge(answer)
    assert (verdict.outcome, verdict.refused_person, verdict.reaction) == (outcome, person, reaction)


def test_whatever_is_unknown_is_in_doubt_whoever_is_blamed_for_it() -> None:
    """A 5xx may carry any code; none of them proves that the message did not go out."""
    for code in [*range(200), *range(130_400, 131_100), *range(132_000, 132_100)]:
        assert judge(Answer(AnswerKind.UNKNOWN, 500, code)).outcome is IN_DOUBT


def test_only_a_refusal_of_the_person_fails_the_person() -> None:
    """A paused template that marks people as failed empties the campaign in one morning."""
    of_the_person = {ErrorClass.PERSON, ErrorClass.UNSUBSCRIBED, ErrorClass.COUNTRY, ErrorClass.UNKNOWN}
    for code in [*range(1_000), *range(130_000, 136_000)]:
        verdict = judge(Answer(AnswerKind.REFUSED, 400, code))
        assert verdict.outcome is REFUSED
        assert verdict.refused_person is (look_up(code).class_in(Arrival.ANSWER) in of_the_person)


def test_a_throttle_waits_its_time_and_means_nothing_else() -> None:
    """131057 lasts minutes: asked every second, a batch gives up while the account is being moved."""
    verdict = judge(Answer(AnswerKind.REFUSED, 400, 131057))
    assert (verdict.wait, verdict.error) == (60, None)
    assert judge(Answer(AnswerKind.REFUSED, 400, 131056)).wait == 6


def test_what_may_be_repeated_was_certainly_not_accepted_or_voided_by_a_person() -> None:
    """These words stand in the index that lets nobody be attempted twice."""
    assert set(CERTAINLY_NOT_ACCEPTED) == {REFUSED, NOT_SENT}
    assert set(MAY_BE_REPEATED) == {REFUSED, NOT_SENT, AttemptOutcome.VOIDED}
