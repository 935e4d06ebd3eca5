"""Times as lists write them: when somebody agreed, or said stop.

Add here another way of writing a time that can be read in one way only.
Keep out times of webhooks (`delivery.webhooks`), and what is done where there is none.
"""

import re
from datetime import UTC, datetime
from typing import Final

_UNIX: Final = re.compile(r"\d{10}(?:\.0+)?")
_UNIX_MILLISECONDS: Final = re.compile(r"\d{13}(?:\.0+)?")
_YEAR_FIRST: Final = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(.*)")
_DOTTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)")


def read_said_time(text: str) -> datetime | None:
    """Reads a time; None for what is none, or could be two dates, such as 03/04/2026.

    Args:
        text: ISO 8601, 2026/03/02 or 02.03.2026 with or without a time of day, or Unix seconds or milliseconds. Without
            an offset it is UTC.
    """
    written = text.strip()
    try:
        if _UNIX.fullmatch(written):
            return datetime.fromtimestamp(float(written), UTC)
        if _UNIX_MILLISECONDS.fullmatch(written):
            return datetime.fromtimestamp(float(written) / 1000, UTC)
        if year_first := _YEAR_FIRST.fullmatch(written):
            written = _iso(year_first[1], year_first[2], year_first[3], year_first[4])
        elif dotted := _DOTTED.fullmatch(written):
            written = _iso(dotted[3], dotted[2], dotted[1], dotted[4])
        moment = datetime.fromisoformat(written.removesuffix(" UTC").strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _iso(year: str, month: str, day: str, rest: str) -> str:
    return f"{year}-{int(month):02}-{int(day):02}{rest}"
