"""What becomes of an accepted message, and the webhook payloads that tell it.

Add here a status or a field that Meta sends. Keep out when a payload is due and where it is written (status_files.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
"""

from dataclasses import dataclass
from typing import Any, Literal

from campaign_pipeline.whatsapp.simulator.chance import draw
from campaign_pipeline.whatsapp.simulator.error_table import words_for
from campaign_pipeline.whatsapp.simulator.identities import contact_of, ids_of, metadata_of, shown_wa_id
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage

Status = Literal["sent", "delivered", "read", "failed"]

_PRICING = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"}

_NOT_ON_WHATSAPP = 131026
_ERROR_PAGE = "/documentation/business-messaging/whatsapp/support/error-codes"


@dataclass(frozen=True)
class Failure:
    """Why a message failed, as a `failed` webhook says it.

    Attributes:
        code: Meta's error code.
        details: what stands in `error_data.details`; None is what Meta says with the code.
        code_is_text: whether the code is printed as a text, as Meta's page on template pacing does with 132015.
    """

    code: int
    details: str | None = None
    code_is_text: bool = False

    def as_error(self) -> dict[str, object]:
        """The entry of `errors` in the webhook."""
        words = words_for(self.code)
        return {
            "code": str(self.code) if self.code_is_text else self.code,
            "title": words.title,
            "message": words.title,
            "error_data": {"details": words.details if self.details is None else self.details},
            "href": _ERROR_PAGE,
        }


@dataclass(frozen=True)
class StatusEvent:
    """One status that a message reaches.

    Attributes:
        status: its name in the webhook.
        after: seconds since the message was accepted, or released if it was held.
        failure: why it failed; None for every other status.
    """

    status: Status
    after: float
    failure: Failure | None = None


def course_of(wamid: str, options: SimulatorOptions) -> list[StatusEvent]:
    """Decides what becomes of a message; nothing but the seed and the wamid settles it, so that runs repeat.

    A message that fails with 131026 never was `sent`: the recipient is not on WhatsApp.

    Args:
        wamid: Meta's id of the message.
        options: shares, delays in seconds and the seed.

    Returns:
        The statuses in the order of their time.
    """
    sent = _delay("sent", wamid, options)
    fate = draw(options.seed, "fate", wamid)
    if fate < options.failed_share:
        return [StatusEvent("failed", sent, Failure(_NOT_ON_WHATSAPP))]
    course = [StatusEvent("sent", sent)]
    if fate < options.failed_share + options.delivered_share:
        delivered = max(sent, _delay("delivered", wamid, options))
        course.append(StatusEvent("delivered", delivered))
        if draw(options.seed, "read", wamid) < options.read_share:
            course.append(StatusEvent("read", max(delivered, _delay("read", wamid, options))))
    return course


def course_to_failure(wamid: str, failure: Failure, options: SimulatorOptions) -> list[StatusEvent]:
    """The course of a message that fails in place of being sent.

    Args:
        wamid: Meta's id of the message.
        failure: why it fails.
        options: delays in seconds and the seed.

    Returns:
        One status, `failed`, at the time of `sent`.
    """
    return [StatusEvent("failed", _delay("sent", wamid, options), failure)]


def course_to_late_failure(wamid: str, failure: Failure, options: SimulatorOptions) -> list[StatusEvent]:
    """The course of a message that is sent and fails afterwards.

    Args:
        wamid: Meta's id of the message.
        failure: why it fails.
        options: delays in seconds and the seed.

    Returns:
        `sent`, and `failed` at the time of `delivered`.
    """
    sent = _delay("sent", wamid, options)
    return [
        StatusEvent("sent", sent),
        StatusEvent("failed", max(sent, _delay("delivered", wamid, options)), failure),
    ]


def _delay(status: Literal["sent", "delivered", "read"], wamid: str, options: SimulatorOptions) -> float:
    after: float = getattr(options, f"{status}_after")
    jitter: float = getattr(options, f"{status}_jitter")
    return after + jitter * draw(options.seed, "delay", status, wamid)


def webhook_payload(
    message: AcceptedMessage,
    status: Status,
    unix_seconds: float,
    options: SimulatorOptions,
    failure: Failure | None = None,
) -> dict[str, Any]:
    """Builds the body of one status webhook in the shape of v24 and later, without `conversation`.

    As Meta does: `contacts` and the business-scoped user id are left out of `failed`, and pricing comes with `sent` and
    with `delivered` but not again with `read`.

    Args:
        message: the message that it is about.
        status: what it reached.
        unix_seconds: when, in seconds since 1970 in UTC.
        options: the account's ids.
        failure: why it failed; None is a number that is not on WhatsApp.

    Returns:
        The payload with one status.
    """
    entry: dict[str, object] = {
        "id": message.wamid,
        "status": status,
        "timestamp": str(int(unix_seconds)),
    }
    value: dict[str, object] = {"messaging_product": "whatsapp", "metadata": metadata_of(options)}
    if message.biz_opaque_callback_data is not None:
        entry["biz_opaque_callback_data"] = message.biz_opaque_callback_data
    if status == "failed":
        # To a phone number it was sent, and of that number Meta speaks, whatever else it knows of the person.
        entry["recipient_id"] = shown_wa_id(message.to, options)
        entry["errors"] = [(failure or Failure(_NOT_ON_WHATSAPP)).as_error()]
    else:
        entry |= ids_of(message.to, options, wa_id_as="recipient_id", user_id_as="recipient_user_id")
        value["contacts"] = [contact_of(message.to, options)]
    if status in ("sent", "delivered"):
        entry["pricing"] = _PRICING
    value["statuses"] = [entry]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": options.business_account_id, "changes": [{"value": value, "field": "messages"}]}],
    }
