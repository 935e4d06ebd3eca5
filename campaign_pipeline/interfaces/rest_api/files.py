"""Answers that are files: written to the disk as they are read from the ledger, then sent at the caller's pace.

Nobody's slowness keeps a transaction open, what is sent is one state of the ledger, its length is known before its
first byte, so that half a file is never taken for a whole one, and no list is ever in memory.

Add here another kind of file. Keep out what is in it.
"""

import tempfile
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Final, Self, TextIO

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from campaign_pipeline.interfaces.rest_api.bodies import CSV, NDJSON

AT_ONCE: Final = 3
"""Files of one kind that are being written; each takes a thread, a connection, and what the ledger needs to read it."""

_BLOCK: Final = 256 * 1024


class FileAnswer(StreamingResponse):
    """A file that is gone when it was sent, or when whoever asked has left."""

    _file: IO[bytes]

    @classmethod
    def of(cls, file: IO[bytes], name: str) -> Self:
        """An answer with a file that is open and at its end."""
        headers = {"Content-Length": str(file.tell()), "Content-Disposition": f'attachment; filename="{name}"'}
        answer = cls(_blocks(file), headers=headers)
        answer._file = file
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        # A generator that nobody asks any more is closed whenever Python gets round to it.
        with self._file:
            await super().__call__(scope, receive, send)


class CsvFile(FileAnswer):
    """Rows for a spreadsheet."""

    media_type = CSV


class NdjsonFile(FileAnswer):
    """Rows for a program, one JSON document a line."""

    media_type = NDJSON


def answer_file(kind: type[FileAnswer], name: str, folder: Path, write: Callable[[TextIO], object]) -> FileAnswer:
    """Answers with a file.

    Args:
        kind: Of file.
        name: What it is saved as: letters, digits, dots and hyphens.
        folder: Where it lies until it is sent; nobody sees it there, and it is gone with the answer.
        write: Writes it.

    Raises:
        OSError: The disk is full.
    """
    return kind.of(_written(folder, write), name)


def _written(folder: Path, write: Callable[[TextIO], object]) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is read after this
    try:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        write(text)
        text.flush()
        text.detach()
    except BaseException:
        file.close()
        raise
    return file


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block
