"""The request that sends one template message to one person.

Add here a part of a template message (header media, buttons) as Meta defines it.
Keep out the sending of it: `client`.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages, read 2026-09-11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """One template message.

    Attributes:
        to: E.164 with its plus sign; without it Meta puts the business's own country code in front.
        template_name: Meta's name of the template.
        language: As Meta spells it, ``en_US``.
        body: The body's values by parameter name; names that are numbers make it positional.
        callback_data: Comes back in the status webhooks; at most 512 characters. We put the attempt's id there.
    """

    to: str
    template_name: str
    language: str
    body: Mapping[str, str]
    callback_data: str

    def as_request(self) -> dict[str, Any]:
        """The JSON body of ``POST /<PHONE_NUMBER_ID>/messages``."""
        template: dict[str, Any] = {"name": self.template_name, "language": {"code": self.language}}
        if self.body:
            template["components"] = [{"type": "body", "parameters": _body_parameters(self.body)}]
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": self.to,
            "type": "template",
            "biz_opaque_callback_data": self.callback_data,
            "template": template,
        }


def _body_parameters(body: Mapping[str, str]) -> list[dict[str, str]]:
    if all(name.isdigit() for name in body):
        return [{"type": "text", "text": body[name]} for name in sorted(body, key=int)]
    return [{"type": "text", "parameter_name": name, "text": value} for name, value in body.items()]
