"""Good rows, one of each table, for tests that change one thing about them; and processes that start at once."""

import multiprocessing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from multiprocessing.connection import wait
from typing import Any, Final

from sqlalchemy import Connection, Table, insert

from campaign_pipeline.ledger import schema

MOMENT: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)

GOOD: Final[dict[str, dict[str, Any]]] = {
    "marketing_campaigns": {
        "id": 1,
        "slug": "spring-sale",
        "name": "Spring Sale",
        "template_name": "spring_sale",
        "template_language": "en_US",
        "template_parameters": [],
        "daily_send_limit": 250,
        "priority": 0,
        "status": "active",
        "created_at": MOMENT,
    },
    "recipient_lists": {
        "id": 1,
        "campaign_id": 1,
        "name": "people.csv",
        "state": "done",
        "rows_read": 15,
        "added": 5,
        "duplicate_in_list": 4,
        "already_in_campaign": 3,
        "invalid": 2,
        "unsubscribed": 1,
        "received_at": MOMENT,
    },
    "recipient_rejections": {
        "id": 1,
        "list_id": 1,
        "line_number": 2,
        "value": "12",
        "reason": "invalid",
        "detail": "too_short",
    },
    "subscriptions": {
        "person_key": "+447911000001",
        "phone": "+447911000001",
        "status": "subscribed",
        "source": "test",
        "changed_at": MOMENT,
    },
    "subscription_events": {
        "id": 1,
        "person_key": "+447911000001",
        "word_key": "operator",
        "phone": "+447911000001",
        "status": "unsubscribed",
        "voice": "operator",
        "source": "test",
        "occurred_at": MOMENT,
        "received_at": MOMENT,
    },
    "opt_ins": {
        "id": 1,
        "person_key": "+447911000001",
        "evidence_key": "0" * 64,
        "source": "web form",
        "occurred_at": MOMENT,
        "received_at": MOMENT,
    },
    "senders": {"id": 1, "name": "default"},
    "sender_limits": {
        "id": 1,
        "sender_id": 1,
        "people_per_24_hours": 250,
        "effective_from": MOMENT,
        "source": "test",
    },
    "external_usage": {"id": 1, "sender_id": 1, "people": 10, "used_at": MOMENT, "source": "test"},
    "batches": {
        "id": 1,
        "send_date": date(2026, 3, 2),
        "sender_id": 1,
        "state": "open",
        "size": 1,
        "taken_by_run": "run",
        "taken_at": MOMENT,
    },
    "campaign_recipients": {
        "id": 1,
        "campaign_id": 1,
        "person_key": "+447911000001",
        "phone": "+447911000001",
        "parameters": {},
        "position": 1,
        "state": "attempting",
        "batch_id": 1,
        "changed_at": MOMENT,
    },
    "send_attempts": {
        "id": "attempt-1",
        "recipient_id": 1,
        "attempt_number": 1,
        "batch_id": 1,
        "sender_id": 1,
        "person_key": "+447911000001",
        "run_id": "run",
        "lease_fence": 1,
        "admitted_limit": 250,
        "admitted_count": 250,
        "started_at": MOMENT,
        "outcome": "calling",
    },
    "person_aliases": {
        "alias": "447911000001",
        "person_key": "+447911000001",
        "kind": "wa_id",
        "first_seen_at": MOMENT,
    },
    "shared_accounts": {
        "person_key": "+447911000001",
        "other_key": "+447911000002",
        "alias": "447911000001",
        "found_at": MOMENT,
    },
    "test_sends": {
        "id": "test-1",
        "campaign_id": 1,
        "sender_id": 1,
        "template_name": "spring_sale",
        "template_language": "en_US",
        "person_key": "+447911000001",
        "phone": "+447911000001",
        "by": "test",
        "at": MOMENT,
        "outcome": "calling",
    },
    "delivery_files": {
        "id": 1,
        "name": "statuses.ndjson",
        "sha256": "0" * 64,
        "state": "done",
        "received_at": MOMENT,
    },
    "delivery_events": {
        "id": 1,
        "wamid": "wamid.1",
        "status": "sent",
        "occurred_at": MOMENT,
        "attempt_id": "attempt-1",
        "file_id": 1,
        "line_number": 1,
        "raw": "{}",
        "received_at": MOMENT,
    },
    "inbound_words": {
        "id": 1,
        "word_key": "0" * 64,
        "kind": "reply",
        "wa_id": "447911000001",
        "occurred_at": MOMENT,
        "replies_since": MOMENT,
        "recipient_id": 1,
        "file_id": 1,
        "received_at": MOMENT,
    },
    "api_tokens": {
        "id": 1,
        "name": "shop",
        "role": "operator",
        "prefix": "cp_abcdef",
        "sha256": "0" * 64,
        "created_at": MOMENT,
        "created_by": "test",
    },
    "api_requests": {
        "token_id": 1,
        "endpoint": "0" * 64,
        "key": "order-1",
        "fingerprint": "0" * 64,
        "claim": "claim",
        "claimed_at": MOMENT,
    },
    "api_launches": {"send_date": MOMENT.date(), "claim": "claim", "claimed_at": MOMENT},
}
"""In an order in which each row finds those that it names."""


def put(connection: Connection, name: str, /, **changes: object) -> None:
    """Inserts the good row of a table, with some changes."""
    connection.execute(insert(table(name)).values({**GOOD[name], **changes}))


def put_all(connection: Connection) -> None:
    """Inserts the good row of every table."""
    for name in GOOD:
        put(connection, name)


def table(name: str) -> Table:
    """The table of a name."""
    return schema.metadata.tables[name]


def in_processes(count: int, work: Callable[..., None], arguments: Mapping[str, object]) -> list[int | None]:
    """Runs one function in several new processes, which it can make wait for each other; gives their exit codes.

    Args:
        count: How many.
        work: A function of a module; called with ``number``, ``barrier`` and the arguments.
        arguments: What each of them gets.
    """
    # Forked from a clean server, which has loaded what is slow to load, and has no connection that a child would share.
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload(["pytest", "hypothesis", "psycopg", "alembic.command", "sqlalchemy", "phonenumbers"])
    barrier = clean.Barrier(count)
    processes = [
        clean.Process(target=work, kwargs={"number": number, "barrier": barrier, **arguments})
        for number in range(count)
    ]
    for process in processes:
        process.start()
    waiting = {process.sentinel: process for process in processes}
    while waiting and (ended := wait(waiting, timeout=300)):
        for sentinel in ended:
            process = waiting.pop(sentinel)
            process.join()
            if process.exitcode:
                # Whoever waits for it would wait for nothing.
                barrier.abort()
    for process in waiting.values():
        process.kill()
        process.join()
    return [process.exitcode for process in processes]
