"""Loading people into the ledger: places in the queue, recipients, consent, rejections, and the list's own row.

Add here a statement that adding people needs; each is a step in its caller's transaction. This is the one place where
people are loaded in bulk.
Keep out who is to be added: `sorting` decides that.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, delete, func, insert, literal, select, update

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.ledger.bulk import in_portions, load_new
from campaign_pipeline.ledger.engine import LedgerError
from campaign_pipeline.ledger.schema import (
    campaign_recipients,
    marketing_campaigns,
    opt_ins,
    recipient_lists,
    recipient_rejections,
    subscriptions,
)
from campaign_pipeline.ledger.states import (
    CampaignStatus,
    ListState,
    RecipientState,
    RejectionReason,
    SubscriptionStatus,
    Voice,
)
from campaign_pipeline.recipients.opt_ins import OptIn, keep_opt_ins
from campaign_pipeline.recipients.phone_numbers import region_of
from campaign_pipeline.recipients.sorting import Candidate, IntakeCounts, Rejection
from campaign_pipeline.recipients.subscription_rule import Word
from campaign_pipeline.recipients.subscriptions import SaidWord, note

ENDED: Final = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)
"""Nobody can be added to such a campaign."""


def begin_list(
    connection: Connection, campaign_id: int, name: str, digest: str | None, kept_as: Path | None, now: datetime
) -> int:
    """Makes the list's row, before the first of its people; gives its id."""
    return connection.execute(
        insert(recipient_lists)
        .values(
            campaign_id=campaign_id,
            name=name,
            sha256=digest,
            kept_as=str(kept_as) if kept_as else None,
            state=ListState.READING,
            received_at=now,
        )
        .returning(recipient_lists.c.id)
    ).scalar_one()


def end_list(
    connection: Connection,
    list_id: int,
    state: ListState,
    now: datetime,
    *,
    error: str | None = None,
    rejections_file: Path | None = None,
) -> None:
    """Notes how the reading of a list ended."""
    connection.execute(
        update(recipient_lists)
        .where(recipient_lists.c.id == list_id)
        .values(
            state=state,
            error=error,
            finished_at=now,
            rejections_file=str(rejections_file) if rejections_file else None,
        )
    )


def write_counts(connection: Connection, list_id: int, counts: IntakeCounts) -> None:
    """Notes where the rows of a list have ended so far."""
    values: dict[str, Any] = counts.as_dict()
    values["rows_read"] = values.pop("read")
    connection.execute(update(recipient_lists).where(recipient_lists.c.id == list_id).values(values))


def reserve_positions(connection: Connection, campaign_id: int, places: int) -> int:
    """Takes places at the end of the queue; holds the campaign's row, so that lists are taken in one at a time."""
    after = connection.execute(
        update(marketing_campaigns)
        .where(marketing_campaigns.c.id == campaign_id, marketing_campaigns.c.status.not_in(ENDED))
        .values(next_position=marketing_campaigns.c.next_position + places)
        .returning(marketing_campaigns.c.next_position)
    ).scalar_one_or_none()
    if after is None:
        msg = "The campaign ended while the list was being added; the rows that are left were not added."
        raise CampaignError(msg)
    return after - places


def lists_by_person(connection: Connection, campaign_id: int, keys: Sequence[str]) -> dict[str, int | None]:
    """Who of some people is in a campaign already, and with which list they came."""
    rows = connection.execute(
        select(campaign_recipients.c.person_key, campaign_recipients.c.list_id).where(
            campaign_recipients.c.campaign_id == campaign_id, campaign_recipients.c.person_key.in_(keys)
        )
    )
    return {row.person_key: row.list_id for row in rows}


def insert_people(
    connection: Connection,
    campaign_id: int,
    list_id: int,
    people: Sequence[Candidate],
    first_position: int,
    now: datetime,
) -> None:
    """Puts people at the end of a campaign's queue, at the places that were reserved for them.

    Raises:
        LedgerError: The database has left some of them out, though none of them was in the campaign.
    """
    loaded = load_new(
        connection,
        campaign_recipients,
        [
            {
                "campaign_id": campaign_id,
                "person_key": person.phone.person_key,
                "phone": person.phone.e164,
                "region": person.phone.region,
                "parameters": dict(person.columns),
                "list_id": list_id,
                "line_number": person.line_number,
                "position": position,
                "state": RecipientState.PENDING.value,
                "changed_at": now,
            }
            for position, person in enumerate(people, start=first_position)
        ],
    )
    if loaded != len(people):
        msg = (
            f"The database took {loaded} of {len(people)} people, so nobody of these was added. If it was moved here "
            "from another one, its counters of ids have to be set to where that one had them."
        )
        raise LedgerError(msg)


def count_subscribed(connection: Connection) -> int:
    """How many people are subscribed."""
    return connection.execute(
        select(func.count()).where(subscriptions.c.status == SubscriptionStatus.SUBSCRIBED)
    ).scalar_one()


def insert_subscribed(connection: Connection, campaign_id: int, list_id: int, now: datetime) -> int:
    """Puts everyone who is subscribed, and not in the campaign yet, at the end of its queue; gives how many."""
    first_position = reserve_positions(connection, campaign_id, count_subscribed(connection))
    place = func.row_number().over(order_by=(subscriptions.c.changed_at, subscriptions.c.person_key))
    not_yet_in = ~(
        select(campaign_recipients.c.id)
        .where(
            campaign_recipients.c.campaign_id == campaign_id,
            campaign_recipients.c.person_key == subscriptions.c.person_key,
        )
        .exists()
    )
    people_to_add = select(
        literal(campaign_id),
        subscriptions.c.person_key,
        subscriptions.c.phone,
        literal({}, campaign_recipients.c.parameters.type),
        literal(list_id),
        literal(first_position - 1, Integer) + place,
        literal(RecipientState.PENDING.value),
        literal(now, campaign_recipients.c.changed_at.type),
    ).where(subscriptions.c.status == SubscriptionStatus.SUBSCRIBED, not_yet_in)
    # Ids in the order of the queue, by which an audience is read page by page.
    people_to_add = people_to_add.order_by(place)
    columns = ["campaign_id", "person_key", "phone", "parameters", "list_id", "position", "state", "changed_at"]
    added = insert(campaign_recipients).from_select(columns, people_to_add)
    return connection.execute(added, execution_options={"preserve_rowcount": True}).rowcount


def note_regions(connection: Connection, list_id: int) -> None:
    """Notes the region of everyone whom a list has brought without it."""
    people_of: dict[str, list[int]] = defaultdict(list)
    rows = connection.execute(
        select(campaign_recipients.c.id, campaign_recipients.c.phone).where(
            campaign_recipients.c.list_id == list_id, campaign_recipients.c.region.is_(None)
        )
    )
    for row in rows:
        region = region_of(row.phone)
        if region is not None:
            people_of[region].append(row.id)
    for region, ids in people_of.items():
        for some in in_portions(ids):
            connection.execute(
                update(campaign_recipients).where(campaign_recipients.c.id.in_(some)).values(region=region)
            )


def take_out_region(connection: Connection, list_id: int, region: str, detail: str) -> int:
    """Turns the people of a region whom a list without a file has just brought into rejections; gives how many."""
    of_region = campaign_recipients.c.region == region
    return _take_out(connection, list_id, of_region, RejectionReason.INVALID, detail)


def take_out_unproven(connection: Connection, list_id: int, detail: str) -> int:
    """Likewise those of whom nothing shows that they agreed."""
    unproven = ~(select(opt_ins.c.id).where(opt_ins.c.person_key == campaign_recipients.c.person_key).exists())
    return _take_out(connection, list_id, unproven, RejectionReason.UNSUBSCRIBED, detail)


def _take_out(
    connection: Connection, list_id: int, which: ColumnElement[bool], reason: RejectionReason, detail: str
) -> int:
    brought = (campaign_recipients.c.list_id == list_id, which)
    # They come from no line of a file.
    rejected = select(
        literal(list_id), literal(0, Integer), campaign_recipients.c.phone, literal(reason.value), literal(detail)
    ).where(*brought)
    names = ["list_id", "line_number", "value", "reason", "detail"]
    connection.execute(insert(recipient_rejections).from_select(names, rejected))
    return connection.execute(delete(campaign_recipients).where(*brought)).rowcount


def note_consent(connection: Connection, people: Sequence[Candidate], source: str, now: datetime) -> None:
    """An upload counts as consent, with its source kept; what a person has said before, or says later, stands."""
    load_new(
        connection,
        subscriptions,
        [
            {
                "person_key": person.phone.person_key,
                "phone": person.phone.e164,
                "status": SubscriptionStatus.SUBSCRIBED.value,
                "source": f"list {source}",
                "changed_at": now,
            }
            # In one order for every list: two that have the same people would lock each other out on PostgreSQL.
            for person in sorted(people, key=_by_person)
        ],
    )


def note_refusals(
    connection: Connection, list_id: int, rows: Sequence[Candidate | Rejection], source: str, received_at: datetime
) -> None:
    """A list that says no is a word of its people, said when it came: other campaigns do not send to them either."""
    word = Word(SubscriptionStatus.UNSUBSCRIBED, Voice.LIST, f"list {source}", received_at)
    refusing = [row for row in rows if isinstance(row, Candidate) and row.refuses]
    note(connection, [SaidWord(row.phone, word, f"list:{list_id}") for row in refusing], received_at)


def note_evidence(
    connection: Connection, rows: Sequence[Candidate | Rejection], source: str, received_at: datetime
) -> None:
    """Keeps what a list says of where, when and to what its people agreed."""
    found = [(row.phone, row.evidence) for row in rows if isinstance(row, Candidate) and row.evidence is not None]
    keep_opt_ins(
        connection,
        [
            OptIn(phone.person_key, evidence.source or f"list {source}", evidence.at, evidence.text)
            for phone, evidence in found
        ],
        received_at,
    )


def _by_person(person: Candidate) -> str:
    return person.phone.person_key


def insert_rejections(connection: Connection, list_id: int, rejections: Sequence[Rejection]) -> None:
    """Keeps the rows that were not added, each with its reason."""
    load_new(
        connection,
        recipient_rejections,
        [
            {
                "list_id": list_id,
                "line_number": each.line_number,
                "value": each.value,
                "reason": each.reason.value,
                "detail": each.detail,
            }
            for each in rejections
        ],
    )
