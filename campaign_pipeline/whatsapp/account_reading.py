"""What Meta says of the account: its phone number, its token, its webhook subscription.

Add here a fact that the Graph API lets the token read, as a type and a function that reads it from JSON.
Keep out what is good or bad about it, and what follows: `interfaces.command_line.diagnosis`, `sending.limits`.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/messaging-limits, read 2026-09-11, and the
Graph API's references of phone number, WhatsApp Business Account and debug_token. Nothing here changes anything.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

import requests

from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.graph_answers import graph_error, json_of, text_of

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 20.0
"""Seconds; somebody waits for the answer."""

UNLIMITED: Final = 1_000_000_000
"""How an unlimited tier is written as a number of people."""

_TIERS: Final = {
    "TIER_50": 50,
    "TIER_250": 250,
    "TIER_1K": 1_000,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
    "TIER_UNLIMITED": UNLIMITED,
}
"""TIER_1K is no longer given, but stands in old answers; TIER_NOT_SET says nothing, and so is not here."""

_NUMBER_FIELDS: Final = (
    "id,display_phone_number,verified_name,quality_rating,status,name_status,throughput,"
    "whatsapp_business_manager_messaging_limit,code_verification_status"
)


class AccountReadingError(Exception):
    """The account could not be read.

    Attributes:
        server_time: The moment that the answer gives, UTC; None without an answer.
    """

    def __init__(self, sentence: str, server_time: datetime | None = None) -> None:
        self.server_time = server_time
        super().__init__(sentence)


class UnreachableError(AccountReadingError):
    """No answer came, or none that the Graph API gives."""


class RefusedError(AccountReadingError):
    """The Graph API has refused.

    Attributes:
        code: Its error code.
        subcode: Its subcode; 463 of code 190 is an expired token.
    """

    def __init__(self, code: int, subcode: int | None, text: str, server_time: datetime | None) -> None:
        self.code = code
        self.subcode = subcode
        super().__init__(text, server_time)


@dataclass(frozen=True, slots=True)
class MessagingLimit:
    """The portfolio's tier.

    Attributes:
        name: As Meta writes it.
        people: Different people in any 24 hours; None for a tier that nobody knows, or that is not set.
    """

    name: str
    people: int | None

    @classmethod
    def read(cls, told: object) -> Self | None:
        """Reads a tier as the API and the webhooks write it: TIER_2K, 2000, "2000", and -1 for unlimited."""
        if isinstance(told, bool) or not isinstance(told, str | int):
            return None
        name = str(told).strip().upper()
        if not name:
            return None
        if name in _TIERS:
            return cls(name, _TIERS[name])
        if name == "-1":
            return cls(name, UNLIMITED)
        is_number = name.isascii() and name.isdigit() and 0 < len(name) <= len(str(UNLIMITED))
        return cls(name[:100], min(int(name), UNLIMITED) or None if is_number else None)


@dataclass(frozen=True, slots=True)
class PhoneNumberFacts:
    """The business phone number; a fact that Meta has left out is None.

    Attributes:
        display: As people see it.
        name: The verified name.
        quality: GREEN, YELLOW, RED or UNKNOWN.
        status: CONNECTED, FLAGGED, RESTRICTED …
        name_status: APPROVED, DECLINED …
        throughput: STANDARD (80 messages a second) or HIGH (1,000).
        limit: The tier of its business portfolio.
        server_time: The moment that the answer gives, UTC.
    """

    display: str | None
    name: str | None
    quality: str | None
    status: str | None
    name_status: str | None
    throughput: str | None
    limit: MessagingLimit | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """The access token, without the token.

    Attributes:
        is_valid: Whether Meta takes it.
        expires_at: Until when, UTC; None for one that does not expire, as a system user's may.
        permissions: What it may do.
    """

    is_valid: bool
    expires_at: datetime | None
    permissions: frozenset[str]


class AccountReader:
    """Reads the account over one session; nothing is tried twice, and no address in an error shows the token."""

    def __init__(self, account: CloudApiAccount) -> None:
        self._account = account
        self._root = f"{account.base_url.rstrip('/')}/{account.api_version}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {account.access_token}"

    def phone_number(self) -> PhoneNumberFacts:
        """Reads the business phone number.

        Raises:
            AccountReadingError: It could not be read.
        """
        body, server_time = self._get(self._account.phone_number_id, {"fields": _NUMBER_FIELDS})
        return read_phone_number(body, server_time)

    def token(self) -> TokenFacts:
        """Reads what the token may do and until when.

        Raises:
            AccountReadingError: It could not be read.
        """
        body, _ = self._get("debug_token", {"input_token": self._account.access_token})
        return read_token(body)

    def subscribed_apps(self, business_account_id: str) -> list[str]:
        """Reads the names of the apps that get the business account's webhooks.

        Raises:
            AccountReadingError: They could not be read.
        """
        body, _ = self._get(f"{business_account_id}/subscribed_apps", {})
        return read_subscribed_apps(body)

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()

    def _get(self, path: str, parameters: dict[str, str]) -> tuple[dict[str, Any], datetime | None]:
        try:
            response = self._session.get(
                f"{self._root}/{path}",
                params=parameters,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
            )
        except (requests.RequestException, UnicodeError) as error:
            # The words of the error quote the address, and the token in it.
            raise UnreachableError(f"no answer came from {self._account.base_url} ({type(error).__name__})") from None
        server_time = _server_time(response.headers.get("Date"))
        body = json_of(response)
        refusal = graph_error(body)
        if refusal is not None:
            text = (text_of(refusal) or "no reason was given")[:300]
            raise RefusedError(int(refusal["code"]), _subcode(refusal), text, server_time)
        if response.status_code != requests.codes.ok or not isinstance(body, dict) or not body:
            sentence = f"{self._account.base_url} answered HTTP {response.status_code}, and not as the Graph API does"
            raise UnreachableError(sentence, server_time)
        return body, server_time


def read_phone_number(body: dict[str, Any], server_time: datetime | None) -> PhoneNumberFacts:
    """Reads the answer about a phone number; what is missing or new is None, never an error."""
    throughput = body.get("throughput")
    return PhoneNumberFacts(
        display=_text(body.get("display_phone_number")),
        name=_text(body.get("verified_name")),
        quality=_word(body.get("quality_rating")),
        status=_word(body.get("status")),
        name_status=_word(body.get("name_status")),
        throughput=_word(throughput.get("level") if isinstance(throughput, dict) else None),
        limit=MessagingLimit.read(body.get("whatsapp_business_manager_messaging_limit")),
        server_time=server_time,
    )


def read_token(body: dict[str, Any]) -> TokenFacts:
    """Reads the answer about a token."""
    data = body.get("data")
    facts = data if isinstance(data, dict) else {}
    scopes = facts.get("scopes")
    expires = facts.get("expires_at")
    try:
        expires_at = datetime.fromtimestamp(expires, UTC) if isinstance(expires, int) and expires > 0 else None
    except (ValueError, OverflowError, OSError):
        expires_at = None
    return TokenFacts(
        is_valid=facts.get("is_valid") is True,
        expires_at=expires_at,
        permissions=frozenset(each for each in scopes if isinstance(each, str))
        if isinstance(scopes, list)
        else frozenset(),
    )


def read_subscribed_apps(body: dict[str, Any]) -> list[str]:
    """Reads the answer about subscribed apps: a name for each, its id where it has none."""
    names: list[str] = []
    apps = body.get("data")
    for each in apps if isinstance(apps, list) else []:
        app = each.get("whatsapp_business_api_data") if isinstance(each, dict) else None
        if isinstance(app, dict):
            names.append(_text(app.get("name")) or _text(app.get("id")) or "an app without a name")
    return names


def _subcode(refusal: dict[str, Any]) -> int | None:
    subcode = str(refusal.get("error_subcode"))
    return int(subcode) if subcode.isascii() and subcode.isdigit() and len(subcode) < 10 else None


def _server_time(header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value.strip() else None


def _word(value: object) -> str | None:
    text = _text(value)
    return text.strip().upper() if text is not None else None
