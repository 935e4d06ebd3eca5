"""Lists as Parquet tables, streamed a thousand rows at a time.

pyarrow is imported when such a file is read, for the command line starts without it.

Add here what programs that write tables do to values.
Keep out which column is which (`list_header`) and how values are written as text (`cell_text`).
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from campaign_pipeline.recipients.cell_text import DIGITS_OF_A_DOUBLE, cell_text, row_text
from campaign_pipeline.recipients.list_rows import BadRow, Fields, ListFileError, UnreadableRow, checked_fields
from campaign_pipeline.recipients.list_unpacking import LARGEST_UNPACKED, refuse_a_bomb

MOST_ROWS: Final = 50_000_000
"""A table of one value can claim billions of rows in a kilobyte."""

_ROWS_AT_A_TIME: Final = 1_000
_BUFFER: Final = 64 * 1024
_DIGITS: Final = {"halffloat": 3, "float": 7}
# The row numbers of a data frame, which nobody gave a name.
_INDEX: Final = re.compile(r"__index_level_\d+__$")


class TableRows:
    """The rows of a Parquet file."""

    kind = "parquet"
    delimiter = None
    encoding = None
    names_line = None

    def __init__(self, binary: BinaryIO, name: str, size: int) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetFile

        self._name = name
        self._size = size
        self._bytes_type = pyarrow.large_binary()
        # A date of the year 12,000 is a ValueError or an OverflowError of Python, most others are pyarrow's own.
        self._faults = (pyarrow.ArrowException, OSError, ValueError, OverflowError)
        self.bytes_read = 0
        binary.seek(0)
        try:
            # Without these two a whole group of rows, often the whole file, is read at once.
            self._table: Any = ParquetFile(binary, pre_buffer=False, buffer_size=_BUFFER)
        except self._faults as error:
            raise self._damaged(error) from error
        self._refuse_too_large()
        fields = [
            (place, field) for place, field in enumerate(self._table.schema_arrow) if not _INDEX.match(field.name)
        ]
        self._places = [place for place, _ in fields]
        self.names = [field.name for _, field in fields]
        self._digits = [_DIGITS.get(str(field.type), DIGITS_OF_A_DOUBLE) for _, field in fields]

    def rows(self) -> Iterator[Fields | BadRow]:
        """Gives every row of the table; the first person's is row 1."""
        for row_number, values in enumerate(self._values(), start=1):
            try:
                texts = [cell_text(value, digits) for value, digits in zip(values, self._digits, strict=True)]
                yield row_number, checked_fields(texts)
            except UnreadableRow as unreadable:
                yield BadRow(row_number, row_text(values), unreadable.reason)
        self.bytes_read = self._size

    def _values(self) -> Iterator[tuple[Any, ...]]:
        done = 0
        try:
            for batch in self._table.iter_batches(batch_size=_ROWS_AT_A_TIME, use_threads=False):
                done += batch.num_rows
                self.bytes_read = self._size * done // max(self._table.metadata.num_rows, 1)
                yield from zip(*(self._column(batch.column(place)) for place in self._places), strict=True)
        except self._faults as error:
            raise self._damaged(error) from error

    def _column(self, column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
        try:
            return column.to_pylist()
        except UnicodeDecodeError:
            # One text that is not UTF-8 would refuse the whole table; as bytes it is one bad row.
            return column.cast(self._bytes_type).to_pylist()

    def _refuse_too_large(self) -> None:
        metadata = self._table.metadata
        if metadata.num_rows > MOST_ROWS:
            raise ListFileError(f"{self._name} has more than {MOST_ROWS:,} rows: divide the list into several files.")
        unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        refuse_a_bomb(self._name, min(unpacked, LARGEST_UNPACKED + 1), self._size)

    def _damaged(self, error: Exception) -> ListFileError:
        fault = " ".join(str(error).split())[:100]
        return ListFileError(
            f"{self._name} is a Parquet file that cannot be read ({fault}), damaged or cut short: write it again."
        )
