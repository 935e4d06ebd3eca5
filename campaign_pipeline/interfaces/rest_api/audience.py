"""Where each person of a campaign stands, and why: page by page, or everybody as a file.

Add here another form of the same people.
Keep out adding them (`recipients`), and what is known of one person everywhere (`people`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields, replace
from datetime import date, datetime
from typing import Annotated, Any, Final, TextIO

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from campaign_pipeline.campaigns.catalogue import Campaign, find
from campaign_pipeline.interfaces import recipient_files
from campaign_pipeline.interfaces.overview import schedule_of
from campaign_pipeline.interfaces.rest_api.callers import By, Caller, Place
from campaign_pipeline.interfaces.rest_api.endpoint import look
from campaign_pipeline.interfaces.rest_api.files import AT_ONCE, CsvFile, FileAnswer, NdjsonFile, answer_file
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
    without_numbers,
    wrong_cursor,
)
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import RecipientState
from campaign_pipeline.recipients.audience import RecipientRow, read_recipient_page, read_recipients

router = APIRouter(prefix="/marketing/campaigns", tags=["recipients"])

_COLUMNS: Final = tuple(field.name for field in fields(RecipientRow))

State = Annotated[RecipientState | None, Field(strict=False)]


class RecipientAnswer(Told):
    """One person of a campaign, and everything that is known of their message."""

    phone: str
    """E.164; a viewer sees its last two digits."""
    state: RecipientState
    reason: str | None
    """Why, for who is skipped or failed."""
    send_date: date | None
    """The date of the batch that the person is in."""
    expected_date: date | None
    """The date that the queue foresees, for who still waits."""
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    error_code: int | None
    """Meta's, of a refusal or failure."""
    wamid: str | None
    """Meta's id of the message. It spells the phone number, so a viewer does not see it."""
    list_name: str | None
    line_number: int | None


class RecipientList(Told):
    """A page of people."""

    recipients: list[RecipientAnswer]
    next_cursor: str | None
    """For the next page; none when this is the last."""


class FileQuery(Asked):
    """Which people."""

    state: State = None
    """Only who is in this state."""


class PageQuery(FileQuery):
    """Which people, page by page."""

    limit: PageSize = 50
    cursor: Cursor = None


class _Mark(Asked):
    """Where a page ends."""

    campaign: RowId
    state: State
    id: RowId


@look(router, "/{campaign}/recipients", response_model=RecipientList, refusals={404: NO_SUCH_PAGE})
def list_recipients(
    place: Place, by: By, campaign: CampaignReference, query: Annotated[PageQuery, Query()]
) -> dict[str, object]:
    """Show where the people of a campaign stand, in the order of its queue, page by page."""
    with place.ledger.read() as connection:
        found = find(connection, campaign)
        page = read_recipient_page(
            connection,
            found.id,
            state=query.state,
            schedule=_schedule(place, connection, found),
            after_id=_after(query, found),
            size=query.limit,
        )
    more = None if page.last_id is None else _Mark(campaign=found.id, state=query.state, id=page.last_id)
    return {
        "recipients": [asdict(each) for each in _as_seen_by(by, page.rows)],
        "next_cursor": None if more is None else cursor_after(more),
    }


@look(router, "/{campaign}/recipients.csv", at_once=AT_ONCE, response_class=CsvFile)
def recipients_as_csv(
    place: Place, by: By, campaign: CampaignReference, query: Annotated[FileQuery, Query()]
) -> FileAnswer:
    """Everybody of a campaign as a CSV file, as `campaign recipients --csv` writes it; harmless in a spreadsheet."""

    def write(rows: Iterable[RecipientRow], file: TextIO) -> None:
        recipient_files.write_csv_rows(rows, _COLUMNS, file, place.settings.calendar.local)

    return _file(place, by, campaign, query.state, CsvFile, "csv", write)


@look(router, "/{campaign}/recipients.ndjson", at_once=AT_ONCE, response_class=NdjsonFile)
def recipients_as_ndjson(
    place: Place, by: By, campaign: CampaignReference, query: Annotated[FileQuery, Query()]
) -> FileAnswer:
    """Everybody of a campaign, one JSON document a line."""
    return _file(place, by, campaign, query.state, NdjsonFile, "ndjson", recipient_files.write_ndjson_rows)


def _file(
    place: Workplace,
    by: Caller,
    campaign: str,
    state: RecipientState | None,
    kind: type[FileAnswer],
    ending: str,
    write: Callable[[Iterable[RecipientRow], TextIO], Any],
) -> FileAnswer:
    with place.ledger.read() as connection:
        slug = find(connection, campaign).slug

    def write_all(file: TextIO) -> None:
        with place.ledger.read() as connection:
            found = find(connection, campaign)
            schedule = _schedule(place, connection, found)
            write(_as_seen_by(by, read_recipients(connection, found.id, state=state, schedule=schedule)), file)

    return answer_file(kind, f"{slug}-recipients.{ending}", place.settings.upload_folder, write_all)


def _schedule(place: Workplace, connection: Connection, campaign: Campaign) -> list[Any]:
    """What the expected dates are told from; of what is past alone, if no dates to come can be told."""
    first_date, limit = place.first_open_date(connection), place.sender_limit(connection)
    return schedule_of(connection, campaign.id, first_date, limit)[0]


def _as_seen_by(by: Caller, rows: Iterable[RecipientRow]) -> Iterator[RecipientRow]:
    for row in rows:
        yield row if by.sees_numbers else _masked(row)


def _masked(row: RecipientRow) -> RecipientRow:
    phone = shown_number(row.phone, in_full=False)
    return replace(
        row, phone=phone, reason=without_numbers(row.reason), list_name=without_numbers(row.list_name), wamid=None
    )


def _after(query: PageQuery, campaign: Campaign) -> int:
    if query.cursor is None:
        return 0
    mark = read_cursor(query.cursor, _Mark)
    if (mark.campaign, mark.state) != (campaign.id, query.state):
        raise wrong_cursor()
    return mark.id
