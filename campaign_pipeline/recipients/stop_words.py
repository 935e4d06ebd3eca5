"""Which messages say stop, and which start: whole messages, in the languages that WhatsApp's users write.

Add a word to `stop_words.toml`, which says what belongs there. Add here another way of writing the same word.
Keep out who said it, and what follows (`subscription_rule`).
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from campaign_pipeline.ledger.states import SubscriptionStatus

LONGEST_WORD: Final = 80
"""Characters; whoever writes more says more than a word."""

_FILE: Final = Path(__file__).with_name("stop_words.toml")

_WITHOUT_STROKES: Final = {
    "ı": "i",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ħ": "h",
    "æ": "ae",
    "œ": "oe",
    "ə": "e",
    "þ": "th",
    "ð": "d",
}
"""Letters with a stroke, a ligature or no dot, which Unicode does not take apart; people write them without."""

_OF_ANY_KEYBOARD: Final = {"ی": "ي", "ى": "ي", "ک": "ك", "ـ": ""}
"""Persian and Arabic keyboards have their own ya and kaf; a word may be drawn out."""

_APOSTROPHES: Final = "'’‘ʼʻ`´"
"""Between two letters they divide nothing, whichever one the keyboard has."""

_SAME_LETTER: Final = str.maketrans({**_WITHOUT_STROKES, **_OF_ANY_KEYBOARD, **dict.fromkeys(_APOSTROPHES, "")})
_NO_WORD: Final = re.compile(r"[\W_]+")
_MARKS: Final = ("Mn", "Me")
_SPACING_SCRIPTS: Final = re.compile("[\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""In the scripts of India and of South-East Asia marks are vowels, not accents: without them a word is another one."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that count, as `bare` writes them."""

    stop: frozenset[str]
    start: frozenset[str]

    def meaning_of(self, text: str) -> SubscriptionStatus | None:
        """What a whole message, or what stands on a button, says of messages; None if it says something else."""
        if len(text) > LONGEST_WORD:
            return None
        word = bare(text)
        if word in self.stop:
            return SubscriptionStatus.UNSUBSCRIBED
        return SubscriptionStatus.SUBSCRIBED if word in self.start else None


def bare(text: str) -> str:
    """Reduces a message to its words: without case, accents, punctuation and emoji, with single spaces."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_SAME_LETTER)
    if not folded.isascii():
        folded = "".join(each for each in folded if not _is_ornament(each))
    words = _NO_WORD.sub(" ", folded) if folded.isascii() else _without_punctuation(folded)
    return words.strip()


@cache
def vocabulary(more_stops: tuple[str, ...] = (), more_starts: tuple[str, ...] = ()) -> Vocabulary:
    """The words of the data file, and what an installation adds to them.

    A word that is added to the stops is none of the starts any more, and the other way round.
    """
    words = read_words()
    stops = {bare(each) for each in (*words["payloads"]["stop"], *_all_of(words, "stop"))}
    starts = {bare(each) for each in (*words["payloads"]["start"], *_all_of(words, "start"))}
    own_stops, own_starts = {bare(each) for each in more_stops}, {bare(each) for each in more_starts}
    return Vocabulary(
        stop=frozenset((stops - own_starts) | own_stops) - {""},
        start=frozenset((starts - own_stops) | (own_starts - own_stops)) - {""},
    )


def read_words() -> dict[str, Any]:
    """The data file as it is: `payloads`, and a list of `language`s with their code, name, stop and start words."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _all_of(words: dict[str, Any], kind: str) -> Iterable[str]:
    return (word for language in words["language"] for word in language[kind])


def _is_ornament(character: str) -> bool:
    """Whether a character changes no letter: an accent, or a sign that is not seen."""
    category = unicodedata.category(character)
    if category in _MARKS:
        return not _SPACING_SCRIPTS.match(character)
    return category == "Cf"


def _without_punctuation(folded: str) -> str:
    # A mark of India or South-East Asia is no letter to `\W`, but belongs to its word.
    kept = (each if each.isalnum() or unicodedata.category(each) in ("Mn", "Mc") else " " for each in folded)
    return " ".join("".join(kept).split())
