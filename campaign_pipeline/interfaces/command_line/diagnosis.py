"""What is good and bad about an installation and its account: each fact judged by itself, in one line with what to do.

Add here a judgement. Everything is pure: facts and the moment come in as arguments, a finding comes out.
Keep out how the facts are read: `examination`. No secret comes here, and so none can be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from campaign_pipeline.sending.limits import Limit
from campaign_pipeline.whatsapp.account_reading import (
    UNLIMITED,
    AccountReadingError,
    MessagingLimit,
    PhoneNumberFacts,
    RefusedError,
    TokenFacts,
)
from campaign_pipeline.whatsapp.read_refusals import ReadRefusal, refusal_by

CLOCK_TOLERANCE: Final = timedelta(seconds=60)
"""As far as a run's clock may go ahead before it stops."""

TOKEN_ENDS_SOON: Final = timedelta(days=14)

NEEDED_PERMISSIONS: Final = ("whatsapp_business_messaging", "whatsapp_business_management")

MESSAGES_A_SECOND: Final = {"STANDARD": 80, "HIGH": 1_000}
"""Source: developers.facebook.com/documentation/business-messaging/whatsapp/throughput, read 2026-09-11."""

LEAST_FREE_SPACE: Final = 100 * 1024 * 1024
"""Bytes below which a folder is as good as full."""

MUCH_WAITING: Final = 64 * 1024 * 1024
"""Bytes of webhooks that wait to be passed on; a receiver that works leaves less than a file of them."""

_EXPIRED: Final = 463
_ID_OF: Final = {"number": "WHATSAPP_PHONE_NUMBER_ID", "webhooks": "WHATSAPP_BUSINESS_ACCOUNT_ID"}
_IN_SERVICE: Final = "CONNECTED"
_MENDS_ITSELF: Final = ("FLAGGED", "RATE_LIMITED", "UNKNOWN", "UNVERIFIED", "PENDING")


class Level(StrEnum):
    """How bad something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        name: What was looked at, for programs.
        level: Whether something has to be done.
        sentence: What was found, and what to do about it.
    """

    name: str
    level: Level
    sentence: str


def ok(name: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(name, Level.OK, sentence)


def warning(name: str, sentence: str) -> Finding:
    """Sending goes on, and somebody should look."""
    return Finding(name, Level.WARNING, sentence)


def problem(name: str, sentence: str) -> Finding:
    """Sending does not go on, or should not."""
    return Finding(name, Level.PROBLEM, sentence)


def judge_unread(error: AccountReadingError, what: str) -> Finding:
    """Why an object of the account could not be read; a token that is not let in is named as that."""
    if not isinstance(error, RefusedError):
        return problem("cloud_api", f"WhatsApp cannot be reached: {error}. Look at the network and WHATSAPP_BASE_URL.")
    match refusal_by(error.code):
        case ReadRefusal.TOKEN:
            found = "has expired" if error.subcode == _EXPIRED else "is not valid"
            return problem(
                "token", f"The access token {found}: make a new one of a system user and set WHATSAPP_ACCESS_TOKEN."
            )
        case ReadRefusal.PERMISSION:
            sentence = (
                f"The token may not read it (code {error.code}): give the system user the account and "
                f"{' and '.join(NEEDED_PERMISSIONS)}."
            )
        case ReadRefusal.WRONG_ID:
            sentence = (
                f"There is nothing by the id that was asked for, or the token may not see it (code {error.code}: "
                f"{error}). Look at {_ID_OF.get(what, 'the ids in the settings')}, then at what the token may see."
            )
        case ReadRefusal.TOO_FAST:
            sentence = f"WhatsApp does not tell at this moment (code {error.code}): try again in some minutes."
        case ReadRefusal.OTHER:
            sentence = (
                f"WhatsApp refuses to tell (code {error.code}: {error}). Look at the ids in the settings and at the "
                "token."
            )
    return problem(what, sentence)


def judge_token(token: TokenFacts, now: datetime) -> list[Finding]:
    """Whether the token is good, until when, and for what."""
    if not token.is_valid:
        return [problem("token", "The access token is not valid: make a new one of a system user and set it.")]
    if token.expires_at is None:
        until = ok("token", "The access token is valid and does not expire.")
    elif token.expires_at <= now:
        until = problem("token", f"The access token expired on {token.expires_at:%Y-%m-%d}: make a new one and set it.")
    elif token.expires_at - now < TOKEN_ENDS_SOON:
        until = warning(
            "token",
            f"The access token expires on {token.expires_at:%Y-%m-%d %H:%M} UTC: make one of a system user that does "
            "not, and set it.",
        )
    else:
        until = ok("token", f"The access token is valid until {token.expires_at:%Y-%m-%d}.")
    missing = [name for name in NEEDED_PERMISSIONS if name not in token.permissions]
    if missing:
        sentence = f"The token lacks {' and '.join(missing)}: make one that has it and set WHATSAPP_ACCESS_TOKEN."
        return [until, problem("permissions", sentence)]
    return [until, ok("permissions", "The token may send messages and read the account.")]


def judge_number(number: PhoneNumberFacts) -> list[Finding]:
    """The phone number: in service, its name where it was declined, its quality, its throughput."""
    return [
        _judge_status(number),
        *_judge_name(number),
        _judge_quality(number.quality),
        _judge_throughput(number.throughput),
    ]


def judge_rate(rate: float, throughput: str | None) -> list[Finding]:
    """Whether messages are sent faster than the number takes them."""
    most = MESSAGES_A_SECOND.get(throughput or "STANDARD", MESSAGES_A_SECOND["STANDARD"])
    if rate <= most:
        return []
    return [
        warning(
            "rate", f"CAMPAIGN_SENDER_RATE is {rate:g} a second, and the number takes {most}: lower it, to 20 or so."
        )
    ]


def judge_limit(told: MessagingLimit | None, in_force: Limit) -> Finding:
    """The limit in force against the tier that Meta has."""
    if told is None or told.people is None:
        name = told.name if told is not None else "nothing"
        return warning(
            "limit",
            f"Meta says {name} of its limit; {in_force.people:,} people in 24 hours are in force, by "
            f"{in_force.source}. Look in WhatsApp Manager.",
        )
    tier = "no limit" if told.people >= UNLIMITED else f"{told.people:,} people"
    if in_force.people > told.people:
        return problem(
            "limit",
            f"{in_force.people:,} people in 24 hours are in force, and Meta allows {tier} ({told.name}): "
            "`campaign limit from-meta` takes that over.",
        )
    if in_force.people < told.people:
        return ok(
            "limit",
            f"{in_force.people:,} people in 24 hours are in force; Meta allows {tier} ({told.name}). To use it: "
            "`campaign limit from-meta --ceiling N`.",
        )
    return ok("limit", f"{in_force.people:,} people in 24 hours, as Meta has it ({told.name}).")


def judge_subscription(apps: Sequence[str]) -> Finding:
    """Whether anybody is sent the webhooks."""
    if not apps:
        return problem(
            "webhooks",
            "No app is subscribed to the business account, so no status comes in: subscribe yours in the App Dashboard "
            "(field messages).",
        )
    return ok("webhooks", f"Webhooks go to {', '.join(apps)}.")


def judge_receiver(
    *, has_secret: bool, has_verify_token: bool, takes_unsigned: bool, passes_on: bool, waiting_bytes: int
) -> Finding:
    """Whether `campaign serve` could receive webhooks with these settings, and what waits to be passed on."""
    if not has_secret and not takes_unsigned:
        return problem(
            "receiver",
            "`campaign serve` refuses every webhook: set WHATSAPP_APP_SECRET (App Dashboard, App settings, Basic).",
        )
    if not has_secret:
        return warning(
            "receiver", "`campaign serve` takes webhooks from whoever posts them: set WHATSAPP_APP_SECRET instead."
        )
    if not has_verify_token:
        return warning("receiver", "Meta cannot set the webhook up: set WEBHOOK_VERIFY_TOKEN to a word of your own.")
    if waiting_bytes and not passes_on:
        return warning(
            "receiver", "Webhooks wait to be passed on and nobody gets them: set WEBHOOK_FORWARD_URL or delete them."
        )
    if waiting_bytes > MUCH_WAITING:
        return warning(
            "receiver",
            f"{waiting_bytes // 1024 // 1024} MB of webhooks wait to be passed on: look at the receiver behind "
            "WEBHOOK_FORWARD_URL.",
        )
    return ok("receiver", "`campaign serve` can receive webhooks" + (" and passes them on." if passes_on else "."))


def judge_clock(here: datetime, there: datetime | None) -> list[Finding]:
    """This machine's clock against that of the answer; an answer without a time says nothing."""
    if there is None:
        return []
    ahead = here - there
    if abs(ahead) <= CLOCK_TOLERANCE:
        return [ok("clock", "This machine's clock is right.")]
    seconds = abs(round(ahead.total_seconds()))
    way = "ahead of" if ahead > timedelta(0) else "behind"
    return [
        problem(
            "clock",
            f"This machine's clock is {seconds:,} seconds {way} WhatsApp's: set it, and keep time synchronisation on. "
            "The moving 24 hours are counted by it.",
        )
    ]


def judge_sender(stop_reason: str | None, *, stopped: bool) -> Finding:
    """Whether a person or an answer has stopped all sending."""
    if stopped:
        reason = (stop_reason or "no reason was kept").rstrip(".")
        return problem("sender", f"The sender is stopped: {reason}. Once that is mended: `campaign sender resume`.")
    return ok("sender", "The sender is not stopped.")


def judge_folder(name: str, *, exists: bool, writable: bool, free: int | None) -> Finding | None:
    """A folder of the data folder; None when nothing is wrong with it."""
    if not exists:
        return problem("folders", f"There is no folder {name}: run `campaign init`.")
    if not writable:
        return problem("folders", f"Nothing can be written to {name}: give this user the right to.")
    if free is not None and free < LEAST_FREE_SPACE:
        return problem("folders", f"The disk of {name} is full but for {free // 1024 // 1024} MB: make room.")
    return None


def _judge_status(number: PhoneNumberFacts) -> Finding:
    shown = _shown(number)
    if number.status == _IN_SERVICE:
        return ok("number", f"{shown} is connected.")
    if number.status is None or number.status in _MENDS_ITSELF:
        return warning("number", f"{shown} is {number.status or 'in an unknown state'}: look in WhatsApp Manager.")
    return problem(
        "number", f"{shown} is {number.status}: nothing can be sent from it. WhatsApp Manager says what to mend."
    )


def _judge_name(number: PhoneNumberFacts) -> list[Finding]:
    if number.name_status != "DECLINED":
        return []
    sentence = f"The display name of {_shown(number)} was declined: choose another in WhatsApp Manager."
    return [warning("display_name", sentence)]


def _shown(number: PhoneNumberFacts) -> str:
    return " ".join(part for part in (number.display, f"({number.name})" if number.name else None) if part)


def _judge_quality(quality: str | None) -> Finding:
    if quality == "RED":
        return problem(
            "quality",
            "The number's quality is RED: people block or report it. Pause the campaigns, and look at whom you write "
            "to and what.",
        )
    if quality == "YELLOW":
        return warning("quality", "The number's quality is YELLOW: fewer or better messages bring it back to GREEN.")
    if quality == "GREEN":
        return ok("quality", "The number's quality is GREEN.")
    return ok("quality", f"The number's quality is {quality or 'not known'} so far: too few messages for a rating.")


def _judge_throughput(throughput: str | None) -> Finding:
    most = MESSAGES_A_SECOND.get(throughput or "")
    if most is None:
        return warning(
            "throughput", f"The number's throughput is {throughput or 'not known'}: look in WhatsApp Manager."
        )
    return ok("throughput", f"The number takes {most:,} messages a second ({throughput}).")
