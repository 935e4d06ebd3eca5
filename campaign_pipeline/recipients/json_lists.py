"""Lists as NDJSON: one JSON object a line, read in constant memory.

The fields are those of all lines together, found in a pass over the whole file: if a field that only later people have,
such as opt_out, were overlooked, people would be written to who said no.

Add here another shape of JSON that holds one person a line.
Keep out encodings and packing (`list_text`) and how values are written as text (`cell_text`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from campaign_pipeline.recipients.cell_text import ShortenedNumber, cell_text
from campaign_pipeline.recipients.list_rows import (
    LONGEST_ROW,
    BadRow,
    Fields,
    ListFileError,
    UnreadableRow,
    checked_fields,
    printable,
)
from campaign_pipeline.recipients.list_text import TextLines

MOST_FIELDS: Final = 1_000
"""A file with more is no list: its field names are data, such as ids."""

_BEGINS_AN_OBJECT: Final = re.compile(r'\s*\{\s*(?:["}]|$)')
# A spreadsheet shows six digits of a phone number. Java too writes an exponent, but then with all of the digits.
_SHORTENED: Final = re.compile(r"\d(?:\.\d{1,5})?[eE]\+?0*(?:[7-9]|1\d)")


def is_ndjson(first: str) -> bool:
    """Whether the first line that holds anything begins a JSON object; no CSV begins so."""
    return _BEGINS_AN_OBJECT.match(first) is not None


class JsonRows:
    """The rows of an NDJSON file."""

    kind = "ndjson"
    delimiter = None
    names_line = None

    def __init__(self, lines: TextLines) -> None:
        self._lines = lines
        self.encoding = lines.encoding
        lines.from_the_beginning()
        self.names = self._find_names()
        lines.from_the_beginning()

    @property
    def bytes_read(self) -> int:
        """How far the file has been read."""
        return self._lines.bytes_read

    def rows(self) -> Iterator[Fields | BadRow]:
        """Gives a row for every line that is not blank."""
        for line in self._lines:
            if line.isspace():
                continue
            line_number = self._lines.number
            try:
                person = _object(line)
                fields = [cell_text(person.get(name)) for name in self.names]
                yield line_number, checked_fields(fields, self._lines.not_text)
            except UnreadableRow as unreadable:
                yield BadRow(line_number, printable(line), unreadable.reason)

    def _find_names(self) -> list[str]:
        names: dict[str, None] = {}
        for line in self._lines:
            if line.isspace():
                continue
            try:
                person = _object(line)
                checked_fields(list(person))
            except UnreadableRow:
                continue
            if person.keys() <= names.keys():
                continue
            names.update(dict.fromkeys(person))
            if len(names) > MOST_FIELDS or sum(map(len, names)) > LONGEST_ROW:
                msg = f"{self._lines.name} has more than {MOST_FIELDS:,} different fields: give every line the same."
                raise ListFileError(msg)
        if not names:
            msg = f"No line of {self._lines.name} is a JSON object: write one object a line (jq -c .)."
            raise ListFileError(msg)
        return list(names)


def _object(line: str) -> dict[str, Any]:
    """Reads one line, whose field names are stripped.

    Raises:
        UnreadableRow: It is no JSON object, or too long.
    """
    if len(line) >= LONGEST_ROW:
        raise UnreadableRow("field_too_long")
    try:
        value = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableRow("bad_json") from error
    if not isinstance(value, dict):
        raise UnreadableRow("not_an_object")
    stripped = {name.strip(): each for name, each in value.items()}
    if len(stripped) < len(value):
        raise UnreadableRow("duplicate_field")
    return stripped


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would keep the last of two equal names, which may be the one that says yes."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise UnreadableRow("duplicate_field")
    return read


def _number(written: str) -> float:
    if not _SHORTENED.fullmatch(written):
        return float(written)
    shortened = ShortenedNumber(written)
    shortened.written = written
    return shortened


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_float=_number)
