"""What every answer of the Graph API has in common: JSON, or an error with a code, in texts that the ledger can keep.

Add here how a part of any answer is read.
Keep out single endpoints: `client`, `template_reading`.
"""

import re
from typing import Any, Final

import requests

_LARGEST_CODE: Final = 2**31 - 1

_TOKEN: Final = re.compile(r"EA[A-Za-z0-9]{20,}|(?<=\bBearer )\s*[^\s\"',;]+")
"""An access token of Meta's, or whatever stands as one in a header."""


def json_of(response: requests.Response) -> object:
    """The JSON of an answer; None when it is none."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def graph_error(body: object) -> dict[str, Any] | None:
    """The error of an answer's JSON; None when it carries none with a code."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    if isinstance(code, str):
        return error if code.isascii() and code.isdigit() and len(code) < len(str(_LARGEST_CODE)) else None
    is_code = isinstance(code, int) and not isinstance(code, bool) and abs(code) <= _LARGEST_CODE
    return error if is_code else None


def text_of(error: dict[str, Any]) -> str:
    """What an error says: its message, and its details behind that, without the access token that it may quote."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    return without_token(storable(": ".join(str(part) for part in (error.get("message"), details) if part)))


def without_token(text: str) -> str:
    """The text with dots for every access token in it: Meta's own words quote one that is malformed."""
    return _TOKEN.sub("…", text)


def storable(text: str) -> str:
    """The text without what PostgreSQL does not keep: NUL, and halves of characters."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def storable_json(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A JSON document in which every text can be kept."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_json(each) for each in value]
    if isinstance(value, dict):
        return {storable(str(key)): storable_json(each) for key, each in value.items()}
    return value
