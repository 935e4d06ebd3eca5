"""A recipient list is read whole, whatever a spreadsheet made of it, and nobody in it is lost without a word."""

import csv
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.recipients.consent import ConsentColumns, consent_of
from campaign_pipeline.recipients.list_files import (
    LONGEST_ROW,
    BadRow,
    ListFileError,
    ListReader,
    ListRow,
    open_list,
)

WriteList = Callable[[str | bytes], Path]


@pytest.fixture
def write_list(tmp_path: Path) -> WriteList:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "people.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def _rows(path: Path, phone_column: str | None = None) -> list[ListRow | BadRow]:
    with open_list(path, phone_column=phone_column) as reader:
        return list(reader)


def _refusal(path: Path, phone_column: str | None = None) -> str:
    with pytest.raises(ListFileError) as refusal, open_list(path, phone_column=phone_column):
        pass
    return str(refusal.value)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_spreadsheets_csv_gives_the_same_rows(
    write_list: WriteList, mark: str, delimiter: str, ending: str
) -> None:
    """A German Excel writes semicolons, a Mac's writes CR, and a byte order mark hides the first column's name."""
    lines = ["phone|first name|city", "+447911123456| Zoë |Köln", "", '07911|"a|b"|', '1|"two', 'lines"|x', "2|y|z"]
    path = write_list(mark + ending.join(lines).replace("|", delimiter))
    with open_list(path) as reader:
        rows = list(reader)
        assert (reader.header, reader.phone_column) == (("phone", "first name", "city"), "phone")
        assert (reader.delimiter, reader.encoding) == (delimiter, "utf-8-sig" if mark else "utf-8")
    assert rows == [
        ListRow(2, "+447911123456", {"first name": "Zoë", "city": "Köln"}),
        ListRow(4, "07911", {"first name": f"a{delimiter}b", "city": ""}),
        ListRow(5, "1", {"first name": f"two{ending}lines", "city": "x"}),
        ListRow(7, "2", {"first name": "y", "city": "z"}),
    ]


@pytest.mark.parametrize(
    "column",
    [
        "phone",
        "Phone Number",
        "PHONE_NUMBER",
        "phone-number",
        " Mobile ",
        "mobile number",
        "Mobile Phone",
        "cell",
        "CellPhone",
        "MSISDN",
        "WhatsApp",
        "whatsapp_number",
        "wa_id",
        "Telephone",
        "tel",
        "Tel.",
        "Telefon",
        "Telefone",
        "teléfono",
        "Te\u0301le\u0301phone",
        "Celular",
        "Handy",
        "Número",
        "contact_number",
    ],
)
def test_the_phone_column_is_found_by_its_usual_names(write_list: WriteList, column: str) -> None:
    """Every shop system has its own word, and an operator should not have to rename columns."""
    [row] = _rows(write_list(f"name,{column}\nAnn,+447911123456\n"))
    assert row == ListRow(2, "+447911123456", {"name": "Ann"})


@pytest.mark.parametrize("named", ["Kontakt 2", "kontakt_2", " KONTAKT-2 ", "3"])
def test_the_phone_column_can_be_named_or_numbered(write_list: WriteList, named: str) -> None:
    """A list with two numbers a person needs to say which one is meant."""
    path = write_list("name,phone,Kontakt 2\nAnn,1,2\n")
    assert _rows(path, named) == [ListRow(2, "2", {"name": "Ann", "phone": "1"})]


def test_a_column_named_exactly_is_taken_before_others_that_read_alike(write_list: WriteList) -> None:
    """Otherwise no name could choose between "phone_1" and "phone 1"."""
    assert _rows(write_list("phone_1,phone 1\na,b\n"), "phone 1") == [ListRow(2, "b", {"phone_1": "a"})]


def test_the_delimiter_is_the_one_that_sets_the_phone_column_free(write_list: WriteList) -> None:
    """In a header with as many commas as semicolons, counting alone would find no phone column."""
    assert _rows(write_list("phone;name, first\n1;Ann, B\n")) == [ListRow(2, "1", {"name, first": "Ann, B"})]
    assert _rows(write_list('"name;a;b;c",phone\nAnn,1\n')) == [ListRow(2, "1", {"name;a;b;c": "Ann"})]


def test_a_list_of_nothing_but_numbers_is_read(write_list: WriteList) -> None:
    """The simplest list has one column, and so no delimiter to find."""
    assert _rows(write_list("\n\nphone\n1\n\n2")) == [ListRow(4, "1", {}), ListRow(6, "2", {})]


def test_unnamed_columns_are_left_out_and_empty_rows_skipped(write_list: WriteList) -> None:
    """A data frame writes its row numbers under no name, and Excel writes rows of commas below the last person."""
    path = write_list(",phone,name,,\n0,1,Ann,,\n,,,,\n1,2,Bob\n")
    assert _rows(path) == [ListRow(2, "1", {"name": "Ann"}), ListRow(4, "2", {"name": "Bob"})]


def test_a_row_with_too_few_values_has_empty_ones(write_list: WriteList) -> None:
    """Spreadsheets leave out what is empty at a row's end; that person is as good as any."""
    assert _rows(write_list("name,phone,city\nAnn,1\nBob\n")) == [
        ListRow(2, "1", {"name": "Ann", "city": ""}),
        ListRow(3, "", {"name": "Bob", "city": ""}),
    ]


def test_a_row_with_too_many_values_is_reported_with_its_phone(write_list: WriteList) -> None:
    """A comma without quotes shifts the columns: Ann would be greeted as somebody else."""
    assert _rows(write_list("name,phone\nAnn,1,,\nBob,2,x\nCid,3\n")) == [
        ListRow(2, "1", {"name": "Ann"}),
        BadRow(3, "2", "too_many_fields"),
        ListRow(4, "3", {"name": "Cid"}),
    ]


def test_a_quote_never_closed_loses_one_row_and_not_the_rest_of_the_file(write_list: WriteList) -> None:
    """A plain CSV reader swallows every person below the stray quote without a word."""
    people = "".join(f"{number},Ann\n" for number in range(30_000))
    rows = _rows(write_list('phone,name\n1,"Bob\n' + people))
    assert rows[0] == BadRow(2, '1,"Bob', "unterminated_quote")
    assert rows[1:] == [ListRow(3 + number, str(number), {"name": "Ann"}) for number in range(30_000)]


def test_many_stray_quotes_lose_their_own_rows_only(write_list: WriteList) -> None:
    """Each stray quote would be closed by the next one, and the people between them would become one name."""
    rows = _rows(write_list("phone,name\n" + '1,"Bob\n2,Ann\n3,"Cid "the" Kid"\n' * 2 + '4,"Dan'))
    assert [(row.line_number, row.reason if isinstance(row, BadRow) else row.phone) for row in rows] == [
        (2, "unterminated_quote"),
        (3, "2"),
        (4, "bad_quotes"),
        (5, "unterminated_quote"),
        (6, "2"),
        (7, "bad_quotes"),
        (8, "unterminated_quote"),
    ]


def test_quotes_inside_a_field_are_text(write_list: WriteList) -> None:
    """Inches and nicknames hold quotes; they open no quoted field."""
    assert _rows(write_list('phone,name\n1,Bob "the" 5"\n2,"Ann ""A"" B"\n')) == [
        ListRow(2, "1", {"name": 'Bob "the" 5"'}),
        ListRow(3, "2", {"name": 'Ann "A" B'}),
    ]


def test_a_field_too_long_is_one_bad_row(write_list: WriteList) -> None:
    """A file without line ends, read as one line, would fill the memory; the people after it still count."""
    long = "x" * (3 * LONGEST_ROW)
    assert _rows(write_list(f"phone,note\n1,{long}\n2,y\n3,{'x' * (LONGEST_ROW - 3)}\n4,z\n")) == [
        BadRow(2, ("1," + long)[:200], "field_too_long"),
        ListRow(3, "2", {"note": "y"}),
        BadRow(4, ("3," + long)[:200], "field_too_long"),
        ListRow(5, "4", {"note": "z"}),
    ]


def test_a_row_that_is_not_utf8_is_reported_and_the_others_are_read(write_list: WriteList) -> None:
    """One row pasted from an old system must not refuse a list of a million, nor send to "Zo�"."""
    assert _rows(write_list("phone,name\n1,Zoë\n".encode() + b'2,Zo\xeb\n3,"J\xf6\n"\n4,Ann\n')) == [
        ListRow(2, "1", {"name": "Zoë"}),
        BadRow(3, "2,Zo\N{REPLACEMENT CHARACTER}", "not_utf8"),
        BadRow(4, '3,"J\N{REPLACEMENT CHARACTER}', "not_utf8"),
        ListRow(6, "4", {"name": "Ann"}),
    ]


def test_a_nul_byte_far_down_is_one_bad_row(write_list: WriteList) -> None:
    """PostgreSQL stores no NUL in a text; the load would fail after an hour."""
    rows = _rows(write_list("phone\n" + "1234\n" * 10_000 + "12\x0034\n5\n"))
    assert rows[-2:] == [BadRow(10_002, "12\N{REPLACEMENT CHARACTER}34", "nul_byte"), ListRow(10_003, "5", {})]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("\ufeff", "empty"),
        (" \n\r\n\n", "empty"),
        (b"PK\x03\x04rest", "an Excel file that cannot be read"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel file: save it as CSV"),
        ("phone\n".encode("utf-32"), "UTF-32 text: save it as CSV UTF-8"),
        ("phone\n".encode("utf-16-le"), "UTF-16 without its mark: save it as CSV UTF-8"),
        (b"phone\x00,name\n", "not a text file"),
        (b"\nphone,pr\xe9nom,\xc3\xa9\n", "not UTF-8 (line 2, byte 9): save it as CSV UTF-8"),
        (b"\xef\xbb\xbf\r\nphone,pr\xe9nom\n", "not UTF-8 (line 2, byte 13)"),
        (b'phone,"\xc3\xa9\npr\xe9nom"\n', "(not utf8): mend its first line"),
        ('phone,"name\n1,2\n', "(unterminated quote): mend its first line"),
        ("name,city\n", "known to hold the phone number: name it with --phone-column. It has: name, city."),
        ("phone,Mobile Number\n", "2 columns that could be the phone number, phone and Mobile Number: name it"),
        ("phone,Name,name\n", "more than one column named Name, name"),
        (
            "+44 7911 123456,Ann\n",
            "has no header, its first line holds a phone number: give --phone-column 1 to read it",
        ),
        ("Ann;+44 7911 123456\n", "give --phone-column 2"),
        ("07911123456\n07911123457\n", "add a first line that names the columns"),
    ],
)
def test_a_file_that_is_no_list_says_what_to_do(write_list: WriteList, content: str | bytes, says: str) -> None:
    """The operator who drops in a file is no programmer; a traceback helps nobody."""
    assert says in _refusal(write_list(content))


@pytest.mark.parametrize(
    ("content", "named", "says"),
    [
        ("phone,name\n", "mobile", "no column 'mobile': name it with --phone-column as one of these: phone, name."),
        ("phone,name\n", "3", "no column '3'"),
        ("phone,name\n", "0", "no column '0'"),
        ("phone,name\n", "", "no column ''"),
        ("phone,,name\n", "x", "phone, (no name), name."),
        ("phone_1,phone 1\n", "Phone1", "2 columns that could be the phone number, phone_1 and phone 1"),
        ("Ann,+447911123456\n", "3", "has no header"),
        ("Ann,+447911123456\n", "1", "give --phone-column 2"),
    ],
)
def test_a_phone_column_that_is_not_there_is_refused(
    write_list: WriteList, content: str, named: str, says: str
) -> None:
    """Falling back to another column would send to numbers that the operator did not choose."""
    assert says in _refusal(write_list(content), named)


def test_a_header_of_dates_is_still_a_header_when_the_phone_column_is_known(write_list: WriteList) -> None:
    """A pivot table has dates for column names, and a date looks much like a phone number."""
    path = write_list("who,2024-01-01\n1,x\n")
    assert _rows(path, "1") == [ListRow(2, "1", {"2024-01-01": "x"})]
    assert _rows(write_list("phone,2024-01-01\n1,x\n")) == [ListRow(2, "1", {"2024-01-01": "x"})]


def test_a_list_of_any_size_is_read_in_constant_memory(tmp_path: Path) -> None:
    """Lists of millions are read by a worker with 256 MB that sends at the same time."""
    path = tmp_path / "long.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("phone,first_name,city\n")
        for number in range(200_000):
            name = f'"Zoë, {number}"' if number % 20 == 0 else f"Zoë {number}"
            file.write(f"+4479{number:08},{name},Köln\n")
    tracemalloc.start()
    try:
        with open_list(path) as reader:
            count = sum(isinstance(row, ListRow) for row in reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 200_000
    assert peak < 2 * 1024 * 1024


def test_the_progress_reaches_the_size_of_the_file(write_list: WriteList) -> None:
    """A progress bar that stops at 99 % looks like a hang."""
    with open_list(write_list("phone\n" + "1234\n" * 50_000)) as reader:
        seen = [reader.bytes_read for _ in reader]
        assert seen == sorted(seen)
        assert seen[0] < reader.size / 2
        assert reader.bytes_read == reader.size


def test_the_file_is_closed_also_when_it_is_refused(write_list: WriteList) -> None:
    """On Windows an open file can be neither mended nor moved to the folder of refused lists."""
    path = write_list("phone\n1\n")
    readers: list[ListReader] = []
    with open_list(path) as reader:
        readers.append(reader)
    with pytest.raises(ValueError, match="closed"):
        _ = readers[0].bytes_read


@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r")), min_size=2, max_size=2)
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_csv_writes_is_read_back(
    write_list: WriteList, rows: list[list[str]], delimiter: str, ending: str
) -> None:
    """The quick way around the csv module for rows without quotes must never read a row otherwise than it does."""
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator=ending).writerows([["phone", "name"], *rows])
    read = _rows(write_list(written.getvalue()))
    expected = [(phone.strip(), name.strip()) for phone, name in rows if phone.strip() or name.strip()]
    assert [(row.phone, row.columns["name"]) for row in read if isinstance(row, ListRow)] == expected
    assert not [row for row in read if isinstance(row, BadRow)]


@given(body=st.binary() | st.text(alphabet='ab,"\n\r;\x00ä').map(str.encode))
def test_whatever_bytes_follow_the_header_are_rows_or_bad_rows(write_list: WriteList, body: bytes) -> None:
    """One odd byte must neither end the reading nor take a person with it unseen."""
    rows = _rows(write_list(b"phone,name\n" + b"1,x\n" * 4_000 + body + b'\n"9","y"\n'))
    assert sum(isinstance(row, ListRow) and row.phone == "1" for row in rows) == 4_000
    numbers = [row.line_number for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(row.value.encode() is not None and "\x00" not in row.value for row in rows if isinstance(row, BadRow))


@pytest.mark.parametrize(
    ("columns", "consent"),
    [
        ({}, None),
        ({"city": "no"}, None),
        ({"opt_in": ""}, None),
        ({"opt_in": " "}, None),
        ({"opt_in": "yes"}, True),
        ({"Opt-In": " TRUE "}, True),
        ({"OPTIN": "1"}, True),
        ({"consent": "Sí"}, True),
        ({"subscribed": "on"}, True),
        ({"marketing consent": "Y"}, True),
        ({"opt_in": "no"}, False),
        ({"opt_in": "NO"}, False),
        ({"opt_in": "false"}, False),
        ({"opt_in": "0"}, False),
        ({"opt_in": "n"}, False),
        ({"opt_in": "off"}, False),
        ({"opt_in": "não"}, False),
        ({"opt_in": "maybe"}, False),
        ({"opt_in": "2024-05-01"}, False),
        ({"opt_out": "yes"}, False),
        ({"Unsubscribed": "TRUE"}, False),
        ({"do_not_contact": "x"}, False),
        ({"opt_out": "maybe"}, False),
        ({"opt_out": "no"}, None),
        ({"opt_out": ""}, None),
        ({"opt_in": "yes", "opt_out": "yes"}, False),
        ({"opt_in": "yes", "consent": "no"}, False),
        ({"opt_in": "yes", "opt_out": "no"}, True),
        ({"opt_in": "", "consent": "yes"}, True),
    ],
)
def test_consent_is_what_the_columns_say_and_doubt_is_no(columns: dict[str, str], consent: bool | None) -> None:
    """Writing to someone who said no is the complaint that gets a business number blocked."""
    assert consent_of(columns) is consent
    assert ConsentColumns.from_header(tuple(columns)).consent(columns) is consent
