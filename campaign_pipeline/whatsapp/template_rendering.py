"""A message as the person would see it: the template with its variables filled.

Add here a part of a template that people see. Everything is pure.
Keep out which values fill it: a message comes in as it would be sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from campaign_pipeline.whatsapp.messages import MediaHeader, TemplateMessage, TextHeader
from campaign_pipeline.whatsapp.templates import VARIABLE, Template


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """What a person sees of a message; a part that the template does not have is empty."""

    header: str
    body: str
    footer: str
    buttons: tuple[str, ...]

    def as_text(self) -> str:
        """The whole of it, one part after the other."""
        parts = [self.header, self.body, self.footer, *(f"[{button}]" for button in self.buttons)]
        return "\n".join(part for part in parts if part)


def render(template: Template, message: TemplateMessage) -> RenderedMessage:
    """Fills a template; a variable that nothing fills stays in its braces."""
    return RenderedMessage(
        header=_header(template, message),
        body=filled(template.body, message.body),
        footer=template.footer,
        buttons=_buttons(template, message),
    )


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its variables filled."""
    return VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def _header(template: Template, message: TemplateMessage) -> str:
    header = message.header
    if isinstance(header, MediaHeader):
        where = f"id {header.media_id}" if header.media_id is not None else header.link
        called = f"{header.filename}, " if header.filename else ""
        return f"<{header.kind}: {called}{where}>"
    text = template.header.get("text")
    if not isinstance(text, str):
        return f"<{template.header_format.lower()}>" if template.header else ""
    return filled(text, header.values if isinstance(header, TextHeader) else {})


def _buttons(template: Template, message: TemplateMessage) -> tuple[str, ...]:
    values = {button.index: button.value for button in message.buttons}
    return tuple(_button(button, values.get(index)) for index, button in enumerate(template.buttons))


def _button(button: Mapping[str, object], value: str | None) -> str:
    label = str(button.get("text") or button.get("type") or "")
    address = button.get("url")
    if isinstance(address, str):
        return f"{label}: {address if value is None else VARIABLE.sub(lambda _: value, address)}"
    return label if value is None else f"{label}: {value}"
