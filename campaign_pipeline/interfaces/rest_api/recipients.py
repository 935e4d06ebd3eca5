"""People of a campaign: added as JSON, CSV or any list that can be read.

Add here an endpoint about who is in a campaign.
Keep out how lists are read and sorted: `recipients.intake`.
"""

import json
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field, field_validator, model_validator

from campaign_pipeline.campaigns.catalogue import find
from campaign_pipeline.interfaces.rest_api.bodies import ANY_FILE, CSV, JSON, LARGE, NDJSON, ReceivedBody
from campaign_pipeline.interfaces.rest_api.callers import By, Place
from campaign_pipeline.interfaces.rest_api.endpoint import SLOW, act, body_of
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.shapes import Asked, CampaignReference, Line, Phone, Region, Told
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.states import RejectionReason
from campaign_pipeline.recipients.folders import shortened
from campaign_pipeline.recipients.intake import IntakeReport, add_file
from campaign_pipeline.recipients.list_files import ListFileError
from campaign_pipeline.recipients.lists import read_rejections

router = APIRouter(prefix="/marketing/campaigns", tags=["recipients"])

MOST_REJECTIONS: Final = 1_000
"""Rejections in one answer; all of them are kept."""

_PHONE: Final = "phone"
_UNUSUAL: Final = re.compile(r"[^\w.() -]+")

Value = str | int | float | bool | None


class Person(Asked):
    """One person, with the values that the template needs, by the names of its columns."""

    phone: Phone
    parameters: Annotated[dict[str, Value], Field(default_factory=dict)]

    @field_validator("parameters")
    @classmethod
    def _phone_stands_apart(cls, values: dict[str, Value]) -> dict[str, Value]:
        if any(name.strip().casefold() == _PHONE for name in values):
            msg = "the phone number stands beside the parameters, not among them"
            raise ValueError(msg)
        return values


class Recipients(Asked):
    """People to add: either their numbers alone, or people with parameters."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["phone_numbers"]}, {"required": ["recipients"]}],
            "examples": [
                {"phone_numbers": ["+44 7911 123456", "+49 1512 3456789"]},
                {"recipients": [{"phone": "+44 7911 123456", "parameters": {"first_name": "Ada"}}]},
            ],
        }
    )

    phone_numbers: Annotated[list[Phone], Field(min_length=1, default_factory=list)]
    recipients: Annotated[list[Person], Field(min_length=1, default_factory=list)]

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.phone_numbers) == bool(self.recipients):
            msg = "give either phone_numbers or recipients"
            raise ValueError(msg)
        return self

    def lines(self) -> Iterator[dict[str, Value]]:
        """Each person as a row of a list."""
        for phone in self.phone_numbers:
            yield {_PHONE: str(phone)}
        for person in self.recipients:
            yield {_PHONE: str(person.phone), **person.parameters}


class ListQuery(Asked):
    """How a list is read."""

    list_name: Annotated[Line | None, Field(min_length=1, max_length=200, examples=["march.csv"])] = None
    """As people know the list; it is shown wherever the list is."""
    region: Region = None
    phone_column: Annotated[Line | None, Field(min_length=1, max_length=200)] = None
    """The column of phone numbers, where its name is not a usual one; by name, or by number from 1. Not for JSON."""


class RejectedRow(Told):
    """A row that did not become a recipient, and why."""

    line_number: int
    """In a file its line, in JSON its place in the array, from 1."""
    value: str
    reason: RejectionReason
    detail: str


class IntakeAnswer(Told):
    """Where every row of a list ended; `read` is the sum of the others."""

    campaign: str
    list_id: int
    list_name: str
    recipients_added: int
    read: int
    added: int
    duplicate_in_list: int
    already_in_campaign: int
    invalid: int
    unsubscribed: int
    rejections_total: int
    rejections: list[RejectedRow]
    """The first of them, at most 1,000."""


_FILE: Final = {"schema": {"type": "string", "format": "binary"}}
_BODIES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {"schema": {"type": "string"}, "example": "phone,first_name\n+447911123456,Ada\n"},
            ANY_FILE: _FILE,
        },
    }
}
_ENDED: Final = "spring-sale is completed: nobody can be added to it any more. Make a new campaign for them."


@act(
    router,
    "/{campaign}/recipients",
    in_memory={JSON: LARGE},
    in_files=(CSV, NDJSON, ANY_FILE),
    at_once=SLOW,
    response_model=IntakeAnswer,
    openapi_extra=_BODIES,
    refusals={409: _ENDED},
)
def add_recipients(
    request: Request,
    place: Place,
    by: By,
    campaign: CampaignReference,
    query: Annotated[ListQuery, Query()],
    body: Recipients | None = None,
) -> IntakeAnswer:
    """Add people to a campaign, at the end of its queue. Nobody is added twice, however often a list is sent."""
    settings = place.settings
    with _as_list(settings.upload_folder, body_of(request), body, query.list_name) as path:
        try:
            report = add_file(
                place.ledger,
                campaign,
                path,
                folders=settings.list_folders,
                region=query.region or settings.default_region,
                phone_column=_PHONE if body is not None else query.phone_column,
                actor=by.actor,
                clock=place.clock,
                us_numbers=settings.us_numbers,
                consent=settings.consent,
            )
        except ListFileError as error:
            # The sentences are those of the command.
            raise Problem(422, str(error).replace("--phone-column", "the parameter phone_column")) from error
    return _answer(place, campaign, report)


@contextmanager
def _as_list(folder: Path, received: ReceivedBody, people: Recipients | None, name: str | None) -> Generator[Path]:
    """The body as a file under the list's name; of JSON one with a person a line, in the order of the array.

    Raises:
        Problem: There is no body.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as apart:
        if people is not None:
            path = Path(apart) / file_name(name or "people.ndjson")
            with path.open("w", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n" for line in people.lines())
        elif received.path is None:
            raise Problem(422, "body: send people as JSON, or a list as text/csv.")
        else:
            path = received.path.rename(Path(apart) / file_name(name or "people.csv"))
        yield path


def file_name(text: str) -> str:
    """A name for a file in one folder, whatever was asked for: no way to another folder, nothing hidden."""
    last = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return shortened(_UNUSUAL.sub("_", last).strip(". ")) or "list"


def _answer(place: Workplace, campaign: str, report: IntakeReport) -> IntakeAnswer:
    counts = report.counts.as_dict()
    with place.ledger.read() as connection:
        slug = find(connection, campaign).slug
        rejections = read_rejections(connection, report.list_id, limit=MOST_REJECTIONS)
    return IntakeAnswer(
        campaign=slug,
        list_id=report.list_id,
        list_name=report.name,
        recipients_added=report.counts.added,
        rejections_total=report.counts.read - report.counts.added,
        rejections=[
            RejectedRow(
                line_number=each.line_number,
                value=each.value,
                reason=RejectionReason(each.reason),
                detail=each.detail,
            )
            for each in rejections
        ],
        **counts,
    )
