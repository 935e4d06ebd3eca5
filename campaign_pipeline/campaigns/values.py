"""Which values WhatsApp would refuse: missing, with line breaks, tabs or wide gaps, too long, or no link to a file.

Add here what Meta asks of a value. Everything is pure, and the same when a list is added, at activation and for tests.
Keep out what becomes of the person: `recipients.intake`, and `value_problems` for those who are in a campaign.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview, and the words of error
132012: a text "cannot have new-line/tab characters or more than 4 consecutive spaces".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.campaigns.message_pattern import MEDIA_ID, MessagePattern
from campaign_pipeline.campaigns.templates import HEADER_MEDIA, TemplateParameter
from campaign_pipeline.whatsapp.template_rendering import filled
from campaign_pipeline.whatsapp.templates import BODY_CHARACTERS, HEADER_CHARACTERS

_REFUSED_BY_META: Final = re.compile(r"[\r\n\t]| {5}")
_LINK: Final = re.compile(r"https?://[^\s/]+\S*")
_MEDIA_ID: Final = re.compile(rf"{MEDIA_ID}\s*[0-9A-Za-z_-]+")


class ValueFaultKind(StrEnum):
    """What is wrong with a value."""

    MISSING = "missing_value"
    FORM = "unusable_value"
    LENGTH = "value_too_long"


@dataclass(frozen=True, slots=True)
class ValueFault:
    """One value that cannot be sent.

    Attributes:
        kind: What is wrong.
        parameter: The parameter that it fills; ``header`` or ``body`` for the whole of it.
        source: The column that it comes from, or "the fixed text".
        detail: What is wrong, in words that go on after the column's name.
    """

    kind: ValueFaultKind
    parameter: str
    source: str
    detail: str

    @property
    def sentence(self) -> str:
        """What is wrong, for the row of a list."""
        return f"{self.kind}: {self.source} {self.detail}"


def faults_in(pattern: MessagePattern, columns: Mapping[str, str]) -> list[ValueFault]:
    """What is wrong with the values of one person, the first fault of each first."""
    found = [fault for parameter in pattern.parameters if (fault := _fault_of(parameter, columns)) is not None]
    return found or list(_too_long(pattern, columns))


def check_fixed_values(pattern: MessagePattern) -> None:
    """Refuses fixed texts that would be wrong for everybody.

    Raises:
        CampaignError: One of them is.
    """
    for parameter in pattern.parameters:
        fault = _fault_of(parameter, {}) if parameter.fixed is not None else None
        if fault is not None:
            msg = f"{parameter.name}:={parameter.fixed!r} cannot be sent: it {fault.detail}."
            raise CampaignError(msg)


def _fault_of(parameter: TemplateParameter, columns: Mapping[str, str]) -> ValueFault | None:
    value = parameter.value_of(columns)
    if not value.strip():
        return _fault(ValueFaultKind.MISSING, parameter, "is empty")
    if _REFUSED_BY_META.search(value):
        detail = "has a line break, a tab or more than four spaces in a row, which WhatsApp refuses"
        return _fault(ValueFaultKind.FORM, parameter, detail)
    if parameter.name in HEADER_MEDIA and not (_LINK.fullmatch(value) or _MEDIA_ID.fullmatch(value)):
        return _fault(ValueFaultKind.FORM, parameter, "is neither a link (https://…) nor id: and Meta's id of a file")
    if parameter.is_in_body and len(value) > BODY_CHARACTERS:
        detail = f"has {len(value):,} characters, and WhatsApp sends at most {BODY_CHARACTERS:,} in all"
        return _fault(ValueFaultKind.LENGTH, parameter, detail)
    return None


def _too_long(pattern: MessagePattern, columns: Mapping[str, str]) -> Iterator[ValueFault]:
    """Whether header or body is too long once it is filled; nobody knows before the template was read."""
    if pattern.template is None:
        return
    in_header = {name: each for each in pattern.parameters if (name := each.header_variable) is not None}
    in_body = {each.name: each for each in pattern.parameters if each.is_in_body}
    for part, what, text, parameters, most in (
        ("header", "header", pattern.template.header_text, in_header, HEADER_CHARACTERS),
        ("body", "message", pattern.template.body, in_body, BODY_CHARACTERS),
    ):
        size = len(filled(text, {name: each.value_of(columns) for name, each in parameters.items()}))
        if size > most:
            sources = ", ".join(dict.fromkeys(map(_source_of, parameters.values()))) or "the template's text"
            detail = f"would make a {what} of {size:,} characters, and WhatsApp sends at most {most:,}"
            yield ValueFault(ValueFaultKind.LENGTH, part, sources, detail)


def _fault(kind: ValueFaultKind, parameter: TemplateParameter, detail: str) -> ValueFault:
    return ValueFault(kind, parameter.name, _source_of(parameter), detail)


def _source_of(parameter: TemplateParameter) -> str:
    return parameter.column if parameter.column is not None else "the fixed text"
