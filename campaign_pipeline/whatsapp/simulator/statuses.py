"""What becomes of an accepted message, and the webhook payloads that tell it.

Add here a status or a field that Meta sends. Keep out when a payload is due and where it is written (status_files.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from campaign_pipeline.whatsapp.simulator.chance import draw
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage

Status = Literal["sent", "delivered", "read", "failed"]

_PRICING = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}

_UNDELIVERABLE = {
    "code": 131026,
    "title": "Message undeliverable",
    "message": "Message undeliverable",
    "error_data": {"details": "Message Undeliverable."},
    "href": "/documentation/business-messaging/whatsapp/support/error-codes",
}


@dataclass(frozen=True)
class StatusEvent:
    """One status that a message reaches.

    Attributes:
        status: its name in the webhook.
        after: seconds since the message was accepted.
    """

    status: Status
    after: float


def course_of(wamid: str, options: SimulatorOptions) -> list[StatusEvent]:
    """Decides what becomes of a message; nothing but the seed and the wamid settles it, so that runs repeat.

    A message that fails with 131026 never was `sent`: the recipient is not on WhatsApp.

    Args:
        wamid: Meta's id of the message.
        options: shares, delays in seconds and the seed.

    Returns:
        The statuses in the order of their time.
    """

    def after(status: Status, delay: float, jitter: float) -> float:
        return delay + jitter * draw(options.seed, "delay", status, wamid)

    sent = after("sent", options.sent_after, options.sent_jitter)
    fate = draw(options.seed, "fate", wamid)
    if fate < options.failed_share:
        return [StatusEvent("failed", sent)]
    course = [StatusEvent("sent", sent)]
    if fate < options.failed_share + options.delivered_share:
        delivered = max(sent, after("delivered", options.delivered_after, options.delivered_jitter))
        course.append(StatusEvent("delivered", delivered))
        if draw(options.seed, "read", wamid) < options.read_share:
            read = max(delivered, after("read", options.read_after, options.read_jitter))
            course.append(StatusEvent("read", read))
    return course


def webhook_payload(
    message: AcceptedMessage, status: Status, unix_seconds: float, options: SimulatorOptions
) -> dict[str, Any]:
    """Builds the body of one status webhook in the shape of v24 and later, without `conversation`.

    As Meta does: `contacts` and the business-scoped user id are left out of `failed`, and pricing comes with `sent` and
    with `delivered` but not again with `read`.

    Args:
        message: the message that it is about.
        status: what it reached.
        unix_seconds: when, in seconds since 1970 in UTC.
        options: the account's ids.

    Returns:
        The payload with one status.
    """
    wa_id = message.to.lstrip("+")
    user_id = _business_scoped_user_id(wa_id, options.business_account_id)
    entry: dict[str, object] = {
        "id": message.wamid,
        "status": status,
        "timestamp": str(int(unix_seconds)),
        "recipient_id": wa_id,
    }
    value: dict[str, object] = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": options.display_phone_number,
            "phone_number_id": options.phone_number_id,
        },
    }
    if message.biz_opaque_callback_data is not None:
        entry["biz_opaque_callback_data"] = message.biz_opaque_callback_data
    if status == "failed":
        entry["errors"] = [_UNDELIVERABLE]
    else:
        entry["recipient_user_id"] = user_id
        value["contacts"] = [{"profile": {"name": f"Customer {wa_id[-4:]}"}, "wa_id": wa_id, "user_id": user_id}]
    if status in ("sent", "delivered"):
        entry["pricing"] = _PRICING
    value["statuses"] = [entry]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": options.business_account_id, "changes": [{"value": value, "field": "messages"}]}],
    }


def _business_scoped_user_id(wa_id: str, business_account_id: str) -> str:
    """An id of Meta's form; ZZ, which ISO leaves to users, shows that its country is made up."""
    digest = hashlib.sha256(f"{business_account_id}:{wa_id}".encode()).digest()[:8]
    return f"ZZ.{int.from_bytes(digest)}"
