"""Payloads of which something is another thing than Meta has ever sent: none of them is more than a line aside."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

from campaign_pipeline_tests.delivery.conftest import Post
from campaign_pipeline_tests.delivery.payloads import (
    changed_number,
    inbound,
    ndjson,
    payload,
    preference,
    status,
    tap,
    template_payload,
)

LINES: Final = 5_000
ODD: Final[tuple[object, ...]] = (
    *(None, True, 0, -1, 10**30, 1e308, float("inf"), float("nan"), -62_135_596_800, 99_999_999_999),
    *("", "\0", "\ud800", "x" * 3_000, "²", "-1", "1e5", "253402300799", "99999999999999"),
    *([], {}, [[]], [None], {"type": []}, [{"code": "²"}], [{"code": True}]),
)
USUAL: Final = (
    payload(status(callback="theirs", code=131026, recipient_id="447911000001", recipient_user_id="GB.1")),
    inbound("stop", user_id="GB.1", context="wamid.1"),
    inbound(type="interactive", interactive={"button_reply": {"id": "stop", "title": "Stop"}}),
    inbound(type="reaction", reaction={"message_id": "wamid.1", "emoji": "x"}),
    tap("STOP", "Stop"),
    preference("stop", wa_id="447911000001"),
    changed_number("447911000001", "447911000002"),
    template_payload("PAUSED"),
)


def test_no_odd_value_anywhere_in_a_payload_is_refused_by_a_database(post: Post) -> None:
    """What was read without fault has to be kept: whoever looks for a STOP looks in the ledger."""
    chance = random.Random(2)  # noqa: S311 - the same ones each time
    post.put("odd.ndjson", ndjson(_made_odd(copy.deepcopy(chance.choice(USUAL)), chance) for _ in range(LINES)))
    (report,) = post.ingest().files
    assert (report.state, report.reason) == ("done", None)
    (name,) = post.names_in("rejected")
    kept = [json.loads(line) for line in (post.root / "rejected" / name).read_text(encoding="utf-8").splitlines()]
    assert [each for each in kept if "it cannot be taken in" in each["reason"]] == []


def _made_odd(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    for _ in range(chance.choice((1, 1, 2, 3))):
        *way, last = chance.choice(list(_places_in(document)))
        holder: Any = document
        for step in way:
            holder = holder[step]
        holder[last] = copy.deepcopy(chance.choice(ODD))
    return document


def _places_in(document: object, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for step, value in inside:
        yield (*way, step)
        yield from _places_in(value, (*way, step))
