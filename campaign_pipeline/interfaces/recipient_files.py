"""The people of a campaign as a file, from every way in: CSV for a spreadsheet, JSON for a program, a row at a time.

Add here another form of the same rows.
Keep out which rows there are: `recipients.audience`.
"""

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from campaign_pipeline.interfaces.documents import to_json
from campaign_pipeline.recipients.rejections import harmless_cell

if TYPE_CHECKING:
    from campaign_pipeline.recipients.audience import RecipientRow

STDOUT: Final = Path("-")


def write_csv(
    rows: "Iterable[RecipientRow]", columns: Sequence[str], path: Path, local: Callable[[datetime], datetime]
) -> int:
    """Writes people to a CSV file, which appears under its name when it is complete.

    Args:
        rows: The people.
        columns: The header.
        path: Where to; ``-`` is stdout.
        local: Gives a moment as the business's clocks show it.

    Returns:
        How many people were written.
    """
    if path == STDOUT:
        return write_csv_rows(rows, columns, sys.stdout, local)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        written = write_csv_rows(rows, columns, file, local)
    partial.replace(path)
    return written


def stream_json(rows: "Iterable[RecipientRow]") -> None:
    """Writes people to stdout as one JSON array, a person a line."""
    separator = "[\n"
    for row in rows:
        sys.stdout.write(separator + to_json(row.as_dict()))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def write_ndjson_rows(rows: "Iterable[RecipientRow]", file: TextIO) -> None:
    """Writes people to a file, one JSON document a line."""
    for row in rows:
        file.write(to_json(row.as_dict()) + "\n")


def write_csv_rows(
    rows: "Iterable[RecipientRow]", columns: Sequence[str], file: TextIO, local: Callable[[datetime], datetime]
) -> int:
    """Writes people to a CSV file that is open; gives how many."""
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    written = 0
    for row in rows:
        writer.writerow({name: _cell(value, local) for name, value in row.as_dict().items()})
        written += 1
    return written


def _cell(value: object, local: Callable[[datetime], datetime]) -> str:
    if value is None:
        return ""
    return harmless_cell(local(value).isoformat(timespec="seconds") if isinstance(value, datetime) else str(value))
