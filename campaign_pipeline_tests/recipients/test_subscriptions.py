"""A person's latest word counts, for every campaign, and is kept with where it was said."""

from datetime import timedelta

from sqlalchemy import Row, select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, subscriptions
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.support.campaigns import NOON

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
