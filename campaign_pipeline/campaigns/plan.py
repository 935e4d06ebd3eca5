"""The plan: which campaign is foreseen to reach how many people on which date.

Add here rules of planning, all pure: demand, limits and dates come in, batches come out.
Keep out the database: `send_schedule` reads the demand and keeps the plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

NO_LIMIT_OF_ITS_OWN: Final = 1_000_000_000
"""The daily limit of a campaign that follows the sender's: a date takes as many as the sender may reach."""


@dataclass(frozen=True, slots=True)
class Demand:
    """People of one campaign who still wait for a batch, and how many of them a date may take."""

    campaign_id: int
    waiting: int
    daily_limit: int


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One campaign's part of one date's batch; `remaining` people wait after it."""

    campaign_id: int
    send_date: date
    size: int
    remaining: int


class PlanError(ValueError):
    """No plan comes to an end under these limits."""


def share_of_date(demands: Iterable[Demand], sender_limit: int) -> dict[int, int]:
    """How many people of each campaign one date takes.

    Campaigns are served in the order given, each up to its own daily limit, until the sender's limit is reached.
    """
    shares: dict[int, int] = {}
    left = sender_limit
    for demand in demands:
        size = min(demand.waiting, demand.daily_limit, left)
        if size > 0:
            shares[demand.campaign_id] = size
            left -= size
    return shares


def plan_dates(demands: Sequence[Demand], first_date: date, sender_limit: int) -> list[PlannedBatch]:
    """Lays the waiting people over the dates from `first_date` on, until nobody waits.

    Args:
        demands: Active campaigns in the order of the queue.
        first_date: The date of the next batch to be taken.
        sender_limit: People whom the sender may reach in 24 hours, over all campaigns.

    Raises:
        PlanError: People wait and no date can take any.
    """
    waiting = {demand.campaign_id: demand.waiting for demand in demands}
    planned: list[PlannedBatch] = []
    send_date = first_date
    while any(waiting.values()):
        today = [Demand(each.campaign_id, waiting[each.campaign_id], each.daily_limit) for each in demands]
        shares = share_of_date(today, sender_limit)
        if not shares:
            msg = (
                f"Nobody can be reached under a sender limit of {sender_limit}: raise CAMPAIGN_SENDER_LIMIT, or set "
                "another with `campaign limit set`."
            )
            raise PlanError(msg)
        for campaign_id, size in shares.items():
            waiting[campaign_id] -= size
            planned.append(PlannedBatch(campaign_id, send_date, size, waiting[campaign_id]))
        send_date += timedelta(days=1)
    return planned
