"""Which of our people WhatsApp means by a name that it gives them: aliases, accounts, and numbers that nobody has yet.

Add here another way from an alias to people. Everything only reads.
Keep out what follows when two people turn out to be one: `identity`.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, select

from campaign_pipeline.ledger.bulk import in_portions
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    marketing_campaigns,
    person_aliases,
    shared_accounts,
    subscriptions,
)
from campaign_pipeline.ledger.states import AliasKind
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, PhoneNumber, parse_phone

LONGEST_ALIAS: Final = 200

_BSUID: Final = re.compile(r"[A-Z]{2}\..+")
_ARGENTINE_MOBILE: Final = re.compile(r"549(\d{10})")
_DIGITS: Final = range(7, 16)
"""Of a number with its country code; ITU-T E.164."""

_Value = TypeVar("_Value", str, int)


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


def number_spelled(alias: str) -> PhoneNumber | None:
    """The number that an unknown person's alias spells; None for a business-scoped id.

    Only for what that person says of messages themselves: taken for somebody's number by mistake, it keeps messages
    away from that number, and brings none to it.
    """
    if not (alias.isascii() and alias.isdigit()) or len(alias) not in _DIGITS:
        return None
    try:
        return parse_phone(f"+{alias}", None)
    except InvalidPhone:
        return PhoneNumber(f"+{alias}", keys_spelled(alias)[0])


def people_called(connection: Connection, aliases: Collection[str]) -> dict[str, list[PhoneNumber]]:
    """Who is meant by some aliases, with everybody who is one account with them.

    Whoever is known by an alias; else whose number it spells, in the ledger or not. Nobody for an unknown id.
    """
    owners = owners_of(connection, aliases)
    spelled = {alias: number for alias in aliases if not owners[alias] and (number := number_spelled(alias))}
    keys_of = {
        alias: owners[alias] or {spelled[alias].person_key} for alias in aliases if owners[alias] or alias in spelled
    }
    accounts = accounts_of(connection, set().union(*keys_of.values()))
    whole = {alias: keys.union(*(each for each in accounts if each & keys)) for alias, keys in keys_of.items()}
    numbers = numbers_of(
        connection, set().union(*whole.values()), {each.person_key: each.e164 for each in spelled.values()}
    )
    return {alias: [numbers[key] for key in sorted(keys)] for alias, keys in whole.items()}


def numbers_of(connection: Connection, person_keys: Collection[str], told: Mapping[str, str]) -> dict[str, PhoneNumber]:
    """The numbers at which some people are reached: as was told, or as the ledger has them; else their keys."""
    found = dict(told)
    for some in sorted_portions(set(person_keys) - found.keys()):
        rows = connection.execute(
            select(subscriptions.c.person_key, subscriptions.c.phone).where(subscriptions.c.person_key.in_(some))
        )
        found |= {row.person_key: row.phone for row in rows}
    missing = set(person_keys) - found.keys()
    if missing:
        found |= _recipients_numbers(connection, missing)
    return {key: PhoneNumber(found.get(key, key), key) for key in person_keys}


def _recipients_numbers(connection: Connection, person_keys: Collection[str]) -> dict[str, str]:
    recipient = campaign_recipients.c
    campaign_ids = list(connection.execute(select(marketing_campaigns.c.id)).scalars())
    found: dict[str, str] = {}
    for some in sorted_portions(person_keys):
        rows = connection.execute(
            select(recipient.person_key, recipient.phone).where(
                recipient.campaign_id.in_(campaign_ids), recipient.person_key.in_(some)
            )
        )
        found |= {row.person_key: row.phone for row in rows}
    return found


def owners_of(connection: Connection, aliases: Collection[str]) -> dict[str, set[str]]:
    """Whose aliases these are, as far as is known."""
    owners: dict[str, set[str]] = defaultdict(set)
    for some in sorted_portions(aliases):
        rows = connection.execute(
            select(person_aliases.c.alias, person_aliases.c.person_key).where(person_aliases.c.alias.in_(some))
        )
        for row in rows:
            owners[row.alias].add(row.person_key)
    return owners


def pairs_of(connection: Connection, person_keys: Collection[str]) -> set[tuple[str, str]]:
    """The pairs that some people are of, the lesser key first."""
    found: set[tuple[str, str]] = set()
    for some in sorted_portions(person_keys):
        rows = connection.execute(
            select(shared_accounts.c.person_key, shared_accounts.c.other_key).where(
                shared_accounts.c.person_key.in_(some)
            )
        )
        found |= {(min(one, other), max(one, other)) for one, other in rows}
    return found


def accounts_of(connection: Connection, person_keys: Collection[str]) -> list[set[str]]:
    """The people who are one account each, of those accounts that some people are of; single people are left out."""
    pairs: set[tuple[str, str]] = set()
    asked: set[str] = set()
    to_ask = set(person_keys)
    # One may be one with another by this alias, who is one with a third by that.
    while to_ask:
        pairs |= pairs_of(connection, to_ask)
        asked |= to_ask
        to_ask = {key for pair in pairs for key in pair} - asked
    accounts: list[set[str]] = []
    for pair in pairs:
        joined = set(pair).union(*(account for account in accounts if account & set(pair)))
        accounts = [*(account for account in accounts if not account & joined), joined]
    return accounts


def sorted_portions(values: Collection[_Value]) -> Iterable[Sequence[_Value]]:
    """In an order, so that two transactions that ask for the same meet in it."""
    return in_portions(sorted(values))
