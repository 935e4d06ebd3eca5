"""What the receiver does when there is too much: bodies in memory, words in its log."""

import asyncio
import logging
from pathlib import Path

import pytest
from starlette.types import Message

from campaign_pipeline.interfaces.webhook_receiver.app import create_app
from campaign_pipeline.interfaces.webhook_receiver.receiver import MOST_BYTES_HELD, Receiver, ReceiverOptions
from campaign_pipeline.interfaces.webhook_receiver.seldom import Seldom
from campaign_pipeline_tests.interfaces.webhook_receiver.receiver_process import SECRET, payload


def _options(folder: Path) -> ReceiverOptions:
    return ReceiverOptions(
        inbox=folder,
        queue_folder=folder,
        app_secrets=(SECRET,),
        takes_unsigned=False,
        verify_token="very-secret",
        forward_url="http://bot/very-secret",
        file_bytes=1_000,
        file_seconds=1.0,
        queue_bytes=1_000,
    )


def test_more_bodies_than_memory_may_hold_are_put_off(tmp_path: Path) -> None:
    """A disk that has stopped must not end the process, which holds what is not written yet."""
    receiver = Receiver(_options(tmp_path))
    receiver.bytes_held = MOST_BYTES_HELD
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": payload(1), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/webhook", "headers": []}
    asyncio.run(create_app(receiver)(scope, receive, send))
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"5") in sent[0]["headers"]
    assert (receiver.counts().refusals.too_busy, receiver.bytes_held) == (1, MOST_BYTES_HELD)


def test_the_options_do_not_show_their_secrets(tmp_path: Path) -> None:
    """They are printed by whoever looks for a fault."""
    assert SECRET not in repr(_options(tmp_path))
    assert "very-secret" not in repr(_options(tmp_path))


def test_what_happens_a_thousand_times_is_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A log that fills the disk brings about what it tells of."""
    seldom = Seldom(logging.getLogger("receiver"), seconds=3_600)
    for number in range(1_000):
        seldom.warning("It fails with %d.", number)
    seldom.error("Another thing.")
    assert caplog.messages == ["It fails with 0.", "Another thing."]
    often = Seldom(logging.getLogger("receiver"), seconds=0)
    often.warning("It fails.")
    often.warning("It fails.")
    assert caplog.messages[2:] == ["It fails.", "It fails."]
