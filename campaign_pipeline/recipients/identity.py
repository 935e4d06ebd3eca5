"""Who is whom on WhatsApp: the names that it gives people, and people of ours who turn out to be one account.

Add here another name that WhatsApp has for a person, or what follows when two people share one.
Keep out phone numbers as people write them (`phone_numbers`): an alias is kept as it came, never read as a number.

A `wa_id` may differ from the number sent to, and need not be a valid number; since 2026 it may be missing, and a
business-scoped user id (BSUID) stands in its place. Messages are joined by wamid and attempt id only; an alias says no
more than that two of our people are one. Sources: developers.facebook.com/documentation/business-messaging/whatsapp,
messages/send-messages and business-scoped-user-ids (reference sections 5.1 to 5.3).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import CompoundSelect, Connection, func, literal, select, union, update

from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.ledger.bulk import among
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    delivery_events,
    marketing_campaigns,
    person_aliases,
    send_attempts,
    shared_accounts,
)
from campaign_pipeline.ledger.states import (
    MAY_BE_REPEATED,
    CampaignStatus,
    InboundKind,
    RecipientState,
    SkipReason,
)
from campaign_pipeline.ledger.upsert import insert_new
from campaign_pipeline.recipients.accounts import (
    LONGEST_ALIAS,
    accounts_of,
    keys_spelled,
    kind_of,
    numbers_of,
    owners_of,
    pairs_of,
    sorted_portions,
)
from campaign_pipeline.recipients.doubles import WAITING, Member, whom_to_skip
from campaign_pipeline.recipients.heard_words import ABOUT_MESSAGES, heard_from, names_since, note_heard
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone
from campaign_pipeline.recipients.subscriptions import share_words, unsubscribed_among

SAME_PERSON_SKIPPED: Final = "same_person_skipped"
"""The kind of the row in audit log and outbox that tells of somebody who was skipped."""

SAME_PERSON_REACHED: Final = "same_person_reached"
"""Likewise of two people who both had the message when it became known that they are one."""

SHOWN_FOR: Final = timedelta(days=7)
"""How long after it was found an ended campaign still shows that two of its people are one."""

_OPEN: Final = (CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED)


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


def learn_aliases(connection: Connection, attempt_ids: Collection[str], now: datetime) -> list[str]:
    """Notes what WhatsApp calls the people of some attempts, and skips who turns out to be somebody else's double.

    Called in the transaction that has brought the answers or statuses, which holds `fold_alone`.

    Args:
        connection: A transaction that writes.
        attempt_ids: At most as many as a statement takes.
        now: When it became known, UTC.

    Returns:
        The aliases that were news.
    """
    return learn_names(connection, new_names_of(connection, attempt_ids), now)


def learn_names(connection: Connection, told: Sequence[tuple[str, str]], now: datetime) -> list[str]:
    """Notes what WhatsApp calls some people, with all that follows from it.

    What was heard before from somebody who is called so is theirs from now on, and so is the name that WhatsApp has
    given them since.

    Args:
        connection: A transaction that writes, and holds `fold_alone`.
        told: Alias and person key, each once.
        now: When it became known, UTC.

    Returns:
        The aliases that were news.
    """
    learnt: list[str] = []
    while told:
        new = _keep_names(connection, told, now)
        if not new:
            break
        learnt += [alias for alias, _ in new]
        told = _hear_again(connection, new, now)
    return learnt


def join_people(connection: Connection, pairs: Collection[tuple[str, str, str]], now: datetime) -> None:
    """Notes that two people are one, since WhatsApp says that a person has changed the number.

    Args:
        connection: A transaction that writes, and holds `fold_alone`.
        pairs: The alias by which it is known, and the keys of both.
        now: When it became known, UTC.
    """
    joined = _note_shared(connection, [pair for pair in pairs if pair[1] != pair[2]], now)
    skip_doubles(connection, {key for _, *both in pairs for key in both}, now)
    share_words(connection, joined, now)


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
    accounts = accounts_of(connection, person_keys)
    if not accounts:
        return []
    slugs = _open_campaigns(connection)
    keys = set().union(*accounts)
    unsubscribed = unsubscribed_among(connection, keys)
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
    joined = _note_spelled(connection, key_of, now)
    skipped = skip_doubles(connection, set(key_of.values()), now)
    share_words(connection, joined, now)
    return skipped


def account_of(connection: Connection, who: PhoneNumber, now: datetime) -> Account:
    """Everything that is known of somebody who is no recipient, by all the numbers of their WhatsApp account.

    Args:
        connection: A transaction that writes.
        who: The person.
        now: Noted if this is the moment at which it is found out, UTC.
    """
    joined = _note_spelled(connection, {who.e164.removeprefix("+"): who.person_key}, now)
    share_words(connection, joined, now)
    keys = {who.person_key}.union(*accounts_of(connection, {who.person_key}))
    return Account(frozenset(keys), unsubscribed=bool(unsubscribed_among(connection, keys)))


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
            for some in sorted_portions({key for pair in pairs for key in pair})
            for member in _members(connection, {campaign.id}, some).get(campaign.id, ())
        }
        in_it = [(members[one], members[other]) for one, other in pairs if one in members and other in members]
        skipped = {member.recipient_id for pair in in_it for member in pair if member.is_double}
        reached = sum(one.was_attempted and other.was_attempted for one, other in in_it)
        if skipped or reached:
            found.append(SharedInCampaign(campaign.slug, len(skipped), reached))
    return found


def _keep_names(connection: Connection, told: Sequence[tuple[str, str]], now: datetime) -> list[tuple[str, str]]:
    """Notes names of people, and who shares one; gives those that were news."""
    owners = owners_of(connection, {alias for alias, _ in told})
    new = [(alias, key) for alias, key in told if key not in owners[alias]]
    insert_new(
        connection,
        person_aliases,
        [{"alias": alias, "person_key": key, "kind": kind_of(alias).value, "first_seen_at": now} for alias, key in new],
    )
    for alias, key in new:
        owners[alias].add(key)
    by_alias = [(alias, key, other) for alias, key in new for other in owners[alias] - {key}]
    joined = _note_shared(connection, by_alias, now) | _note_shared(connection, _spelling_others(connection, new), now)
    skip_doubles(connection, {key for _, key in new}, now)
    share_words(connection, joined, now)
    return new


def _hear_again(connection: Connection, new: Sequence[tuple[str, str]], now: datetime) -> list[tuple[str, str]]:
    """Acts on what was heard from people before their names were known; gives the names they have got since."""
    heard = heard_from(connection, {alias for alias, _ in new})
    if not heard:
        return []
    keys_of: dict[str, set[str]] = defaultdict(set)
    for alias, key in new:
        keys_of[alias].add(key)
    numbers = numbers_of(connection, {key for _, key in new}, {})
    people = {alias: [numbers[key] for key in sorted(keys)] for alias, keys in keys_of.items()}
    note_heard(connection, [row for row in heard if row.kind in ABOUT_MESSAGES], people, now)
    changed = [row for row in heard if row.kind == InboundKind.CHANGED]
    return names_since(changed, {alias: sorted(keys) for alias, keys in keys_of.items()})


def _note_spelled(connection: Connection, key_of: Mapping[str, str], now: datetime) -> set[str]:
    """Notes whose number has the digits of another person's alias; keys by the digits of their numbers.

    Returns:
        As `_note_shared`.
    """
    rows = connection.execute(
        select(person_aliases.c.alias, person_aliases.c.person_key).where(person_aliases.c.alias.in_(list(key_of)))
    )
    spelled = [(row.alias, row.person_key, key_of[row.alias]) for row in rows if row.person_key != key_of[row.alias]]
    return _note_shared(connection, spelled, now)


def new_names_of(connection: Connection, attempt_ids: Collection[str]) -> list[tuple[str, str]]:
    """What answers and statuses call the people of some attempts, and nobody knew: alias and person key, each once.

    Args:
        connection: A transaction.
        attempt_ids: At most as many as a statement takes.
    """
    attempt, event = send_attempts.c, delivery_events.c
    # Each looked up by itself: joined, PostgreSQL with old statistics would go through all attempts or aliases.
    heard = (
        select(event.attempt_id, event.recipient_alias, event.recipient_user_id)
        .where(among(connection, event.attempt_id, attempt_ids))
        .distinct()
        .cte("heard")
    )
    person_key = select(attempt.person_key).where(attempt.id == heard.c.attempt_id).scalar_subquery()
    told = union(
        select(attempt.wa_id.label("alias"), attempt.person_key).where(among(connection, attempt.id, attempt_ids)),
        select(heard.c.recipient_alias, person_key),
        select(heard.c.recipient_user_id, person_key).where(heard.c.recipient_user_id.is_not(None)),
    )
    return unknown_names(connection, told)


def unknown_names(connection: Connection, told: CompoundSelect) -> list[tuple[str, str]]:
    """Those of some names that nobody knew: alias and person key, in order.

    Args:
        connection: A transaction.
        told: A query for ``alias``, of any length or null, and ``person_key``, each pair once.
    """
    names = told.subquery("names")
    # Looked up by itself: joined, PostgreSQL with old statistics would go through all aliases.
    known = (
        select(literal(1))
        .where(person_aliases.c.alias == names.c.alias, person_aliases.c.person_key == names.c.person_key)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(names.c.alias, names.c.person_key).where(
            func.length(names.c.alias).between(1, LONGEST_ALIAS), func.coalesce(known, 0) == 0
        )
    )
    return sorted((row.alias, row.person_key) for row in rows)


def _spelling_others(connection: Connection, new: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Those new aliases that have the digits of another person's number: alias, person, the other person."""
    spelled = [(alias, key, other) for alias, key in new for other in keys_spelled(alias) if other != key]
    if not spelled:
        return []
    campaign_ids = list(connection.execute(select(marketing_campaigns.c.id)).scalars())
    known: set[str] = set()
    for some in sorted_portions({other for _, _, other in spelled}):
        known |= set(
            connection.execute(
                select(campaign_recipients.c.person_key).where(
                    campaign_recipients.c.campaign_id.in_(campaign_ids), campaign_recipients.c.person_key.in_(some)
                )
            ).scalars()
        )
    return [each for each in spelled if each[2] in known]


def _note_shared(connection: Connection, found: Sequence[tuple[str, str, str]], now: datetime) -> set[str]:
    """Writes down that two people are one, and tells of it where both have the message already.

    Returns:
        The keys of the people of whom that is news: their words are to be shared once nobody of them is skipped any
        more, since recipients are locked before subscriptions.
    """
    alias_of = {(min(pair), max(pair)): alias for alias, *pair in found}
    pairs = sorted(set(alias_of) - pairs_of(connection, {key for pair in alias_of for key in pair}))
    if not pairs:
        return set()
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
    return {key for pair in pairs for key in pair}


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
    # Asked by itself and by recipient, as in `new_names_of`.
    for some in sorted_portions(recipient_ids):
        rows = connection.execute(
            select(send_attempts.c.recipient_id).where(
                send_attempts.c.recipient_id.in_(some), send_attempts.c.outcome.not_in(MAY_BE_REPEATED)
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
