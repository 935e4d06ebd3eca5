"""What kind of file a list is, told by its first bytes: names and suffixes are often wrong.

Add here a kind of file that people give by mistake, with the sentence that tells them what to do instead.
Keep out how each format is read.
"""

import re
from enum import StrEnum
from typing import Final

from campaign_pipeline.recipients.list_rows import ListFileError

BYTES_TO_TELL: Final = 8 * 1024
"""How many of a file's first bytes are looked at."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
UTF_32_MARKS: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")

_AS_CSV: Final = "save it as CSV UTF-8 (File > Save as) and give the CSV file."
_UNPACK: Final = "unpack it and give the list that is in it."


class ListFormat(StrEnum):
    """The kinds of files that can be lists."""

    TEXT = "text"
    GZIP = "gzip"
    ZIP = "zip"
    PARQUET = "parquet"


_FORMATS: Final = {b"\x1f\x8b": ListFormat.GZIP, b"PK\x03\x04": ListFormat.ZIP, b"PAR1": ListFormat.PARQUET}
# None of these is how the names of columns may begin: "PARENT,phone" and "ORCID,phone" are lists.
_REFUSED: Final = {
    b"\xd0\xcf\x11\xe0": f"is a workbook with a password or an old Excel file: {_AS_CSV}",
    b"PK\x05\x06": "is an empty zip archive: give a list of people.",
    b"PK\x07\x08": f"is a zip archive in parts: {_UNPACK}",
    b"ARROW1\x00\x00": "is an Arrow (Feather) file: write it as Parquet or CSV UTF-8.",
    b"Obj\x01": "is an Avro file: write it as Parquet or CSV UTF-8.",
    b"SQLite format 3\x00": "is an SQLite database: export the table of people as CSV UTF-8.",
    b"7z\xbc\xaf\x27\x1c": f"is a 7z archive: {_UNPACK}",
    b"Rar!\x1a\x07": f"is a RAR archive: {_UNPACK}",
    b"BZh91AY&SY": f"is packed with bzip2: {_UNPACK}",
    b"\xfd7zXZ\x00": f"is packed with xz: {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is packed with zstd: {_UNPACK}",
    b"%PDF": "is a PDF: ask for the list itself, as Excel or CSV UTF-8; a PDF cannot be read as one.",
    b"{\\rtf": "is a text document (RTF): copy the list into a spreadsheet and save it as CSV UTF-8.",
    b"\x89PNG": "is an image: a list in a picture cannot be read; ask for it as Excel or CSV UTF-8.",
    b"\xff\xd8\xff": "is an image: a list in a picture cannot be read; ask for it as Excel or CSV UTF-8.",
    b"GIF89a": "is an image: a list in a picture cannot be read; ask for it as Excel or CSV UTF-8.",
    UTF_32_MARKS[0]: "is UTF-32 text: save it as CSV UTF-8.",
    UTF_32_MARKS[1]: "is UTF-32 text: save it as CSV UTF-8.",
}
_REFUSED_TEXTS: Final = (
    (re.compile(rb"<(?:!doctype|html|table|head|body|meta|style)\b", re.IGNORECASE), f"is a web page: {_AS_CSV}"),
    (re.compile(rb"<\?xml|<!--"), f"is an XML file: open it in a spreadsheet and {_AS_CSV}"),
    (re.compile(rb"BEGIN:VCARD", re.IGNORECASE), "is a file of contacts (vCard): export the contacts as CSV UTF-8."),
    (re.compile(rb"\[\s*[{\[\]]"), "is one JSON array: write NDJSON, one object a line (jq -c '.[]')."),
)


def recognise(name: str, start: bytes) -> ListFormat:
    """Tells the kind of a file.

    Args:
        name: The file's name, for sentences.
        start: Its first `BYTES_TO_TELL` bytes, or all that it has.

    Raises:
        ListFileError: It is no list; the sentence says what it is and what to do.
    """
    for signature, advice in _REFUSED.items():
        if start.startswith(signature):
            raise ListFileError(f"{name} {advice}")
    for signature, known in _FORMATS.items():
        if start.startswith(signature):
            return known
    if start.startswith(UTF_16_MARKS):
        return ListFormat.TEXT
    if b"\x00" in start:
        raise ListFileError(f"{name} is not a text file, or UTF-16 without its mark: save it as CSV UTF-8.")
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    for pattern, advice in _REFUSED_TEXTS:
        if pattern.match(text):
            raise ListFileError(f"{name} {advice}")
    return ListFormat.TEXT


def refuse_no_workbook(name: str, members: set[str]) -> None:
    """Lets a zip archive through if it is an Excel workbook.

    Args:
        name: The file's name, for sentences.
        members: The names of what is in it.

    Raises:
        ListFileError: It is something else.
    """
    if "xl/workbook.xml" in members:
        return
    what, advice = "a zip archive", _UNPACK
    if "xl/workbook.bin" in members:
        what, advice = "a binary Excel workbook (.xlsb)", _AS_CSV
    elif "Index/Document.iwa" in members or "Index.zip" in members:
        what, advice = "a Numbers or Pages document", "export it as CSV and give the CSV file."
    elif "mimetype" in members and "content.xml" in members:
        what, advice = "an OpenDocument file", f"open it and {_AS_CSV}"
    elif "word/document.xml" in members or "ppt/presentation.xml" in members:
        what, advice = "a Word or PowerPoint document", "copy the list into a spreadsheet and save it as CSV UTF-8."
    raise ListFileError(f"{name} is {what}: {advice}")
