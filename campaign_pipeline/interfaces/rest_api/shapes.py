"""The forms that requests and answers share: strict models, texts that every database can store, pages.

Add here a form as soon as a second resource needs it.
Keep out documents of a single resource.
"""

import base64
import re
from datetime import UTC, date, datetime
from typing import Annotated, Final, TypeVar

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.recipients.phone_numbers import check_default_region, hide_phones, mask_phone

LARGEST_NUMBER: Final = 1_000_000_000

MOST_PER_PAGE: Final = 500

_DATE: Final = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
"""At the ends of the calendar a date of one time zone is none of another."""

NO_SUCH_PAGE: Final = "There is no such page: take `next_cursor` of the one before, with the same filter and order."

WholeNumber = Annotated[int, BeforeValidator(lambda value: int(value) if _is_whole(value) else value)]
"""JSON knows no other numbers than these with a point: 250.0 is 250."""

RowId = Annotated[int, Field(ge=0, lt=2**63)]

Cursor = Annotated[str | None, Field(max_length=1000, pattern=r"^[A-Za-z0-9_-]+$")]
"""`next_cursor` of the page before."""

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A text of one line. No database stores a NUL, and no terminal should be steered by a name."""

PageSize = Annotated[int, Field(ge=1, le=MOST_PER_PAGE, strict=False)]
"""How many at most."""


def _date_in(value: object) -> object:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return date.fromisoformat(value)
    if isinstance(value, date):
        return value
    msg = "a date is written 2026-03-02"
    raise ValueError(msg)


Date = Annotated[date, BeforeValidator(_date_in), Field(json_schema_extra={"pattern": f"^{_DATE.pattern}$"})]
"""A send date, written 2026-03-02; nothing else that could be read as one."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        msg = "there is no such moment in UTC"
        raise ValueError(msg) from error


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]

Phone = str | WholeNumber

Region = Annotated[str | None, Field(pattern=r"^[A-Z]{2}$", examples=["GB"]), AfterValidator(check_default_region)]
"""The country of numbers without a country code; else that of the settings."""

CAMPAIGN_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,99}$"

CampaignReference = Annotated[
    str,
    Path(
        alias="campaign",
        pattern=CAMPAIGN_PATTERN,
        description="The campaign's id, or its short name.",
        examples=["1", "spring-sale"],
    ),
]


class Asked(BaseModel):
    """What a request holds: nothing is guessed, and what is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


Mark = TypeVar("Mark", bound=Asked)


class Told(BaseModel):
    """What an answer holds, and nothing else."""

    model_config = ConfigDict(extra="forbid")


class Who(Asked):
    """A person, by a phone number as people write it."""

    phone: Annotated[str, Field(min_length=1, max_length=100, examples=["+44 7911 123456"])] | WholeNumber
    region: Region = None


def shown_number(phone: str, *, in_full: bool) -> str:
    """A phone number as a caller may see it."""
    return phone if in_full else mask_phone(phone)


def without_numbers(text: str | None) -> str | None:
    """What somebody else has written, as a viewer may see it."""
    return None if text is None else hide_phones(text)


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def cursor_after(mark: Asked) -> str:
    """The text with which the page after a mark is asked for."""
    return base64.urlsafe_b64encode(mark.model_dump_json().encode()).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[Mark]) -> Mark:
    """The mark that a text stands for.

    Raises:
        Problem: It is none that was given out.
    """
    try:
        return kind.model_validate_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except ValueError as error:
        raise wrong_cursor() from error


def wrong_cursor() -> Problem:
    """The refusal of a mark that was not given out for this question."""
    return Problem(404, NO_SUCH_PAGE)
