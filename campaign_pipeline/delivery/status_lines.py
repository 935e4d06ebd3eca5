"""The lines of status files: read some thousand at a time, each to its events or to the reason why it cannot be read.

Add here another form in which payloads lie in a file.
Keep out what a payload means (`webhooks`) and what becomes of the file (`status_file`).

A file may be compressed with gzip: it is known by its first bytes, whatever it is called.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from campaign_pipeline.delivery.inbound import InboundWord, words_in
from campaign_pipeline.delivery.plain_statuses import read_plain_statuses
from campaign_pipeline.delivery.webhooks import AccountEvent, PayloadError, ReadPayload, StatusEvent, read_payload
from campaign_pipeline.recipients.stop_words import Vocabulary

LINES_PER_TRANSACTION: Final = 16_000
EVENTS_PER_TRANSACTION: Final = 16_000
"""A payload has up to 1,000 statuses: with either of the two the transaction ends, so that nobody waits long for it."""

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; Meta's payloads have at most 3 MB."""

LONGEST_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes; a single JSON document has to fit into memory, NDJSON has no bound."""

BYTES_PER_TRANSACTION: Final = 64 * 1024 * 1024
"""Lines that long are no payloads, but they are kept with the reason why."""

_GZIP: Final = b"\x1f\x8b"
_CUT_OFF: Final = "the compressed file ends too early or is damaged"


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two lines of a file.

    Attributes:
        bytes_read: How many bytes come before it, of what was in the file before it was compressed.
        lines_read: How many lines do, blank ones among them.
    """

    bytes_read: int = 0
    lines_read: int = 0


@dataclass(slots=True)
class StatusLines:
    """Some lines of a file, read: their events, what people say in them, and the lines that cannot be read.

    Attributes:
        vocabulary: Which words say stop or start.
        end: Where they end.
        count: How many lines they are, without blank ones.
        readable_payloads: How many payloads are among them that can be read.
        events: The statuses, each with the number of its line.
        account_events: What is said about the account, each with the number of its line.
        words: What people say.
        problems: Line, reason and text of what cannot be read.
        is_cut_off: Whether the file breaks off after them, so that its rest is missing.
    """

    vocabulary: Vocabulary
    end: Place = Place()
    count: int = 0
    readable_payloads: int = 0
    events: list[tuple[int, StatusEvent]] = field(default_factory=list)
    account_events: list[tuple[int, AccountEvent]] = field(default_factory=list)
    words: list[InboundWord] = field(default_factory=list)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    is_cut_off: bool = False

    def add(self, line_number: int, text: bytes) -> None:
        """Reads one line."""
        self.count += 1
        plain = read_plain_statuses(text)
        if plain is not None:
            self._take(line_number, plain)
            return
        try:
            document = _json(text)
        except PayloadError as error:
            self.problems.append((line_number, str(error), _shown(text)))
            return
        if isinstance(document, list):
            self._add_payloads(line_number, document)
        else:
            self._add_payload(line_number, document, text)

    def add_document(self, document: object) -> None:
        """Reads a file that is one JSON document."""
        self.count += 1
        self._add_payloads(1, document if isinstance(document, list) else [document])

    def add_break(self, line_number: int, error: Exception) -> None:
        """Notes that the file breaks off within a line."""
        self.count += 1
        self.is_cut_off = True
        self.problems.append((line_number, f"{_CUT_OFF}: {error}", ""))

    def _add_payloads(self, line_number: int, payloads: Sequence[object]) -> None:
        for payload in payloads:
            self._add_payload(line_number, payload, None)

    def _add_payload(self, line_number: int, payload: object, text: bytes | None) -> None:
        problems: list[str] = []
        try:
            read = read_payload(payload)
        except (PayloadError, RecursionError) as error:
            problems.append(str(error))
        else:
            problems += read.problems
            self._take(line_number, read)
        try:
            self.words += words_in(payload, self.vocabulary)
        except RecursionError as error:
            problems.append(str(error))
        if problems:
            shown = _shown_document(payload) if text is None else _shown(text)
            self.problems += [(line_number, problem, shown) for problem in problems]

    def _take(self, line_number: int, read: ReadPayload) -> None:
        self.events += [(line_number, event) for event in read.events]
        self.account_events += [(line_number, event) for event in read.account_events]
        self.readable_payloads += bool(read.events or not read.problems)


def chunks_of(
    path: Path, vocabulary: Vocabulary, start: Place = Place(), at_once: int | None = None
) -> Iterator[StatusLines]:
    """The lines of a file from some place on, some thousand at a time, or so many.

    One that is a single JSON document counts as one line.
    """
    document = _whole_document(path)
    if document is not None:
        if start == Place():
            lines = StatusLines(vocabulary, Place(path.stat().st_size, 1))
            lines.add_document(document)
            yield lines
        return
    yield from _chunks(path, vocabulary, start, at_once or LINES_PER_TRANSACTION)


def text_between(path: Path, start: Place, end: Place) -> str:
    """What stands between two places of a file, to be shown to people."""
    with _opened(path) as file:
        file.seek(start.bytes_read)
        return _shown(file.read(min(end.bytes_read - start.bytes_read, LONGEST_LINE))).strip()


def _chunks(path: Path, vocabulary: Vocabulary, start: Place, at_once: int) -> Iterator[StatusLines]:
    lines = StatusLines(vocabulary, start)
    first_byte = start.bytes_read
    try:
        for end, text in _lines_of(path, start):
            lines.end = end
            if not text.strip():
                continue
            lines.add(end.lines_read, text)
            if (
                lines.count >= at_once
                or len(lines.events) >= EVENTS_PER_TRANSACTION
                or end.bytes_read - first_byte >= BYTES_PER_TRANSACTION
            ):
                yield lines
                lines, first_byte = StatusLines(vocabulary, end), end.bytes_read
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        lines.add_break(lines.end.lines_read + 1, error)
    if lines.count:
        yield lines


def _whole_document(path: Path) -> object:
    """What is in a file that is one JSON document over several lines; None when it is lines of its own."""
    try:
        first_line = next((text for _, text in _lines_of(path, Place()) if text.strip()), b"")
        if not first_line or _is_json(first_line):
            return None
        with _opened(path) as file:
            whole = file.read(LONGEST_DOCUMENT + 1)
        return None if len(whole) > LONGEST_DOCUMENT else _json(whole)
    except (PayloadError, EOFError, zlib.error, gzip.BadGzipFile):
        return None


def _lines_of(path: Path, start: Place) -> Iterator[tuple[Place, bytes]]:
    """Each line with the place at its end; what is longer than a line may be comes in pieces."""
    with _opened(path) as file:
        if start.bytes_read:
            file.seek(start.bytes_read)
        bytes_read, number = start.bytes_read, start.lines_read
        while line := file.readline(LONGEST_LINE):
            bytes_read += len(line)
            number += 1
            yield Place(bytes_read, number), line


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_compressed = file.read(len(_GZIP)) == _GZIP
    # Its type is a stream of bytes like any other, of which it has all that is used here.
    return cast("BinaryIO", gzip.open(path, "rb")) if is_compressed else path.open("rb")


def _is_json(text: bytes) -> bool:
    try:
        _json(text)
    except PayloadError:
        return False
    return True


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise PayloadError(msg) from error


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").rstrip("\r\n")


def _shown_document(document: object) -> str:
    try:
        return json.dumps(document)
    except RecursionError:
        return ""
