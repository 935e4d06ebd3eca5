"""What people write back: texts and taps on a template's buttons, as webhooks of the field `messages`.

Add here a kind of message from a person. Keep out statuses of our own messages (statuses.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from dataclasses import dataclass
from typing import Any

from campaign_pipeline.whatsapp.simulator.identities import contact_of, ids_of, metadata_of
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import wamid_of


@dataclass(frozen=True)
class ButtonTap:
    """A tap on a quick-reply button of a template.

    Attributes:
        payload: what the sender gave the button.
        text: what stands on it.
    """

    payload: str
    text: str


@dataclass(frozen=True)
class InboundMessage:
    """A message from a person to the business.

    Attributes:
        sender: the person's number, E.164.
        said: a text or a tap.
        context: wamid of the message that it answers, if it names one.
    """

    sender: str
    said: str | ButtonTap
    context: str | None = None


def inbound_payload(message: InboundMessage, unix_seconds: float, options: SimulatorOptions) -> dict[str, Any]:
    """Builds the body of the webhook for one message from a person.

    Args:
        message: what the person wrote.
        unix_seconds: when, in seconds since 1970 in UTC; with its fraction it makes the wamid unique.
        options: the account's ids and the seed.

    Returns:
        The payload with one message.
    """
    entry: dict[str, object] = {
        **ids_of(message.sender, options, wa_id_as="from", user_id_as="from_user_id"),
        "id": wamid_of(message.sender, f"{options.seed}:inbound:{unix_seconds!r}"),
        "timestamp": str(int(unix_seconds)),
        **_said(message.said),
    }
    if message.context is not None:
        entry["context"] = {"from": options.display_phone_number, "id": message.context}
    value = {
        "messaging_product": "whatsapp",
        "metadata": metadata_of(options),
        "contacts": [contact_of(message.sender, options)],
        "messages": [entry],
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": options.business_account_id, "changes": [{"value": value, "field": "messages"}]}],
    }


def _said(said: str | ButtonTap) -> dict[str, object]:
    if isinstance(said, ButtonTap):
        return {"type": "button", "button": {"payload": said.payload, "text": said.text}}
    return {"type": "text", "text": {"body": said}}
