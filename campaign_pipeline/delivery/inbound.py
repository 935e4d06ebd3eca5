"""What people say to us in webhooks, as far as it matters here: stop and start, preferences, new numbers, replies.

Add here another form in which somebody says so. Everything is pure.
Keep out what follows (`inbound_store`) and which words count (`recipients.stop_words`).

Of other messages nothing is read but that they came, from whom and in answer to what. Inbound messages are never
consumed: whoever answers them gets the same webhooks.

Sources: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference, messages/text,
messages/button, messages/interactive, messages/system and user_preferences.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard

from campaign_pipeline.delivery.webhooks import PayloadError, read_timestamp
from campaign_pipeline.ledger.states import AliasKind, InboundKind, SubscriptionStatus
from campaign_pipeline.recipients.accounts import LONGEST_ALIAS, kind_of
from campaign_pipeline.recipients.stop_words import Vocabulary, bare

_LONGEST_WAMID: Final = 1_000
_NO_DATABASE_TAKES: Final = re.compile("[\0\ud800-\udfff]")

_MESSAGES: Final = ("messages", "standby")
"""While Meta's own agent answers on the number, what people write comes as `standby`; it is said to us as well."""

_NOT_SAID: Final = ("edit", "request_welcome", "revoke", "system")
"""Types of messages in which nobody says anything to us."""

_CHANGES: Final = ("user_changed_number", "user_changed_user_id", "customer_changed_number")
"""The last is what webhooks of older versions call the first; they name who it was as `customer`."""

_MARKETING: Final = "marketing_messages"
_PREFERENCES: Final = {
    "stop": InboundKind.PREFERENCE_STOP,
    "resume": InboundKind.PREFERENCE_RESUME,
    # The person has used the business's sign-up link in WhatsApp.
    "signup": InboundKind.PREFERENCE_RESUME,
}
_WORDS: Final = {
    SubscriptionStatus.UNSUBSCRIBED: InboundKind.STOP,
    SubscriptionStatus.SUBSCRIBED: InboundKind.START,
}


@dataclass(frozen=True, slots=True)
class InboundWord:
    """One thing that a person has said or changed.

    Attributes:
        key: The same for the same webhook, however often it comes.
        kind: What it is.
        said_at: When, UTC; None where the webhook does not say so in a readable way.
        wa_id: Who, as WhatsApp calls them; None where it only gives an id.
        user_id: The person's business-scoped user id.
        new_wa_id: What WhatsApp calls them from now on; only of a change, as `new_user_id`.
        said: The word of our own list that was understood; None of everything else.
        context: The wamid of the message that it answers, if it names one.
    """

    key: str
    kind: InboundKind
    said_at: datetime | None
    wa_id: str | None
    user_id: str | None
    new_wa_id: str | None = None
    new_user_id: str | None = None
    said: str | None = None
    context: str | None = None


def words_in(payload: object, vocabulary: Vocabulary) -> list[InboundWord]:
    """What people say in a whole payload; nothing for what is none."""
    return [
        word
        for entry in _objects_in(payload, "entry")
        for change in _objects_in(entry, "changes")
        if isinstance(change.get("value"), dict)
        for word in read_inbound(str(entry.get("id", "")), change.get("field"), change["value"], vocabulary)
    ]


def read_inbound(
    business_account_id: str, field: object, value: Mapping[str, Any], vocabulary: Vocabulary
) -> list[InboundWord]:
    """What people say in one change of a webhook; what cannot be read is left alone.

    Args:
        business_account_id: Which account it was said to.
        field: Meta's name of the webhook.
        value: The change's value.
        vocabulary: Which words count.
    """
    contacts = _objects_in(value, "contacts")
    if field in _MESSAGES:
        found = (_read_message(each, contacts, vocabulary) for each in _objects_in(value, "messages"))
    elif field == "user_preferences":
        preferences = _objects_in(value, "user_preferences")
        found = (_read_preference(business_account_id, each, contacts) for each in preferences)
    else:
        return []
    return [word for word in found if word is not None]


def _read_message(
    message: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]], vocabulary: Vocabulary
) -> InboundWord | None:
    # What is said in a group is not said to us.
    if message.get("group_id") is not None:
        return None
    if message.get("type") == "system":
        return _read_change(message)
    if message.get("type") in _NOT_SAID or _is_taken_back(message):
        return None
    wa_id, user_id = _with_contact(_by_kind(message.get("from"), message.get("from_user_id")), contacts)
    if wa_id is None and user_id is None:
        return None
    kind, said = InboundKind.REPLY, None
    for text in _texts_of(message):
        meaning = vocabulary.meaning_of(text)
        if meaning is not None:
            kind, said = _WORDS[meaning], bare(text)
            break
    return InboundWord(
        key=_key_of(message),
        kind=kind,
        said_at=_moment(message.get("timestamp")),
        wa_id=wa_id,
        user_id=user_id,
        said=said,
        context=_context_of(message),
    )


def _is_taken_back(message: Mapping[str, Any]) -> bool:
    """Whether it tells that a reaction was removed."""
    return message.get("type") == "reaction" and not _object_in(message, "reaction").get("emoji")


def _read_change(message: Mapping[str, Any]) -> InboundWord | None:
    system = _object_in(message, "system")
    if system.get("type") not in _CHANGES:
        return None
    wa_id, user_id = _by_kind(message.get("from") or system.get("customer"), message.get("from_user_id"))
    before = _alias(system.get("previous_user_id"))
    new_wa_id, new_user_id = _by_kind(system.get("wa_id") or system.get("new_wa_id"), system.get("user_id"))
    if (before or user_id or wa_id) is None or (new_wa_id or new_user_id) is None:
        return None
    return InboundWord(
        key=_key_of(message),
        kind=InboundKind.CHANGED,
        said_at=_moment(message.get("timestamp")),
        wa_id=wa_id,
        user_id=before or user_id,
        new_wa_id=new_wa_id,
        new_user_id=new_user_id,
    )


def _read_preference(
    business_account_id: str, preference: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]]
) -> InboundWord | None:
    word = str(preference.get("value")).lower()
    wa_id, user_id = _with_contact(_by_kind(preference.get("wa_id"), preference.get("user_id")), contacts)
    if preference.get("category") != _MARKETING or word not in _PREFERENCES or (wa_id or user_id) is None:
        return None
    return InboundWord(
        # An entry has no id of its own.
        key=_digest([business_account_id, wa_id, user_id, word, str(preference.get("timestamp"))]),
        kind=_PREFERENCES[word],
        said_at=_moment(preference.get("timestamp")),
        wa_id=wa_id,
        user_id=user_id,
        said=word,
    )


def _texts_of(message: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a message that can be a word: a text, or what a button carries and what stands on it."""
    button, interactive = _object_in(message, "button"), _object_in(message, "interactive")
    pressed = [_object_in(interactive, name) for name in ("button_reply", "list_reply")]
    texts = [
        _object_in(message, "text").get("body"),
        button.get("payload"),
        button.get("text"),
        *(each.get(name) for each in pressed for name in ("id", "title")),
    ]
    return (text for text in texts if isinstance(text, str))


def _context_of(message: Mapping[str, Any]) -> str | None:
    named = _object_in(message, "context").get("id") or _object_in(message, "reaction").get("message_id")
    return named if _is_text(named, _LONGEST_WAMID) else None


def _with_contact(
    names: tuple[str | None, str | None], contacts: Sequence[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    """The names of whoever has said something, with the other one that a contact of the same person may know."""
    wa_id, user_id = names
    for contact in contacts:
        its_wa_id, its_user_id = _by_kind(contact.get("wa_id"), contact.get("user_id"))
        is_alone = len(contacts) == 1 and wa_id is None and user_id is None
        if is_alone or (wa_id is not None and its_wa_id == wa_id) or (user_id is not None and its_user_id == user_id):
            return wa_id or its_wa_id, user_id or its_user_id
    return names


def _by_kind(wa_id: object, user_id: object) -> tuple[str | None, str | None]:
    """A wa_id and a business-scoped id; the latter has been seen to stand where the former is expected."""
    first, second = _alias(wa_id), _alias(user_id)
    if first is not None and kind_of(first) is AliasKind.BSUID:
        return None, second or first
    return first, second


def _alias(value: object) -> str | None:
    return value.removeprefix("+") if _is_text(value, LONGEST_ALIAS) else None


def _is_text(value: object, longest: int) -> TypeGuard[str]:
    """Whether a value is text that the ledger can keep, of at most so many bytes: an index has a bound."""
    return isinstance(value, str) and not _NO_DATABASE_TAKES.search(value) and 0 < len(value.encode()) <= longest


def _moment(value: object) -> datetime | None:
    try:
        return read_timestamp(value)
    except PayloadError:
        return None


def _key_of(message: Mapping[str, Any]) -> str:
    """A message is known by its id; one without is known by all that stands in it."""
    named = message.get("id")
    return _digest(["message", named] if isinstance(named, str) and named else ["message", None, dict(message)])


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _objects_in(holder: object, key: str) -> list[dict[str, Any]]:
    items = holder.get(key) if isinstance(holder, Mapping) else None
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def _object_in(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, dict) else {}
