"""JSON as it has to be: UTF-8, no name twice in one object, no NaN, not nested without end.

Add nothing that JSON itself does not forbid: what a document holds is its model's business.
"""

import json
from typing import Any, Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

_READ_AT_ONCE: Final = 64 * 1024
"""Bytes that are read so quickly that a thread of its own is not worth it."""


class StrictRequest(Request):
    """A request whose JSON is read strictly, and aside when it is long."""

    async def json(self) -> Any:  # noqa: ANN401 - whatever it holds
        """The document.

        Raises:
            JSONDecodeError: The body is none.
        """
        body = await self.body()
        return read_json(body) if len(body) <= _READ_AT_ONCE else await run_in_threadpool(read_json, body)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - whatever it holds
    """Reads one document.

    Raises:
        JSONDecodeError: It is none, or holds what programs understand in different ways.
    """
    try:
        return _DECODER.decode(body.decode())
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("it is not UTF-8", "", error.start) from error
    except RecursionError as error:
        raise json.JSONDecodeError("it is nested too deeply", "", 0) from error
    except ValueError as error:
        raise json.JSONDecodeError("a number in it is too long", "", 0) from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would keep the last of two equal names, which may be the one that says yes."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise json.JSONDecodeError("a name stands twice in one object", "", 0)
    return read


def _no_number(name: str) -> float:
    msg = f"{name} is no number of JSON"
    raise json.JSONDecodeError(msg, "", 0)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_doubles, parse_constant=_no_number)
