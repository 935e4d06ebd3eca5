"""Sorting the rows of a list: which become recipients, and why the others do not.

Add here a reason for which a row is not added. Everything is pure: what the ledger knows comes in as an argument.
Keep out how rows are read (`list_files`) and how they get into the ledger (`loading`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from campaign_pipeline.ledger.states import RejectionReason
from campaign_pipeline.recipients.consent import ListedEvidence
from campaign_pipeline.recipients.phone_numbers import PhoneNumber

NO_EVIDENCE: Final = "nothing shows that this person agreed, and CAMPAIGN_REQUIRE_OPT_IN asks for it"
"""Counted with the unsubscribed: in neither case is it known that the person wants messages."""


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """Where the rows of a list ended; `read` is the sum of the others."""

    read: int = 0
    added: int = 0
    duplicate_in_list: int = 0
    already_in_campaign: int = 0
    invalid: int = 0
    unsubscribed: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    def plus(self, added: int, rejections: Sequence["Rejection"]) -> "IntakeCounts":
        """The counts after some more rows."""
        reasons = [rejection.reason for rejection in rejections]
        return IntakeCounts(
            self.read + added + len(rejections),
            self.added + added,
            *(
                getattr(self, reason.value) + reasons.count(reason)
                for reason in (
                    RejectionReason.DUPLICATE_IN_LIST,
                    RejectionReason.ALREADY_IN_CAMPAIGN,
                    RejectionReason.INVALID,
                    RejectionReason.UNSUBSCRIBED,
                )
            ),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row whose phone number can be sent to."""

    line_number: int
    value: str
    phone: PhoneNumber
    columns: Mapping[str, str]
    refuses: bool
    evidence: ListedEvidence | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that does not become a recipient, and why."""

    line_number: int
    value: str
    reason: RejectionReason
    detail: str


@dataclass(slots=True)
class SortedRows:
    """Rows of a list, sorted into those to add and those that are not."""

    to_add: list[Candidate] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def sort_rows(
    rows: Sequence[Candidate | Rejection],
    lists_by_person: Mapping[str, int | None],
    unsubscribed: Collection[str],
    list_id: int,
    without_opt_in: Collection[str] = (),
) -> SortedRows:
    """Decides about each row: the first one of a person who wants messages is added, every other has its reason.

    Args:
        rows: In the order of the list.
        lists_by_person: For whoever of them is in the campaign already, the list they came with.
        unsubscribed: The person keys that do not want messages.
        list_id: This list.
        without_opt_in: The person keys of whom nothing shows that they agreed, where that is asked for.
    """
    sorted_rows = SortedRows()
    seen_here: set[str] = set()
    for row in rows:
        if isinstance(row, Rejection):
            sorted_rows.rejections.append(row)
            continue
        verdict = _verdict_on(row, seen_here, lists_by_person, unsubscribed, list_id)
        if verdict is None and row.phone.person_key in without_opt_in:
            verdict = RejectionReason.UNSUBSCRIBED, NO_EVIDENCE
        seen_here.add(row.phone.person_key)
        if verdict is None:
            sorted_rows.to_add.append(row)
        else:
            sorted_rows.rejections.append(Rejection(row.line_number, row.value, *verdict))
    return sorted_rows


def _verdict_on(
    row: Candidate,
    seen_here: Collection[str],
    lists_by_person: Mapping[str, int | None],
    unsubscribed: Collection[str],
    list_id: int,
) -> tuple[RejectionReason, str] | None:
    key = row.phone.person_key
    if row.refuses:
        return RejectionReason.UNSUBSCRIBED, "the list says that this person does not want messages"
    if key in unsubscribed:
        return RejectionReason.UNSUBSCRIBED, "this person has unsubscribed"
    if key in lists_by_person and lists_by_person[key] != list_id:
        return RejectionReason.ALREADY_IN_CAMPAIGN, "this person is in the campaign already"
    if key in lists_by_person or key in seen_here:
        return RejectionReason.DUPLICATE_IN_LIST, "the same person stands in an earlier row"
    return None
