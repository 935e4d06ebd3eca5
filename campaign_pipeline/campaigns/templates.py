"""Which column of a list fills which parameter of a campaign's template.

Add here rules about the parameters that a campaign asks of its people.
Keep out the request that is made of them: `whatsapp.messages`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from campaign_pipeline.campaigns.errors import CampaignError

_NAME = re.compile(r"[a-z][a-z0-9_]*|[1-9][0-9]?")


@dataclass(frozen=True, slots=True)
class TemplateParameter:
    """One parameter of the template's body and the list column that its values come from.

    Attributes:
        name: A lower-case name, or a number from 1 for a positional template.
        column: The column of the recipient list, as its header spells it.
    """

    name: str
    column: str

    @classmethod
    def parse(cls, text: str) -> "TemplateParameter":
        """Reads ``first_name=Name``, or ``1=Name`` for a positional template.

        Raises:
            CampaignError: The text is not a parameter's name and a column.
        """
        name, equals, column = (part.strip() for part in text.partition("="))
        if not equals or not column or not _NAME.fullmatch(name):
            msg = f"A parameter is written NAME=COLUMN, as in first_name=name or 1=name, not {text!r}."
            raise CampaignError(msg)
        return cls(name, column)


def check_parameters(parameters: Sequence[TemplateParameter]) -> None:
    """Refuses a set of parameters that no template can have.

    Meta fixes a template's format, named or positional, when it is created; positional ones run from 1 without a gap.

    Raises:
        CampaignError: Names repeat, are mixed with numbers, or numbers leave a gap.
    """
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        msg = f"Each parameter can be named once only: {', '.join(names)}."
        raise CampaignError(msg)
    numbers = sorted(int(name) for name in names if name.isdigit())
    if numbers and len(numbers) < len(names):
        msg = f"Parameters are either all named or all numbered: {', '.join(names)}."
        raise CampaignError(msg)
    if numbers != list(range(1, len(numbers) + 1)):
        msg = f"Numbered parameters run from 1 without a gap: {', '.join(names)}."
        raise CampaignError(msg)


def to_rows(parameters: Sequence[TemplateParameter]) -> list[dict[str, str]]:
    """The form in which the ledger keeps them."""
    return [asdict(parameter) for parameter in parameters]


def from_rows(rows: Sequence[Mapping[str, str]]) -> tuple[TemplateParameter, ...]:
    """Reads them back."""
    return tuple(TemplateParameter(row["name"], row["column"]) for row in rows)


def values_for(parameters: Sequence[TemplateParameter], columns: Mapping[str, str]) -> dict[str, str]:
    """The parameters' values for one person, by parameter name; a missing column gives an empty value."""
    return {parameter.name: columns.get(parameter.column, "") for parameter in parameters}


def missing_columns(parameters: Sequence[TemplateParameter], columns: Mapping[str, str]) -> list[str]:
    """The columns that a person has no value in, though the template needs one."""
    return [parameter.column for parameter in parameters if not columns.get(parameter.column, "").strip()]
