"""What a list says about consent: an upload counts as consent, unless a column of it says otherwise.

Add here another usual name of such a column, or another word for yes or no.
Keep out who has unsubscribed before: `subscriptions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

from campaign_pipeline.recipients.column_names import bare_name, without_accents
from campaign_pipeline.recipients.said_times import read_said_time

_OPT_IN_NAMES: Final = frozenset({"optin", "consent", "subscribed", "marketingconsent"})
_OPT_OUT_NAMES: Final = frozenset({"optout", "unsubscribed", "donotcontact"})
_YES: Final = frozenset({"yes", "y", "true", "t", "1", "1.0", "on", "ja", "j", "si", "sim", "s", "oui"})
_NO: Final = frozenset({"no", "n", "false", "f", "0", "0.0", "off", "nein", "nao", "non"})
_SOURCE_NAMES: Final = frozenset({"optinsource", "optinchannel", "optinmethod", "consentsource", "consentchannel"})
_TIME_NAMES: Final = frozenset(
    {"optintime", "optinat", "optindate", "optintimestamp", "optedinat"}
    | {"consenttime", "consentat", "consentdate", "consenttimestamp"}
)
_TEXT_NAMES: Final = frozenset({"optintext", "optinwording", "consenttext", "consentwording"})


class ConsentNeeded(StrEnum):
    """What has to be known of somebody's consent before they are sent to."""

    UPLOAD = "upload"
    """That they stand in a list, and have not said no."""
    EVIDENCE = "evidence"
    """That a list says when, where or that they agreed, or that they wrote START themselves."""


@dataclass(frozen=True, slots=True)
class ListedEvidence:
    """What a row says of somebody's consent, as evidence.

    Attributes:
        source: Where they agreed; None if the row does not say so, likewise the others.
        at: When, UTC.
        text: What they agreed to.
    """

    source: str | None
    at: datetime | None
    text: str | None


@dataclass(frozen=True, slots=True)
class EvidenceColumns:
    """The columns of a list that say where, when and to what somebody agreed; found once per header."""

    source: tuple[str, ...]
    time: tuple[str, ...]
    text: tuple[str, ...]

    @classmethod
    def from_header(cls, header: Sequence[str]) -> Self:
        """Finds them by their usual names, as the columns of consent are found."""
        return cls(
            *(
                tuple(name for name in header if bare_name(name) in usual)
                for usual in (_SOURCE_NAMES, _TIME_NAMES, _TEXT_NAMES)
            )
        )

    def evidence(self, columns: Mapping[str, str], *, agrees: bool) -> ListedEvidence | None:
        """What one row says; None if it says nothing.

        Args:
            columns: The row's values by the header's names.
            agrees: Whether a column of consent says yes, which is evidence by itself.
        """
        source, time, text = (_first_filled(columns, names) for names in (self.source, self.time, self.text))
        if not (agrees or source or time or text):
            return None
        return ListedEvidence(source, read_said_time(time) if time else None, text)


@dataclass(frozen=True, slots=True)
class ConsentColumns:
    """The columns of a list that say whether someone agreed; found once per header.

    Attributes:
        opt_in: Names of the columns in which yes means consent.
        opt_out: Names of the columns in which yes means that there is none.
    """

    opt_in: tuple[str, ...]
    opt_out: tuple[str, ...]

    @classmethod
    def from_header(cls, header: Sequence[str]) -> Self:
        """Finds the consent columns by their usual names, whatever their case, spaces, underscores and hyphens."""
        return cls(
            opt_in=tuple(name for name in header if bare_name(name) in _OPT_IN_NAMES),
            opt_out=tuple(name for name in header if bare_name(name) in _OPT_OUT_NAMES),
        )

    def consent(self, columns: Mapping[str, str]) -> bool | None:
        """Tells what one row says about consent.

        Args:
            columns: The row's values by the header's names.

        Returns:
            False if any column refuses or holds a word that is neither yes nor no; True if one agrees; None if none
            says anything (DESIGN.md section 2, promise 4: an upload counts as consent unless a column says otherwise).
        """
        agrees = {_says_yes(columns.get(name, "")) for name in self.opt_in}
        objects = {_says_yes(columns.get(name, ""), doubtful=True) for name in self.opt_out}
        if False in agrees or True in objects:
            return False
        return True if True in agrees else None

    def clearly_refuses(self, columns: Mapping[str, str]) -> bool:
        """Whether a row says no in so many words; a date or another word there is no consent and no refusal."""
        no_to_opt_in = any(_says_yes(columns.get(name, ""), doubtful=True) is False for name in self.opt_in)
        return no_to_opt_in or any(_says_yes(columns.get(name, "")) is True for name in self.opt_out)

    def clearly_agrees(self, columns: Mapping[str, str]) -> bool:
        """Whether a row says yes in so many words, and nowhere no."""
        yes_to_opt_in = any(_says_yes(columns.get(name, "")) is True for name in self.opt_in)
        no_to_opt_out = any(_says_yes(columns.get(name, ""), doubtful=True) is False for name in self.opt_out)
        return (yes_to_opt_in or no_to_opt_out) and not self.clearly_refuses(columns)


def consent_of(columns: Mapping[str, str]) -> bool | None:
    """Tells what one row says about consent; for many rows, `ConsentColumns.from_header` looks the names up once."""
    return ConsentColumns.from_header(tuple(columns)).consent(columns)


def _first_filled(columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := columns.get(name, "").strip())), None)


def _says_yes(value: str, *, doubtful: bool = False) -> bool | None:
    """Reads yes or no; None when empty. What is neither, such as "maybe" or a date, counts as `doubtful` says."""
    word = without_accents(value.strip())
    if not word:
        return None
    return word in _YES or (doubtful and word not in _NO)
