"""What a person's words on messages amount to: subscribed or not, since when, and by which word.

Add here a voice that counts in another way. Everything is pure, and comes out the same in any order of the words.
Keep out where words are kept, and who said them: `subscriptions`.

The latest word counts, by its own time; of two at one moment the stop. Two stops can stand at once, and each has to be
lifted: the one that was said to us or noted by us, and the one in WhatsApp itself. Meta's `resume` takes back what the
person had set there, and nothing that the person has told us. A START is the person's wish to hear from us: it lifts
both. If WhatsApp still stops our messages, its answer (error 131050) is a later word of Meta's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from campaign_pipeline.ledger.states import SubscriptionStatus, Voice


@dataclass(frozen=True, slots=True)
class Word:
    """One word of one person.

    Attributes:
        status: What it says.
        voice: By whom, or through what.
        source: Where it was said, for people.
        at: When, UTC.
    """

    status: SubscriptionStatus
    voice: Voice
    source: str
    at: datetime

    @property
    def is_stop(self) -> bool:
        """Whether it says no."""
        return self.status is SubscriptionStatus.UNSUBSCRIBED


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a person stands: the status, and the word since which it has been so."""

    status: SubscriptionStatus
    source: str
    since: datetime


def standing_after(words: Iterable[Word]) -> Standing | None:
    """Where a person stands after some words, in any order; None without any."""
    told_us = told_meta = False
    standing: Standing | None = None
    for word in sorted(words, key=_place):
        if word.voice is Voice.META:
            told_meta = word.is_stop
        elif word.is_stop:
            told_us = True
        else:
            told_us = told_meta = False
        status = SubscriptionStatus.UNSUBSCRIBED if told_us or told_meta else SubscriptionStatus.SUBSCRIBED
        if standing is None or standing.status is not status:
            standing = Standing(status, word.source, word.at)
    return standing


def _place(word: Word) -> tuple[datetime, bool, Voice, str]:
    """Its place among the others; a stop comes after a start of the same moment, and so has the last word."""
    return word.at, word.is_stop, word.voice, word.source
