"""The figures, the same everywhere: command line, REST, page, Dagster and analytics.

Add here a figure, with its definition. They are always derived from the rows in one query, never counted up.
Keep out how they are shown.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, func, select

from campaign_pipeline.ledger.schema import batches, campaign_recipients
from campaign_pipeline.ledger.states import UNSETTLED, RecipientState


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many people are in a state for one reason."""

    state: str
    reason: str
    people: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How far an audience, or a part of it, has come.

    Attributes:
        total: Everyone.
        pending: Pending or claimed.
        sent: Accepted by WhatsApp, whatever came after.
        delivered: Delivered or read: `read` implies delivered.
        read: Read.
        replied: Answered by the person within the reply window, whatever the answer says.
        failed: Refused, or failed later.
        skipped: Not sent to, for a reason that stands with the person.
        in_doubt: The call was made and its answer lost.
        progress_percentage: Settled of total, per cent.
        delivery_rate: Delivered of sent, per cent.
        read_rate: Read of sent, per cent.
        states: How many are in each state now; only these sum to total.
    """

    total: int
    pending: int
    sent: int
    delivered: int
    read: int
    replied: int
    failed: int
    skipped: int
    in_doubt: int
    progress_percentage: float
    delivery_rate: float
    read_rate: float
    states: dict[str, int]

    @property
    def settled(self) -> bool:
        """Whether nobody is left unsettled."""
        return not any(self.states[state] for state in UNSETTLED)

    def as_dict(self) -> dict[str, int | float | dict[str, int]]:
        """The figures by name."""
        return asdict(self)


def figures_from(in_state: Mapping[str, int], accepted: int, replied: int = 0) -> Figures:
    """Derives every figure from the number of people in each state, of those accepted and of those who replied."""
    states = {state.value: in_state.get(state, 0) for state in RecipientState}
    total = sum(states.values())
    delivered = states[RecipientState.DELIVERED] + states[RecipientState.READ]
    unsettled = sum(states[state] for state in UNSETTLED)
    return Figures(
        total=total,
        pending=states[RecipientState.PENDING] + states[RecipientState.CLAIMED],
        sent=accepted,
        delivered=delivered,
        read=states[RecipientState.READ],
        replied=replied,
        failed=states[RecipientState.FAILED],
        skipped=states[RecipientState.SKIPPED],
        in_doubt=states[RecipientState.IN_DOUBT],
        progress_percentage=_per_cent(total - unsettled, total),
        delivery_rate=_per_cent(delivered, accepted),
        read_rate=_per_cent(states[RecipientState.READ], accepted),
        states=states,
    )


def campaign_figures(connection: Connection, campaign_id: int) -> Figures:
    """The figures of one campaign."""
    return _figures(connection, _by_state().where(campaign_recipients.c.campaign_id == campaign_id))


def figures_of_campaigns(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, Figures]:
    """The figures of some campaigns, by id; of those with nobody in them too."""
    campaign = campaign_recipients.c.campaign_id
    query = _by_state().add_columns(campaign.label("key")).where(campaign.in_(campaign_ids)).group_by(campaign)
    found = _figures_by(connection, query)
    return {each: found.get(each) or figures_from({}, 0) for each in campaign_ids}


def batch_figures(connection: Connection, send_date: date) -> Figures:
    """The figures of one date's batch over all campaigns."""
    query = _by_state().join(batches, batches.c.id == campaign_recipients.c.batch_id)
    return _figures(connection, query.where(batches.c.send_date == send_date))


def figures_by_campaign(connection: Connection, send_date: date) -> dict[int, Figures]:
    """The figures of one date's batch for each campaign that has a part in it, by the campaign's id."""
    campaign = campaign_recipients.c.campaign_id
    query = _by_state().add_columns(campaign.label("key")).group_by(campaign)
    of_date = query.join(batches, batches.c.id == campaign_recipients.c.batch_id).where(
        batches.c.send_date == send_date
    )
    return _figures_by(connection, of_date)


def figures_by_date(connection: Connection, campaign_id: int) -> dict[date, Figures]:
    """The figures of one campaign for each send date that has taken people of it."""
    batch = campaign_recipients.c.batch_id
    # Counted before the dates are looked up: joined, every batch is read, with the people of the other campaigns.
    by_batch = (
        _by_state()
        .add_columns(batch)
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .group_by(batch)
        .subquery("by_batch")
    )
    query = select(*by_batch.c["state", "people", "accepted", "replied"], batches.c.send_date.label("key"))
    return _figures_by(connection, query.join(batches, batches.c.id == by_batch.c.batch_id))


def reasons_of_batch(connection: Connection, send_date: date) -> list[ReasonCount]:
    """Why people of one date's batch failed or were skipped, and how many for each reason, the most first."""
    people = func.count().label("people")
    rows = connection.execute(
        select(campaign_recipients.c.state, campaign_recipients.c.reason, people)
        .join(batches, batches.c.id == campaign_recipients.c.batch_id)
        .where(
            batches.c.send_date == send_date,
            campaign_recipients.c.state.in_((RecipientState.FAILED, RecipientState.SKIPPED)),
        )
        .group_by(campaign_recipients.c.state, campaign_recipients.c.reason)
        .order_by(people.desc(), campaign_recipients.c.reason)
    )
    return [ReasonCount(row.state, row.reason or "no reason given", row.people) for row in rows]


def _by_state() -> Select:
    return select(
        campaign_recipients.c.state,
        func.count().label("people"),
        func.count(campaign_recipients.c.accepted_at).label("accepted"),
        func.count(campaign_recipients.c.replied_at).label("replied"),
    ).group_by(campaign_recipients.c.state)


def _figures_by(connection: Connection, by_state_and_key: Select) -> dict[Any, Figures]:
    in_state: dict[Any, dict[str, int]] = defaultdict(dict)
    accepted: dict[Any, int] = defaultdict(int)
    replied: dict[Any, int] = defaultdict(int)
    for row in connection.execute(by_state_and_key):
        in_state[row.key][row.state] = row.people
        accepted[row.key] += row.accepted
        replied[row.key] += row.replied
    return {each: figures_from(counts, accepted[each], replied[each]) for each, counts in sorted(in_state.items())}


def _figures(connection: Connection, by_state: Select) -> Figures:
    rows = connection.execute(by_state).all()
    in_state = {row.state: row.people for row in rows}
    return figures_from(in_state, sum(row.accepted for row in rows), sum(row.replied for row in rows))


def _per_cent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
