"""What Meta's webhooks about the account say: which limit, which trouble, which template. Everything is pure.

Add here a field or an event of Meta's, with what it means to us.
Keep out what is then done: `sending.account_events`.

Source: reference pages of the fields under
developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference, read 2026-09-11.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from campaign_pipeline.ledger.states import PauseCause


@dataclass(frozen=True, slots=True)
class LimitTold:
    """The messaging limit is another one now.

    Attributes:
        tier: As Meta writes it, ``TIER_2K`` or a number.
    """

    tier: object


@dataclass(frozen=True, slots=True)
class Trouble:
    """Nothing may be sent any more until a person has looked at it; the reason is a sentence or two."""

    reason: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template by its name and the language as we write it, ``en_US``."""

    name: str
    language: str


@dataclass(frozen=True, slots=True)
class TemplateTrouble:
    """Nothing can be sent with a template any more.

    Attributes:
        template: Which.
        cause: TEMPLATE if Meta may lift it by itself.
        reason: A sentence or two, with what to do.
    """

    template: Template
    cause: PauseCause
    reason: str


@dataclass(frozen=True, slots=True)
class TemplateIsWell:
    """A template can be sent with again."""

    template: Template


Word = LimitTold | Trouble | TemplateTrouble | TemplateIsWell

_STOPPED_BY: Final = {
    "ACCOUNT_DELETED": "The business account was deleted.",
    "ACCOUNT_OFFBOARDED": "The business account was taken off the platform.",
}
_SEE_MANAGER: Final = "Look at the account in the WhatsApp Manager."

_TEMPLATE_TROUBLES: Final = {
    "PAUSED": (PauseCause.TEMPLATE, "Meta has paused the template for its low quality.", "Wait until it is unpaused."),
    "DISABLED": (PauseCause.FAULT, "Meta has disabled the template for good.", "Use another template."),
    "REJECTED": (PauseCause.FAULT, "Meta has rejected the template.", "Mend it and have it approved."),
    "DELETED": (PauseCause.FAULT, "The template was deleted.", "Use another template."),
    "PENDING_DELETION": (PauseCause.FAULT, "The template is being deleted.", "Use another template."),
    "ARCHIVED": (PauseCause.FAULT, "The template was archived.", "Take it out of the archive."),
    "LOCKED": (PauseCause.FAULT, "Meta has locked the template.", "Look at it in the WhatsApp Manager."),
    "PENDING": (PauseCause.FAULT, "The template was changed and waits for approval.", "Wait for the approval."),
}
_TEMPLATE_IS_WELL: Final = frozenset({"APPROVED", "REINSTATED", "UNARCHIVED", "UNPAUSED"})

_ABOUT_THE_LIMIT: Final = ("max_daily_conversations_per_business", "max_daily_conversation_per_phone", "current_limit")
"""The newest name first; the others were taken away in February 2026, and old webhooks have them."""


def subject_of(business_account_id: str, field: str, value: Mapping[str, Any]) -> str:
    """What a webhook is about, so that of two about the same the later one counts; empty if none overtakes it.

    Only words of one kind about one thing are about the same: an approved template says nothing about its quality, and
    whatever ends all sending stands, unless a ban is lifted.
    """
    about = _about(field, value)
    return f"{business_account_id}:{about}" if about else ""


def _about(field: str, value: Mapping[str, Any]) -> str:
    word = read_word(field, value)
    template = _template(value)
    if field == "message_template_quality_update":
        return f"quality:{template.name}:{template.language}"
    match word:
        case LimitTold():
            return "limit"
        case TemplateTrouble() | TemplateIsWell():
            return f"state:{template.name}:{template.language}"
        case _:
            return "ban" if _upper(value.get("event")) == "DISABLED_UPDATE" else ""


def read_word(field: str, value: Mapping[str, Any]) -> Word | None:
    """What a webhook means to us; None if it is only kept."""
    reader = _READERS.get(field)
    return None if reader is None else reader(value)


def _read_limit(value: Mapping[str, Any]) -> Word | None:
    if _upper(value.get("event")) == "FLAGGED":
        return Trouble(f"Meta has flagged the phone number for its low quality. {_SEE_MANAGER}")
    tiers = (value.get(name) for name in _ABOUT_THE_LIMIT)
    tier = next((tier for tier in tiers if tier is not None), None)
    return None if tier is None else LimitTold(tier)


def _read_account_update(value: Mapping[str, Any]) -> Word | None:
    event = _upper(value.get("event"))
    if event in _STOPPED_BY:
        return Trouble(f"{_STOPPED_BY[event]} {_SEE_MANAGER}")
    if event == "DISABLED_UPDATE":
        ban = value.get("ban_info")
        state = _upper(ban.get("waba_ban_state")) if isinstance(ban, dict) else ""
        return Trouble(f"Meta disables the business account ({state}). {_SEE_MANAGER}") if "DISABLE" in state else None
    if event == "ACCOUNT_RESTRICTION":
        kinds = _restrictions(value)
        if any("BIZ_INITIATED" in kind for kind in kinds):
            return Trouble(
                f"Meta has restricted messages that the business begins ({', '.join(kinds)}). {_SEE_MANAGER}"
            )
    return None


def _restrictions(value: Mapping[str, Any]) -> list[str]:
    told = value.get("restriction_info")
    each = told if isinstance(told, list) else [told]
    return [_upper(one.get("restriction_type")) for one in each if isinstance(one, dict)]


def _read_template_status(value: Mapping[str, Any]) -> Word | None:
    event = _upper(value.get("event"))
    template = _template(value)
    if event in _TEMPLATE_IS_WELL:
        return TemplateIsWell(template)
    if event not in _TEMPLATE_TROUBLES:
        return None
    cause, trouble, advice = _TEMPLATE_TROUBLES[event]
    told = value.get("reason")
    because = f" (Meta says: {told})" if isinstance(told, str) and _upper(told) != "NONE" and told else ""
    return TemplateTrouble(template, cause, f"{trouble}{because} {advice}")


def _read_template_quality(value: Mapping[str, Any]) -> Word | None:
    if _upper(value.get("new_quality_score")) != "RED":
        return None
    reason = "Meta rates the template RED: people block or report it. Send something else, or to fewer people."
    return TemplateTrouble(_template(value), PauseCause.QUALITY, reason)


def _template(value: Mapping[str, Any]) -> Template:
    # Webhooks have been seen to write en-US for what a request has to spell en_US.
    language = str(value.get("message_template_language", "")).replace("-", "_")
    return Template(str(value.get("message_template_name", "")), language)


def _upper(value: object) -> str:
    """Meta's pages write events in either case."""
    return value.upper() if isinstance(value, str) else ""


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Word | None]]] = {
    "business_capability_update": _read_limit,
    "phone_number_quality_update": _read_limit,
    "account_update": _read_account_update,
    "message_template_status_update": _read_template_status,
    "message_template_quality_update": _read_template_quality,
}
