"""The file of a list's rejected rows: what a marketer opens in a spreadsheet to see who was not added, and why.

Every file that people open in a spreadsheet takes `harmless_cell` from here.
Keep out the reasons themselves: `sorting`.
"""

import csv
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Self, TextIO

from campaign_pipeline.recipients.sorting import Rejection

_PERHAPS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_PHONE_NUMBER: Final = re.compile(r"\+[0-9]{4,15}")


class RejectionsFile(AbstractContextManager["RejectionsFile"]):
    """The file of a list's rejected rows, for a spreadsheet; it is made with the first one."""

    def __init__(self, path: Path) -> None:
        self.written = False
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, rejections: Sequence[Rejection]) -> None:
        """Appends rows: line number, value, reason, and what is wrong in words."""
        if not rejections:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["line_number", "value", "reason", "detail"])
            self.written = True
        csv.writer(self._file).writerows(
            [each.line_number, harmless_cell(each.value), each.reason, each.detail] for each in rejections
        )


def harmless_cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: what could be one gets an apostrophe; a plain number stays."""
    if value.startswith(_PERHAPS_A_FORMULA) and not _PHONE_NUMBER.fullmatch(value):
        return f"'{value}"
    return value
