"""The latest word counts by its own time, whichever was heard first, and a stop is lifted by whoever may lift it."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.ledger.states import SubscriptionStatus, Voice
from campaign_pipeline.recipients.subscription_rule import Standing, Word, standing_after
from campaign_pipeline_tests.support.campaigns import NOON

STOP, START = SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.SUBSCRIBED


def word(status: SubscriptionStatus, voice: Voice, minute: int) -> Word:
    """A word of a moment."""
    return Word(status, voice, f"{voice} {minute}", NOON + timedelta(minutes=minute))


words = st.lists(
    st.builds(word, st.sampled_from([STOP, START]), st.sampled_from(list(Voice)), st.integers(0, 5)), max_size=7
)


@pytest.mark.parametrize(
    ("said", "status", "since"),
    [
        ([(START, Voice.PERSON, 1)], START, 1),
        ([(STOP, Voice.PERSON, 1), (START, Voice.PERSON, 2)], START, 2),
        ([(STOP, Voice.PERSON, 2), (START, Voice.PERSON, 2)], STOP, 2),
        ([(STOP, Voice.PERSON, 1), (STOP, Voice.FILE, 2)], STOP, 1),
        # Meta's resume takes back what Meta's stop said, and no more.
        ([(STOP, Voice.META, 1), (START, Voice.META, 2)], START, 2),
        ([(STOP, Voice.PERSON, 1), (START, Voice.META, 2)], STOP, 1),
        ([(STOP, Voice.META, 1), (STOP, Voice.PERSON, 2), (START, Voice.META, 3)], STOP, 1),
        ([(STOP, Voice.OPERATOR, 1), (STOP, Voice.META, 2), (START, Voice.META, 3)], STOP, 1),
        ([(STOP, Voice.FILE, 1), (START, Voice.META, 2)], STOP, 1),
        ([(STOP, Voice.LIST, 1), (START, Voice.META, 2)], STOP, 1),
        # START is the person's own wish: it lifts every stop before it, and none after it.
        ([(STOP, Voice.META, 1), (START, Voice.PERSON, 2)], START, 2),
        ([(STOP, Voice.META, 1), (STOP, Voice.LIST, 2), (START, Voice.PERSON, 3)], START, 3),
        ([(START, Voice.PERSON, 1), (STOP, Voice.META, 2)], STOP, 2),
        ([(STOP, Voice.PERSON, 1), (START, Voice.OPERATOR, 2)], START, 2),
    ],
)
def test_each_voice_counts_as_it_should(
    said: list[tuple[SubscriptionStatus, Voice, int]], status: SubscriptionStatus, since: int
) -> None:
    """Somebody who told us to stop would be written to again because of a switch in WhatsApp, or never again at all."""
    for order in permutations([word(*each) for each in said]):
        found = standing_after(order)
        assert found is not None
        assert (found.status, found.since) == (status, NOON + timedelta(minutes=since))


def test_of_nobody_who_has_said_nothing_anything_is_known() -> None:
    """Silence would be taken for a word."""
    assert standing_after([]) is None


@given(words, st.randoms())
def test_the_order_of_hearing_changes_nothing_and_neither_does_hearing_twice(said: list[Word], chance: object) -> None:
    """Webhooks come late, twice and in any order; the last to arrive would have the last word."""
    shuffled = [*said, *said[:2]]
    chance.shuffle(shuffled)  # ty: ignore[unresolved-attribute]
    assert standing_after(shuffled) == standing_after(said)


@given(words)
def test_a_stop_that_nobody_has_lifted_stands(said: list[Word]) -> None:
    """Whatever else was said: without a later start there is no message."""
    stops = [each for each in said if each.is_stop]
    lifts = [each for each in said if not each.is_stop]
    lasting = any(
        not any(other.at > stop.at and (other.voice is not Voice.META or stop.voice is Voice.META) for other in lifts)
        for stop in stops
    )
    found = standing_after(said)
    assert (found is not None and found.status is STOP) == lasting


@given(words)
def test_the_standing_began_with_a_word_that_says_it(said: list[Word]) -> None:
    """The proof of a consent would name a source that said no."""
    found = standing_after(said)
    if found is not None and found.status is STOP:
        assert Standing(STOP, found.source, found.since) in [Standing(STOP, w.source, w.at) for w in said if w.is_stop]
