"""The figures are derived from the rows, and say the same everywhere."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from campaign_pipeline.campaigns.figures import (
    ReasonCount,
    batch_figures,
    campaign_figures,
    figures_by_campaign,
    figures_by_date,
    figures_from,
    reasons_of_batch,
)
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients
from campaign_pipeline.ledger.states import UNSETTLED, RecipientState
from campaign_pipeline_tests.ledger.rows import put
from campaign_pipeline_tests.support.campaigns import NOON, active_campaign

counts = st.dictionaries(st.sampled_from([state.value for state in RecipientState]), st.integers(0, 10_000))

NOTHING = {
    "total": 0,
    "pending": 0,
    "sent": 0,
    "delivered": 0,
    "read": 0,
    "replied": 0,
    "failed": 0,
    "skipped": 0,
    "in_doubt": 0,
    "progress_percentage": 0.0,
    "delivery_rate": 0.0,
    "read_rate": 0.0,
}


@pytest.mark.parametrize(
    ("states", "accepted", "expected"),
    [
        ({}, 0, {}),
        ({"pending": 3, "claimed": 2}, 0, {"total": 5, "pending": 5}),
        ({"attempting": 2}, 0, {"total": 2}),
        ({"in_doubt": 1, "skipped": 1}, 0, {"total": 2, "in_doubt": 1, "skipped": 1, "progress_percentage": 50.0}),
        ({"accepted": 4}, 4, {"total": 4, "sent": 4, "progress_percentage": 100.0}),
        (
            {"delivered": 2, "read": 1, "sent": 1},
            4,
            {
                "total": 4,
                "sent": 4,
                "delivered": 3,
                "read": 1,
                "progress_percentage": 100.0,
                "delivery_rate": 75.0,
                "read_rate": 25.0,
            },
        ),
        # Of three who failed, one had been accepted first: it stays sent.
        ({"failed": 3}, 1, {"total": 3, "sent": 1, "failed": 3, "progress_percentage": 100.0}),
        (
            {"delivered": 2, "failed": 1, "pending": 3},
            3,
            {
                "total": 6,
                "pending": 3,
                "sent": 3,
                "delivered": 2,
                "failed": 1,
                "progress_percentage": 50.0,
                "delivery_rate": 66.67,
            },
        ),
    ],
)
def test_each_figure_is_what_the_design_says(states: dict[str, int], accepted: int, expected: dict[str, float]) -> None:
    """A rate of total instead of sent makes a campaign look worse with every person who still waits."""
    figures = figures_from(states, accepted).as_dict()
    in_each = figures.pop("states")
    assert figures == {**NOTHING, **expected}
    assert in_each == {**{state.value: 0 for state in RecipientState}, **states}


@given(counts)
def test_the_states_sum_to_the_total_and_settled_means_that_nobody_is_left(states: dict[str, int]) -> None:
    """Whoever is in no figure is forgotten; a campaign that is finished too early leaves people out."""
    figures = figures_from(states, accepted=0)
    assert sum(figures.states.values()) == figures.total == sum(states.values())
    left = sum(states.get(state, 0) for state in UNSETTLED)
    assert figures.settled is (left == 0)
    assert 0 <= figures.progress_percentage <= 100
    if figures.total:
        assert figures.progress_percentage == pytest.approx(100 * (figures.total - left) / figures.total, abs=0.005)


def _scatter(ledger: Ledger, campaign_id: int, batch_id: int) -> None:
    """Puts one person of a campaign into each state, all but the pending one into a batch."""
    accepted = {"accepted", "sent", "delivered", "read", "failed"}
    with ledger.write() as connection:
        ids = connection.execute(
            select(campaign_recipients.c.id).where(campaign_recipients.c.campaign_id == campaign_id)
        ).scalars()
        for recipient_id, state in zip(sorted(ids), RecipientState, strict=True):
            connection.execute(
                update(campaign_recipients)
                .where(campaign_recipients.c.id == recipient_id)
                .values(
                    state=state,
                    reason="for the test",
                    batch_id=None if state == "pending" else batch_id,
                    accepted_at=NOON if state in accepted else None,
                )
            )


def test_campaign_batch_and_parts_of_a_batch_are_counted_from_the_same_rows(ledger: Ledger, tmp_path: Path) -> None:
    """Where the page and the report differ by one, nobody believes either."""
    first = active_campaign(ledger, tmp_path, range(10))
    second = active_campaign(ledger, tmp_path, range(10, 20), name="Summer Sale")
    third = active_campaign(ledger, tmp_path, range(20, 22), name="Autumn Sale")
    with ledger.write() as connection:
        put(connection, "senders")
        put(connection, "batches", send_date=date(2026, 3, 2))
        put(connection, "batches", id=2, send_date=date(2026, 3, 3))
    _scatter(ledger, first.id, batch_id=1)
    _scatter(ledger, second.id, batch_id=1)
    with ledger.read() as connection:
        whole = campaign_figures(connection, first.id)
        assert (whole.total, whole.pending, whole.sent, whole.delivered, whole.read) == (10, 2, 5, 2, 1)
        assert (whole.failed, whole.skipped, whole.in_doubt, whole.progress_percentage) == (1, 1, 1, 60.0)
        assert (whole.delivery_rate, whole.read_rate) == (40.0, 20.0)
        batch = batch_figures(connection, date(2026, 3, 2))
        assert (batch.total, batch.pending, batch.sent, batch.delivered) == (18, 2, 10, 4)
        parts = figures_by_campaign(connection, date(2026, 3, 2))
        assert parts.keys() == {first.id, second.id}
        assert sum(part.total for part in parts.values()) == batch.total
        assert sum(part.sent for part in parts.values()) == batch.sent
        assert parts[first.id].states == {**whole.states, "pending": 0}
        assert campaign_figures(connection, third.id).states["pending"] == 2
        assert figures_by_campaign(connection, date(2026, 3, 3)) == {}
        assert batch_figures(connection, date(2026, 3, 3)).total == 0
        assert figures_by_date(connection, first.id) == {date(2026, 3, 2): parts[first.id]}
        assert figures_by_date(connection, third.id) == {}


def test_the_reasons_of_a_batch_are_counted_the_most_frequent_first(ledger: Ledger, tmp_path: Path) -> None:
    """Of 40 who failed, the reason that 38 share is the one to do something about."""
    active_campaign(ledger, tmp_path, range(8))
    ends = [
        ("failed", "131026: not on WhatsApp"),
        ("skipped", "unsubscribed"),
        ("failed", "131026: not on WhatsApp"),
        ("failed", None),
        ("skipped", "removed"),
        ("failed", "131026: not on WhatsApp"),
        ("delivered", "no reason to be told"),
    ]
    with ledger.write() as connection:
        put(connection, "senders")
        put(connection, "batches", send_date=date(2026, 3, 2))
        ids = connection.execute(select(campaign_recipients.c.id).order_by(campaign_recipients.c.id)).scalars().all()
        for recipient_id, (state, reason) in zip(ids, ends, strict=False):
            connection.execute(
                update(campaign_recipients)
                .where(campaign_recipients.c.id == recipient_id)
                .values(state=state, reason=reason, batch_id=1)
            )
        reasons = reasons_of_batch(connection, date(2026, 3, 2))
        assert reasons[0] == ReasonCount("failed", "131026: not on WhatsApp", 3)
        assert sorted((each.state, each.reason, each.people) for each in reasons[1:]) == [
            ("failed", "no reason given", 1),
            ("skipped", "removed", 1),
            ("skipped", "unsubscribed", 1),
        ]
        assert reasons_of_batch(connection, date(2026, 3, 3)) == []
