"""The message of one person: a campaign's template, its parameters, and the person's columns put together.

Add here how a parameter gets into the message. Everything is pure, and the same for sending, previews and tests.
Keep out whether the values can be sent: `values`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Row

from campaign_pipeline.campaigns.templates import FILENAME, HEADER_MEDIA, TemplateParameter, from_rows
from campaign_pipeline.whatsapp.messages import ButtonKind, ButtonValue, MediaHeader, TemplateMessage, TextHeader
from campaign_pipeline.whatsapp.template_rendering import RenderedMessage, render
from campaign_pipeline.whatsapp.templates import Template, VariableKind

MEDIA_ID: Final = "id:"
"""Stands before Meta's id of an uploaded file; anything else is a link."""

_BUTTON_OF_KIND: Final = {
    VariableKind.URL: ButtonKind.URL,
    VariableKind.PAYLOAD: ButtonKind.QUICK_REPLY,
    VariableKind.COPY_CODE: ButtonKind.COPY_CODE,
}
_BUTTON_OF_SUFFIX: Final = {"payload": ButtonKind.QUICK_REPLY, "code": ButtonKind.COPY_CODE}


@dataclass(frozen=True, slots=True)
class MessagePattern:
    """What the messages of a campaign are made after.

    Attributes:
        template_name: Meta's name of the template.
        language: As Meta spells it.
        parameters: What fills it.
        template: The template as Meta has shown it; None when nobody has looked yet.
    """

    template_name: str
    language: str
    parameters: tuple[TemplateParameter, ...]
    template: Template | None

    def message(self, to: str, columns: Mapping[str, str], callback_data: str) -> TemplateMessage:
        """The message for one person.

        Args:
            to: E.164.
            columns: What the person's list says, frozen when the person was added.
            callback_data: What comes back in the status webhooks.
        """
        return TemplateMessage(
            to=to,
            template_name=self.template_name,
            language=self.language,
            body={each.name: each.value_of(columns) for each in self.parameters if each.is_in_body},
            callback_data=callback_data,
            header=self._header(columns),
            buttons=self._buttons(columns),
        )

    def rendered(self, message: TemplateMessage) -> RenderedMessage | None:
        """What the person would see; None while nobody knows what the template says."""
        return None if self.template is None else render(self.template, message)

    def _header(self, columns: Mapping[str, str]) -> TextHeader | MediaHeader | None:
        values = {each.name: each.value_of(columns) for each in self.parameters}
        for name in HEADER_MEDIA:
            if name in values:
                return _media(name, values[name], values.get(FILENAME))
        texts = {name: each.value_of(columns) for each in self.parameters if (name := each.header_variable) is not None}
        return TextHeader(texts) if texts else None

    def _buttons(self, columns: Mapping[str, str]) -> tuple[ButtonValue, ...]:
        buttons = [
            ButtonValue(index, self._kind_of(each, index), each.value_of(columns))
            for each in self.parameters
            if (index := each.button_index) is not None
        ]
        return tuple(sorted(buttons, key=lambda button: button.index))

    def _kind_of(self, parameter: TemplateParameter, index: int) -> ButtonKind:
        """As the parameter says, or the template; where neither does, it is the end of an address."""
        said = _BUTTON_OF_SUFFIX.get(parameter.name.rpartition(".")[2])
        if said is not None:
            return said
        kind = self.template.kind_of_button(index) if self.template is not None else None
        return ButtonKind.URL if kind is None else _BUTTON_OF_KIND[kind]


def pattern_of_row(row: Row) -> MessagePattern:
    """The pattern of a row that has a campaign's name, language, parameters and template."""
    return MessagePattern(
        row.template_name,
        row.template_language,
        from_rows(row.template_parameters),
        None if row.template is None else Template.from_graph(row.template),
    )


def _media(name: str, value: str, filename: str | None) -> MediaHeader:
    is_id = value.startswith(MEDIA_ID)
    media_id = value.removeprefix(MEDIA_ID).strip() if is_id else None
    link = None if is_id else value
    match name:
        case "header.image":
            return MediaHeader("image", media_id, link)
        case "header.video":
            return MediaHeader("video", media_id, link)
        case _:
            return MediaHeader("document", media_id, link, filename or None)
