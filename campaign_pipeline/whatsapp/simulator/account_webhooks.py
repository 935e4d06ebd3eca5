"""Webhooks about the account, its templates and its users' wishes, as Meta wraps them.

Add here a field that Meta's webhooks have, with its wrapping. Keep out statuses (statuses.py), messages of people
(inbound.py) and what stands in a value: whoever orders the webhook says it.
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview
"""

from enum import StrEnum
from typing import Any

from campaign_pipeline.whatsapp.simulator.identities import metadata_of
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions


class WebhookField(StrEnum):
    """The fields of webhooks that can be ordered."""

    TEMPLATE_STATUS = "message_template_status_update"
    TEMPLATE_QUALITY = "message_template_quality_update"
    TEMPLATE_CATEGORY = "template_category_update"
    BUSINESS_CAPABILITY = "business_capability_update"
    PHONE_NUMBER_QUALITY = "phone_number_quality_update"
    ACCOUNT = "account_update"
    ACCOUNT_ALERTS = "account_alerts"
    USER_PREFERENCES = "user_preferences"
    USER_ID = "user_id_update"


_ABOUT_USERS_OF_A_NUMBER = frozenset({WebhookField.USER_PREFERENCES, WebhookField.USER_ID})


def account_payload(
    field: WebhookField, value: dict[str, Any], unix_seconds: float, options: SimulatorOptions
) -> dict[str, Any]:
    """Builds the body of one webhook.

    Those about the account carry `time` and no `metadata`. Those about users belong to a business phone number: they
    carry `metadata` and no `time`.

    Args:
        field: what the webhook is about.
        value: what it says; it stands in the payload as it is.
        unix_seconds: when, in seconds since 1970 in UTC.
        options: the account's ids.

    Returns:
        The payload with one change.
    """
    entry: dict[str, object] = {"id": options.business_account_id}
    if field in _ABOUT_USERS_OF_A_NUMBER:
        value = {"messaging_product": "whatsapp", "metadata": metadata_of(options), **value}
    else:
        entry["time"] = int(unix_seconds)
    entry["changes"] = [{"value": value, "field": str(field)}]
    return {"object": "whatsapp_business_account", "entry": [entry]}
