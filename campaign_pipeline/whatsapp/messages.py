"""The request that sends one template message to one person.

Add here a part of a template message as Meta defines it.
Keep out the sending of it (`client`) and what the template says (`templates`).

Source: developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages, read 2026-09-11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class TextHeader:
    """The values of a header of text, by parameter name; names that are numbers make it positional."""

    values: Mapping[str, str]

    def as_parameters(self) -> list[dict[str, Any]]:
        """The parameters of the header's component."""
        return _text_parameters(self.values)


@dataclass(frozen=True, slots=True)
class MediaHeader:
    """The image, video or document of a header.

    Attributes:
        kind: Which of them.
        media_id: Meta's id of an uploaded file; this or `link`.
        link: Where Meta fetches it; it keeps what it has fetched for ten minutes.
        filename: What a document is called on the person's phone.
    """

    kind: Literal["image", "video", "document"]
    media_id: str | None = None
    link: str | None = None
    filename: str | None = None

    def as_parameters(self) -> list[dict[str, Any]]:
        """The parameters of the header's component."""
        media = {"id": self.media_id} if self.media_id is not None else {"link": self.link}
        if self.filename is not None and self.kind == "document":
            media["filename"] = self.filename
        return [{"type": self.kind, self.kind: media}]


class ButtonKind(StrEnum):
    """A kind of button that takes a value, as Meta's ``sub_type`` has it."""

    URL = "url"
    QUICK_REPLY = "quick_reply"
    COPY_CODE = "copy_code"


_PARAMETER_OF_BUTTON: Final = {
    ButtonKind.URL: ("text", "text"),
    ButtonKind.QUICK_REPLY: ("payload", "payload"),
    ButtonKind.COPY_CODE: ("coupon_code", "coupon_code"),
}


@dataclass(frozen=True, slots=True)
class ButtonValue:
    """What fills one button: the end of its address, the payload that a tap sends back, or the code that it copies.

    Attributes:
        index: The button's place in the template, from 0.
        kind: Which kind of button stands there.
        value: What fills it.
    """

    index: int
    kind: ButtonKind
    value: str

    def as_component(self) -> dict[str, Any]:
        """The button's component."""
        parameter_type, key = _PARAMETER_OF_BUTTON[self.kind]
        return {
            "type": "button",
            "sub_type": self.kind.value,
            "index": str(self.index),
            "parameters": [{"type": parameter_type, key: self.value}],
        }


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """One template message.

    Attributes:
        to: E.164 with its plus sign; without it Meta puts the business's own country code in front.
        template_name: Meta's name of the template.
        language: As Meta spells it, ``en_US``.
        body: The body's values by parameter name; names that are numbers make it positional.
        callback_data: Comes back in the status webhooks; at most 512 characters. We put the attempt's id there.
        header: What fills the header; None when nothing has to.
        buttons: What fills the buttons.
    """

    to: str
    template_name: str
    language: str
    body: Mapping[str, str]
    callback_data: str
    header: TextHeader | MediaHeader | None = None
    buttons: Sequence[ButtonValue] = ()

    def as_request(self) -> dict[str, Any]:
        """The JSON body of ``POST /<PHONE_NUMBER_ID>/messages``."""
        template: dict[str, Any] = {"name": self.template_name, "language": {"code": self.language}}
        components = self._components()
        if components:
            template["components"] = components
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": self.to,
            "type": "template",
            "biz_opaque_callback_data": self.callback_data,
            "template": template,
        }

    def _components(self) -> list[dict[str, Any]]:
        """A component for each part that has something to fill; Meta refuses one that is empty."""
        components: list[dict[str, Any]] = []
        if self.header is not None:
            components.append({"type": "header", "parameters": self.header.as_parameters()})
        if self.body:
            components.append({"type": "body", "parameters": _text_parameters(self.body)})
        return components + [button.as_component() for button in self.buttons]


def _text_parameters(values: Mapping[str, str]) -> list[dict[str, Any]]:
    if all(name.isdigit() for name in values):
        return [{"type": "text", "text": values[name]} for name in sorted(values, key=int)]
    return [{"type": "text", "parameter_name": name, "text": value} for name, value in values.items()]
