"""Which column of a list, or which fixed value, fills which variable of a campaign's template.

Add here rules about the parameters that a campaign asks of its people.
Keep out whether a value can be sent (`values`), and the message that is made of them (`message_pattern`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from campaign_pipeline.campaigns.errors import CampaignError

HEADER_MEDIA: Final = ("header.image", "header.video", "header.document")
FILENAME: Final = "header.document.filename"

_HEADER: Final = "header."
_BUTTON: Final = re.compile(r"button\.(?P<index>[0-9])(?P<kind>\.payload|\.code)?")
_WORD: Final = r"[a-z][a-z0-9_]*|[1-9][0-9]?"
NAME: Final = re.compile(rf"({_WORD})|header\.({_WORD})|{re.escape(FILENAME)}|{_BUTTON.pattern}")
"""How a parameter can be called."""

_HOW_TO_WRITE: Final = (
    "A parameter is written NAME=COLUMN, as in first_name=name or 1=name, also header.1=name, header.image=picture or "
    "button.0=code; NAME:=TEXT gives everybody the same text"
)


@dataclass(frozen=True, slots=True)
class TemplateParameter:
    """One variable of the template, and where its values come from: a list column, or one text for everybody.

    Attributes:
        name: In the body a lower-case name, or a number from 1; elsewhere ``header.1``, ``header.first_name``,
            ``header.image``, ``header.document.filename``, ``button.0``, ``button.0.payload``, ``button.0.code``.
        column: The column of the recipient list, as its header spells it; None when the value is fixed.
        fixed: The text for everybody.
    """

    name: str
    column: str | None = None
    fixed: str | None = None

    @classmethod
    def parse(cls, text: str) -> "TemplateParameter":
        """Reads ``first_name=Name``, ``1=Name`` for a positional template, or ``header.image:=https://…`` for all.

        Raises:
            CampaignError: The text is not a parameter's name and a column or a text.
        """
        left, equals, right = text.partition("=")
        name, value = left.removesuffix(":").strip(), right.strip()
        if not equals or not value or not NAME.fullmatch(name):
            msg = f"{_HOW_TO_WRITE}, not {text!r}."
            raise CampaignError(msg)
        return cls(name, fixed=value) if left.endswith(":") else cls(name, value)

    @property
    def is_in_body(self) -> bool:
        """Whether it fills a variable of the body."""
        return "." not in self.name

    @property
    def header_variable(self) -> str | None:
        """The variable of the header's text that it fills, if it is one."""
        if not self.name.startswith(_HEADER) or self.name in (*HEADER_MEDIA, FILENAME):
            return None
        return self.name.removeprefix(_HEADER)

    @property
    def button_index(self) -> int | None:
        """The place of the button that it fills, if it is one."""
        written = _BUTTON.fullmatch(self.name)
        return None if written is None else int(written["index"])

    @property
    def written(self) -> str:
        """As a person writes it."""
        return f"{self.name}={self.column}" if self.fixed is None else f"{self.name}:={self.fixed}"

    def value_of(self, columns: Mapping[str, str]) -> str:
        """The value for a person; empty when there is none."""
        return self.fixed if self.fixed is not None else columns.get(self.column or "", "")


def check_parameters(parameters: Sequence[TemplateParameter]) -> None:
    """Refuses a set of parameters that no template can have.

    Meta fixes a template's format, named or positional, when it is created; positional ones run from 1 without a gap.

    Raises:
        CampaignError: Names repeat, are mixed with numbers, numbers leave a gap, or two fill the same header or button.
    """
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        msg = f"Each parameter can be named once only: {', '.join(names)}."
        raise CampaignError(msg)
    in_body = [parameter.name for parameter in parameters if parameter.is_in_body]
    in_header = [name for parameter in parameters if (name := parameter.header_variable) is not None]
    texts = [*in_body, *in_header]
    if any(name.isdigit() for name in texts) and not all(name.isdigit() for name in texts):
        msg = f"Parameters are either all named or all numbered: {', '.join(names)}."
        raise CampaignError(msg)
    for numbered in (in_body, in_header):
        _refuse_gaps(numbered)
    _refuse_two_headers(names, in_header)
    _refuse_two_values_of_a_button(parameters)


def columns_of(parameters: Iterable[TemplateParameter]) -> list[str]:
    """The columns that a list needs, each once."""
    return list(dict.fromkeys(parameter.column for parameter in parameters if parameter.column is not None))


def to_rows(parameters: Sequence[TemplateParameter]) -> list[dict[str, str]]:
    """The form in which the ledger keeps them, and programs read them."""
    return [
        {"name": parameter.name, "column": parameter.column}
        if parameter.column is not None
        else {"name": parameter.name, "fixed": parameter.fixed or ""}
        for parameter in parameters
    ]


def from_rows(rows: Sequence[Mapping[str, str]]) -> tuple[TemplateParameter, ...]:
    """Reads them back."""
    return tuple(TemplateParameter(row["name"], row.get("column"), row.get("fixed")) for row in rows)


def values_for(parameters: Sequence[TemplateParameter], columns: Mapping[str, str]) -> dict[str, str]:
    """The parameters' values for one person, by parameter name; a missing column gives an empty value."""
    return {parameter.name: parameter.value_of(columns) for parameter in parameters}


def missing_columns(parameters: Sequence[TemplateParameter], columns: Mapping[str, str]) -> list[str]:
    """The columns that a person has no value in, though the template needs one."""
    return [
        parameter.column
        for parameter in parameters
        if parameter.column is not None and not parameter.value_of(columns).strip()
    ]


def _refuse_gaps(names: Sequence[str]) -> None:
    numbers = sorted(int(name) for name in names if name.isdigit())
    if numbers != list(range(1, len(numbers) + 1)):
        msg = f"Numbered parameters run from 1 without a gap: {', '.join(names)}."
        raise CampaignError(msg)


def _refuse_two_headers(names: Sequence[str], in_header: Sequence[str]) -> None:
    media = [name for name in names if name in HEADER_MEDIA]
    if len(media) + bool(in_header) > 1:
        msg = "A template has one header: an image, a video, a document or a text, not several."
        raise CampaignError(msg)
    if FILENAME in names and "header.document" not in media:
        msg = f"{FILENAME} is the name of a document: give header.document as well."
        raise CampaignError(msg)


def _refuse_two_values_of_a_button(parameters: Sequence[TemplateParameter]) -> None:
    indexes = [index for parameter in parameters if (index := parameter.button_index) is not None]
    if len(set(indexes)) < len(indexes):
        msg = "Each button takes one value: name its index once."
        raise CampaignError(msg)
