"""A ledger of an earlier version keeps its rows when it is brought up to this one, and what is new is filled in."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, inspect, text

from campaign_pipeline.ledger import migrate
from campaign_pipeline.ledger.engine import Ledger, connect, initialise
from campaign_pipeline.ledger.states import SubscriptionStatus, Voice
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import SaidWord, note
from campaign_pipeline_tests.ledger.rows import GOOD
from campaign_pipeline_tests.support.campaigns import NOON
from campaign_pipeline_tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def first_version(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with the tables of version 0001."""
    if request.param == "sqlite":
        made = connect(f"sqlite:///{tmp_path / 'old.sqlite3'}")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made = connect(server.new_database())
    with made.write() as connection:
        command.upgrade(migrate.alembic_config(connection), "0001")
    yield made
    made.close()


def _put(connection: Connection, table: str, **changes: object) -> None:
    """Inserts a row as version 0001 had it."""
    values = {**GOOD[table], **changes}
    plain = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in values.items()}
    names = ", ".join(plain)
    connection.execute(
        text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in plain)})"),  # noqa: S608
        plain,
    )


def _fill(connection: Connection) -> None:
    for table in ("marketing_campaigns", "recipient_lists", "senders", "batches"):
        _put(connection, table)
    numbers = ("+447400000001", "+12015550123", "+80012345678", "nonsense")
    for number, phone in enumerate(numbers, start=1):
        person = {"id": number, "person_key": phone, "phone": phone, "position": number, "state": "accepted"}
        _put(connection, "campaign_recipients", **person)
        attempt = {"id": f"attempt-{number}", "recipient_id": number, "person_key": phone, "outcome": "accepted"}
        _put(connection, "send_attempts", **attempt, wa_id="12015550123" if number < 3 else None)
    _put(connection, "delivery_files")
    told = {"recipient_id": "80012345678", "recipient_user_id": "GB.1"}
    for number, raw in enumerate((json.dumps(told), "{}", "[1]", '{"recipient_id": 7}'), start=1):
        event = {"id": number, "wamid": f"wamid.{number}", "attempt_id": "attempt-3", "raw": raw}
        _put(connection, "delivery_events", **event)


def _rows(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(text(statement))]


def test_rows_of_the_first_version_get_their_regions_and_aliases(first_version: Ledger) -> None:
    """A campaign under way would have people of no country, and two who are one would both be written to."""
    with first_version.write() as connection:
        _fill(connection)
    initialise(first_version)
    assert migrate.is_current(first_version.engine)
    with first_version.read() as connection:
        assert _rows(connection, "SELECT region FROM campaign_recipients ORDER BY id") == [
            ("GB",),
            ("US",),
            (None,),
            (None,),
        ]
        assert _rows(connection, "SELECT follows_sender_limit FROM marketing_campaigns") == [(0,)]
        assert _rows(connection, "SELECT alias, person_key, kind FROM person_aliases ORDER BY alias, person_key") == [
            ("12015550123", "+12015550123", "wa_id"),
            ("12015550123", "+447400000001", "wa_id"),
            ("80012345678", "+80012345678", "wa_id"),
            ("GB.1", "+80012345678", "bsuid"),
        ]
        assert _rows(connection, "SELECT person_key, other_key FROM shared_accounts ORDER BY person_key") == [
            ("+12015550123", "+447400000001"),
            ("+447400000001", "+12015550123"),
        ]


def test_an_upgrade_can_be_taken_back_and_done_again(first_version: Ledger) -> None:
    """Whoever finds a fault in a new version goes back to the old one, with everything that was sent."""
    with first_version.write() as connection:
        _fill(connection)
    initialise(first_version)
    with first_version.write() as connection:
        command.downgrade(migrate.alembic_config(connection), "0001")
    with first_version.read() as connection:
        assert not inspect(connection).has_table("person_aliases")
        columns = {column["name"] for column in inspect(connection).get_columns("campaign_recipients")}
        assert "region" not in columns
        assert _rows(connection, "SELECT count(*) FROM send_attempts") == [(4,)]
    initialise(first_version)
    with first_version.read() as connection:
        assert _rows(connection, "SELECT count(*) FROM person_aliases") == [(4,)]


def test_what_people_had_said_before_becomes_words(first_version: Ledger) -> None:
    """The next word of somebody who had written STOP would be the only one that counts."""
    states = (
        ("+447400000001", "unsubscribed", "WhatsApp, error 131050"),
        ("+447400000002", "unsubscribed", "list people.csv"),
        ("+447400000003", "unsubscribed", "ada"),
        ("+447400000004", "subscribed", "ada"),
        ("+447400000005", "subscribed", "list people.csv"),
    )
    with first_version.write() as connection:
        for key, status, source in states:
            _put(connection, "subscriptions", person_key=key, phone=key, status=status, source=source)
    initialise(first_version)
    with first_version.read() as connection:
        words = "SELECT person_key, status, voice, source FROM subscription_events ORDER BY person_key"
        assert _rows(connection, words) == [
            (*states[0][:2], "meta", states[0][2]),
            (*states[1][:2], "list", states[1][2]),
            (*states[2][:2], "operator", states[2][2]),
            (*states[3][:2], "operator", states[3][2]),
        ]
        kept = "SELECT person_key, status, source FROM subscriptions ORDER BY person_key"
        assert _rows(connection, kept) == list(states)
    who = parse_phone("+447400000001", None)
    resumed = Word(SubscriptionStatus.SUBSCRIBED, Voice.META, "resume", NOON + timedelta(days=1))
    with first_version.write() as connection:
        assert note(connection, [SaidWord(who, resumed, "resume")], NOON) == {who.person_key}


def test_what_had_failed_and_paused_before_is_known_to_people(first_version: Ledger) -> None:
    """After the upgrade the failures of last month would stop the sender, and nobody's pause would be a person's."""
    with first_version.write() as connection:
        _fill(connection)
        connection.execute(text("UPDATE marketing_campaigns SET status = 'paused'"))
        connection.execute(text("UPDATE delivery_events SET status = 'failed', error_code = 131042 WHERE id < 3"))
    initialise(first_version)
    with first_version.read() as connection:
        assert _rows(connection, "SELECT paused_by FROM marketing_campaigns") == [("person",)]
        acted_on = "SELECT id FROM delivery_events WHERE acted_at IS NOT NULL ORDER BY id"
        assert _rows(connection, acted_on) == [(1,), (2,)]
