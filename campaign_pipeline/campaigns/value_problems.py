"""The people of a campaign whose values cannot be sent, and the first messages as they would be.

Add here a question about the values of everybody who waits in one campaign.
Keep out what makes a value wrong (`values`) and what is then said (`preflight`).
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Row, Select, select

from campaign_pipeline.campaigns.message_pattern import MessagePattern
from campaign_pipeline.campaigns.values import ValueFault, ValueFaultKind, faults_in
from campaign_pipeline.ledger.conditions import IS_WAITING
from campaign_pipeline.ledger.schema import campaign_recipients, recipient_lists
from campaign_pipeline.whatsapp.messages import TemplateMessage

PREVIEW_ID: Final = "preview"
"""Stands where an attempt's id would."""

_ROWS_AT_A_TIME: Final = 1_000


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """Where a person stands in the lists: what is needed to find the row.

    Attributes:
        phone: E.164; whoever shows it masks it.
        list_name: The list that the person came with; None for one that was added without.
        line_number: The line in it.
    """

    phone: str = field(repr=False)
    list_name: str | None
    line_number: int | None

    def __str__(self) -> str:
        if self.list_name is None:
            return "somebody without a list"
        return self.list_name if self.line_number is None else f"line {self.line_number} of {self.list_name}"


@dataclass(slots=True)
class ValueProblem:
    """One fault that people share.

    Attributes:
        kind: What is wrong.
        parameter: The parameter whose value it is.
        source: The column that the values come from.
        detail: What is wrong with the first of them.
        people: Who has it, in the order of the queue.
    """

    kind: ValueFaultKind
    parameter: str
    source: str
    detail: str
    people: list[ListedPerson] = field(default_factory=list)


def value_problems(connection: Connection, campaign_id: int, pattern: MessagePattern) -> list[ValueProblem]:
    """What is wrong with the values of everybody who waits in a campaign, by fault and parameter."""
    if not pattern.parameters:
        return []
    found: dict[tuple[str, str], ValueProblem] = {}
    order: dict[str, int] = defaultdict(lambda: len(pattern.parameters))
    order.update({parameter.name: place for place, parameter in enumerate(pattern.parameters)})
    # Read here rather than asked for in SQL: a column may be called anything, and each database has its own idea of a
    # path into JSON.
    for row in connection.execute(_waiting(campaign_id), execution_options={"yield_per": _ROWS_AT_A_TIME}):
        for fault in faults_in(pattern, row.parameters):
            _note(found, fault, row)
    return sorted(found.values(), key=lambda problem: (order[problem.parameter], problem.kind))


def first_messages(
    connection: Connection, campaign_id: int, pattern: MessagePattern, count: int
) -> list[TemplateMessage]:
    """The messages of those who wait first."""
    rows = connection.execute(_waiting(campaign_id).limit(count))
    return [pattern.message(row.phone, row.parameters, PREVIEW_ID) for row in rows]


def _waiting(campaign_id: int) -> Select:
    return (
        select(
            *campaign_recipients.c["phone", "parameters", "line_number"],
            recipient_lists.c.name.label("list_name"),
        )
        .select_from(
            campaign_recipients.outerjoin(recipient_lists, recipient_lists.c.id == campaign_recipients.c.list_id)
        )
        .where(campaign_recipients.c.campaign_id == campaign_id, IS_WAITING)
        .order_by(campaign_recipients.c.position)
    )


def _note(found: dict[tuple[str, str], ValueProblem], fault: ValueFault, row: Row) -> None:
    key = (fault.parameter, fault.kind)
    if key not in found:
        found[key] = ValueProblem(fault.kind, fault.parameter, fault.source, fault.detail)
    found[key].people.append(ListedPerson(row.phone, row.list_name, row.line_number))
