"""Lists in other encodings than UTF-8: which one it is, by a rule, and what does not fit it."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list
from campaign_pipeline.recipients.list_text import SAMPLE


def _read(tmp_path: Path, content: bytes) -> tuple[str | None, list[ListRow | BadRow]]:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with open_list(path) as reader:
        return reader.encoding, list(reader)


@pytest.mark.parametrize("text", ["Zoë", "Ärger", "12 €", "O’Hara", "“Kid”", "Größe – ÖÄÜ", "L’été à Nîmes"])
def test_what_is_never_utf8_and_reads_as_western_text_is_windows_1252(tmp_path: Path, text: str) -> None:
    """A Western European Excel writes "CSV" so, and half the list would be refused for its accents."""
    encoding, rows = _read(tmp_path, f"phone;prénom\n1;{text}\n".encode("cp1252"))
    assert (encoding, rows) == ("cp1252", [ListRow(2, "1", {"prénom": text})])


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp1253", "cp1255"])
def test_cyrillic_greek_and_hebrew_are_not_taken_for_western_text(tmp_path: Path, encoding: str) -> None:
    """Иван would be greeted as Èâàí; as bad rows he can be mended."""
    name = {"cp1253": "Γιώργος Παπάς", "cp1255": "שמואל"}.get(encoding, "Иван Петров")
    told, rows = _read(tmp_path, b"phone,name\n1," + name.encode(encoding) + b"\n2,Ann\n")
    assert told == "utf-8"
    assert [row.reason for row in rows if isinstance(row, BadRow)] == ["not_utf8"]
    assert rows[1] == ListRow(3, "2", {"name": "Ann"})


def test_one_character_of_utf8_keeps_the_file_utf8(tmp_path: Path) -> None:
    """Read as Windows-1252, everyone whose name was right would be greeted as "ZoÃ«"."""
    encoding, rows = _read(tmp_path, b"phone,name\n1,Zo\xeb\n" * 3 + "4,Zoë\n".encode())
    assert encoding == "utf-8"
    assert [row.reason for row in rows if isinstance(row, BadRow)] == ["not_utf8"] * 3
    assert rows[-1] == ListRow(7, "4", {"name": "Zoë"})


def test_a_character_cut_by_the_end_of_the_sample_is_still_one(tmp_path: Path) -> None:
    """The first half of "ë" at the edge is no sign of another encoding."""
    head = b"phone,name\n"
    filling = b"1,Ann\n" * ((SAMPLE - len(head)) // 6)
    ahead = b"2," + b"x" * (SAMPLE - len(head) - len(filling) - 3)
    encoding, rows = _read(tmp_path, head + filling + ahead + "ë\n".encode())
    assert encoding == "utf-8"
    assert not [row for row in rows if isinstance(row, BadRow)]


def test_a_byte_that_windows_1252_does_not_know_is_one_bad_row_far_down(tmp_path: Path) -> None:
    """Behind the sample the encoding is settled; one odd byte must not take the others along."""
    content = b"phone,name\n1,Zo\xeb\n" + b"2,Ann\n" * 200_000 + b"3,\x81\n4,J\xf6rg\n"
    encoding, rows = _read(tmp_path, content)
    assert encoding == "cp1252"
    assert rows[-2:] == [
        BadRow(200_003, "3,\N{REPLACEMENT CHARACTER}", "not_cp1252"),
        ListRow(200_004, "4", {"name": "Jörg"}),
    ]


def test_half_a_character_of_utf16_is_one_bad_row(tmp_path: Path) -> None:
    """A lone surrogate is stored by no database; the load would fail after an hour."""
    content = (
        b"\xff\xfe" + "phone\tname\n1\tZoë\n2\t".encode("utf-16-le") + b"\x00\xd8" + "\n3\tx\n".encode("utf-16-le")
    )
    encoding, rows = _read(tmp_path, content)
    assert encoding == "utf-16"
    assert rows == [
        ListRow(2, "1", {"name": "Zoë"}),
        BadRow(3, "2\t\N{REPLACEMENT CHARACTER}", "not_utf16"),
        ListRow(4, "3", {"name": "x"}),
    ]


def test_a_utf16_file_of_an_odd_number_of_bytes_loses_only_its_last_row(tmp_path: Path) -> None:
    """A copy that broke off one byte too early is still a list."""
    _, rows = _read(tmp_path, "phone\n1\n2".encode("utf-16") + b"3")
    assert rows == [ListRow(2, "1", {}), BadRow(3, "2\N{REPLACEMENT CHARACTER}", "not_utf16")]


def test_a_header_that_is_not_utf16_says_so(tmp_path: Path) -> None:
    """A column whose name is half a character can be named by nobody."""
    with pytest.raises(ListFileError, match=r"people.csv is not UTF-16 \(line 1, byte 5\): save it as CSV UTF-8"):
        _read(tmp_path, b"\xff\xfe" + "phone".encode("utf-16-le") + b"\x00\xd8" + "\n".encode("utf-16-le"))


_Rows = list[tuple[str, str]]
_ANYTHING = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"))
# What a Western European keyboard writes: an accented letter stands among plain ones, so that no four are in a row.
_WESTERN = st.lists(st.sampled_from(["é", "Ü", "ñ", "€", "’", "Ann", "x", ",", ";", '"', "\n", "\t", " ", "1"])).map(
    "z".join
)


@given(rows=st.lists(st.tuples(_ANYTHING, _ANYTHING)), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_whatever_is_written_in_unicode_is_read_back(tmp_path: Path, rows: _Rows, encoding: str) -> None:
    """Names are of every script; none may come back changed, and no person may vanish."""
    _is_read_back(tmp_path, rows, encoding)


@given(rows=st.lists(st.tuples(_WESTERN, _WESTERN)))
def test_whatever_a_western_european_writes_in_windows_1252_is_read_back(tmp_path: Path, rows: _Rows) -> None:
    """The encoding is told from the names themselves; whichever they are, they come back."""
    _is_read_back(tmp_path, rows, "cp1252")


def _is_read_back(tmp_path: Path, rows: _Rows, encoding: str) -> None:
    for delimiter in ",;\t":
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows([("phone", "name"), *rows])
        _, read = _read(tmp_path, text.getvalue().encode(encoding))
        expected = [(phone.strip(), name.strip()) for phone, name in rows if phone.strip() or name.strip()]
        assert [(row.phone, row.columns["name"]) for row in read if isinstance(row, ListRow)] == expected
        assert not [row for row in read if isinstance(row, BadRow)]
