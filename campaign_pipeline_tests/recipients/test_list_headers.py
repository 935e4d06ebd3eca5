"""The first rows of a list: blank lines, Excel's sep=, a title, or no header at all."""

from pathlib import Path

import openpyxl
import pytest

from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, parse_phone


def _rows(tmp_path: Path, content: str, phone_column: str | None = None) -> list[ListRow | BadRow]:
    path = tmp_path / "people.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with open_list(path, phone_column=phone_column) as reader:
        return list(reader)


@pytest.mark.parametrize("before", ["\n", "\r\n\r\n", ";;\r\n", " ; \n\n", '"";\n'])
def test_blank_rows_before_the_header_are_skipped(tmp_path: Path, before: str) -> None:
    """Excel writes the empty rows above a table as lines of delimiters."""
    [row] = _rows(tmp_path, before + "phone;name\n1;Ann\n")
    assert row == ListRow(before.count("\n") + 2, "1", {"name": "Ann"})


@pytest.mark.parametrize("says", ["sep=;", "SEP=;", '"sep=;"', "sep=;;"])
def test_excels_first_line_says_the_delimiter(tmp_path: Path, says: str) -> None:
    """Taken for the header, it would be refused; taken for nothing, the commas would win."""
    [row] = _rows(tmp_path, f"\ufeff{says}\r\nphone;a,b,c,d\r\n1;x,y\r\n")
    assert row == ListRow(3, "1", {"a,b,c,d": "x,y"})


def test_a_delimiter_that_is_never_guessed_can_be_said(tmp_path: Path) -> None:
    """Old systems separate by bars, and Excel's own line is the one way to say so in the file."""
    assert _rows(tmp_path, "sep=|\nphone|name\n1|Ann, B\n") == [ListRow(3, "1", {"name": "Ann, B"})]


def test_a_title_above_the_header_is_refused_and_shown(tmp_path: Path) -> None:
    """Guessing which line is the header would one day take a person for it."""
    with pytest.raises(ListFileError, match=r"No column of people.csv .* It has: Customers of March\."):
        _rows(tmp_path, "Customers of March\n\nphone,name\n1,Ann\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_without_a_header_is_read_when_the_column_is_given_by_number(tmp_path: Path, delimiter: str) -> None:
    """The first person must not be lost as a header."""
    content = '\n"Ann, B"|+447911123456|\nBob|07911 123457|x\nCid|4.479E+11|\n'.replace("|", delimiter)
    assert _rows(tmp_path, content, "2") == [
        ListRow(2, "+447911123456", {"column_1": "Ann, B", "column_3": ""}),
        ListRow(3, "07911 123457", {"column_1": "Bob", "column_3": "x"}),
        ListRow(4, "4.479E+11", {"column_1": "Cid", "column_3": ""}),
    ]


def test_a_list_of_nothing_but_numbers_needs_no_header(tmp_path: Path) -> None:
    """The simplest list there is: one number a line."""
    path = tmp_path / "people.csv"
    path.write_text("+447911123456\n+447911123457\n")
    with open_list(path, phone_column="1") as reader:
        assert (reader.header, reader.phone_column) == (("column_1",), "column_1")
        assert [row.line_number for row in reader] == [1, 2]


def test_equal_values_in_a_first_person_are_no_columns_of_one_name(tmp_path: Path) -> None:
    """The rule for names of columns is none for people."""
    [row] = _rows(tmp_path, "+447911123456,Ann,Ann\n", "1")
    assert row == ListRow(1, "+447911123456", {"column_2": "Ann", "column_3": "Ann"})


def test_a_number_of_a_column_still_finds_it_under_a_header(tmp_path: Path) -> None:
    """--phone-column 2 means the second column, header or not."""
    assert _rows(tmp_path, "name,contact\nAnn,+447911123456\n", "2") == [ListRow(2, "+447911123456", {"name": "Ann"})]


@pytest.mark.parametrize("first", ["+447911123456,Ann", "'+447911123456,Ann", "447911123456.0,A", "4.479E+11,Ann"])
@pytest.mark.parametrize("phone_column", [None, "phone"])
def test_a_list_without_a_header_is_refused_with_what_to_pass(
    tmp_path: Path, first: str, phone_column: str | None
) -> None:
    """Its first person would become the names of the columns, and never hear from us."""
    with pytest.raises(ListFileError, match=r"has no header.*give --phone-column 1 to read it so, or add a first line"):
        _rows(tmp_path, f"{first}\n+447911123457,Bob\n", phone_column)


def test_a_sheet_without_a_header_is_read_like_a_csv(tmp_path: Path) -> None:
    """The same list, saved as a workbook, keeps its first person too."""
    path = tmp_path / "people.xlsx"
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    sheet["A3"], sheet["B3"] = 447911123456, "Ann"
    sheet["A4"], sheet["B4"] = 447911123457, "Bob"
    workbook.save(path)
    with pytest.raises(ListFileError, match="give --phone-column 1"), open_list(path):
        pass
    with open_list(path, phone_column="1") as reader:
        assert list(reader) == [
            ListRow(3, "447911123456", {"column_2": "Ann"}),
            ListRow(4, "447911123457", {"column_2": "Bob"}),
        ]


def test_a_shortened_number_is_rejected_with_the_reason(tmp_path: Path) -> None:
    """4.479E+11 stands for a million different people; a message to one of them is a message to a stranger."""
    [row] = _rows(tmp_path, "phone,name\n4.479E+11,Ann\n")
    assert isinstance(row, ListRow)
    with pytest.raises(InvalidPhone, match="digits are lost; format the column as text") as refusal:
        parse_phone(row.phone, "GB")
    assert refusal.value.code == "scientific_notation"


@pytest.mark.parametrize(
    "cell", ["tel:+447911123456", "+44 7911 123456 (home)", "call 0044-7911-123456", "a@b.example"]
)
def test_a_refusal_tells_nothing_of_the_first_person_of_a_list_without_a_header(tmp_path: Path, cell: str) -> None:
    """The reason is shown on the tick of a sensor and in metadata, to everybody who can open the page."""
    path = tmp_path / "people.csv"
    path.write_text(f"{cell},Ada Lovelace\n", encoding="utf-8")
    with pytest.raises(ListFileError) as refusal, open_list(path):
        pass
    assert "It has: 2 columns, and its first line looks like a person" in str(refusal.value)
    assert not any(word in str(refusal.value) for word in ("7911", "Ada", "Lovelace", "example"))
