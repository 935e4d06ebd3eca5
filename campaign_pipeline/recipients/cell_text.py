"""Values that are no texts (numbers, dates, nested ones) written as a person would have typed them.

Add here another type of value that sheets, tables or JSON hold. The same value gives the same text from each of them.
Keep out how the values are read.
"""

import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from campaign_pipeline.recipients.list_rows import UnreadableRow, printable

DIGITS_OF_A_DOUBLE: Final = 15
"""So many digits every spreadsheet keeps; those of a longer number are lost without a word, phone or voucher."""


class ShortenedNumber(float):
    """A number with an exponent and few digits, as "4.479E+11": what a spreadsheet makes of a phone number."""

    written: str


def cell_text(value: object, digits: int = DIGITS_OF_A_DOUBLE) -> str:
    """Writes a value as text: whole numbers as their digits, dates in ISO 8601, nested values as JSON.

    Args:
        value: Anything that a sheet, a table or a line of JSON holds.
        digits: How many decimal digits a floating-point number of this column keeps for sure.

    Raises:
        UnreadableRow: A number has more digits than were kept, or bytes are not UTF-8.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        return _number_text(value, digits)
    if isinstance(value, (datetime, date, time)):
        return _moment_text(value)
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, (list, dict, tuple)):
        return _json_text(value)
    return str(value)


def row_text(values: Sequence[object]) -> str:
    """Shows a row that cannot be read, for its `BadRow`."""
    return printable(",".join("" if value is None else str(value)[:200] for value in values[:50]))


def _number_text(value: float | Decimal, digits: int) -> str:
    if isinstance(value, ShortenedNumber):
        return value.written
    if math.isnan(value):
        return ""
    if isinstance(value, Decimal):
        exact = value
    elif abs(value) < 10**digits:
        exact = Decimal(f"{value:.{digits}g}")
    else:
        raise UnreadableRow("digits_lost")
    return str(int(exact)) if exact == exact.to_integral_value() else f"{exact:f}"


def _moment_text(value: date | time) -> str:
    """A day without a time of day is a day: spreadsheets know no other way to write one."""
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return value.date().isoformat()
    return value.isoformat()


def _json_text(value: Sequence[object] | dict[str, object]) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    except RecursionError as error:
        raise UnreadableRow("bad_json") from error


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UnreadableRow("not_utf8") from error
