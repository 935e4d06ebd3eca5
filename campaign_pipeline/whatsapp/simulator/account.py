"""The account behind the local Cloud API: its phone number, business account, token and webhook subscription.

Add here a field or an object that Meta lets a token read, or something about the account that a test has to change.
Keep out routes (account_routes.py) and the sending of messages (messages.py).
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits and the Graph API's
references of WhatsApp Business Account, phone number and debug_token.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from campaign_pipeline.whatsapp.simulator import graph_errors
from campaign_pipeline.whatsapp.simulator.graph_errors import GraphError
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions

MESSAGING: Final = "whatsapp_business_messaging"
MANAGEMENT: Final = "whatsapp_business_management"

_APP_ID: Final = "1234567890123456"
_EXPIRED_AT: Final = 1_767_225_600
"""1 January 2026, in Unix seconds: when a token has expired that was told to be."""


@dataclass(frozen=True, kw_only=True)
class AccountState:
    """What can be changed about the account while the simulator runs.

    Attributes:
        quality_rating: GREEN, YELLOW, RED or UNKNOWN.
        tier: the messaging limit, TIER_250 and so on.
        status: of the phone number: CONNECTED, FLAGGED, RESTRICTED and so on.
        throughput: STANDARD or HIGH.
        expired: whether the access token is let in no more.
        scopes: the permissions that the token has.
        subscribed: whether an app is subscribed to the business account's webhooks.
    """

    quality_rating: str = "GREEN"
    tier: str = "TIER_250"
    status: str = "CONNECTED"
    throughput: str = "STANDARD"
    expired: bool = False
    scopes: Sequence[str] = field(default=(MESSAGING, MANAGEMENT))
    subscribed: bool = True


class Account:
    """One account, and what it answers to whoever reads it.

    Attributes:
        state: how it stands now.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        """Makes an account in which all is well.

        Args:
            options: the ids and the token of the account.
        """
        self.state = AccountState()
        self._options = options

    def change(self, **changes: object) -> AccountState:
        """Changes some of the account; what is not named stays.

        Args:
            changes: fields of `AccountState`.

        Returns:
            How it stands now.
        """
        self.state = replace(self.state, **changes)
        return self.state

    def let_in(self, authorization: str | None) -> GraphError | None:
        """Looks at the header of a request; gives Meta's refusal, or None when the token is good."""
        expected = f"Bearer {self._options.access_token}".encode()
        if not hmac.compare_digest((authorization or "").encode(), expected):
            return graph_errors.not_authenticated()
        return graph_errors.token_expired() if self.state.expired else None

    def node(self, node_id: str, fields: Sequence[str]) -> dict[str, object] | GraphError:
        """Answers what is known of an object, as `GET /{id}?fields=` does.

        Args:
            node_id: the phone number's id or the business account's.
            fields: the fields that are asked for; without any, a few that Meta gives by itself.

        Returns:
            The id and the fields, or Meta's refusal.
        """
        if node_id == self._options.phone_number_id:
            known, usual = self._phone_number(), ("display_phone_number", "verified_name", "quality_rating")
        elif node_id == self._options.business_account_id:
            if MANAGEMENT not in self.state.scopes:
                return graph_errors.no_permission()
            known, usual = self._business_account(), ("name", "timezone_id")
        else:
            return graph_errors.unknown_object(node_id)
        asked = list(fields or usual)
        missing = next((name for name in asked if name != "id" and name not in known), None)
        if missing is not None:
            return graph_errors.nonexisting_field(missing)
        return {**{name: known[name] for name in asked if name != "id"}, "id": node_id}

    def token(self, input_token: str) -> dict[str, object]:
        """Answers what is known of a token, as `GET /debug_token` does."""
        data: dict[str, object] = {"app_id": _APP_ID, "type": "SYSTEM_USER", "application": "Campaigns"}
        if not hmac.compare_digest(input_token.encode(), self._options.access_token.encode()):
            error = {"code": 190, "message": "Malformed access token"}
            return {"data": {"error": error, "is_valid": False, "scopes": []}}
        expired = self.state.expired
        return {
            "data": {
                **data,
                "expires_at": _EXPIRED_AT if expired else 0,
                "is_valid": not expired,
                "scopes": list(self.state.scopes),
                "user_id": "122100000000000000",
            }
        }

    def subscribed_apps(self, business_account_id: str) -> dict[str, object] | GraphError:
        """Answers which apps get the business account's webhooks."""
        if business_account_id != self._options.business_account_id:
            return graph_errors.unknown_object(business_account_id)
        if MANAGEMENT not in self.state.scopes:
            return graph_errors.no_permission()
        app = {"id": _APP_ID, "link": f"https://www.facebook.com/games/?app_id={_APP_ID}", "name": "Campaigns"}
        return {"data": [{"whatsapp_business_api_data": app}] if self.state.subscribed else []}

    def _phone_number(self) -> dict[str, object]:
        return {
            "display_phone_number": f"+{self._options.display_phone_number}",
            "verified_name": "Local Business",
            "quality_rating": self.state.quality_rating,
            "status": self.state.status,
            "name_status": "APPROVED",
            "throughput": {"level": self.state.throughput},
            "whatsapp_business_manager_messaging_limit": self.state.tier,
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API",
        }

    def _business_account(self) -> dict[str, object]:
        return {
            "name": "Local Business",
            "account_review_status": "APPROVED",
            "business_verification_status": "verified",
            "currency": "EUR",
            "timezone_id": "1",
            "message_template_namespace": "00000000_0000_0000_0000_000000000000",
        }
