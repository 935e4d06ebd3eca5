"""One list is one audience, in whatever format and encoding it comes, and what is no list is refused with advice."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from campaign_pipeline.recipients.consent import ConsentColumns
from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list
from campaign_pipeline.recipients.phone_numbers import parse_phone

_HEADER = ["Phone Number", "first name", "city", "opt_in", "note"]


def _people() -> list[list[str]]:
    """A thousand people, as messy as every encoding and format can hold."""
    names = ["Zoë", "José", "Ann O’Hara", "Müller, Jörg", 'Bob "the" Kid', "two\nlines", "", "+1 up", "007", "€ 12"]
    people = []
    for number in range(1_000):
        phone = f"+447911{number:06}" if number % 2 else f" 07911 {number:06} "
        consent = "" if number % 10 else "no"
        people.append([phone, f"{names[number % 10]} {number}", "Köln", consent, "1.50" if number % 3 else ""])
    return people


def _as_csv(encoding: str, delimiter: str = ",", before: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        text = io.StringIO(newline="")
        text.write(before)
        csv.writer(text, delimiter=delimiter).writerows([_HEADER, *_people()])
        path.write_bytes(text.getvalue().encode(encoding))

    return write


def _as_ndjson(path: Path) -> None:
    lines = (json.dumps(dict(zip(_HEADER, person, strict=True))) for person in _people())
    path.write_text("\n".join(lines), encoding="utf-8")


def _as_xlsx(path: Path) -> None:
    pandas.DataFrame(_people(), columns=pandas.Index(_HEADER)).to_excel(path, index=False, engine="openpyxl")


def _as_parquet(path: Path) -> None:
    pandas.DataFrame(_people(), columns=pandas.Index(_HEADER)).to_parquet(path, index=False)


def _packed(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def pack(path: Path) -> None:
        write(path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return pack


@pytest.mark.parametrize(
    ("suffix", "write", "told"),
    [
        pytest.param("csv", _as_csv("utf-8"), ("csv", "utf-8"), id="csv"),
        pytest.param("csv", _as_csv("utf-8-sig", ";"), ("csv", "utf-8-sig"), id="csv of a German Excel"),
        pytest.param("txt", _as_csv("utf-16", "\t"), ("csv", "utf-16"), id="Unicode text of Excel"),
        pytest.param("csv", _as_csv("utf-16-be", before="\ufeff"), ("csv", "utf-16"), id="UTF-16, big end first"),
        pytest.param("csv", _as_csv("cp1252", ";", "sep=;\r\n"), ("csv", "cp1252"), id="Windows-1252"),
        pytest.param("csv", _as_csv("utf-8", "|", "sep=|\r\n\r\n"), ("csv", "utf-8"), id="sep=|, then a blank line"),
        pytest.param("csv.gz", _packed(_as_csv("utf-8")), ("csv", "utf-8"), id="csv.gz"),
        pytest.param("gz", _packed(_as_csv("utf-16", "\t")), ("csv", "utf-16"), id="Unicode text, packed"),
        pytest.param("jsonl", _as_ndjson, ("ndjson", "utf-8"), id="ndjson"),
        pytest.param("ndjson.gz", _packed(_as_ndjson), ("ndjson", "utf-8"), id="ndjson.gz"),
        pytest.param("xlsx", _as_xlsx, ("xlsx", None), id="xlsx"),
        pytest.param("parquet", _as_parquet, ("parquet", None), id="parquet"),
    ],
)
def test_the_same_list_gives_the_same_audience_in_every_encoding_and_format(
    tmp_path: Path, suffix: str, write: Callable[[Path], None], told: tuple[str, str | None]
) -> None:
    """Who is written to must not depend on the program in which a marketer happened to press "save"."""
    path = tmp_path / f"people.{suffix}"
    write(path)
    # A wrong name must make no difference: shop systems call everything .csv or .xls.
    path = path.rename(tmp_path / "people.xls")
    with open_list(path) as reader:
        rows = list(reader)
        assert (reader.kind, reader.encoding) == told
        assert reader.header == tuple(_HEADER)
        assert reader.bytes_read == reader.size == path.stat().st_size
    expected = [
        (phone.strip(), {name: value.strip() for name, value in zip(_HEADER[1:], others, strict=True)})
        for phone, *others in _people()
    ]
    # CSV gives line breaks in a field as they were written; so do the others.
    assert [(row.phone, row.columns) for row in rows if isinstance(row, ListRow)] == expected
    assert len(rows) == 1_000
    keys = [parse_phone(row.phone, "GB").person_key for row in rows if isinstance(row, ListRow)]
    assert len(set(keys)) == 1_000
    consent = ConsentColumns.from_header(reader.header)
    assert sum(consent.consent(row.columns) is False for row in rows if isinstance(row, ListRow)) == 100


_MEASURED = """
import resource, sys
from pathlib import Path
from campaign_pipeline.recipients.list_files import open_list

with open_list(Path(sys.argv[1])) as reader:
    for count, _ in enumerate(reader, start=1):
        if count == 20_000:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(reader.kind, count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["csv", "ndjson", "ndjson.gz", "parquet"])
def test_a_list_of_any_size_is_read_in_constant_memory_in_every_format(tmp_path: Path, kind: str) -> None:
    """Lists of millions are read by a worker with 256 MB that sends at the same time."""
    path = tmp_path / f"people.{kind}"
    people = [{"phone": f"+4479{number:08}", "name": f"Zoë {number}", "city": "Köln"} for number in range(200_000)]
    frame = pandas.DataFrame(people)
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    answer = subprocess.run([sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, check=True)
    told, count, grown = answer.stdout.split()
    assert (told, count) == (kind.removesuffix(".gz"), "200000")
    # In KiB on Linux, in bytes on macOS.
    assert int(grown) < 4 * (1024 if sys.platform == "linux" else 1024**2)


def test_the_progress_of_a_packed_list_is_told_in_packed_bytes(tmp_path: Path) -> None:
    """Counted in unpacked bytes the bar would stand at 900 % of the file's size."""
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(("phone\n" + "".join(f"{number * 7919}\n" for number in range(50_000))).encode()))
    with open_list(path) as reader:
        seen = [reader.bytes_read for _ in reader]
        assert seen == sorted(seen)
        assert seen[0] < reader.size / 2
        assert reader.bytes_read == reader.size == path.stat().st_size


def _zip(*members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"%PDF-1.7 ...", "is a PDF: ask for the list itself"),
        (b"\x89PNG\r\n\x1a\n", "is an image"),
        (b"\xff\xd8\xff\xe0", "is an image"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook with a password or an old Excel file: save it as CSV"),
        (b"{\\rtf1\\ansi", "is a text document (RTF)"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it"),
        (b"SQLite format 3\x00", "is an SQLite database"),
        (b"ARROW1\x00\x00", "write it as Parquet or CSV"),
        (b"PAR1 and no more", "is a Parquet file that cannot be read"),
        (b"BZh91AY&SY\x00", "is packed with bzip2: unpack it"),
        (b"Rar!\x1a\x07\x01\x00", "is a RAR archive: unpack it"),
        (b"\xef\xbb\xbf \n<html><table><tr><td>phone", "is a web page: save it as CSV"),
        (b"<?xml version='1.0'?><Workbook/>", "is an XML file: open it in a spreadsheet and save it as CSV"),
        (b"BEGIN:VCARD\nTEL:+447911123456\n", "is a file of contacts (vCard)"),
        (b'[{"phone": "1"}]', "is one JSON array: write NDJSON"),
        (b'{\n  "phone": "1"\n}\n', "No line of people.csv is a JSON object: write one object a line"),
        (_zip(), "is an empty zip archive"),
        (_zip("people.csv"), "is a zip archive: unpack it"),
        (_zip("mimetype", "content.xml"), "is an OpenDocument file: open it and save it as CSV"),
        (_zip("xl/workbook.bin"), "is a binary Excel workbook (.xlsb): save it as CSV"),
        (_zip("word/document.xml"), "is a Word or PowerPoint document: copy the list"),
        (_zip("Index/Document.iwa"), "is a Numbers or Pages document: export it as CSV"),
        (_zip("xl/workbook.xml"), "is an Excel file that cannot be read"),
        (gzip.compress(b""), "people.csv is empty"),
        (gzip.compress(b"%PDF"), "What is packed in people.csv is a PDF"),
        (gzip.compress(gzip.compress(b"phone\n")), "is gzip packed with gzip: unpack it"),
        (gzip.compress(_zip("xl/workbook.xml")), "is a workbook or archive packed with gzip: unpack it"),
        (gzip.compress(b"phone\n1\n" * 1_000)[:-12], "is damaged or was cut short"),
        (gzip.compress(b"phone\n1\n")[:-6] + b"wrong!", "is damaged or was cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_what_is_no_list_is_named_and_says_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    """The operator who drops in a PDF is no programmer; "invalid start byte" helps nobody."""
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(ListFileError) as refusal, open_list(path):
        pass
    assert says in str(refusal.value)


@pytest.mark.parametrize("name", ["PARENT", "ORCID", "GIF8", "Rar!", "BZh", "PK", "Obj", "ARROW1", "%", "[x", "{x}"])
def test_a_column_that_is_named_like_a_kind_of_file_is_a_column(tmp_path: Path, name: str) -> None:
    """The first bytes of a text are the name of its first column, and that may be anything."""
    path = tmp_path / "people.csv"
    path.write_text(f"{name},phone\nx,1\n", encoding="utf-8")
    with open_list(path) as reader:
        assert list(reader) == [ListRow(2, "1", {name: "x"})]


def test_a_download_cut_short_is_refused_where_it_ends_and_not_taken_as_the_whole_list(tmp_path: Path) -> None:
    """A list of which the last third is missing looks complete, and nobody would miss those people."""
    packed = gzip.compress(b"phone\n" + b"".join(b"%d\n" % (number * 7919) for number in range(200_000)))
    path = tmp_path / "people.csv.gz"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    rows: list[ListRow | BadRow] = []
    with open_list(path) as reader, pytest.raises(ListFileError, match="cut short"):
        rows.extend(reader)


def test_neither_pandas_nor_the_readers_of_tables_are_loaded_for_a_csv() -> None:
    """The command line starts in half a second; pandas alone takes longer."""
    asked = (
        "import sys, pathlib, tempfile\n"
        "from campaign_pipeline.recipients.list_files import open_list\n"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'people.csv'\n"
        "path.write_text('phone\\n1\\n')\n"
        "with open_list(path) as reader: list(reader)\n"
        "print({'pandas', 'pyarrow', 'openpyxl', 'numpy'} & sys.modules.keys() or 'none')"
    )
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "none"
