"""Packed lists, unpacked while they are read, and how far a file may grow: a few kilobytes can hold a terabyte.

Add here another way in which text is packed.
Keep out what the unpacked bytes mean.
"""

import gzip
import io
import zlib
from typing import BinaryIO, Final
from zipfile import ZipInfo

from campaign_pipeline.recipients.list_rows import ListFileError

LARGEST_UNPACKED: Final = 4 * 1024**3
"""No list, and no sheet of one, may be larger than this once it is unpacked: 50 million people."""

MOST_TIMES: Final = 200
"""Nor this many times as large as it is packed. Lists of people grow 3 to 30 times; deflate can grow 1,032 times."""

ALWAYS_ALLOWED: Final = 64 * 1024**2
"""Up to this size anything may grow as it likes: it is soon read, and short lists of blanks pack well."""

LARGEST_PART: Final = 128 * 1024**2
"""What a spreadsheet must hold in memory to be read, such as its table of texts, may be no larger."""


def refuse_a_bomb(name: str, unpacked: int, packed: int) -> None:
    """Stops at a file that grows as no list does.

    Args:
        name: The file's name, for sentences.
        unpacked: Bytes that have come out of it, or will.
        packed: Bytes that they were made of.

    Raises:
        ListFileError: The limits above are passed.
    """
    if unpacked > LARGEST_UNPACKED:
        msg = f"{name} unpacks to more than {LARGEST_UNPACKED // 1024**3} GiB: divide the list into several files."
        raise ListFileError(msg)
    if unpacked > ALWAYS_ALLOWED and unpacked > MOST_TIMES * max(packed, 1):
        msg = (
            f"{name} unpacks to more than {MOST_TIMES} times its size, as no list of people does: if you trust it, "
            "unpack it yourself and give the list that is in it."
        )
        raise ListFileError(msg)


def refuse_a_zip_bomb(name: str, members: list[ZipInfo]) -> None:
    """Does the same for the parts of a workbook; no part yields more bytes than its entry says.

    Raises:
        ListFileError: A part is larger than it may be.
    """
    for member in members:
        if is_a_sheet(member.filename):
            refuse_a_bomb(name, member.file_size, member.compress_size)
        elif member.filename.endswith((".xml", ".rels")) and member.file_size > LARGEST_PART:
            msg = f"{name} holds too much text to be read as a workbook: save it as CSV UTF-8 and give the CSV file."
            raise ListFileError(msg)


def is_a_sheet(member: str) -> bool:
    """Whether a part of a workbook is one of its sheets, which are streamed."""
    return member.startswith("xl/worksheets/") and member.endswith(".xml")


class Unpacked(io.RawIOBase):
    """The bytes of a gzip file, from its beginning."""

    def __init__(self, packed: BinaryIO, name: str) -> None:
        super().__init__()
        packed.seek(0)
        self._packed = packed
        self._name = name
        self._gzip = gzip.GzipFile(fileobj=packed, mode="rb")
        self._unpacked = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # ty: ignore[incompatible-method-override]
        """Unpacks the next bytes.

        Raises:
            ListFileError: The file is damaged or cut short, or grows as no list does.
        """
        try:
            count = self._gzip.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            msg = f"{self._name} is damaged or was cut short ({error}): fetch it again."
            raise ListFileError(msg) from error
        self._unpacked += count
        refuse_a_bomb(self._name, self._unpacked, self._packed.tell())
        return count
