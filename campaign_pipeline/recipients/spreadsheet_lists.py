"""Lists as Excel workbooks (.xlsx, .xlsm): the first visible sheet that holds anything, streamed row by row.

openpyxl is imported when such a file is read, for the command line starts without it. It keeps only a workbook's table
of texts in memory, whose size is limited (`list_unpacking`).

Add here what Excel does to values. Keep out formats of other spreadsheets, and which column is which (`list_header`).
"""

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from campaign_pipeline.recipients.cell_text import DIGITS_OF_A_DOUBLE, cell_text, row_text
from campaign_pipeline.recipients.list_format import refuse_no_workbook
from campaign_pipeline.recipients.list_rows import BadRow, Fields, ListFileError, UnreadableRow, checked_fields
from campaign_pipeline.recipients.list_unpacking import is_a_sheet, refuse_a_zip_bomb

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

MOST_ROWS: Final = 1_048_576
"""No sheet of Excel has more; a damaged one may claim a row far below."""

_BLOCK: Final = 256 * 1024
_LONGEST_FORMULA: Final = 32 * 1024
# Programs that write workbooks give a formula without its value. A value that is an empty text says so: t="str".
_UNCALCULATED: Final = re.compile(
    rb'<c\b(?![^>]*\bt="str")[^>]*><f\b(?:[^>]*/>|[^>]*>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)


class SheetRows:
    """The rows of a workbook's first visible sheet that holds anything."""

    kind = "xlsx"
    delimiter = None
    encoding = None

    def __init__(self, binary: BinaryIO, name: str, size: int) -> None:
        self._binary = binary
        self._name = name
        self._size = size
        self.bytes_read = 0
        self._rows = self._first_filled_sheet(_open_workbook(binary, name))
        self.names_line, first = next(self._rows)
        try:
            self.names: Sequence[str] = _texts(first)
        except UnreadableRow as unreadable:
            msg = f"The header of {name} cannot be read ({unreadable.reason.replace('_', ' ')}): mend its first row."
            raise ListFileError(msg) from unreadable

    def rows(self) -> Iterator[Fields | BadRow]:
        """Gives the rows below the first one that hold anything."""
        for row_number, values in self._rows:
            self.bytes_read = max(self.bytes_read, min(self._binary.tell(), self._size))
            try:
                yield row_number, _texts(values)
            except UnreadableRow as unreadable:
                yield BadRow(row_number, row_text(values), unreadable.reason)
        self.bytes_read = self._size

    def _first_filled_sheet(self, workbook: "Workbook") -> Iterator[tuple[int, Sequence[Any]]]:
        for sheet in workbook.worksheets:
            if sheet.sheet_state != "visible":
                continue
            rows = self._filled_rows(sheet)
            if first := next(rows, None):
                yield first
                yield from rows
                return
        raise ListFileError(f"{self._name} is empty: give a sheet with a header row and one person a row.")

    def _filled_rows(self, sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:  # noqa: ANN401 - it has no public type
        """Rows with their numbers. Programs write wrong dimensions into their sheets, so they are not believed."""
        sheet.reset_dimensions()
        try:
            for row_number, values in enumerate(sheet.iter_rows(max_row=MOST_ROWS, values_only=True), start=1):
                if any(value is not None and (not isinstance(value, str) or value.strip()) for value in values):
                    yield row_number, values
        except Exception as error:  # openpyxl lets anything through that a damaged file provokes
            raise _damaged(self._name, error) from error


def _open_workbook(binary: BinaryIO, name: str) -> "Workbook":
    try:
        with zipfile.ZipFile(binary) as archive:
            refuse_no_workbook(name, set(archive.namelist()))
            refuse_a_zip_bomb(name, archive.infolist())
            _refuse_uncalculated(name, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(name, error) from error

    from openpyxl import load_workbook

    # What it cannot read, such as drop-down lists, is none of ours.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\b")
    binary.seek(0)
    try:
        return load_workbook(binary, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # as above
        raise _damaged(name, error) from error


def _refuse_uncalculated(name: str, archive: zipfile.ZipFile) -> None:
    """Refuses formulas that no spreadsheet has calculated: they read as empty, and an empty opt_out is no refusal."""
    for member in archive.namelist():
        if not is_a_sheet(member):
            continue
        with archive.open(member) as sheet:
            tail = b""
            while block := sheet.read(_BLOCK):
                if _UNCALCULATED.search(tail + block):
                    msg = (
                        f"{name} has formulas that were never calculated: open it in Excel, save it and give it again."
                    )
                    raise ListFileError(msg)
                tail = block[-_LONGEST_FORMULA:]


def _damaged(name: str, error: Exception) -> ListFileError:
    fault = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
    return ListFileError(
        f"{name} is an Excel file that cannot be read ({fault}), damaged or cut short: "
        "open it in Excel, save it as CSV UTF-8 and give the CSV file."
    )


def _texts(values: Sequence[Any]) -> list[str]:
    """Writes a row as texts; without the empty cells at its end, which are formatting."""
    filled = len(values)
    while filled and values[filled - 1] is None:
        filled -= 1
    return checked_fields([_text(value) for value in values[:filled]])


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a cell holds
    if isinstance(value, str) and "_x" in value:
        from openpyxl.utils.escape import unescape

        return unescape(value)
    # Excel keeps every number as a double, also one that a program wrote without a point.
    if isinstance(value, int) and abs(value) >= 10**DIGITS_OF_A_DOUBLE:
        raise UnreadableRow("digits_lost")
    return cell_text(value)
