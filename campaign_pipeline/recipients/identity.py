"""Who is whom on WhatsApp: the names that it gives people, and people of ours who turn out to be one account.

Add here another name that WhatsApp has for a person, or what follows when two people share one.
Keep out phone numbers as people write them (`phone_numbers`): an alias is kept as it came, never read as a number.

A `wa_id` may differ from the number sent to, and need not be a valid number; since 2026 it may be missing, and a
business-scoped user id (BSUID) stands in its place. Messages are joined by wamid and attempt id only; an alias says no
more than that two of our people are one. Sources: developers.facebook.com/documentation/business-messaging/whatsapp,
messages/send-messages and business-scoped-user-ids (reference sections 5.1 to 5.3).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Connection, select, update

from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    person_aliases,
    send_attempts,
    shared_accounts,
    subscriptions,
)
from campaign_pipeline.ledger.states import (
    MAY_BE_REPEATED,
    AliasKind,
    CampaignStatus,
    RecipientState,
    SkipReason,
    SubscriptionStatus,
)
from campaign_pipeline.ledger.upsert import insert_new
from campaign_pipeline.recipients.doubles import WAITING, Member, whom_to_skip
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone

SAME_PERSON_SKIPPED: Final = "same_person_skipped"
"""The kind of the row in audit log and outbox that tells of somebody who was skipped."""

SAME_PERSON_REACHED: Final = "same_person_reached"
"""Likewise of two people who both had the message when it became known that they are one."""

SHOWN_FOR: Final = timedelta(days=7)
"""How long after it was found an ended campaign still shows that two of its people are one."""

LONGEST_ALIAS: Final = 200

_BSUID: Final = re.compile(r"[A-Z]{2}\..+")
_ARGENTINE_MOBILE: Final = re.compile(r"549(\d{10})")
_OPEN: Final = (CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED)

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True, slots=True)
class Account:
    """One WhatsApp account, by the keys of all its numbers.

    Attributes:
        person_keys: At least one.
        unsubscribed: Whether its person has unsubscribed with one of them, which goes for all.
    """

    person_keys: frozenset[str]
    unsubscribed: bool


@dataclass(frozen=True, slots=True)
class SharedInCampaign:
    """What is known of shared accounts in one campaign.

    Attributes:
        campaign: Its slug.
        skipped: People who were skipped for it.
        reached: Pairs of people who both had been sent to before it was known.
    """

    campaign: str
    skipped: int
    reached: int


def kind_of(alias: str) -> AliasKind:
    """What an alias is: a BSUID has been seen to stand where a wa_id is expected."""
    return AliasKind.BSUID if _BSUID.fullmatch(alias) else AliasKind.WA_ID


def keys_spelled(alias: str) -> tuple[str, ...]:
    """The keys of people whose number has exactly these digits; nobody need have one of them."""
    if not (alias.isascii() and alias.isdigit()):
        return ()
    # The key of an Argentine mobile is the number without its 9.
    argentine = _ARGENTINE_MOBILE.fullmatch(alias)
    return (f"+54{argentine[1]}",) if argentine else (f"+{alias}",)


def learn_aliases(connection: Connection, attempt_ids: Collection[str], now: datetime) -> None:
    """Notes what WhatsApp calls the people of some attempts, and skips who turns out to be somebody else's double.

    Called in the transaction that has brought the answers or statuses, which holds `fold_alone`.

    Args:
        connection: A transaction that writes.
        attempt_ids: At most as many as a statement takes.
        now: When it became known, UTC.
    """
    told = _told(connection, attempt_ids)
    if not told:
        return
    owners = _owners(connection, {alias for alias, _ in told})
    new = [(alias, key) for alias, key in told if key not in owners[alias]]
    insert_new(
        connection,
        person_aliases,
        [{"alias": alias, "person_key": key, "kind": kind_of(alias).value, "first_seen_at": now} for alias, key in new],
    )
    for alias, key in new:
        owners[alias].add(key)
    _note_shared(connection, [(alias, key, other) for alias, key in new for other in owners[alias] - {key}], now)
    _note_shared(connection, _spelling_others(connection, new), now)
    skip_doubles(connection, {key for _, key in new}, now)


def skip_doubles(connection: Connection, person_keys: Collection[str], now: datetime) -> list[int]:
    """Skips, in each campaign that has not ended, whoever is one with somebody else of it; gives who was.

    Whoever has unsubscribed with one number has done so with all: those are skipped as unsubscribed.

    Args:
        connection: A transaction that writes.
        person_keys: The people to look at.
        now: Noted as the time of the change, UTC.

    Returns:
        The ids of the recipients who were skipped.
    """
    accounts = _accounts(connection, person_keys)
    if not accounts:
        return []
    slugs = _open_campaigns(connection)
    keys = set().union(*accounts)
    unsubscribed = _unsubscribed_of(connection, keys)
    opted_out = set().union(*(account for account in accounts if account & unsubscribed))
    skipped: list[int] = []
    for campaign_id, members in _members(connection, set(slugs), keys).items():
        unwilling = [member for member in members if member.waits and member.person_key in opted_out]
        skipped += [each.recipient_id for each in unwilling if _skip(connection, each, SkipReason.UNSUBSCRIBED, now)]
        for account in (each for each in accounts if not each & opted_out):
            for each in whom_to_skip([member for member in members if member.person_key in account]):
                if _skip(connection, each.member, each.in_words, now):
                    skipped.append(each.member.recipient_id)
                    _tell(connection, SAME_PERSON_SKIPPED, slugs[campaign_id], each.member, each.because_of, now)
    return skipped


def skip_known_doubles(connection: Connection, people: Iterable[tuple[str, str]], now: datetime) -> list[int]:
    """Skips whoever of some people is known to be somebody else's double before a message goes out; gives who was.

    Also who came into the ledger after another person's alias with exactly the digits of their number.

    Args:
        connection: A transaction that writes.
        people: Person key and phone number, E.164.
        now: Noted as the time of the change, UTC.
    """
    key_of = {phone.removeprefix("+"): key for key, phone in people}
    _note_spelled(connection, key_of, now)
    return skip_doubles(connection, set(key_of.values()), now)


def account_of(connection: Connection, who: PhoneNumber, now: datetime) -> Account:
    """Everything that is known of somebody who is no recipient, by all the numbers of their WhatsApp account.

    Args:
        connection: A transaction that writes.
        who: The person.
        now: Noted if this is the moment at which it is found out, UTC.
    """
    _note_spelled(connection, {who.e164.removeprefix("+"): who.person_key}, now)
    keys = {who.person_key}.union(*_accounts(connection, {who.person_key}))
    return Account(frozenset(keys), unsubscribed=bool(_unsubscribed_of(connection, keys)))


def members_of(connection: Connection, campaign_id: int, account: Account) -> list[Member]:
    """The people of one campaign who have some account."""
    return _members(connection, {campaign_id}, account.person_keys).get(campaign_id, [])


def shared_in_campaigns(connection: Connection, now: datetime) -> list[SharedInCampaign]:
    """The campaigns in which people turned out to be one: those that have not ended, and others for a week."""
    rows = connection.execute(
        select(*shared_accounts.c["person_key", "other_key", "found_at"]).where(
            shared_accounts.c.person_key < shared_accounts.c.other_key
        )
    ).all()
    if not rows:
        return []
    campaigns = connection.execute(
        select(*marketing_campaigns.c["id", "slug", "status"]).order_by(marketing_campaigns.c.id)
    ).all()
    lately = {(row.person_key, row.other_key) for row in rows if row.found_at > now - SHOWN_FOR}
    always = {(row.person_key, row.other_key) for row in rows}
    found: list[SharedInCampaign] = []
    for campaign in campaigns:
        pairs = always if campaign.status in _OPEN else lately
        members = {
            member.person_key: member
            for some in _portions({key for pair in pairs for key in pair})
            for member in _members(connection, {campaign.id}, some).get(campaign.id, ())
        }
        in_it = [(members[one], members[other]) for one, other in pairs if one in members and other in members]
        skipped = {member.recipient_id for pair in in_it for member in pair if member.is_double}
        reached = sum(one.was_attempted and other.was_attempted for one, other in in_it)
        if skipped or reached:
            found.append(SharedInCampaign(campaign.slug, len(skipped), reached))
    return found


def _note_spelled(connection: Connection, key_of: Mapping[str, str], now: datetime) -> None:
    """Notes whose number has the digits of another person's alias; keys by the digits of their numbers."""
    rows = connection.execute(
        select(person_aliases.c.alias, person_aliases.c.person_key).where(person_aliases.c.alias.in_(list(key_of)))
    )
    spelled = [(row.alias, row.person_key, key_of[row.alias]) for row in rows if row.person_key != key_of[row.alias]]
    _note_shared(connection, spelled, now)


def _told(connection: Connection, attempt_ids: Collection[str]) -> list[tuple[str, str]]:
    """What answers and statuses call the people of some attempts: alias and person key, each once."""
    attempt, event = send_attempts.c, delivery_events.c
    ids = list(attempt_ids)
    answers = connection.execute(select(attempt.id, attempt.wa_id, attempt.person_key).where(attempt.id.in_(ids))).all()
    key_of = {row.id: row.person_key for row in answers}
    # Asked by itself: joined with the attempts, PostgreSQL with old statistics would go through all of these.
    statuses = connection.execute(
        select(event.attempt_id, event.recipient_alias, event.recipient_user_id)
        .where(event.attempt_id.in_(ids))
        .distinct()
    )
    rows = [
        *((row.wa_id, row.person_key) for row in answers),
        *((alias, key_of[attempt_id]) for attempt_id, *aliases in statuses for alias in aliases),
    ]
    return sorted({(alias, key) for alias, key in rows if alias and len(alias) <= LONGEST_ALIAS})


def _owners(connection: Connection, aliases: Collection[str]) -> dict[str, set[str]]:
    """Whose aliases these are, as far as is known."""
    owners: dict[str, set[str]] = defaultdict(set)
    for some in _portions(aliases):
        rows = connection.execute(
            select(person_aliases.c.alias, person_aliases.c.person_key).where(person_aliases.c.alias.in_(some))
        )
        for row in rows:
            owners[row.alias].add(row.person_key)
    return owners


def _spelling_others(connection: Connection, new: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Those new aliases that have the digits of another person's number: alias, person, the other person."""
    spelled = [(alias, key, other) for alias, key in new for other in keys_spelled(alias) if other != key]
    if not spelled:
        return []
    campaign_ids = list(connection.execute(select(marketing_campaigns.c.id)).scalars())
    known: set[str] = set()
    for some in _portions({other for _, _, other in spelled}):
        known |= set(
            connection.execute(
                select(campaign_recipients.c.person_key).where(
                    campaign_recipients.c.campaign_id.in_(campaign_ids), campaign_recipients.c.person_key.in_(some)
                )
            ).scalars()
        )
    return [each for each in spelled if each[2] in known]


def _note_shared(connection: Connection, found: Sequence[tuple[str, str, str]], now: datetime) -> None:
    """Writes down that two people are one, and tells of it where both have the message already."""
    alias_of = {(min(pair), max(pair)): alias for alias, *pair in found}
    pairs = sorted(set(alias_of) - _pairs_of(connection, {key for pair in alias_of for key in pair}))
    if not pairs:
        return
    rows = [
        {"person_key": key, "other_key": other, "alias": alias_of[pair], "found_at": now}
        for pair in pairs
        for key, other in (pair, pair[::-1])
    ]
    insert_new(connection, shared_accounts, rows)
    slugs = {row.id: row.slug for row in connection.execute(select(*marketing_campaigns.c["id", "slug"]))}
    for campaign_id, members in _members(connection, set(slugs), {key for pair in pairs for key in pair}).items():
        by_key = {member.person_key: member for member in members}
        for one, other in pairs:
            if one in by_key and other in by_key and by_key[one].was_attempted and by_key[other].was_attempted:
                _tell(connection, SAME_PERSON_REACHED, slugs[campaign_id], by_key[one], by_key[other], now)


def _pairs_of(connection: Connection, person_keys: Collection[str]) -> set[tuple[str, str]]:
    """The pairs that some people are of, the lesser key first."""
    found: set[tuple[str, str]] = set()
    for some in _portions(person_keys):
        rows = connection.execute(
            select(shared_accounts.c.person_key, shared_accounts.c.other_key).where(
                shared_accounts.c.person_key.in_(some)
            )
        )
        found |= {(min(one, other), max(one, other)) for one, other in rows}
    return found


def _accounts(connection: Connection, person_keys: Collection[str]) -> list[set[str]]:
    """The people who are one account each, of those accounts that some people are of; single people are left out."""
    pairs: set[tuple[str, str]] = set()
    asked: set[str] = set()
    to_ask = set(person_keys)
    # One may be one with another by this alias, who is one with a third by that.
    while to_ask:
        pairs |= _pairs_of(connection, to_ask)
        asked |= to_ask
        to_ask = {key for pair in pairs for key in pair} - asked
    accounts: list[set[str]] = []
    for pair in pairs:
        joined = set(pair).union(*(account for account in accounts if account & set(pair)))
        accounts = [*(account for account in accounts if not account & joined), joined]
    return accounts


def _open_campaigns(connection: Connection) -> dict[int, str]:
    rows = connection.execute(
        select(marketing_campaigns.c.id, marketing_campaigns.c.slug).where(marketing_campaigns.c.status.in_(_OPEN))
    )
    return {row.id: row.slug for row in rows}


def _members(
    connection: Connection, campaign_ids: Collection[int], person_keys: Collection[str]
) -> dict[int, list[Member]]:
    """The people with some keys in some campaigns, by campaign."""
    recipient = campaign_recipients.c
    rows = connection.execute(
        select(
            recipient.id,
            recipient.campaign_id,
            recipient.person_key,
            recipient.phone,
            recipient.state,
            recipient.reason,
            recipient.position,
        ).where(recipient.campaign_id.in_(list(campaign_ids)), recipient.person_key.in_(list(person_keys)))
    )
    found = [Member(*row) for row in rows]
    failed = {each.recipient_id for each in found if each.state == RecipientState.FAILED}
    unreached = failed - _ever_reached(connection, failed)
    members: dict[int, list[Member]] = defaultdict(list)
    for member in found:
        members[member.campaign_id].append(replace(member, unreached=member.recipient_id in unreached))
    return members


def _ever_reached(connection: Connection, recipient_ids: Collection[int]) -> set[int]:
    """Those of some people of whom a call was accepted, or may have been."""
    found: set[int] = set()
    # Asked by itself and by recipient, as are the answers in `_told`.
    for some in _portions(recipient_ids):
        rows = connection.execute(
            select(send_attempts.c.recipient_id).where(
                send_attempts.c.recipient_id.in_(some), send_attempts.c.outcome.not_in(MAY_BE_REPEATED)
            )
        )
        found |= set(rows.scalars())
    return found


def _unsubscribed_of(connection: Connection, person_keys: Collection[str]) -> set[str]:
    """Those of some keys that have unsubscribed."""
    found: set[str] = set()
    for some in _portions(person_keys):
        rows = connection.execute(
            select(subscriptions.c.person_key).where(
                subscriptions.c.person_key.in_(some), subscriptions.c.status == SubscriptionStatus.UNSUBSCRIBED
            )
        )
        found |= set(rows.scalars())
    return found


def _skip(connection: Connection, member: Member, reason: str, now: datetime) -> bool:
    """Skips one person, unless something was sent to them at this moment."""
    skipped = connection.execute(
        update(campaign_recipients)
        .where(campaign_recipients.c.id == member.recipient_id, campaign_recipients.c.state.in_(WAITING))
        .values(state=RecipientState.SKIPPED, reason=reason, changed_at=now)
    )
    return skipped.rowcount > 0


def _tell(connection: Connection, action: str, slug: str, person: Member, other: Member, now: datetime) -> None:
    details = {"person": mask_phone(person.phone), "shares_account_of": mask_phone(other.phone)}
    record(connection, action, slug, actor="campaign_pipeline", now=now, details=details)


def _portions(values: Collection[_Value]) -> Iterable[Sequence[_Value]]:
    """In an order, so that two transactions that ask for the same meet in it."""
    return in_portions(sorted(values))
