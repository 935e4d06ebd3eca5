"""Rows of a campaign's lists that did not become recipients, and why: page by page, or all as a file.

Add here another form of the same rows.
Keep out the reasons themselves: `recipients.sorting`.
"""

import csv
from collections.abc import Iterator
from typing import Annotated, Final, TextIO

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.interfaces.rest_api.callers import By, Caller, Place
from campaign_pipeline.interfaces.rest_api.endpoint import look
from campaign_pipeline.interfaces.rest_api.files import AT_ONCE, CsvFile, FileAnswer, answer_file
from campaign_pipeline.interfaces.rest_api.shapes import (
    NO_SUCH_PAGE,
    Asked,
    CampaignReference,
    Cursor,
    PageSize,
    RowId,
    Told,
    cursor_after,
    read_cursor,
    shown_number,
    wrong_cursor,
)
from campaign_pipeline.ledger.states import ListState, RejectionReason
from campaign_pipeline.recipients.lists import KeptRejection, RecipientList, read_lists, read_rejections
from campaign_pipeline.recipients.phone_numbers import hide_phones
from campaign_pipeline.recipients.rejections import harmless_cell

router = APIRouter(prefix="/marketing/campaigns", tags=["recipients"])

_AT_A_TIME: Final = 1_000

Reason = Annotated[RejectionReason | None, Field(strict=False)]


class RejectionAnswer(Told):
    """A row that did not become a recipient."""

    list_id: int
    list_name: str
    line_number: int
    """In a file its line, in JSON its place in the array, from 1."""
    value: str
    """What stood where the phone number belongs; a viewer sees its last two digits."""
    reason: RejectionReason
    detail: str


class RejectionList(Told):
    """A page of such rows."""

    rejections: list[RejectionAnswer]
    next_cursor: str | None
    """For the next page; none when this is the last."""


class FileQuery(Asked):
    """Which rows."""

    reason: Reason = None
    """Only those with this reason."""


class PageQuery(FileQuery):
    """Which rows, page by page."""

    limit: PageSize = 50
    cursor: Cursor = None


class _Mark(Asked):
    """Where a page ends."""

    campaign: RowId
    reason: Reason
    list_id: RowId
    id: RowId


@look(router, "/{campaign}/rejections", response_model=RejectionList, refusals={404: NO_SUCH_PAGE})
def list_rejections(
    place: Place, by: By, campaign: CampaignReference, query: Annotated[PageQuery, Query()]
) -> RejectionList:
    """Show who was not added from a campaign's lists, and why, list by list, page by page."""
    with place.ledger.read() as connection:
        found = find(connection, campaign)
        mark = _Mark(campaign=found.id, reason=query.reason, list_id=0, id=0)
        if query.cursor is not None:
            mark = read_cursor(query.cursor, _Mark)
        if (mark.campaign, mark.reason) != (found.id, query.reason):
            raise wrong_cursor()
        page: list[tuple[RecipientList, KeptRejection]] = []
        for each in _with_rejections(connection, found.id):
            if each.id < mark.list_id or len(page) > query.limit:
                continue
            after = mark.id if each.id == mark.list_id else 0
            wanted = query.limit + 1 - len(page)
            rows = read_rejections(connection, each.id, reason=query.reason, after=after, limit=wanted)
            page.extend((each, row) for row in rows)
    more = None
    if len(page) > query.limit:
        page.pop()
        last_list, last = page[-1]
        more = cursor_after(_Mark(campaign=found.id, reason=query.reason, list_id=last_list.id, id=last.id))
    return RejectionList(rejections=[_told(by, *each) for each in page], next_cursor=more)


@look(router, "/{campaign}/rejections.csv", at_once=AT_ONCE, response_class=CsvFile)
def rejections_as_csv(
    place: Place, by: By, campaign: CampaignReference, query: Annotated[FileQuery, Query()]
) -> FileAnswer:
    """Everybody who was not added from a campaign's lists as a CSV file; harmless in a spreadsheet."""
    with place.ledger.read() as connection:
        found = find(connection, campaign)

    def write(file: TextIO) -> None:
        writer = csv.DictWriter(file, list(RejectionAnswer.model_fields), lineterminator="\n")
        writer.writeheader()
        with place.ledger.read() as connection:
            for each, row in _all(connection, found.id, query.reason):
                cells = _told(by, each, row).model_dump()
                writer.writerow({name: harmless_cell(str(value)) for name, value in cells.items()})

    return answer_file(CsvFile, f"{found.slug}-rejections.csv", place.settings.upload_folder, write)


def _with_rejections(connection: Connection, campaign_id: int) -> list[RecipientList]:
    """The lists of a campaign from which somebody was not added; perhaps, if it is still being read."""
    return [
        each
        for each in read_lists(connection, campaign_id)
        if each.counts.read != each.counts.added or each.state != ListState.DONE
    ]


def _all(
    connection: Connection, campaign_id: int, reason: RejectionReason | None
) -> Iterator[tuple[RecipientList, KeptRejection]]:
    for each in _with_rejections(connection, campaign_id):
        after = 0
        while rows := read_rejections(connection, each.id, reason=reason, after=after, limit=_AT_A_TIME):
            yield from ((each, row) for row in rows)
            after = rows[-1].id


def _told(by: Caller, its_list: RecipientList, row: KeptRejection) -> RejectionAnswer:
    return RejectionAnswer(
        list_id=its_list.id,
        list_name=its_list.name if by.sees_numbers else hide_phones(its_list.name),
        line_number=row.line_number,
        value=shown_number(row.value, in_full=by.sees_numbers),
        reason=RejectionReason(row.reason),
        detail=row.detail if by.sees_numbers else hide_phones(row.detail),
    )
