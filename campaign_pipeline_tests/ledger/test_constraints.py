"""The database keeps the promises by itself, whatever the code above it gets wrong."""

from collections.abc import Mapping, Sequence
from datetime import date

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, marketing_campaigns, send_attempts
from campaign_pipeline.ledger.states import MAY_BE_REPEATED, AttemptOutcome, RecipientState
from campaign_pipeline_tests.ledger.rows import MOMENT, put, put_all

BAD_ROWS: Mapping[str, Sequence[tuple[str, Mapping[str, object]]]] = {
    "marketing_campaigns": [
        ("ck_marketing_campaigns_status_known", {"status": "archived"}),
        ("ck_marketing_campaigns_status_known", {"status": "Active"}),
        ("ck_marketing_campaigns_daily_send_limit_positive", {"daily_send_limit": 0}),
    ],
    "recipient_lists": [
        ("ck_recipient_lists_state_known", {"state": "ready"}),
        ("ck_recipient_lists_counts_sum", {"rows_read": 16}),
        ("ck_recipient_lists_counts_sum", {"rows_read": 14}),
        ("ck_recipient_lists_counts_sum", {"unsubscribed": 0}),
    ],
    "recipient_rejections": [("ck_recipient_rejections_reason_known", {"reason": "too_short"})],
    "subscriptions": [("ck_subscriptions_status_known", {"status": "maybe"})],
    "sender_limits": [("ck_sender_limits_limit_not_negative", {"people_per_24_hours": -1})],
    "external_usage": [("ck_external_usage_people_not_negative", {"people": -1})],
    "batches": [
        ("ck_batches_state_known", {"state": "paused"}),
        ("ck_batches_never_empty", {"size": 0}),
        ("ck_batches_closed_has_time", {"state": "closed"}),
        ("ck_batches_closed_has_time", {"closed_at": MOMENT}),
    ],
    "campaign_recipients": [
        ("ck_campaign_recipients_state_known", {"state": "queued"}),
        ("ck_campaign_recipients_claimed_has_batch", {"state": "claimed", "batch_id": None}),
        ("ck_campaign_recipients_claimed_has_batch", {"state": "attempting", "batch_id": None}),
        ("ck_campaign_recipients_pending_has_no_batch", {"state": "pending"}),
        ("ck_campaign_recipients_skipped_has_reason", {"state": "skipped", "reason": None}),
    ],
    "send_attempts": [
        ("ck_send_attempts_outcome_known", {"outcome": "lost"}),
        ("ck_send_attempts_admitted_within_limit", {"admitted_count": 251}),
    ],
    "test_sends": [("ck_test_sends_outcome_known", {"outcome": "lost"})],
    "api_tokens": [("ck_api_tokens_role_known", {"role": "root"})],
    "delivery_files": [("ck_delivery_files_state_known", {"state": "failed"})],
}

DOUBLES: Sequence[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
    # (table, what a second row differs in to be refused, and in what besides to be let in)
    ("marketing_campaigns", {"id": 2}, {"slug": "summer-sale"}),
    (
        "campaign_recipients",
        {"id": 2, "phone": "07911 000001", "position": 2, "state": "pending", "batch_id": None},
        {"person_key": "+447911000002"},
    ),
    ("batches", {"id": 2}, {"send_date": date(2026, 3, 3)}),
    ("senders", {"id": 2}, {"name": "another"}),
    ("delivery_files", {"id": 2, "name": "again.ndjson"}, {"sha256": "1" * 64}),
    ("delivery_events", {"id": 2, "raw": "{ }", "line_number": 2}, {"status": "delivered"}),
    ("subscriptions", {"status": "unsubscribed"}, {"person_key": "+447911000002"}),
    ("api_tokens", {"id": 2, "name": "crm"}, {"sha256": "1" * 64}),
    ("api_requests", {"fingerprint": "1" * 64}, {"key": "order-2"}),
    ("api_launches", {"claim": "another"}, {"send_date": date(2026, 3, 3)}),
]

ORPHANS: Sequence[tuple[str, Mapping[str, object]]] = [
    ("campaign_recipients", {"campaign_id": 99}),
    ("campaign_recipients", {"batch_id": 99}),
    ("campaign_recipients", {"list_id": 99}),
    ("recipient_lists", {"campaign_id": 99}),
    ("recipient_rejections", {"list_id": 99}),
    ("batches", {"sender_id": 99}),
    ("send_attempts", {"recipient_id": 99}),
    ("test_sends", {"campaign_id": 99}),
    ("test_sends", {"sender_id": 99}),
]


def _is_refused(ledger: Ledger, table: str, changes: Mapping[str, object]) -> str:
    """Tries to insert a row among good ones; gives the database's words."""
    with pytest.raises(IntegrityError) as refusal, ledger.write() as connection:
        put(connection, table, **changes)
    return str(refusal.value)


def _next_to_the_good_row(table: str) -> dict[str, object]:
    """What a second row of a table has to differ in so that only what is tried is wrong with it."""
    free: dict[str, dict[str, object]] = {
        "marketing_campaigns": {"slug": "summer-sale"},
        "subscriptions": {"person_key": "+447911000002"},
        "batches": {"send_date": date(2026, 3, 3)},
        "campaign_recipients": {"person_key": "+447911000002"},
        "send_attempts": {"id": "attempt-2", "recipient_id": 2},
        "api_tokens": {"name": "crm", "sha256": "1" * 64},
        "delivery_files": {"sha256": "1" * 64},
        "delivery_events": {"status": "delivered"},
    }
    numbered = {} if table in ("subscriptions", "send_attempts") else {"id": 2}
    return {**numbered, **free.get(table, {})}


def test_the_database_refuses_a_row_that_breaks_a_rule(ledger: Ledger) -> None:
    """A state that nobody knows is in no figure and no queue: its person is forgotten without a word."""
    with ledger.write() as connection:
        put_all(connection)
        put(connection, "campaign_recipients", id=2, person_key="+447911000003")
    for table, rows in BAD_ROWS.items():
        for constraint, changes in rows:
            refusal = _is_refused(ledger, table, {**_next_to_the_good_row(table), **changes})
            assert constraint in refusal, (table, changes, refusal)
    # The same rows without their one fault are taken, so that it is this fault that was refused.
    with ledger.write() as connection:
        for table in BAD_ROWS:
            put(
                connection,
                table,
                **{**_next_to_the_good_row(table), "id": 3}
                if table == "campaign_recipients"
                else {**_next_to_the_good_row(table)},
            )


def test_the_database_refuses_what_may_be_there_only_once(ledger: Ledger) -> None:
    """One person twice in a campaign, or two batches of one date, is the double message that we promise not to send."""
    with ledger.write() as connection:
        put_all(connection)
    for table, same, another in DOUBLES:
        refusal = _is_refused(ledger, table, same)
        assert "unique" in refusal.lower(), (table, refusal)
        with ledger.write() as connection:
            put(connection, table, **{**same, **another})


def test_the_database_refuses_a_row_that_belongs_to_nothing(ledger: Ledger) -> None:
    """An attempt without its recipient proves nothing, and SQLite checks no reference unless it is told to."""
    with ledger.write() as connection:
        put_all(connection)
    for table, changes in ORPHANS:
        refusal = _is_refused(ledger, table, {**_next_to_the_good_row(table), **changes})
        assert "foreign key" in refusal.lower(), (table, changes, refusal)


def test_a_second_attempt_is_let_in_only_after_one_that_certainly_reached_nobody(ledger: Ledger) -> None:
    """Whatever the code above does, the same person is not handed to WhatsApp twice for one campaign."""
    with ledger.write() as connection:
        put_all(connection)
        for number, outcome in enumerate(AttemptOutcome, start=10):
            put(connection, "campaign_recipients", id=number, person_key=f"+{number}")
            put(connection, "send_attempts", id=f"{outcome} 1", recipient_id=number, outcome=outcome)
    for number, outcome in enumerate(AttemptOutcome, start=10):
        second = {"id": f"{outcome} 2", "recipient_id": number, "attempt_number": 2}
        if outcome not in MAY_BE_REPEATED:
            assert "unique" in _is_refused(ledger, "send_attempts", second).lower(), outcome
            continue
        with ledger.write() as connection:
            put(connection, "send_attempts", **second)
        # And once the second is out, the first cannot come to count as sent again.
        first = update(send_attempts).where(send_attempts.c.id == f"{outcome} 1")
        with pytest.raises(IntegrityError), ledger.write() as connection:
            connection.execute(first.values(outcome="accepted"))
    may_have_reached = (
        select(send_attempts.c.recipient_id, func.count().label("calls"))
        .where(send_attempts.c.outcome.not_in(MAY_BE_REPEATED), send_attempts.c.recipient_id >= 10)
        .group_by(send_attempts.c.recipient_id)
    )
    with ledger.read() as connection:
        assert [row.calls for row in connection.execute(may_have_reached)] == [1] * len(AttemptOutcome)


def test_exactly_three_outcomes_allow_another_attempt() -> None:
    """Adding `in_doubt` to them would turn every lost answer into a message sent twice."""
    assert set(MAY_BE_REPEATED) == {AttemptOutcome.REFUSED, AttemptOutcome.NOT_SENT, AttemptOutcome.VOIDED}


def test_two_attempts_of_one_person_never_share_a_number(ledger: Ledger) -> None:
    """Two workers that both write attempt 2 would each call; one of them has to fail before its call."""
    with ledger.write() as connection:
        put_all(connection)
        connection.execute(update(send_attempts).values(outcome=AttemptOutcome.REFUSED))
        put(connection, "send_attempts", id="attempt-2", attempt_number=2, outcome="refused")
    refusal = _is_refused(ledger, "send_attempts", {"id": "attempt-3", "attempt_number": 2, "outcome": "refused"})
    assert "attempt_number" in refusal


def test_every_known_state_of_a_recipient_is_taken_by_the_database(ledger: Ledger) -> None:
    """A state that the code knows and the database refuses stops a batch in its middle."""
    with ledger.write() as connection:
        put_all(connection)
        for state in RecipientState:
            batch = None if state == RecipientState.PENDING else 1
            changed = update(campaign_recipients).values(state=state, reason="for the test", batch_id=batch)
            assert connection.execute(changed).rowcount == 1
        stored = connection.execute(select(marketing_campaigns.c.template_parameters)).scalar_one()
    assert stored == []
