"""A ledger as large as after seven weeks of sending, filled by statements over whole sets, for looking at query plans.

Add here rows that a query has to leave alone. Keep out expectations: those belong to the tests.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, insert, text

from campaign_pipeline.ledger import schema
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import UtcDateTime
from campaign_pipeline.sending.capacity import sender_id

TODAY: Final = date(2026, 3, 2)
"""The date of `HandClock`."""

DAYS: Final = 50
"""Dates that have been sent."""

BIG_TABLES: Final = frozenset(
    {
        "campaign_recipients",
        "send_attempts",
        "delivery_events",
        "outbox",
        "recipient_rejections",
        "audit_log",
        "subscriptions",
        "person_aliases",
        "subscription_events",
        "opt_ins",
        "inbound_words",
    }
)
"""Those that grow with every person, message or change; the others have a row for each campaign, date or file."""

SPRING: Final = 1
"""The campaign that most of the ledger is about: 36,000 of 40,000 people were sent to."""

AUTUMN: Final = 2
"""A smaller one, whose turn comes after it: 4,500 of 5,000."""

WINTER: Final = 3
"""Completed: everybody of 10,000."""

PAUSED: Final = 4
DRAFT: Final = 5

PEOPLE: Final = {SPRING: 40_000, AUTUMN: 5_000, WINTER: 10_000, PAUSED: 3_000, DRAFT: 2_000}
A_DAY: Final = {SPRING: 720, AUTUMN: 90, WINTER: 200}
"""How many of each campaign were sent to on each date."""

LOG_ROWS: Final = 20_000
STRANGERS: Final = 5_000
"""Status events of messages that are not ours."""

HALF_TAKEN: Final = 10_000
"""Events of the one file whose ingest was killed."""

_STATUSES: Final = {
    SPRING: "active",
    AUTUMN: "active",
    WINTER: "completed",
    PAUSED: "paused",
    DRAFT: "draft",
}
_NAMES: Final = {
    SPRING: "Spring Sale",
    AUTUMN: "Autumn Sale",
    WINTER: "Winter Sale",
    PAUSED: "Paused Sale",
    DRAFT: "Draft Sale",
}
_BEFORE: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
_NUMBERS: Final = "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :rows) "


def fill_waiting(connection: Connection) -> None:
    """Makes the campaigns with everybody in them still waiting, and the logs of what was done before."""
    now = {"now": _BEFORE}
    sender_id(connection)
    connection.execute(
        insert(schema.marketing_campaigns),
        [
            {
                "id": number,
                "slug": _NAMES[number].lower().replace(" ", "-"),
                "name": _NAMES[number],
                "template_name": "spring_sale",
                "template_language": "en_US",
                "template_parameters": [],
                "daily_send_limit": A_DAY.get(number, 250),
                "priority": -number,
                "status": status,
                "next_position": PEOPLE[number] + 1,
                "created_at": _BEFORE,
                "activated_at": None if status == "draft" else _BEFORE,
                "finished_at": _BEFORE if status == "completed" else None,
            }
            for number, status in _STATUSES.items()
        ],
    )
    connection.execute(
        insert(schema.recipient_lists),
        [
            {"id": number, "campaign_id": number, "name": "people.csv", "state": "done", "received_at": _BEFORE}
            for number in PEOPLE
        ],
    )
    first = 0
    for number, people in PEOPLE.items():
        _run(
            connection,
            "INSERT INTO campaign_recipients (campaign_id, person_key, phone, parameters, list_id, line_number,"
            " position, region, state, changed_at) SELECT :campaign, '+44' || (7911000000 + :first + i),"
            " '+44' || (7911000000 + :first + i), '{}', :campaign, i + 1, i, 'GB', 'pending', :now FROM numbers",
            rows=people,
            campaign=number,
            first=first,
            **now,
        )
        first += people
    _run(
        connection,
        "INSERT INTO subscriptions (person_key, phone, status, source, changed_at)"
        " SELECT '+44' || (7911000000 + i), '+44' || (7911000000 + i),"
        " CASE WHEN i % 50 = 0 THEN 'unsubscribed' ELSE 'subscribed' END, 'list people.csv', :now FROM numbers",
        rows=first,
        **now,
    )
    _run(
        connection,
        "INSERT INTO subscription_events (person_key, word_key, phone, status, voice, source, occurred_at, received_at)"
        " SELECT '+44' || (7911000000 + i), 'before', '+44' || (7911000000 + i), 'unsubscribed', 'file', 'file', :now,"
        " :now FROM numbers WHERE i % 50 = 0",
        rows=first,
        **now,
    )
    _run(
        connection,
        "INSERT INTO opt_ins (person_key, evidence_key, source, occurred_at, received_at)"
        " SELECT '+44' || (7911000000 + i), 'web', 'web form', :now, :now FROM numbers WHERE i % 7 > 0",
        rows=first,
        **now,
    )
    _run(
        connection,
        "INSERT INTO recipient_rejections (list_id, line_number, value, reason, detail)"
        " SELECT 1, i, '12', 'invalid', 'too_short' FROM numbers",
        rows=LOG_ROWS,
    )
    _run(
        connection,
        "INSERT INTO audit_log (at, actor, action, subject, details)"
        " SELECT :now, 'somebody', 'unsubscribed', '+44…' || (i % 100), '{}' FROM numbers",
        rows=LOG_ROWS,
        **now,
    )
    _run(
        connection,
        "INSERT INTO outbox (kind, campaign_slug, details, created_at, reported_at)"
        " SELECT 'list_added', 'spring-sale', '{}', :now, :now FROM numbers",
        rows=LOG_ROWS,
        **now,
    )


def waiting_person(campaign: int, place: int) -> int:
    """The number, for `phone`, of who is at a place among those who wait; the first is at 1."""
    before = sum(people for number, people in PEOPLE.items() if number < campaign)
    return before + DAYS * A_DAY.get(campaign, 0) + place


def send_date(number: int) -> date:
    """The date of the batch with a number, from 1; the last was yesterday."""
    return TODAY - timedelta(days=DAYS + 1 - number)


def fill_batch(connection: Connection, number: int) -> None:
    """Sends one date to its end, with the statuses that came of it."""
    sent_at = datetime.combine(send_date(number), datetime.min.time(), UTC) + timedelta(hours=9, seconds=3)
    connection.execute(
        insert(schema.batches).values(
            id=number,
            send_date=send_date(number),
            sender_id=1,
            state="closed",
            size=sum(A_DAY.values()),
            taken_by_run="run",
            taken_at=sent_at,
            closed_at=sent_at,
        )
    )
    for campaign, people in A_DAY.items():
        # A quarter each was sent, delivered and read; of the last quarter nothing was heard since it was accepted.
        _run(
            connection,
            "UPDATE campaign_recipients SET batch_id = :batch, accepted_at = :at, changed_at = :at, state ="
            " CASE position % 4 WHEN 0 THEN 'accepted' WHEN 1 THEN 'sent' WHEN 2 THEN 'delivered' ELSE 'read' END"
            " WHERE campaign_id = :campaign AND state = 'pending' AND position > :after AND position <= :last",
            batch=number,
            at=sent_at,
            campaign=campaign,
            after=(number - 1) * people,
            last=number * people,
        )
    _run(
        connection,
        "INSERT INTO send_attempts (id, recipient_id, campaign_id, attempt_number, batch_id, sender_id, person_key,"
        " run_id,"
        " lease_fence, admitted_limit, admitted_count, started_at, answered_at, counts_until, outcome, http_status,"
        " wamid, sent_at, delivered_at, read_at)"
        " SELECT 'attempt-' || id, id, campaign_id, 1, :batch, 1, person_key, 'run', 0, 1100, 1, :at, :at, :until,"
        " 'accepted', 200,"
        " 'wamid.old.' || id, CASE WHEN state <> 'accepted' THEN :moment END,"
        " CASE WHEN state IN ('delivered', 'read') THEN :moment END, CASE WHEN state = 'read' THEN :moment END"
        " FROM campaign_recipients WHERE batch_id = :batch",
        batch=number,
        at=sent_at,
        until=sent_at + timedelta(hours=24),
        moment=sent_at,
    )
    _run(
        connection,
        "INSERT INTO person_aliases (alias, person_key, kind, first_seen_at)"
        " SELECT substr(person_key, 2), person_key, 'wa_id', :at FROM send_attempts WHERE batch_id = :batch",
        batch=number,
        at=sent_at,
    )
    connection.execute(
        insert(schema.delivery_files).values(
            id=number,
            name=f"{number}.ndjson",
            sha256=f"{number:064d}",
            state="done",
            received_at=sent_at,
        )
    )
    for word in ("sent", "read"):
        _run(
            connection,
            "INSERT INTO delivery_events (wamid, status, occurred_at, callback_data, attempt_id, file_id, line_number,"  # noqa: S608
            " raw, received_at)"
            " SELECT wamid, :word, :at, id, id, :batch, attempt_number, '{}', :at FROM send_attempts"
            f" WHERE batch_id = :batch AND {word}_at IS NOT NULL",
            word=word,
            batch=number,
            at=sent_at,
        )
    _run(connection, "UPDATE senders SET newest_stamp = :at", at=sent_at)


def fill_strangers(connection: Connection, half_taken_digest: str) -> None:
    """Puts in events of messages that are not ours, and a file of which a killed ingest has stored a part."""
    files = {DAYS + 1: ("others.ndjson", f"{0:064d}", "done"), DAYS + 2: ("half.ndjson", half_taken_digest, "reading")}
    for number, (name, digest, state) in files.items():
        connection.execute(
            insert(schema.delivery_files).values(id=number, name=name, sha256=digest, state=state, received_at=_BEFORE)
        )
    _run(
        connection,
        "INSERT INTO inbound_words (word_key, kind, wa_id, user_id, context_wamid, occurred_at, replies_since, file_id,"
        " received_at, acted_at) SELECT 'word.' || i, 'reply', '1201' || i, 'US.' || i, 'wamid.bot.' || i, :now, :now,"
        " :file, :now, :now FROM numbers",
        rows=HALF_TAKEN,
        file=DAYS + 1,
        now=_BEFORE,
    )
    for file_id, rows, who in ((DAYS + 1, STRANGERS, "stranger"), (DAYS + 2, HALF_TAKEN, "later")):
        _run(
            connection,
            "INSERT INTO delivery_events (wamid, status, occurred_at, file_id, line_number, raw, received_at)"
            " SELECT :who || i, 'sent', :now, :file, 1000 + i, '{}', :now FROM numbers",
            rows=rows,
            who=f"wamid.{who}.",
            file=file_id,
            now=_BEFORE,
        )
    _run(connection, "INSERT INTO delivery_progress (id, folded_to) SELECT 1, max(id) FROM delivery_events")


def fill(ledger: Ledger, half_taken_digest: str) -> None:
    """Fills an empty ledger, with statistics that are old by the end: of a time when everybody waited.

    Of attempts, events and aliases, of which there were none then, PostgreSQL knows what its autovacuum has seen after
    the first of fifty dates.
    """
    with ledger.write() as connection:
        if connection.dialect.name == "postgresql":
            for table in schema.metadata.tables:
                connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        fill_waiting(connection)
    look_again(ledger)
    with ledger.write() as connection:
        fill_batch(connection, 1)
    if ledger.engine.dialect.name == "postgresql":
        look_again(ledger, "batches", "send_attempts", "delivery_files", "delivery_events", "person_aliases")
    with ledger.write() as connection:
        for number in range(2, DAYS + 1):
            fill_batch(connection, number)
        fill_strangers(connection, half_taken_digest)
        _go_on_numbering(connection)


def look_again(ledger: Ledger, *tables: str) -> None:
    """Lets the database look at tables, all by default, as they are now; it remembers that until it is told again."""
    with ledger.write() as connection:
        for table in tables or schema.metadata.tables:
            connection.execute(text(f"ANALYZE {table}"))
    # SQLite reads its statistics once a connection.
    ledger.engine.dispose()


def forget_statistics(ledger: Ledger) -> None:
    """Lets SQLite know nothing about its tables, as in every ledger: nobody tells it to look."""
    with ledger.write() as connection:
        connection.execute(text("DELETE FROM sqlite_stat1"))
    ledger.engine.dispose()


def _go_on_numbering(connection: Connection) -> None:
    """Lets PostgreSQL number new rows after those that were put in with their numbers."""
    if connection.dialect.name == "postgresql":
        for table in ("marketing_campaigns", "recipient_lists", "batches", "delivery_files"):
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")  # noqa: S608
            )


def _run(connection: Connection, statement: str, **values: object) -> None:
    """Runs a statement; `rows` gives it the table `numbers`, and moments are stored as the ledger stores them."""
    whole = statement
    if "rows" in values:
        # SQLite wants WITH before SELECT in an INSERT, PostgreSQL takes it there too.
        head, _, tail = statement.partition(" SELECT ")
        whole = f"{head} {_NUMBERS}SELECT {tail}"
    moments = [bindparam(name, type_=UtcDateTime()) for name, value in values.items() if isinstance(value, datetime)]
    connection.execute(text(whole).bindparams(*moments), values)
