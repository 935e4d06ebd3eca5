"""What an open recipient list gives, whatever its format: rows, rows that cannot be read, and why a file is refused.

Add here another reason for which a row cannot be read, if it can occur in every format.
Keep out formats (each has its module) and what the columns mean (`list_header`, `consent`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

# No row of a recipient list is longer, and Python's csv module reads fields up to this size without being told.
LONGEST_ROW: Final = 128 * 1024
_SHOWN: Final = 200
_UNPRINTABLE: Final = re.compile("[\x00\ud800-\udfff]")


class ListFileError(ValueError):
    """A file that cannot be read as a recipient list; its sentence says what to do."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """One person as the list has them.

    Attributes:
        line_number: Where the row begins, counted from 1: the physical line of a text (the header counts), the row of a
            sheet as the spreadsheet numbers it, the row of a table.
        phone: What stands in the phone column, stripped.
        columns: The other columns, stripped, by the header's names; a missing value is an empty string.
    """

    line_number: int
    phone: str
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, kept so that nobody in it is lost without a word.

    Attributes:
        line_number: Where the row begins, counted as in `ListRow`.
        value: The phone column if the row could be split, else the beginning of the row; always valid UTF-8.
        reason: One of these. Anywhere: field_too_long, nul_byte, not_utf8. CSV: too_many_fields (sheets too),
            bad_quotes (text after a closing quote), unterminated_quote (the lines after it are read as rows of their
            own). Other encodings: not_cp1252, not_utf16. NDJSON: bad_json, not_an_object, duplicate_field. Numbers of
            sheets, tables and NDJSON: digits_lost (more digits than the program that wrote it keeps).
    """

    line_number: int
    value: str
    reason: str


class UnreadableRow(Exception):  # noqa: N818 - a row is at fault, not the program
    """A row that cannot be read as texts; `reason` is that of its `BadRow`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


Fields = tuple[int, Sequence[str]]
"""The line number of a row and its texts, in the order of the header."""


class RowSource(Protocol):
    """An open file of one format, reduced to rows of texts; the rules of headers and columns are the reader's."""

    @property
    def kind(self) -> str:
        """The format in a word: csv, ndjson, xlsx or parquet."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, or the first row of a file that may have none."""

    @property
    def names_line(self) -> int | None:
        """The line on which the names stand; None for a format that cannot be without names."""

    @property
    def encoding(self) -> str | None:
        """How a text is encoded; None for sheets and tables."""

    @property
    def delimiter(self) -> str | None:
        """What separates the fields of a CSV; None for other formats."""

    @property
    def bytes_read(self) -> int:
        """How far the file has been read; its size at the end."""

    def rows(self) -> Iterator[Fields | BadRow]:
        """Gives the rows below the names, in one pass; rows of nothing but empty fields may be among them."""


def checked_fields(fields: list[str], not_text: str = "not_utf8") -> list[str]:
    """Lets through what every database can store.

    Args:
        fields: The texts of one row.
        not_text: The reason for a text that holds bytes which could not be decoded, or half a character.

    Raises:
        UnreadableRow: A text holds a NUL or is not valid Unicode, or the row is too long.
    """
    text = "".join(fields)
    if "\x00" in text:
        raise UnreadableRow("nul_byte")
    if not text.isascii() and first_undecodable(text) is not None:
        raise UnreadableRow(not_text)
    if len(text) >= LONGEST_ROW:
        raise UnreadableRow("field_too_long")
    return fields


def first_undecodable(text: str) -> int | None:
    """Gives the place of the first byte that was no text, which decoding has left as a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def printable(text: str) -> str:
    """Makes the beginning of a broken row fit for every database, log and screen."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[:_SHOWN]).strip()
