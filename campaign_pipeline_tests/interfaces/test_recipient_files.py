"""The people of a campaign as a file that is opened in a spreadsheet."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from campaign_pipeline.interfaces.recipient_files import write_csv
from campaign_pipeline.recipients.audience import RecipientRow
from campaign_pipeline.recipients.rejections import harmless_cell


def row(**changes: object) -> RecipientRow:
    fields: dict[str, object] = dict.fromkeys(RecipientRow.__slots__)
    return RecipientRow(**{**fields, "phone": "+447911000001", "state": "failed", **changes})  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "@SUM(A1)", "\tx", "\rx", "+cmd|' /C calc'!A0", "-2+3", "-5", "+", "+44 7911", "+4479111234567890123"],
)
def test_what_could_be_a_formula_becomes_text(cell: str) -> None:
    """A name in an uploaded list can run a program on the desk of whoever opens the export."""
    assert harmless_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["+447911123456", "failed", "", "2026-03-02", "Ann = Bob", "131026"])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    """An apostrophe before every phone number would make the file useless as a list."""
    assert harmless_cell(cell) == cell


def test_moments_are_written_with_their_offset(tmp_path: Path) -> None:
    """A spreadsheet without a zone is an hour wrong for half of the year."""
    moment = datetime(2026, 7, 1, 9, tzinfo=UTC)
    zone = ZoneInfo("Europe/Berlin")
    people = [row(accepted_at=moment, reason="=HYPERLINK(1)")]
    columns = list(RecipientRow.__slots__)
    assert write_csv(people, columns, tmp_path / "people.csv", lambda each: each.astimezone(zone)) == 1
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        written = next(csv.DictReader(file))
    assert written["accepted_at"] == "2026-07-01T11:00:00+02:00"
    assert written["reason"] == "'=HYPERLINK(1)"
    assert written["read_at"] == ""


def test_a_file_that_was_not_written_to_its_end_does_not_appear(tmp_path: Path) -> None:
    """Half an export looks like a whole one."""

    def broken() -> Iterator[RecipientRow]:
        yield row()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write_csv(broken(), list(RecipientRow.__slots__), tmp_path / "people.csv", lambda each: each)
    assert not (tmp_path / "people.csv").exists()
