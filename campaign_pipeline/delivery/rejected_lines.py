"""The lines of one status file that cannot be read, kept in a file beside the rejected ones for people to look at.

Keep out why a line cannot be read: whoever reads it says so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_KEPT: Final = 64 * 1024 * 1024
"""Bytes. Of a large file that is no text each line would be kept, as JSON at three times its size."""

_NOT_KEPT: Final = (
    "from here on lines that cannot be read are counted and no longer kept: look at the status file itself"
)


@dataclass(frozen=True, slots=True)
class RejectedLines:
    """The kept lines, NDJSON with the number of the line, the reason and the text; the file is made by the first one.

    Attributes:
        path: Where they are kept.
    """

    path: Path

    def add(self, problems: Sequence[tuple[int, str, str]]) -> None:
        """Keeps some more, before it is written down that they were read: if killed, then twice rather than never.

        Once the file is large, it ends with the word that no more are kept.
        """
        if self.path.exists() and self.path.stat().st_size >= MOST_KEPT:
            return
        lines = [_line(*problem) for problem in problems]
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
            if file.tell() >= MOST_KEPT:
                file.write(_line(problems[-1][0], _NOT_KEPT, ""))

    def cut_back_to(self, lines_read: int) -> None:
        """Takes those out that come after a line: they are about to be read again."""
        if not self.path.exists():
            return
        new = self.path.with_name(f".{self.path.name}.new")
        with self.path.open(encoding="utf-8") as old, new.open("w", encoding="utf-8") as file:
            file.writelines(line for line in old if _number_of(line) <= lines_read)
        if new.stat().st_size:
            new.replace(self.path)
        else:
            new.unlink()
            self.path.unlink()

    def first(self) -> tuple[int, str]:
        """The number of the first one, and why it cannot be read."""
        with self.path.open(encoding="utf-8") as file:
            kept = json.loads(file.readline())
        return kept["line_number"], kept["reason"]

    def discard(self) -> None:
        """Throws them away: the whole file is kept as rejected."""
        self.path.unlink()


def _line(number: int, reason: str, text: str) -> str:
    return json.dumps({"line_number": number, "reason": reason, "text": text}, ensure_ascii=False) + "\n"


def _number_of(line: str) -> int:
    """The number of a kept line; one that was cut off by the end of a process is none that was kept."""
    try:
        return json.loads(line)["line_number"]
    except ValueError:
        return 2**63
