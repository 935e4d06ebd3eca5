"""Recipient lists as they come: opened whatever their format, and read row by row in constant memory.

The same people give the same rows from CSV in any encoding, NDJSON, Excel and Parquet, packed with gzip or not.

Add here another format: a module with a `RowSource`, and its line in `_open_source`.
Keep out what a phone number is (`phone_numbers`), who is already known, and the database.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from campaign_pipeline.recipients.csv_lists import DELIMITERS, CsvRows
from campaign_pipeline.recipients.json_lists import JsonRows, is_ndjson
from campaign_pipeline.recipients.list_format import BYTES_TO_TELL, ListFormat, recognise
from campaign_pipeline.recipients.list_header import read_header
from campaign_pipeline.recipients.list_rows import LONGEST_ROW, BadRow, ListFileError, ListRow, RowSource
from campaign_pipeline.recipients.list_text import TextLines
from campaign_pipeline.recipients.parquet_lists import TableRows
from campaign_pipeline.recipients.spreadsheet_lists import SheetRows

__all__ = ["DELIMITERS", "LONGEST_ROW", "BadRow", "ListFileError", "ListReader", "ListRow", "open_list"]


class ListReader:
    """The rows of an open list, in one pass.

    Attributes:
        header: The column names as written, stripped, without empty ones at the end; column_1, column_2 ... for a list
            without a header.
        phone_column: The one that holds the phone number.
        kind: The format in a word: csv, ndjson, xlsx or parquet.
        delimiter: What separates the fields of a CSV file; None for other formats.
        encoding: utf-8, utf-8-sig (with a byte order mark), utf-16 or cp1252; None for sheets and tables.
        size: Bytes of the whole file, as it lies on the disk.
    """

    def __init__(self, source: RowSource, name: str, size: int, phone_column: str | None) -> None:
        self._source = source
        header = read_header(name, source.names, phone_column, may_be_a_person=source.names_line is not None)
        self.header = header.names
        self.phone_column = header.names[header.phone_index]
        self.kind = source.kind
        self.delimiter = source.delimiter
        self.encoding = source.encoding
        self.size = size
        self._phone_index = header.phone_index
        self._first_is_a_person = header.is_a_person
        # A column without a name cannot be used in a template; pandas writes its row numbers as one.
        self._others = [(i, n) for i, n in enumerate(self.header) if n and i != self._phone_index]

    @property
    def bytes_read(self) -> int:
        """How far the file has been read, for progress bars: a few KiB ahead of the rows, and `size` at the end."""
        return self._source.bytes_read

    def __iter__(self) -> Iterator[ListRow | BadRow]:
        """Gives each row of the file; blank lines and rows of nothing but empty fields hold nobody and are skipped."""
        if self._first_is_a_person:
            yield self._row(self._source.names_line or 1, self._source.names)
        for row in self._source.rows():
            if isinstance(row, BadRow):
                yield row
                continue
            line_number, fields = row
            if any(field and not field.isspace() for field in fields):
                yield self._row(line_number, fields)

    def in_chunks(self, size: int) -> Iterator[list[ListRow | BadRow]]:
        """Gives the same rows, so many at a time, and what is left at the end."""
        rows = iter(self)
        while chunk := list(islice(rows, size)):
            yield chunk

    def _row(self, line_number: int, fields: Sequence[str]) -> ListRow | BadRow:
        """Puts the fields of one row under their names."""
        missing = len(self.header) - len(fields)
        if missing > 0:
            fields = [*fields, *[""] * missing]
        phone = fields[self._phone_index].strip()
        if any(field.strip() for field in fields[len(self.header) :]):
            return BadRow(line_number, phone, "too_many_fields")
        return ListRow(line_number, phone, {name: fields[index].strip() for index, name in self._others})


@contextmanager
def open_list(path: Path, *, phone_column: str | None = None) -> Generator[ListReader, None, None]:
    """Opens a recipient list and reads its header.

    Args:
        path: CSV or NDJSON (UTF-8, UTF-16, or CSV in Windows-1252; packed with gzip or not), an Excel workbook or a
            Parquet table. Its first bytes tell which, not its name.
        phone_column: The column that holds the phone number, by name (whatever its case, spaces, underscores and
            hyphens) or by number counted from 1; None finds it by its usual names. A list without a header is read
            only with a number.

    Yields:
        The reader, which gives the rows while the file is open.

    Raises:
        ListFileError: The file is no list, or its phone column cannot be told. A damaged or treacherous file may raise
            it later too, while its rows are read.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as binary:
        size = os.fstat(binary.fileno()).st_size
        yield ListReader(_open_source(binary, path.name, size, phone_column), path.name, size, phone_column)


def _open_source(binary: BinaryIO, name: str, size: int, phone_column: str | None) -> RowSource:
    kind = recognise(name, binary.read(BYTES_TO_TELL))
    if kind is ListFormat.PARQUET:
        return TableRows(binary, name, size)
    if kind is ListFormat.ZIP:
        return SheetRows(binary, name, size)
    lines = TextLines(binary, name, packed=kind is ListFormat.GZIP)
    first = lines.next_filled()
    return JsonRows(lines) if is_ndjson(first) else CsvRows(lines, first, phone_column)
