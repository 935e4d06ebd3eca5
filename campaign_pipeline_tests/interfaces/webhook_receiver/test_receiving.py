"""What is posted to the webhook: who is listened to, what is kept of it, and how it comes out of the inbox."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.delivery.folders import StatusFolders
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.interfaces.webhook_receiver.bodies import LARGEST_BODY, NOT_A_LINE, line_of
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline_tests.interfaces.webhook_receiver.receiver_process import (
    SECRET,
    VERIFY_TOKEN,
    ReceiverProcess,
    payload,
    signed,
)
from campaign_pipeline_tests.support.waiting import wait_until
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

OLD_SECRET = "an-older-secret"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """One receiver for the module's tests, in the middle of a change of its secret."""
    folder = tmp_path_factory.mktemp("receiver")
    secrets = f"{OLD_SECRET},{SECRET}"
    with ReceiverProcess(folder, WHATSAPP_APP_SECRET=secrets, WEBHOOK_FILE_SECONDS="0.1") as process:
        yield process


def _question(**changes: str) -> str:
    said = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"} | changes
    return "/webhook?" + "&".join(f"{name}={value}" for name, value in said.items())


def test_meta_is_given_its_challenge_as_it_is(receiver: ReceiverProcess) -> None:
    """Anything around it, quotes for one, and Meta does not set the webhook up."""
    answer = receiver.ask("GET", _question())
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert answer.headers.get_content_type() == "text/plain"


@pytest.mark.parametrize(
    "changes",
    [
        {"hub.verify_token": "a-word-of-others"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "%F0%9F%98%80"},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": "1" * 2000},
    ],
)
def test_nobody_else_is_answered(receiver: ReceiverProcess, changes: dict[str, str]) -> None:
    """Whoever may set up webhooks here could have their own sent to us."""
    assert receiver.ask("GET", _question(**changes)).status == 403


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_a_signed_body_is_taken_with_the_old_secret_and_the_new(receiver: ReceiverProcess, secret: str) -> None:
    """For some minutes Meta signs with either, and what is refused then comes late."""
    assert receiver.post(payload(1, secret), secret) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": "sha256=\xe9"},
        {"X-Hub-Signature-256": signed(payload(2), "another")["X-Hub-Signature-256"]},
        {"X-Hub-Signature-256": signed(payload(3))["X-Hub-Signature-256"]},
        {"X-Hub-Signature": "sha1=" + hmac.new(SECRET.encode(), payload(2), hashlib.sha1).hexdigest()},
    ],
)
def test_a_body_that_is_not_signed_is_refused_and_not_kept(receiver: ReceiverProcess, headers: dict[str, str]) -> None:
    """Whoever finds the address could say that a message was read, or that somebody wants no more."""
    assert receiver.ask("POST", "/webhook", payload(2), **headers).status == 403
    receiver.post(payload(4))
    wait_until(lambda: payload(4) in receiver.kept(), "the next one")
    assert payload(2) not in receiver.kept()


def test_what_the_cloud_api_signs_is_taken(receiver: ReceiverProcess, tmp_path: Path) -> None:
    """Signed here by another program than the one that looks: the local Cloud API, as Meta does it."""
    url = f"http://127.0.0.1:{receiver.port}/webhook"
    with SimulatorProcess(simulator_options(tmp_path, webhook_url=url, app_secret=SECRET)) as simulator:
        said = simulator.inbound("+447911123456", text="Ist das noch gültig? 🎁")
        simulator.wait_for_webhooks()
        assert simulator.health()["webhooks_delivered"] == 1
    wait_until(lambda: said in [json.loads(line) for line in receiver.kept() if b"messages" in line], "what was said")


def test_the_largest_body_is_taken_and_a_larger_one_is_not(receiver: ReceiverProcess) -> None:
    """Meta sends up to 3 MB; without a bound, whoever posts fills memory and disk."""
    largest = b'{"filled":"' + b"x" * (LARGEST_BODY - 13) + b'"}'
    assert len(largest) == LARGEST_BODY
    assert receiver.post(largest) == 200
    assert receiver.post(largest + b" ") == 413
    wait_until(lambda: largest in receiver.kept(), "the largest one")


def test_a_body_in_chunks_is_counted_while_it_comes(receiver: ReceiverProcess) -> None:
    """Its length stands in no header."""

    def ask(body: bytes) -> int:
        pieces = (body[begin : begin + 50_000] for begin in range(0, len(body), 50_000))
        return receiver.ask("POST", "/webhook", pieces, **signed(body)).status

    body = b'{"chunks":"' + b"x" * 200_000 + b'"}'
    assert ask(body) == 200
    wait_until(lambda: body in receiver.kept(), "the chunks")
    assert ask(bytes(LARGEST_BODY + 1)) == 413


def test_other_methods_and_addresses_are_not_the_webhook(receiver: ReceiverProcess) -> None:
    """A proxy that asks with HEAD is told so, and does not get a payload kept."""
    body = payload(5)
    assert receiver.ask("PUT", "/webhook", body, **signed(body)).status == 405
    assert receiver.ask("POST", "/webhooks", body, **signed(body)).status == 404
    assert receiver.ask("GET", "/openapi.json").status == 404
    assert receiver.ask("GET", "/healthz").status == 200


def test_what_is_no_line_of_json_holds_up_nothing(receiver: ReceiverProcess, ledger: Ledger, tmp_path: Path) -> None:
    """A body over several lines would be read as several, and each of them refused; junk must cost itself alone."""
    good = payload(100)
    pretty = json.dumps(json.loads(payload(101)), indent=2).replace("\n", "\r\n").encode()
    junk = [b"", b"\n", b"[" * 100_000, b"[\n" * 100_000, b"\xff\n\x00", b'{"a":\n', b"junk"]
    for body in (good, *junk, pretty):
        assert receiver.post(body) == 200
    expected = {good, *(line_of(body) for body in (*junk, pretty))}
    wait_until(lambda: expected <= set(receiver.kept()), "all of it")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    # Each once: the receiver is the same for both databases.
    (inbox / "all.ndjson").write_bytes(b"".join(line + b"\n" for line in sorted(expected & set(receiver.kept()))))
    folders = StatusFolders(inbox, tmp_path / "archive", tmp_path / "rejected")
    report = ingest_waiting(ledger, folders, lambda: datetime.now(UTC))
    assert [(file.state, file.events, file.rejected_lines) for file in report.files] == [("done", 2, len(junk))]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_json, st.sampled_from([None, 0, 3, "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_json_becomes_one_line_of_the_same_json(
    document: object, indent: int | str | None, line_end: str, is_ascii: bool
) -> None:
    """Line ends within a string are escapes, those between tokens are not."""
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)
    body = text.replace("\n", line_end).encode("utf-8", "surrogatepass")
    line = line_of(body)
    assert b"\n" not in line
    said = json.loads(line)
    if isinstance(said, dict) and NOT_A_LINE in said:
        # Half a character is no text in UTF-8: then the exact bytes are kept.
        assert base64.b64decode(said[NOT_A_LINE]) == body
    else:
        assert said == document


@given(st.binary())
def test_whatever_comes_is_one_line_and_can_be_got_back(body: bytes) -> None:
    """Junk that is signed is Meta's, and somebody will want to see it."""
    line = line_of(body)
    assert line.strip()
    assert b"\n" not in line
    assert line == body or b"\n" in body or not body.strip()


def test_without_an_app_secret_everything_is_refused_until_somebody_says_otherwise(tmp_path: Path) -> None:
    """A receiver that takes everything because a variable was forgotten looks as if all were well."""
    with ReceiverProcess(tmp_path, WHATSAPP_APP_SECRET="", WEBHOOK_VERIFY_TOKEN="") as receiver:
        # Not 403: Meta gives it a week to be set.
        assert receiver.post(payload(1)) == 503
        assert receiver.ask("GET", _question()).status == 403
        assert receiver.ask("GET", _question(**{"hub.verify_token": ""})).status == 403
        assert receiver.stop() == 0
    assert "set WHATSAPP_APP_SECRET" in receiver.log
    assert "set WEBHOOK_VERIFY_TOKEN" in receiver.log
    with ReceiverProcess(tmp_path, WHATSAPP_APP_SECRET="", WEBHOOK_UNSIGNED="accept") as receiver:
        assert receiver.ask("POST", "/webhook", payload(2)).status == 200
        assert receiver.stop() == 0
    assert receiver.kept() == [payload(2)]


def test_the_log_holds_no_secret_no_number_and_no_body(tmp_path: Path) -> None:
    """It is kept for longer than anything else, and read by whoever helps."""
    body = payload(1)
    with ReceiverProcess(tmp_path, WEBHOOK_FORWARD_URL="http://127.0.0.1:1/bot?token=bot-token") as receiver:
        assert receiver.post(body) == 200
        receiver.ask("POST", "/webhook", body)
        receiver.ask("GET", _question())
        receiver.ask("GET", _question(**{"hub.verify_token": "447911123456"}))
        receiver.ask("GET", "/447911123456?token=447911123456")
        wait_until(lambda: "gives no answer" in receiver.said, "a word about the bot")
        assert receiver.stop() == 0
    secrets = (SECRET, VERIFY_TOKEN, "bot-token", "447911", "wamid", signed(body)["X-Hub-Signature-256"][7:])
    assert [secret for secret in secrets if secret in receiver.log] == []
