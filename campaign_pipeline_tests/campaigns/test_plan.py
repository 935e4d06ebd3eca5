"""The plan lays everybody who waits over the days, and no day over its limits."""

from collections import defaultdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.campaigns.plan import Demand, PlanError, PlannedBatch, plan_dates, share_of_date

FIRST = date(2026, 3, 2)

demand_lists = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 120)), max_size=5).map(
    lambda pairs: [Demand(number, waiting, limit) for number, (waiting, limit) in enumerate(pairs, start=1)]
)


def _sizes(planned: list[PlannedBatch], campaign_id: int) -> dict[str, int]:
    return {f"{each.send_date:%d}": each.size for each in planned if each.campaign_id == campaign_id}


def test_ten_thousand_people_at_250_a_day_take_40_days() -> None:
    """This is the first thing that the marketer is told; a day too few is a promise broken in April."""
    planned = plan_dates([Demand(1, 10_000, 250)], FIRST, 250)
    assert len(planned) == 40
    assert {each.size for each in planned} == {250}
    assert planned[0].send_date == FIRST
    assert planned[-1] == PlannedBatch(1, date(2026, 4, 10), 250, 0)
    assert [each.remaining for each in planned[:3]] == [9_750, 9_500, 9_250]


@pytest.mark.parametrize(
    ("waiting", "daily_limit", "sender_limit", "days", "last_size"),
    [
        (0, 250, 250, 0, 0),
        (1, 250, 250, 1, 1),
        (250, 250, 250, 1, 250),
        (251, 250, 250, 2, 1),
        (10_000, 250, 100, 100, 100),
        (10_000, 250, 1_000, 40, 250),
        (10_000, 2_000, 2_000, 5, 2_000),
        (3, 1, 250, 3, 1),
    ],
)
def test_the_smaller_limit_decides(
    waiting: int, daily_limit: int, sender_limit: int, days: int, last_size: int
) -> None:
    """A campaign's own limit is a choice, the sender's is Meta's: neither may be passed because of the other."""
    planned = plan_dates([Demand(1, waiting, daily_limit)], FIRST, sender_limit)
    assert len(planned) == days
    assert (planned[-1].size if planned else 0) == last_size


def test_campaigns_share_the_senders_limit_in_the_order_of_their_priority() -> None:
    """Two campaigns of 250 a day under a limit of 250 would be 500 people in 24 hours."""
    planned = plan_dates([Demand(1, 500, 200), Demand(2, 300, 250)], FIRST, 250)
    assert _sizes(planned, 1) == {"02": 200, "03": 200, "04": 100}
    assert _sizes(planned, 2) == {"02": 50, "03": 50, "04": 150, "05": 50}
    turned = plan_dates([Demand(2, 300, 250), Demand(1, 500, 200)], FIRST, 250)
    assert _sizes(turned, 2) == {"02": 250, "03": 50}
    assert _sizes(turned, 1) == {"03": 200, "04": 200, "05": 100}


def test_one_date_is_shared_as_the_plan_says() -> None:
    """The batch and the plan have to agree about who goes first, or the plan is wrong from its first day."""
    assert share_of_date([Demand(1, 10, 5), Demand(2, 0, 5), Demand(3, 10, 5)], 8) == {1: 5, 3: 3}
    assert share_of_date([Demand(1, 10, 5)], 0) == {}
    assert share_of_date([], 250) == {}


def test_a_limit_of_nobody_has_no_plan() -> None:
    """Planning on would never come to an end."""
    with pytest.raises(PlanError, match="sender limit of 0: raise CAMPAIGN_SENDER_LIMIT"):
        plan_dates([Demand(1, 1, 250)], FIRST, 0)
    assert plan_dates([Demand(1, 0, 250)], FIRST, 0) == []
    assert plan_dates([], FIRST, 0) == []


@given(demand_lists, st.integers(1, 200))
def test_every_plan_reaches_everybody_once_and_passes_no_limit(demands: list[Demand], sender_limit: int) -> None:
    """Whatever the campaigns: somebody left out is forgotten, and a date too large is cut off by Meta."""
    planned = plan_dates(demands, FIRST, sender_limit)
    by_date: dict[date, int] = defaultdict(int)
    for demand in demands:
        batches = [each for each in planned if each.campaign_id == demand.campaign_id]
        assert sum(each.size for each in batches) == demand.waiting
        assert all(0 < each.size <= demand.daily_limit for each in batches)
        assert [each.remaining for each in batches] == [
            demand.waiting - sum(before.size for before in batches[: number + 1]) for number in range(len(batches))
        ]
        assert len({each.send_date for each in batches}) == len(batches)
        for each in batches:
            by_date[each.send_date] += each.size
    assert all(size <= sender_limit for size in by_date.values())
    # No day is left out in between: a pause in the plan is capacity given away.
    assert sorted(by_date) == [FIRST + timedelta(days=number) for number in range(len(by_date))]
    # And whoever comes first in the queue is never held up by who comes after.
    if demands:
        alone = plan_dates(demands[:1], FIRST, sender_limit)
        assert alone == [each for each in planned if each.campaign_id == demands[0].campaign_id]
