"""The lines of status files: read some thousand at a time, each to its events or to the reason why it cannot be read.

Add here another form in which payloads lie in a file.
Keep out what a payload means (`webhooks`) and what becomes of the file (`status_files`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campaign_pipeline.delivery.webhooks import AccountEvent, PayloadError, StatusEvent, read_payload

LINES_PER_TRANSACTION: Final = 2_000
LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; Meta's payloads have at most 3 MB."""

LONGEST_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes; a single JSON document has to fit into memory, NDJSON has no bound."""


@dataclass(slots=True)
class StatusLines:
    """Some lines of a file, read: their events, and the lines that cannot be read."""

    count: int = 0
    readable_payloads: int = 0
    events: list[tuple[int, StatusEvent]] = field(default_factory=list)
    account_events: list[tuple[int, AccountEvent]] = field(default_factory=list)
    problems: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, line_number: int, text: bytes) -> None:
        """Reads one line."""
        self.count += 1
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

    def _add_payloads(self, line_number: int, payloads: Sequence[object]) -> None:
        for payload in payloads:
            self._add_payload(line_number, payload, None)

    def _add_payload(self, line_number: int, payload: object, text: bytes | None) -> None:
        try:
            read = read_payload(payload)
            problems = read.problems
        except (PayloadError, RecursionError) as error:
            read, problems = None, [str(error)]
        if read is not None:
            self.events += [(line_number, event) for event in read.events]
            self.account_events += [(line_number, event) for event in read.account_events]
            self.readable_payloads += bool(read.events or not problems)
        if problems:
            shown = json.dumps(payload) if text is None else _shown(text)
            self.problems += [(line_number, problem, shown) for problem in problems]


def chunks_of(path: Path) -> Iterator[StatusLines]:
    """The lines of a file, some thousand at a time; one that is a single JSON document counts as one line."""
    lines = StatusLines()
    document = _whole_document(path)
    if document is not None:
        lines.add_document(document)
        yield lines
        return
    for line_number, text in _lines_of(path):
        lines.add(line_number, text)
        if lines.count == LINES_PER_TRANSACTION:
            yield lines
            lines = StatusLines()
    if lines.count:
        yield lines


def _whole_document(path: Path) -> object:
    """What is in a file that is one JSON document over several lines; None when it is lines of its own."""
    _, first_line = next(_lines_of(path), (0, b""))
    if not first_line or _is_json(first_line) or path.stat().st_size > LONGEST_DOCUMENT:
        return None
    try:
        return _json(path.read_bytes())
    except PayloadError:
        return None


def _lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if line.strip():
                yield number, line


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
