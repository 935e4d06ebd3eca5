"""A person's latest word counts, for every campaign, and is kept with where it was said."""

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

from sqlalchemy import Row, delete, select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, shared_accounts, subscription_events, subscriptions
from campaign_pipeline.ledger.states import SubscriptionStatus, Voice
from campaign_pipeline.recipients.intake import add_file
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import (
    SaidWord,
    Subscription,
    find_subscription,
    history_of,
    note,
    share_words,
    subscribe,
    unsubscribe,
)
from campaign_pipeline_tests.support.campaigns import NOON, add_people, draft, folders, write_list
from campaign_pipeline_tests.support.waiting import PATIENCE

STOP, START = SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.SUBSCRIBED
ROUNDS = 20
ADA = parse_phone("+447911000001", None)


def _known(ledger: Ledger) -> list[Row]:
    with ledger.read() as connection:
        return list(connection.execute(select(subscriptions).order_by(subscriptions.c.person_key)))


def _audited(ledger: Ledger) -> list[tuple[str, str, str]]:
    with ledger.read() as connection:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.id)).all()
    return [(row.action, row.actor, row.subject) for row in rows]


def test_the_latest_word_counts_and_is_told_whether_it_is_news(ledger: Ledger) -> None:
    """STOP after START has to stop, START after STOP to start, and the answer says if anything changed."""
    told = []
    with ledger.write() as connection:
        for minutes, say in enumerate([subscribe, subscribe, unsubscribe, unsubscribe, subscribe, unsubscribe]):
            told.append(say(connection, ADA, source=f"web {minutes}", now=NOON + timedelta(minutes=minutes)))
    assert told == [True, False, True, False, True, True]
    (known,) = _known(ledger)
    assert (known.status, known.source, known.changed_at) == ("unsubscribed", "web 5", NOON + timedelta(minutes=5))
    assert (known.phone, known.person_key) == (ADA.e164, ADA.person_key)
    with ledger.read() as connection:
        found = find_subscription(connection, ADA)
        assert find_subscription(connection, parse_phone("+447911000002", None)) is None
    assert found == Subscription(SubscriptionStatus.UNSUBSCRIBED, "web 5", known.changed_at)


def test_saying_the_same_again_keeps_where_it_was_said_first(ledger: Ledger) -> None:
    """The proof of consent is its first source; a later copy of it must not take its place."""
    with ledger.write() as connection:
        subscribe(connection, ADA, source="web form", now=NOON)
        subscribe(connection, ADA, source="import", now=NOON + timedelta(days=1))
    (known,) = _known(ledger)
    assert (known.source, known.changed_at) == ("web form", NOON)
    assert len(_audited(ledger)) == 1


def test_somebody_whom_no_list_has_can_unsubscribe(ledger: Ledger) -> None:
    """The word has to be there before the list that names them comes."""
    with ledger.write() as connection:
        assert unsubscribe(connection, ADA, source="letter", now=NOON) is True
    assert [row.status for row in _known(ledger)] == ["unsubscribed"]


def test_a_person_has_one_word_however_the_number_is_spelled(ledger: Ledger) -> None:
    """Who wrote STOP from the number with the 9 must not be reached at the one without."""
    spellings = ["+54 9 11 2345-6789", "+54 11 2345 6789"]
    with ledger.write() as connection:
        subscribe(connection, parse_phone(spellings[0], None), source="web", now=NOON)
        unsubscribe(connection, parse_phone(spellings[1], None), source="web", now=NOON)
    assert [row.status for row in _known(ledger)] == ["unsubscribed"]


def test_what_people_say_is_written_down_without_their_number(ledger: Ledger) -> None:
    """The audit log is shown and kept for years; a phone number in it is a leak."""
    with ledger.write() as connection:
        subscribe(connection, ADA, source="ada's form", now=NOON)
        unsubscribe(connection, ADA, source="STOP", now=NOON)
    assert _audited(ledger) == [("subscribed", "ada's form", "***01"), ("unsubscribed", "STOP", "***01")]


def _said(status: SubscriptionStatus, minutes: int, voice: Voice = Voice.PERSON) -> SaidWord:
    at = NOON + timedelta(minutes=minutes)
    return SaidWord(ADA, Word(status, voice, f"{voice} {minutes}", at), f"{voice}:{status}:{minutes}")


def test_words_that_are_heard_in_any_order_leave_the_same_state(ledger: Ledger) -> None:
    """Which file is read first is chance."""
    words = [
        _said(STOP, 1),
        _said(START, 5),
        _said(STOP, 3, Voice.META),
        _said(START, 4, Voice.META),
        _said(STOP, 5, Voice.LIST),
    ]
    found = set()
    for order in list(permutations(words))[::7]:
        with ledger.write() as connection:
            connection.execute(delete(subscriptions))
            connection.execute(delete(subscription_events))
            for word in order[:3]:
                note(connection, [word], NOON)
            note(connection, order[2:], NOON)
        (known,) = _known(ledger)
        found.add((known.status, known.source, known.changed_at))
    assert found == {("unsubscribed", "list 5", NOON + timedelta(minutes=5))}


def test_an_upload_says_nothing_and_the_first_proof_of_consent_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    """A list that is uploaded every week would take back every STOP, or the proof of each consent."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1, 2], name="first.csv")
    with ledger.write() as connection:
        assert note(connection, [_said(START, 1)], NOON) == set()
        assert note(connection, [_said(STOP, 2)], NOON) == {ADA.person_key}
    other = draft(ledger, "Summer Sale")
    add_people(ledger, other.slug, tmp_path, [1, 2], now=NOON + timedelta(days=1), name="second.csv")
    assert [(row.status, row.source) for row in _known(ledger)] == [
        ("unsubscribed", "person 2"),
        ("subscribed", "list first.csv"),
    ]


def test_a_list_that_says_no_is_a_word_of_when_it_came(ledger: Ledger, tmp_path: Path) -> None:
    """A START after the list is the later word; a START before it is not."""
    campaign = draft(ledger)
    path = write_list(tmp_path / "no.csv", [1], columns="opt_in", value="no")
    terms = {"folders": folders(tmp_path), "region": "GB", "phone_column": None, "actor": "test"}
    with ledger.write() as connection:
        note(connection, [_said(START, -5)], NOON)
    add_file(ledger, campaign.slug, path, clock=lambda: NOON, **terms)  # ty: ignore[invalid-argument-type]
    assert [(row.status, row.source) for row in _known(ledger)] == [("unsubscribed", "list no.csv")]
    with ledger.write() as connection:
        note(connection, [_said(START, 5)], NOON)
    assert [row.status for row in _known(ledger)] == ["subscribed"]


def test_what_is_said_with_one_number_holds_for_all_numbers_of_the_account(ledger: Ledger) -> None:
    """STOP comes from a person, not from a number."""
    other, third = (parse_phone(f"+44791100000{number}", None) for number in (2, 3))
    pairs = [(ADA.person_key, other.person_key), (other.person_key, third.person_key)]
    with ledger.write() as connection:
        unsubscribe(connection, third, source="letter", now=NOON - timedelta(days=1))
        subscribe(connection, ADA, source="web", now=NOON - timedelta(days=2))
        connection.execute(
            shared_accounts.insert(),
            [
                {"person_key": one, "other_key": two, "alias": "x", "found_at": NOON}
                for pair in pairs
                for one, two in (pair, pair[::-1])
            ],
        )
        share_words(connection, {ADA.person_key}, NOON)
    assert [(row.status, row.source) for row in _known(ledger)] == [("unsubscribed", "letter")] * 3
    with ledger.write() as connection:
        assert subscribe(connection, ADA, source="letter", now=NOON) is True
    assert [row.status for row in _known(ledger)] == ["subscribed"] * 3


def test_two_words_that_are_heard_at_the_same_moment_both_count(ledger: Ledger) -> None:
    """An ingest and a person at the desk: the STOP that does not see the START after it would stand for ever."""
    everybody = [parse_phone(f"+4479110001{number:02}", None) for number in range(ROUNDS)]
    with ledger.write() as connection:
        note(connection, [replace(_said(START, -9), who=who) for who in everybody], NOON)
    meet = threading.Barrier(2)

    def say(word: SaidWord) -> None:
        for who in everybody:
            meet.wait(PATIENCE)
            with ledger.write() as connection:
                note(connection, [replace(word, who=who)], NOON)

    sayers = [threading.Thread(target=say, args=(word,)) for word in (_said(STOP, 3), _said(START, 5))]
    for each in sayers:
        each.start()
    for each in sayers:
        each.join(PATIENCE)
    assert [row.status for row in _known(ledger)] == ["subscribed"] * ROUNDS
    with ledger.read() as connection:
        assert len(history_of(connection, {everybody[0].person_key})) == 3
        standing = find_subscription(connection, everybody[0])
    assert standing is not None
    assert (standing.status, standing.changed_at) == (START, NOON + timedelta(minutes=5))


def test_what_is_said_at_the_desk_is_later_than_what_was_heard(ledger: Ledger) -> None:
    """Meta's clock is ahead of ours: a person's letter, noted now, must not count as the earlier word."""
    with ledger.write() as connection:
        note(connection, [_said(STOP, 30)], NOON)
        assert subscribe(connection, ADA, source="letter", now=NOON) is True
    assert [row.status for row in _known(ledger)] == ["subscribed"]
