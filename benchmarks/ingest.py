"""How fast are status events taken in, measured against parsing and copying them into a plain table?

Writes 1,000,000 status events of 300,000 messages in random order, a tenth of them twice, a payload a line, into ten
files; then, on PostgreSQL (a throw-away server), in the same run and in turn, reads them and COPYs them into a table
without index or constraint, and takes them in: each once, matched, folded, with analytics. Prints the rates, their
ratio, and the largest memory of the process before and after.

    .venv/bin/python -m benchmarks.ingest [events] [rounds]
"""

import json
import random
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.delivery.status_lines import chunks_of
from campaign_pipeline.ledger.engine import Ledger, connect, initialise
from campaign_pipeline.recipients.stop_words import vocabulary
from campaign_pipeline_tests.support.postgres import PostgresServer, postgres_server

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
STATUSES = ("sent", "delivered", "read")
FILES = 10
PEOPLE_A_DAY = 10_000

SERVER = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
"""As a server is set up that has a database to itself; everything else, fsync among it, is as PostgreSQL has it."""

PLAIN = (
    "CREATE TABLE plain (wamid text, status text, occurred_at timestamptz, error_code int, error_text text,"
    " callback_data text, recipient_alias text, recipient_user_id text, raw text, file_id bigint, line_number int,"
    " received_at timestamptz)"
)


def main() -> None:
    """Measures both in turn and prints the medians."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    messages = events * 9 // 10 // len(STATUSES)
    attempt_ids = [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(messages)]
    with tempfile.TemporaryDirectory() as folder, postgres_server(**SERVER) as server:
        root = Path(folder)
        written = _write(root / "files", attempt_ids, events)
        filled = _filled(server, attempt_ids)
        print(f"{written:,} events of {messages:,} messages; {_memory():,} MiB at most so far")
        took: dict[str, list[float]] = {"copied": [], "taken in": []}
        for _ in range(rounds):
            _checkpoint(server)
            took["copied"].append(_copy_all(server, root / "files"))
            _checkpoint(server)
            took["taken in"].append(_take_in_all(server, filled, root))
        for what, seconds in took.items():
            print(f"{what}: {written / statistics.median(seconds):,.0f} events a second ({_shown(seconds)})")
        ratios = [copied / taken for copied, taken in zip(*took.values(), strict=True)]
        print(f"ratio: {statistics.median(ratios):.2f} ({_shown(ratios)}); {_memory():,} MiB at most")


def _shown(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _write(folder: Path, attempt_ids: list[str], events: int) -> int:
    folder.mkdir()
    chosen = [(message, word) for message in range(len(attempt_ids)) for word in range(len(STATUSES))]
    random.seed(1)
    chosen += random.sample(chosen, events - len(chosen))
    random.shuffle(chosen)
    for number in range(FILES):
        with (folder / f"{number}.ndjson").open("w") as file:
            file.writelines(_line(attempt_ids, *each) for each in chosen[number::FILES])
    return len(chosen)


def _wamid(message: int) -> str:
    return f"wamid.HBgMNDQ3OTExMTIzNDU2FQIAERgSQUZCRDcxMTE0RUY5{message:08d}AA=="


def _line(attempt_ids: list[str], message: int, word: int) -> str:
    status = {
        "id": _wamid(message),
        "status": STATUSES[word],
        "timestamp": str(int(NOW.timestamp()) + 60 * word + message % 50),
        "recipient_id": f"44{message:010d}",
        "biz_opaque_callback_data": attempt_ids[message],
        "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
    }
    metadata = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]}
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":")) + "\n"


def _checkpoint(server: PostgresServer) -> None:
    """Gives all rounds the same start: else one of them pays for what the others have left to be written."""
    import psycopg

    with psycopg.connect(server.new_database(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _copy_all(server: PostgresServer, folder: Path) -> float:
    import psycopg

    with psycopg.connect(server.new_database()) as connection:
        connection.execute(PLAIN)
        connection.commit()
        words = vocabulary()
        began = time.perf_counter()
        for number, path in enumerate(sorted(folder.iterdir())):
            for chunk in chunks_of(path, words):
                with connection.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
                    for line_number, event in chunk.events:
                        copy.write_row(
                            (
                                event.wamid,
                                event.status,
                                event.occurred_at,
                                event.error_code,
                                event.error_text,
                                event.callback_data,
                                event.recipient_id,
                                event.recipient_user_id,
                                event.raw,
                                number,
                                line_number,
                                NOW,
                            )
                        )
                connection.commit()
        return time.perf_counter() - began


def _take_in_all(server: PostgresServer, filled: str, root: Path) -> float:
    folders = StatusFolders(root / "inbox", root / "archive", root / "rejected")
    folders.inbox.mkdir(exist_ok=True)
    for path in (root / "files").iterdir():
        (folders.inbox / path.name).hardlink_to(path)
    ledger = connect(server.new_database(copied_from=filled))
    began = time.perf_counter()
    report = ingest_waiting(ledger, folders, lambda: NOW)
    took = time.perf_counter() - began
    _check(ledger, report.events)
    ledger.close()
    return took


def _check(ledger: Ledger, events: int) -> None:
    with ledger.read() as connection:
        stored, read = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM delivery_events),"
                " (SELECT count(*) FROM campaign_recipients WHERE state = 'read')"
            )
        ).one()
    if stored != read * len(STATUSES) or stored >= events:
        msg = f"{events} events are {stored} different ones, and {read} people have read"
        raise RuntimeError(msg)


def _filled(server: PostgresServer, attempt_ids: list[str]) -> str:
    """A database with all the messages accepted, so many people a day; gives its name."""
    url = server.new_database()
    ledger = connect(url)
    initialise(ledger)
    with ledger.write() as connection:
        for statement in FILLED:
            connection.execute(text(statement), {"now": NOW, "people": len(attempt_ids), "day": PEOPLE_A_DAY})
        connection.execute(text("CREATE TEMPORARY TABLE ids (number bigint, id text)"))
        raw = connection.connection.driver_connection
        if raw is None:
            msg = "there is no connection"
            raise RuntimeError(msg)
        with raw.cursor() as cursor, cursor.copy("COPY ids FROM STDIN") as copy:
            for row in _numbered(attempt_ids):
                copy.write_row(row)
        connection.execute(text(ATTEMPTS), {"now": NOW, "day": PEOPLE_A_DAY})
        connection.execute(text(ALIASES), {"now": NOW})
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    ledger.close()
    return url.rpartition("/")[2]


def _numbered(attempt_ids: list[str]) -> Iterator[tuple[int, str]]:
    yield from enumerate(attempt_ids)


FILLED = (
    "INSERT INTO marketing_campaigns (id, slug, name, template_name, template_language, template_parameters,"
    " daily_send_limit, priority, status, created_at, activated_at, resumed_at)"
    " VALUES (1, 'big', 'Big', 'big', 'en_US', '[]', 250, 0, 'active', :now, :now, :now)",
    "INSERT INTO senders (id, name, newest_stamp) VALUES (1, 'simulator', :now)",
    "INSERT INTO batches (id, send_date, sender_id, state, size, taken_by_run, taken_at, closed_at)"
    " SELECT day + 1, date '2026-01-01' + day, 1, 'closed', least(:day, :people - day * :day), 'benchmark', :now,"
    " :now"
    " FROM generate_series(0, (:people - 1) / :day) AS days(day)",
    "INSERT INTO campaign_recipients (id, campaign_id, person_key, phone, region, parameters, position, state,"
    " batch_id, accepted_at, changed_at) SELECT i + 1, 1, '+44' || lpad(i::text, 10, '0'),"
    " '+44' || lpad(i::text, 10, '0'), 'GB', '{}', i, 'accepted', i / :day + 1, :now, :now"
    " FROM generate_series(0, :people - 1) AS numbered(i)",
)
# What answers have told, as `sending.attempts` notes it.
ALIASES = (
    "INSERT INTO person_aliases (alias, person_key, kind, first_seen_at)"
    " SELECT wa_id, person_key, 'wa_id', :now FROM send_attempts"
)

ATTEMPTS = (
    "INSERT INTO send_attempts (id, recipient_id, campaign_id, attempt_number, batch_id, sender_id, person_key, run_id,"
    " lease_fence, admitted_limit, admitted_count, started_at, answered_at, outcome, http_status, wamid, wa_id)"
    " SELECT id, number + 1, 1, 1, number / :day + 1, 1, '+44' || lpad(number::text, 10, '0'), 'benchmark', 1, 100000,"
    " 1, :now, :now, 'accepted', 200, 'wamid.HBgMNDQ3OTExMTIzNDU2FQIAERgSQUZCRDcxMTE0RUY5'"
    " || lpad(number::text, 8, '0') || 'AA==', '44' || lpad(number::text, 10, '0') FROM ids"
)


if __name__ == "__main__":
    main()
