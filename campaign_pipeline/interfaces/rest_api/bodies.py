"""Bodies of requests: received within bounds, hashed as they come, in memory or, if they are long, in a file.

Add here another kind of body that is taken.
Keep out what a body means, and how slowly it may come: `interfaces.listening`.
"""

import hashlib
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from campaign_pipeline.interfaces.rest_api.problems import Problem

JSON: Final = "application/json"
CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
ANY_FILE: Final = "application/octet-stream"

SMALL: Final = 64 * 1024
"""Bytes of a JSON document that says what to do."""
LARGE: Final = 16 * 1024 * 1024
"""Bytes of a JSON document that holds people; it is read into memory, a longer list comes as CSV."""

_WRITTEN_AT_ONCE: Final = 1024 * 1024
_CLOSE: Final = {"Connection": "close"}
"""The rest of a body that was refused is not read: whoever goes on sending finds the connection closed."""


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """A body that has come whole.

    Attributes:
        kind: Its content type, without parameters; empty when there is no body.
        sha256: Its hash.
        data: The body, if it was small enough for the memory.
        path: The file that holds it, if not; it is gone when the request is answered.
    """

    kind: str
    sha256: str
    data: bytes = b""
    path: Path | None = None


@asynccontextmanager
async def received(
    request: Request, in_memory: Mapping[str, int], in_files: Mapping[str, int], folder: Path
) -> AsyncGenerator[ReceivedBody]:
    """Receives the body of a request.

    Args:
        request: The request, of which nothing was read yet.
        in_memory: The largest body, in bytes, of each content type that is held in memory.
        in_files: The same of each that goes to a file.
        folder: Where files lie.

    Yields:
        The body.

    Raises:
        Problem: It is of another type, or too large.
        ClientDisconnect: It did not come to its end.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in in_files:
        largest = in_files[kind]
        _refuse_announced(request, largest)
        async with _in_file(request, kind, largest, folder) as body:
            yield body
        return
    largest = in_memory.get(kind, SMALL)
    _refuse_announced(request, largest)
    data = await _in_memory(request, largest)
    if data and kind not in in_memory:
        taken = " or ".join([*in_memory, *in_files])
        raise Problem(
            415,
            f"Send {taken}, and say so in the header Content-Type.",
            headers={**_CLOSE, "Accept": taken.replace(" or ", ", ")},
        )
    yield ReceivedBody(kind if data else "", hashlib.sha256(data).hexdigest(), data)


def remove_leftovers(folder: Path, older_than: float) -> None:
    """Removes what a process that was killed has left.

    Args:
        folder: Where files of bodies lie.
        older_than: The time of a file's last change, in seconds since 1970, before which nobody is writing to it.
    """
    for path in folder.glob("*.upload"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < older_than:
                path.unlink()


def _refuse_announced(request: Request, largest: int) -> None:
    announced = request.headers.get("content-length", "")
    # A header that is no number is refused by the server before.
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > largest):
        raise _too_large(largest)


async def _in_memory(request: Request, largest: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > largest:
            raise _too_large(largest)
    return bytes(data)


@asynccontextmanager
async def _in_file(request: Request, kind: str, largest: int, folder: Path) -> AsyncGenerator[ReceivedBody]:
    file = await run_in_threadpool(_new_file, folder)
    path = Path(file.name)
    try:
        with file:
            digest = await _write(request, file, largest)
        yield ReceivedBody(kind, digest, path=path)
    finally:
        path.unlink(missing_ok=True)


async def _write(request: Request, file: IO[bytes], largest: int) -> str:
    digest = hashlib.sha256()
    size = 0
    waiting = bytearray()

    def write() -> None:
        digest.update(waiting)
        file.write(waiting)
        waiting.clear()

    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise _too_large(largest)
        waiting += chunk
        if len(waiting) >= _WRITTEN_AT_ONCE:
            await run_in_threadpool(write)
    await run_in_threadpool(write)
    return digest.hexdigest()


def _new_file(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(dir=folder, suffix=".upload", delete=False)


def _too_large(largest: int) -> Problem:
    detail = f"The body may have {largest:,} bytes: send a longer list as text/csv, or in parts."
    return Problem(413, detail, headers=_CLOSE)
