"""Lists as CSV: split row by row, whatever a spreadsheet made of them.

Add here another dialect of CSV, or another way in which a row can be broken.
Keep out encodings and packing (`list_text`), and which column is which (`list_header`).
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Final

from campaign_pipeline.recipients.list_header import looks_like_a_phone, names_the_phone
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

DELIMITERS: Final = (",", ";", "\t")
_NO_DELIMITERS: Final = str.maketrans("", "", "".join(DELIMITERS))
# Excel's own way to say it, with which it also opens such a file: a first line of "sep=;".
_SAYS_THE_DELIMITER: Final = re.compile(r'"?sep=([^"\r\n])"?\1*[\r\n]*', re.IGNORECASE)


class CsvRows:
    """The rows of a CSV file, from its first line that holds anything."""

    kind = "csv"

    def __init__(self, lines: TextLines, first: str, phone_column: str | None) -> None:
        self._lines = lines
        self.encoding = lines.encoding
        if says := _SAYS_THE_DELIMITER.fullmatch(first):
            first = lines.next_filled()
        self.delimiter = says[1] if says else _delimiter(first, phone_column)
        self.names_line = lines.number
        self.names: Sequence[str] = self._first_row(first)

    @property
    def bytes_read(self) -> int:
        """How far the file has been read."""
        return self._lines.bytes_read

    def rows(self) -> Iterator[Fields | BadRow]:
        """Gives the rows below the first one; blank lines are rows of one empty field."""
        for line in self._lines:
            line_number = self._lines.number
            try:
                yield line_number, _fields(line, self._lines, self.delimiter)
            except UnreadableRow as unreadable:
                yield BadRow(line_number, printable(line), unreadable.reason)

    def _first_row(self, first: str) -> list[str]:
        try:
            return _fields(first, self._lines, self.delimiter)
        except UnreadableRow as unreadable:
            raise ListFileError(
                f"The header of {self._lines.name} cannot be read ({unreadable.reason.replace('_', ' ')}): "
                "mend its first line."
            ) from unreadable


def _fields(line: str, lines: TextLines, delimiter: str) -> list[str]:
    """Splits the row that begins with a line into its fields, or says why it cannot be read."""
    if len(line) >= LONGEST_ROW:
        raise UnreadableRow("field_too_long")
    fields = _quoted_fields(line, lines, delimiter) if '"' in line else line.rstrip("\r\n").split(delimiter)
    return checked_fields(fields, lines.not_text)


def _quoted_fields(line: str, lines: TextLines, delimiter: str) -> list[str]:
    """Splits a row with quotes, and takes the further lines that its quoted fields reach over.

    A quote that is never closed must not swallow the people below it: their lines are given back.
    """
    taken = [line]
    ended = False

    def row() -> Iterator[str]:
        nonlocal ended
        yield line
        length = len(line)
        for following in lines:
            taken.append(following)
            length += len(following)
            if length >= LONGEST_ROW:
                break
            yield following
        ended = True

    try:
        return next(csv.reader(row(), delimiter=delimiter, strict=True))
    except csv.Error as error:
        lines.give_back(taken[1:])
        raise UnreadableRow("unterminated_quote" if ended or len(taken) > 1 else "bad_quotes") from error


def _delimiter(line: str, phone_column: str | None) -> str:
    """Finds the delimiter of a first line.

    It is the one that sets a phone column free, else one that sets a phone number free, else the most frequent outside
    quotes.
    """
    bare = re.sub(r'"[^"]*(?:"|$)', lambda quoted: quoted[0].strip('"').translate(_NO_DELIMITERS), line)

    def merit(delimiter: str) -> tuple[bool, bool, int]:
        count = bare.count(delimiter)
        columns = [column.strip() for column in bare.split(delimiter)] if count else []
        return (
            any(names_the_phone(column, phone_column) for column in columns),
            any(looks_like_a_phone(column) for column in columns),
            count,
        )

    return max(DELIMITERS, key=merit)
