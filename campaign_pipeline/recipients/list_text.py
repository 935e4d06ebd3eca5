"""Lists that are texts: in which encoding, packed or not, line by line in constant memory.

Which encoding, by a rule that gives the same answer every time: a byte order mark says it (UTF-8 or UTF-16). Without
one it is UTF-8, unless the first MiB has bytes above 0x7F that never form a character of UTF-8 and that read as Western
European text (Windows-1252, the superset of Latin-1): no byte that Windows-1252 leaves undefined, and never four
accented letters in a row, of which Cyrillic, Greek or Hebrew is full. A file of both stays UTF-8 with bad rows.

Add here another encoding. Keep out what stands in the lines.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterator, Sequence
from io import BufferedReader, TextIOWrapper
from typing import BinaryIO, Final

from campaign_pipeline.recipients.list_format import BYTE_ORDER_MARK, BYTES_TO_TELL, UTF_16_MARKS, ListFormat, recognise
from campaign_pipeline.recipients.list_rows import LONGEST_ROW, ListFileError, first_undecodable
from campaign_pipeline.recipients.list_unpacking import Unpacked

SAMPLE: Final = 1024**2
"""How many bytes at the beginning tell the encoding."""

_BLOCK: Final = 64 * 1024
_BLANK: Final = ' \t\r\n\v\f,;"'
_REASONS: Final = {"cp1252": "not_cp1252", "utf-16": "not_utf16"}
_A_CHARACTER_OF_UTF8: Final = re.compile(r"[^\x00-\x7f\udc80-\udcff]")
_NOT_WESTERN: Final = re.compile("[\udc81\udc8d\udc8f\udc90\udc9d]|[\udcc0-\udcd6\udcd8-\udcf6\udcf8-\udcff]{4}")
# Half a character, or half a code unit, stays in its own row: as one lone surrogate, which no text holds.
codecs.register_error("list_surrogate", lambda error: ("\udc80", getattr(error, "end", 0)))


class TextLines:
    """The physical lines of a text, none longer than a row may be, which can be given back to be read once more.

    Attributes:
        name: The file's name, for sentences.
        encoding: utf-8, utf-8-sig (with byte order mark), utf-16 (either order) or cp1252.
        number: The number of the line given last.
        not_text: The reason of a row that is not in this encoding.
    """

    def __init__(self, binary: BinaryIO, name: str, *, packed: bool = False) -> None:
        self.name = name
        self._binary = binary
        self._packed = packed
        if packed:
            self._refuse_packed_no_text()
        self.encoding = _encoding(self._bytes())
        self.not_text = _REASONS.get(self.encoding, "not_utf8")
        self._text = self._decoded()
        self.number = 0
        self._returned: deque[str] = deque()

    @property
    def bytes_read(self) -> int:
        """How far the file has been read: a few KiB ahead of the lines, and its size at the end."""
        return self._binary.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        """Takes lines back; they come next, in the same order."""
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)

    def from_the_beginning(self) -> None:
        """Goes back to the first line."""
        self._text.detach()
        self._text = self._decoded()
        self._returned.clear()
        self.number = 0

    def next_filled(self) -> str:
        """Reads up to the next line that holds more than blanks, quotes and delimiters.

        Raises:
            ListFileError: That line is not in the file's encoding, or there is none.
        """
        offset = len(BYTE_ORDER_MARK) if self.encoding == "utf-8-sig" else 0
        for line in self:
            if (bad := first_undecodable(line)) is not None:
                place = f"line {self.number}, byte {offset + len(line[:bad].encode())}"
                encoding = self.not_text.removeprefix("not_").upper().replace("UTF", "UTF-")
                raise ListFileError(f"{self.name} is not {encoding} ({place}): save it as CSV UTF-8.")
            if line.strip(_BLANK) and not line.isspace():
                return line
            offset += len(line.encode())
        raise ListFileError(f"{self.name} is empty: give a list with a header line and one person a row.")

    def _read(self) -> str:
        """Reads one line; of one that is too long, only the beginning, so that memory stays bounded."""
        line = rest = self._text.readline(LONGEST_ROW)
        while len(rest) == LONGEST_ROW and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(LONGEST_ROW)
        return line

    def _decoded(self) -> TextIOWrapper:
        errors = "list_surrogate" if self.encoding == "utf-16" else "surrogateescape"
        return TextIOWrapper(self._bytes(), encoding=self.encoding, errors=errors, newline="")

    def _bytes(self) -> BinaryIO:
        """The text as bytes, from its beginning."""
        if self._packed:
            return BufferedReader(Unpacked(self._binary, self.name))
        self._binary.seek(0)
        return self._binary

    def _refuse_packed_no_text(self) -> None:
        inside = recognise(f"What is packed in {self.name}", self._bytes().read(BYTES_TO_TELL))
        if inside is not ListFormat.TEXT:
            what = {ListFormat.ZIP: "a workbook or archive", ListFormat.PARQUET: "a Parquet file"}.get(inside, "gzip")
            raise ListFileError(f"{self.name} is {what} packed with gzip: unpack it and give the file that is in it.")


def _encoding(stream: BinaryIO) -> str:
    start = stream.read(_BLOCK)
    if start.startswith(UTF_16_MARKS):
        return "utf-16"
    if start.startswith(BYTE_ORDER_MARK):
        return "utf-8-sig"
    return "cp1252" if _is_western(_sample(start, stream)) else "utf-8"


def _sample(start: bytes, stream: BinaryIO) -> Iterator[str]:
    """Decodes the beginning as UTF-8; what is none is left as lone surrogates."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    block, rest = start, SAMPLE
    while block:
        yield decoder.decode(block)
        rest -= len(block)
        if rest <= 0:
            return
        block = stream.read(min(_BLOCK, rest))
    yield decoder.decode(b"", final=True)


def _is_western(blocks: Iterator[str]) -> bool:
    found = False
    for block in blocks:
        if block.isascii():
            continue
        if _A_CHARACTER_OF_UTF8.search(block) or _NOT_WESTERN.search(block):
            return False
        found = True
    return found
