"""Every environment variable, typed, in one place.

Add here a variable, with what it means and a default that is the safe choice; the README's table follows this file.
Keep out what is done with it: the properties at the end only hand each room its part.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from campaign_pipeline.campaigns.calendar import SendCalendar, SendWindow
from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.inbound_store import InboundTerms
from campaign_pipeline.delivery.stop_rule import DEFAULT_RULE, StopRule
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.recipients.destinations import UsNumbers
from campaign_pipeline.recipients.folders import ListFolders
from campaign_pipeline.recipients.phone_numbers import check_default_region
from campaign_pipeline.recipients.stop_words import vocabulary
from campaign_pipeline.sending.account_terms import AccountTerms
from campaign_pipeline.whatsapp.account import CloudApiAccount

META: Final = "https://graph.facebook.com"

_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


class SettingsError(ValueError):
    """Something has to be set before this can be done; the message says what."""


class UnsignedWebhooks(StrEnum):
    """What is done with webhooks when no app secret is set."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class MetricsAccess(StrEnum):
    """Who may read `/metrics`."""

    TOKEN = "token"  # noqa: S105 - the word for it
    OPEN = "open"


class Settings(BaseSettings):
    """The configuration, from the environment and, behind it, from `.env` in the present folder."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        # The message of a refused setting would show all the others, the token among them.
        hide_input_in_errors=True,
    )

    database_url: Annotated[str | None, Field(validation_alias="CAMPAIGN_DATABASE_URL")] = None
    """The ledger; without it, a SQLite file in the data folder."""
    data_dir: Annotated[Path, Field(validation_alias="CAMPAIGN_DATA_DIR")] = Path("data")
    """Inbox, archive, rejected files, kept lists, and the ledger if it is SQLite."""
    timezone: Annotated[str, Field(validation_alias="CAMPAIGN_TIMEZONE")] = "UTC"
    """The business's time zone: its dates are the send dates, its clock is the send time's."""
    default_region: Annotated[str | None, Field(validation_alias="CAMPAIGN_DEFAULT_REGION")] = None
    """The country (GB, DE …) of numbers written without a country code; without it they are refused."""
    us_numbers: Annotated[UsNumbers, Field(validation_alias="CAMPAIGN_US_NUMBERS")] = UsNumbers.REJECT
    """Whether lists may bring numbers of the United States, to which WhatsApp delivers no marketing messages."""
    start_date: Annotated[date | None, Field(validation_alias="CAMPAIGN_START_DATE")] = None
    """The first send date there is; `campaign init` writes it down once. Without it, today."""
    send_time: Annotated[time, Field(validation_alias="CAMPAIGN_SEND_TIME")] = time(9)
    """When the day's batch is started, local time."""
    send_window: Annotated[str, Field(validation_alias="CAMPAIGN_SEND_WINDOW")] = "09:00-20:00"
    """When messages may go out, local time; 00:00-24:00 is always."""
    sender_limit: Annotated[int, Field(validation_alias="CAMPAIGN_SENDER_LIMIT", ge=0)] = 250
    """Different people whom the business portfolio may reach in any 24 hours: Meta's tier."""
    limit_ceiling: Annotated[int | None, Field(validation_alias="CAMPAIGN_LIMIT_CEILING", ge=0)] = None
    """How far a limit that Meta tells is taken over; without it, never above what was set here or by a person."""
    sender_rate: Annotated[float, Field(validation_alias="CAMPAIGN_SENDER_RATE", gt=0, le=1000)] = 20.0
    """Messages a second; Meta allows 80, and automated replies on the same number need some of them."""
    stop_after: Annotated[int, Field(validation_alias="CAMPAIGN_STOP_AFTER", ge=5, le=1000)] = DEFAULT_RULE.last
    """Of so many last messages of a campaign the failures are counted."""
    stop_share: Annotated[int, Field(validation_alias="CAMPAIGN_STOP_SHARE", ge=1, le=100)] = DEFAULT_RULE.percent
    """More failures than this, per cent, pause the campaign; 100 never does."""
    resume_unpaused: Annotated[bool, Field(validation_alias="CAMPAIGN_RESUME_UNPAUSED")] = True
    """Whether campaigns go on by themselves once Meta has unpaused their template."""
    ingest_seconds: Annotated[float, Field(validation_alias="CAMPAIGN_INGEST_SECONDS", gt=0)] = 300.0
    """How long one run takes status files in; the next run goes on, in the middle of a file if need be."""
    stop_words: Annotated[str, Field(validation_alias="CAMPAIGN_STOP_WORDS")] = ""
    """Words and button payloads, separated by commas, that say stop beside those of every installation."""
    start_words: Annotated[str, Field(validation_alias="CAMPAIGN_START_WORDS")] = ""
    """Likewise of those that bring messages back."""
    require_opt_in: Annotated[bool, Field(validation_alias="CAMPAIGN_REQUIRE_OPT_IN")] = False
    """Whether only those are added and sent to of whom a list, or their own START, shows that they agreed."""
    reply_window: Annotated[float, Field(validation_alias="CAMPAIGN_REPLY_WINDOW", gt=0, le=24 * 30)] = 72
    """Hours after a message in which the person's answer counts as a reply to it."""
    whatsapp_base_url: Annotated[str, Field(validation_alias="WHATSAPP_BASE_URL", pattern=r"^https?://")] = META
    """Meta, or the local simulator."""
    whatsapp_api_version: Annotated[str, Field(validation_alias="WHATSAPP_API_VERSION", pattern=r"^v\d+\.\d+$")] = (
        "v25.0"
    )
    """The Graph API's version; always sent, so that an upgrade is a decision."""
    whatsapp_phone_number_id: Annotated[str | None, Field(validation_alias="WHATSAPP_PHONE_NUMBER_ID")] = None
    """Meta's id of the business phone number."""
    whatsapp_business_account_id: Annotated[str | None, Field(validation_alias="WHATSAPP_BUSINESS_ACCOUNT_ID")] = None
    """Meta's id of the business account that the templates belong to; with it a campaign's template is looked at."""
    whatsapp_access_token: Annotated[SecretStr | None, Field(validation_alias="WHATSAPP_ACCESS_TOKEN")] = None
    """A system user's token with whatsapp_business_messaging; never shown."""
    dagster_webserver_url: Annotated[str, Field(validation_alias="DAGSTER_WEBSERVER_URL", pattern=r"^https?://")] = (
        "http://127.0.0.1:3000"
    )
    """Where the REST API starts the day's run."""
    upload_limit: Annotated[int, Field(validation_alias="CAMPAIGN_UPLOAD_LIMIT", ge=1)] = 1024**3
    """Bytes of a recipient list that the REST API takes in."""
    metrics: Annotated[MetricsAccess, Field(validation_alias="CAMPAIGN_METRICS")] = MetricsAccess.TOKEN
    """Whether `/metrics` takes a token of the role viewer, or is open to whoever can reach the port."""

    whatsapp_app_secret: Annotated[SecretStr | None, Field(validation_alias="WHATSAPP_APP_SECRET")] = None
    """The secret of Meta's app, which webhooks are signed with; several, with commas, while it is being replaced."""
    webhook_verify_token: Annotated[SecretStr | None, Field(validation_alias="WEBHOOK_VERIFY_TOKEN")] = None
    """A word of your own, that Meta says when the webhook is set up."""
    webhook_unsigned: Annotated[UnsignedWebhooks, Field(validation_alias="WEBHOOK_UNSIGNED")] = UnsignedWebhooks.REFUSE
    """Whether webhooks are taken without an app secret, from whoever posts them."""
    webhook_forward_url: Annotated[SecretStr | None, Field(validation_alias="WEBHOOK_FORWARD_URL")] = None
    """The receiver of automated replies, which every webhook is passed on to; it may hold a token of its own."""
    webhook_forward_mb: Annotated[int, Field(validation_alias="WEBHOOK_FORWARD_MB", ge=64)] = 2_048
    """Megabytes that may wait to be passed on; beyond them the oldest are given up."""
    webhook_file_mb: Annotated[float, Field(validation_alias="WEBHOOK_FILE_MB", gt=0, le=64)] = 16.0
    """A file of webhooks that has so many megabytes goes into the inbox."""
    webhook_file_seconds: Annotated[float, Field(validation_alias="WEBHOOK_FILE_SECONDS", gt=0, le=3600)] = 5.0
    """So does one that was begun so long ago."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in values.items() if not (isinstance(value, str) and not value.strip())}

    @field_validator("send_time")
    @classmethod
    def _send_time_is_local(cls, value: time) -> time:
        if value.tzinfo is not None:
            msg = "the send time is one of CAMPAIGN_TIMEZONE: write it without an offset, as in 09:00"
            raise ValueError(msg)
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = f"{value!r} is no time zone; write it as in Europe/London"
            raise ValueError(msg) from error
        return value

    @field_validator("default_region")
    @classmethod
    def _region_is_known(cls, value: str | None) -> str | None:
        return check_default_region(value)

    @field_validator("whatsapp_phone_number_id", "whatsapp_business_account_id")
    @classmethod
    def _id_fits_into_a_request(cls, value: str | None) -> str | None:
        return None if value is None else _visible(value)

    @field_validator("whatsapp_access_token")
    @classmethod
    def _token_fits_into_a_request(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(_visible(value.get_secret_value()))

    @model_validator(mode="after")
    def _send_time_is_in_window(self) -> Self:
        window = SendWindow.parse(self.send_window)
        after_opening = window.opens <= self.send_time
        before_closing = window.closes is None or self.send_time < window.closes
        if not (after_opening and before_closing):
            msg = f"CAMPAIGN_SEND_TIME {self.send_time:%H:%M} is outside CAMPAIGN_SEND_WINDOW {window}"
            raise ValueError(msg)
        return self

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ledger.sqlite3'}"

    @property
    def calendar(self) -> SendCalendar:
        """The business's days."""
        zone = ZoneInfo(self.timezone)
        start = self.start_date or datetime.now(UTC).astimezone(zone).date()
        return SendCalendar(zone, start, self.send_time, SendWindow.parse(self.send_window))

    @property
    def list_folders(self) -> ListFolders:
        """Where recipient lists are kept."""
        return ListFolders(
            waiting=self.data_dir / "lists", kept=self.data_dir / "kept", rejected=self.data_dir / "rejected"
        )

    @property
    def upload_folder(self) -> Path:
        """Where lists lie that come over the REST API, until they are taken in."""
        return self.data_dir / "uploads"

    @property
    def account_terms(self) -> AccountTerms:
        """How Meta's words about the account are taken."""
        return AccountTerms(
            self.whatsapp_business_account_id, self.sender_limit, self.limit_ceiling, self.resume_unpaused
        )

    @property
    def stop_rule(self) -> StopRule:
        """When the failures of a campaign's last messages pause it."""
        return StopRule(self.stop_after, self.stop_share)

    @property
    def consent(self) -> ConsentNeeded:
        """What has to be known of somebody's consent."""
        return ConsentNeeded.EVIDENCE if self.require_opt_in else ConsentNeeded.UPLOAD

    @property
    def inbound_terms(self) -> InboundTerms:
        """How inbound messages are taken."""
        words = vocabulary(_separated(self.stop_words), _separated(self.start_words))
        return InboundTerms(words, timedelta(hours=self.reply_window))

    @property
    def status_folders(self) -> StatusFolders:
        """Where status files come in and end up."""
        return StatusFolders(
            inbox=self.data_dir / "inbox", archive=self.data_dir / "archive", rejected=self.data_dir / "rejected"
        )

    @property
    def forward_folder(self) -> Path:
        """Where webhooks wait to be passed on."""
        return self.data_dir / "forward"

    @property
    def app_secrets(self) -> tuple[str, ...]:
        """Any of which a webhook may be signed with."""
        said = "" if self.whatsapp_app_secret is None else self.whatsapp_app_secret.get_secret_value()
        return tuple(secret.strip() for secret in said.split(",") if secret.strip())

    @property
    def account(self) -> CloudApiAccount:
        """Who calls the Cloud API.

        Raises:
            SettingsError: Phone number id or token are missing.
        """
        if self.whatsapp_access_token is None:
            msg = "Nothing can be sent: set WHATSAPP_ACCESS_TOKEN (of a system user) in the environment or .env."
            raise SettingsError(msg)
        if self.whatsapp_phone_number_id is None:
            msg = "Nothing can be sent: set WHATSAPP_PHONE_NUMBER_ID (Meta's id of it) in the environment or .env."
            raise SettingsError(msg)
        return CloudApiAccount(
            self.whatsapp_base_url,
            self.whatsapp_api_version,
            self.whatsapp_phone_number_id,
            self.whatsapp_access_token.get_secret_value(),
        )


def _separated(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())


def _visible(value: str) -> str:
    """A value that is sent to Meta, without space around it; the message does not show it."""
    stripped = value.strip()
    if not _VISIBLE_ASCII.fullmatch(stripped):
        msg = "it holds a space, a line end or a letter that Meta never uses: copy it from Meta's page again"
        raise ValueError(msg)
    return stripped
