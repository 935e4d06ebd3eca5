"""Lists as Excel workbooks: every value as a person would have typed it, and nothing that Excel lost is guessed."""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.chart import BarChart

from campaign_pipeline.recipients import list_unpacking
from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, parse_phone

_SHEET = "xl/worksheets/sheet1.xml"
_TEXTS = "xl/sharedStrings.xml"


def _workbook(path: Path, *sheets: Sequence[Sequence[Any]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for rows in sheets:
        sheet = workbook.create_sheet()
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def _rewritten(path: Path, member: str, change: Callable[[bytes], bytes]) -> Path:
    """Changes one part of a workbook, as another program would have written it."""
    written = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as changed:
        for each in archive.namelist():
            content = archive.read(each)
            changed.writestr(each, change(content) if each == member else content)
    path.write_bytes(written.getvalue())
    return path


def _with_shared_texts(path: Path) -> Path:
    """Puts all texts into one table, as Excel does; openpyxl writes each into its cell."""
    texts: list[bytes] = []

    def shared(cell: re.Match[bytes]) -> bytes:
        texts.append(b"<si>%b</si>" % cell[2])
        return b'<c %b t="s"><v>%d</v></c>' % (cell[1], len(texts) - 1)

    _rewritten(path, _SHEET, lambda sheet: re.sub(rb'<c ([^>]*?) t="inlineStr"><is>(.*?)</is></c>', shared, sheet))
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    told = b'<Override PartName="/%b" ContentType="%b"/></Types>' % (_TEXTS.encode(), kind)
    _rewritten(path, "[Content_Types].xml", lambda types: types.replace(b"</Types>", told))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        namespace = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        archive.writestr(_TEXTS, b'<sst xmlns="%b">%b</sst>' % (namespace, b"".join(texts)))
    return path


def _rows(path: Path) -> list[ListRow | BadRow]:
    with open_list(path) as reader:
        return list(reader)


def _refusal(path: Path) -> str:
    with pytest.raises(ListFileError) as refusal:
        _rows(path)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (447911123456, "447911123456"),
        (447911123456.0, "447911123456"),
        (999_999_999_999_999, "999999999999999"),
        (12.5, "12.5"),
        (0.1 + 0.2, "0.3"),
        (1e-7, "0.0000001"),
        (-3, "-3"),
        (True, "true"),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 9, 30), "2024-05-01T09:30:00"),  # noqa: DTZ001 - Excel knows no time zones
        (time(9, 30), "09:30:00"),
        ("007", "007"),
        (" Zoë ", "Zoë"),
        ("two\nlines", "two\nlines"),
        ("_x0041_", "A"),
        (None, ""),
    ],
)
def test_a_cell_reads_as_a_person_would_have_typed_it(tmp_path: Path, value: object, text: str) -> None:
    """Greeting someone with "45413.0" in place of a date is worse than no greeting."""
    path = _workbook(tmp_path / "a.xlsx", [["phone", "value"], ["1", value]])
    assert _rows(path) == [ListRow(2, "1", {"value": text})]


def test_a_phone_number_that_excel_keeps_as_a_number_has_all_its_digits(tmp_path: Path) -> None:
    """Excel writes large numbers into its file with a point or an exponent, whatever it shows."""
    path = _workbook(tmp_path / "a.xlsx", [["phone"], [111], [222], [333]])
    written = {b"<v>111</v>": b"<v>447911123456</v>", b"<v>222</v>": b"<v>447911123457.0</v>"}
    written[b"<v>333</v>"] = b"<v>4.47911123458E+11</v>"
    for old, new in written.items():
        _rewritten(path, _SHEET, lambda content, old=old, new=new: content.replace(old, new))
    assert [row.phone for row in _rows(path) if isinstance(row, ListRow)] == [
        "447911123456",
        "447911123457",
        "447911123458",
    ]


@pytest.mark.parametrize("lost", [10**15, 4479111234567890, 1.2345678901234568e19])
@pytest.mark.parametrize("where", ["phone", "voucher"])
def test_a_number_longer_than_excel_keeps_is_rejected_as_such(tmp_path: Path, lost: float, where: str) -> None:
    """Excel keeps 15 digits and makes the others 0: another person's number, or a voucher that does not work."""
    values = {"phone": "447911123456", "voucher": "x"} | {where: lost}
    path = _workbook(tmp_path / "a.xlsx", [list(values), list(values.values()), ["2", "y"]])
    bad, good = _rows(path)
    assert isinstance(bad, BadRow)
    assert (bad.line_number, bad.reason) == (2, "digits_lost")
    assert good == ListRow(3, "2", {"voucher": "y"})


def test_a_shortened_number_in_a_text_cell_is_rejected_with_the_reason(tmp_path: Path) -> None:
    """Pasted from a CSV, the cell holds the text 4.479E+11, and no digit of it can be won back."""
    [row] = _rows(_workbook(tmp_path / "a.xlsx", [["phone"], ["4.479E+11"]]))
    assert isinstance(row, ListRow)
    with pytest.raises(InvalidPhone) as refusal:
        parse_phone(row.phone, "GB")
    assert refusal.value.code == "scientific_notation"


def test_texts_that_cells_share_are_read_with_and_without_formatting(tmp_path: Path) -> None:
    """Excel keeps every text once, and one that is half bold in pieces; a name must not lose its second half."""
    path = _with_shared_texts(
        _workbook(tmp_path / "a.xlsx", [["phone", "name"], ["+447911123456", " Zoë "], ["2", "x"]])
    )
    _rewritten(
        path, _TEXTS, lambda table: table.replace(b"<t>x</t>", b"<r><t>An</t></r><r><rPr><b/></rPr><t>na</t></r>")
    )
    assert _rows(path) == [ListRow(2, "+447911123456", {"name": "Zoë"}), ListRow(3, "2", {"name": "Anna"})]


def test_the_first_sheet_that_holds_anything_is_read(tmp_path: Path) -> None:
    """Excel puts empty sheets first, and a hidden one is not what the marketer saw."""
    path = tmp_path / "a.xlsx"
    workbook = openpyxl.Workbook()
    workbook.create_chartsheet().add_chart(BarChart())
    workbook.worksheets[0]["C3"] = " "
    hidden, people, other = (workbook.create_sheet() for _ in range(3))
    hidden.append(["phone"])
    hidden.append(["9"])
    hidden.sheet_state = "hidden"
    people["B3"], people["C3"] = "phone", "name"
    people["B6"], people["C6"] = "1", "Ann"
    other.append(["phone"])
    workbook.save(path)
    assert _rows(path) == [ListRow(6, "1", {"name": "Ann"})]


def test_a_workbook_with_nothing_in_it_says_so(tmp_path: Path) -> None:
    """The list is often on another computer's clipboard."""
    assert "a.xlsx is empty: give a sheet with a header row" in _refusal(_workbook(tmp_path / "a.xlsx", [], [[None]]))


def test_wrong_dimensions_of_a_sheet_lose_nobody(tmp_path: Path) -> None:
    """WPS and some shops write A1:A1 whatever is in the sheet; readers that believe it see one cell."""
    path = _workbook(tmp_path / "a.xlsx", [["name", "phone"], ["Ann", "1"], ["Bob", "2"]])
    _rewritten(path, _SHEET, lambda content: content.replace(b'ref="A1:B3"', b'ref="A1:A1"'))
    assert [row.phone for row in _rows(path) if isinstance(row, ListRow)] == ["1", "2"]
    _rewritten(path, _SHEET, lambda content: content.replace(b'ref="A1:A1"', b'ref="A1:XFD1048576"'))
    assert [row.phone for row in _rows(path) if isinstance(row, ListRow)] == ["1", "2"]


def test_formatting_beside_and_below_the_list_is_nobody(tmp_path: Path) -> None:
    """A column painted yellow to the last row is a million empty cells."""
    path = _workbook(tmp_path / "a.xlsx", [["phone", "name"], ["1", "Ann", None, None], [None, " "], ["2", "B", "x"]])
    assert _rows(path) == [ListRow(2, "1", {"name": "Ann"}), BadRow(4, "2", "too_many_fields")]


def test_a_formula_is_its_value_as_excel_last_showed_it(tmp_path: Path) -> None:
    """Lists are put together with VLOOKUP; nobody wants to be greeted as =B2&C2."""
    path = _workbook(tmp_path / "a.xlsx", [["phone", "name", "b"], ["1", "=A1", "=B1"]])

    def calculated(content: bytes) -> bytes:
        content = content.replace(b'r="B2"><f>A1</f><v />', b'r="B2" t="str"><f>A1</f><v>Ann</v>')
        return content.replace(b'r="C2"><f>B1</f><v />', b'r="C2" t="str"><f>B1</f><v></v>')

    assert _rows(_rewritten(path, _SHEET, calculated)) == [ListRow(2, "1", {"name": "Ann", "b": ""})]


def test_formulas_that_were_never_calculated_are_refused(tmp_path: Path) -> None:
    """They read as empty: an opt_out of =IF(...) would say nothing, and a person who said no would be written to."""
    path = _workbook(tmp_path / "a.xlsx", [["phone", "opt_out"], ["1", "=1=1"]])
    assert "formulas that were never calculated: open it in Excel, save it" in _refusal(path)


@pytest.mark.parametrize("text", ["_x0000_", "_xD800_"])
def test_a_text_that_no_database_stores_is_one_bad_row(tmp_path: Path, text: str) -> None:
    """Excel can hold what PostgreSQL refuses; the load would fail after an hour."""
    path = _workbook(tmp_path / "a.xlsx", [["phone", "name"], ["1", f"A{text}"], ["2", "B"]])
    bad, good = _rows(path)
    assert isinstance(bad, BadRow)
    assert bad.reason in ("nul_byte", "not_utf8")
    assert bad.value.encode()
    assert good == ListRow(3, "2", {"name": "B"})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content.replace(b"<v>0</v>", b"<v>99</v>"),
        lambda content: content.replace(
            b"<worksheet",
            b'<!DOCTYPE x [<!ENTITY a "' + b"x" * 10_000 + b'"><!ENTITY b "' + b"&a;" * 10_000 + b'">]><worksheet',
        ).replace(b'<row r="1">', b'<row r="1"><c r="A1" t="inlineStr"><is><t>&b;</t></is></c>'),
    ],
    ids=["cut", "empty", "text that is not there", "entities that grow"],
)
def test_a_damaged_workbook_is_a_sentence(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Half a download must not end in a traceback, nor a treacherous one in a worker without memory."""
    path = _with_shared_texts(_workbook(tmp_path / "a.xlsx", [["phone", "name"], ["1", "Ann"]]))
    assert "is an Excel file that cannot be read" in _refusal(_rewritten(path, _SHEET, damage))


def test_a_sheet_that_grows_as_no_list_does_is_refused(tmp_path: Path) -> None:
    """A file of 100 kB can hold a sheet of gigabytes."""
    path = _workbook(tmp_path / "a.xlsx", [["phone"]])
    _rewritten(path, _SHEET, lambda content: content + b" " * list_unpacking.ALWAYS_ALLOWED)
    assert "unpacks to more than 200 times its size" in _refusal(path)


def test_a_table_of_texts_that_does_not_fit_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one part of a workbook that must be held whole."""
    monkeypatch.setattr(list_unpacking, "LARGEST_PART", 100_000)
    path = _with_shared_texts(_workbook(tmp_path / "a.xlsx", [["phone"], *[[letter * 30_000] for letter in "wxyz"]]))
    assert "holds too much text to be read as a workbook: save it as CSV" in _refusal(path)
