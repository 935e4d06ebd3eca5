"""What is passed on to the receiver of automated replies: everything, in order, as it came, whatever that one does."""

import logging
import os
import socket
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from campaign_pipeline.interfaces.webhook_receiver.forward_queue import DAMAGED, ForwardQueue, Payload
from campaign_pipeline.interfaces.webhook_receiver.forwarding import MOST_SECONDS, Forwarder, ForwardTarget, refuse_loop
from campaign_pipeline.settings import SettingsError
from campaign_pipeline_tests.interfaces.webhook_receiver.receiver_process import ReceiverProcess, payload, signed
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until
from campaign_pipeline_tests.whatsapp.webhook_receiver import WebhookReceiver

BOT_DOWN_SECONDS = float(os.environ.get("BOT_DOWN_SECONDS", "0"))
"""How long nobody takes what is passed on, while more and more comes."""


def test_what_came_while_the_bot_was_down_reaches_it_in_order_as_it_was(tmp_path: Path) -> None:
    """Its replies go out late then, and not never; a changed byte would make it refuse the signature."""
    port = free_port()
    posted: list[bytes] = []

    def post(receiver: ReceiverProcess) -> None:
        # With the line ends that the inbox does not keep.
        posted.append(payload(len(posted)).replace(b",", b",\n"))
        headers = {**signed(posted[-1]), "X-Hub-Signature": "sha1=00", "X-Odd": "caf\xe9"}
        assert receiver.ask("POST", "/webhook", posted[-1], **headers).status == 200

    settings = {"WEBHOOK_FORWARD_URL": f"http://127.0.0.1:{port}/bot/hook?token=1%2F2"}
    with ReceiverProcess(tmp_path, **settings) as receiver:
        for _ in range(10):
            post(receiver)
        receiver.kill()
        receiver.start()
        until = time.monotonic() + BOT_DOWN_SECONDS
        post(receiver)
        while time.monotonic() < until:
            post(receiver)
        assert receiver.stop() == 0
        receiver.start()
        post(receiver)
        with WebhookReceiver(port) as bot:
            wait_until(lambda: len(bot.calls) >= len(posted), "all of them")
            wait_until(lambda: receiver.waiting_to_be_passed_on() == 0, "the last answer")
            assert receiver.stop() == 0
    assert [call.body for call in bot.calls] == posted
    assert {call.path for call in bot.calls} == {"/bot/hook?token=1%2F2"}
    for call in bot.calls:
        expected = {
            **signed(call.body),
            "X-Hub-Signature": "sha1=00",
            "X-Odd": "caf\xe9",
            "Accept-Encoding": "identity",
        }
        own = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(call.body))}
        assert {name.lower(): value for name, value in call.headers.items()} == {
            name.lower(): value for name, value in (expected | own).items()
        }
    # Nothing of what people wrote lies about once it was passed on.
    assert list((tmp_path / "forward").iterdir()) == []


def test_a_bot_that_fails_or_leads_elsewhere_is_asked_again_and_one_that_refuses_is_not(tmp_path: Path) -> None:
    """One payload that it will never take must not hold up all others; a redirect takes people's words elsewhere.

    And a proxy answers 404 in its place while it is being replaced: all that came meanwhile would be lost.
    """
    with WebhookReceiver() as elsewhere, WebhookReceiver() as bot:
        bot.extra_headers = {"Location": elsewhere.url}
        bot.answers.extend([500, 307, 404, 200, 400, 200])
        with ReceiverProcess(tmp_path, WEBHOOK_FORWARD_URL=bot.url) as receiver:
            for number in range(3):
                assert receiver.post(payload(number)) == 200
            wait_until(lambda: len(bot.calls) == 6, "six calls")
            wait_until(lambda: receiver.waiting_to_be_passed_on() == 0, "the last answer")
            assert receiver.stop() == 0
        assert [call.body for call in bot.calls] == [payload(number) for number in (0, 0, 0, 0, 1, 2)]
        assert elsewhere.calls == []
    assert "refuses payloads with status 400" in receiver.log


def test_a_bot_that_hangs_delays_no_answer_and_no_end(tmp_path: Path) -> None:
    """Meta sends less and less often to whoever answers late."""
    with WebhookReceiver() as bot:
        bot.seconds = 3_600
        with ReceiverProcess(tmp_path, WEBHOOK_FORWARD_URL=bot.url) as receiver:
            assert receiver.post(payload(0)) == 200
            wait_until(lambda: len(bot.calls) == 1, "a call that hangs")
            # At ten seconds each, these would take longer than anybody waits.
            for number in range(1, 100):
                assert receiver.post(payload(number)) == 200
            assert receiver.stop() == 0
    assert len(receiver.kept()) == 100


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/webhook", "127.0.0.1"),
        ("http://localhost:8080/anything", "127.0.0.1"),
        ("http://127.0.0.1:8080/webhook", "0.0.0.0"),  # noqa: S104 - nothing listens there
    ],
)
def test_passing_on_to_ourselves_is_refused(url: str, host: str) -> None:
    """Each payload would come again and again, for ever."""
    with pytest.raises(SettingsError, match="leads back to this receiver"):
        refuse_loop(url, host, 8080)
    refuse_loop(url, host, 8081)
    refuse_loop("https://bot.invalid:8080/webhook", host, 8080)
    refuse_loop(None, host, 8080)


@pytest.mark.parametrize(
    "url", ["bot.example/hook", "ftp://bot.example", "http://", "http://me:pass@bot.example/", "http://bot:port/"]
)
def test_an_address_that_nothing_can_be_posted_to_is_refused_at_the_start(tmp_path: Path, url: str) -> None:
    """Found out with the first payload, it would be a queue that grows. It is not shown: it may hold a token."""
    with pytest.raises(SettingsError, match="WEBHOOK_FORWARD_URL") as refused:
        ForwardTarget(url)
    assert url not in str(refused.value)


def test_a_receiver_that_would_pass_on_to_itself_does_not_start(tmp_path: Path) -> None:
    """It says why, in one line."""
    port = free_port()
    receiver = ReceiverProcess(tmp_path, port=port, WEBHOOK_FORWARD_URL=f"http://localhost:{port}/webhook")
    receiver.launch()
    assert receiver.wait() == 1
    assert "Error: WEBHOOK_FORWARD_URL leads back to this receiver" in receiver.log


@contextmanager
def _relay(port: int) -> Generator[int]:
    """A proxy: whatever comes to its own port goes to another one, and back."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                outer = listener.accept()[0]
                inner = socket.create_connection(("127.0.0.1", port))
                for pair in ((outer, inner), (inner, outer)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_way_back_through_a_proxy_is_found_out_at_the_first_payload(tmp_path: Path) -> None:
    """From here the public address of our own proxy looks like any other."""
    port = free_port()
    with _relay(port) as public:
        url = f"http://127.0.0.1:{public}/webhook"
        with ReceiverProcess(tmp_path, port=port, WEBHOOK_FORWARD_URL=url) as receiver:
            assert receiver.post(payload(1)) == 200
            wait_until(lambda: "leads back to this receiver" in receiver.said, "the loop to be found")
            assert receiver.stop() == 0
    assert receiver.kept() == [payload(1)]


def _payload(number: int, received_at: float | None = None) -> Payload:
    when = time.time() if received_at is None else received_at
    return Payload(payload(number), [(b"x-hub-signature-256", b"sha256=\xe9")], when)


def _queue(folder: Path, *, most_bytes: int = 10_000_000, segment_bytes: int = 10_000_000) -> ForwardQueue:
    return ForwardQueue(folder, most_bytes=most_bytes, segment_bytes=segment_bytes)


def _all_of(queue: ForwardQueue) -> Iterator[Payload]:
    while (found := queue.oldest()) is not None:
        yield found
        queue.remove_oldest()


def test_a_queue_that_was_left_behind_is_gone_on_with_where_it_was(tmp_path: Path) -> None:
    """By whoever finds it, and by nobody as long as its receiver lives."""
    payloads = [_payload(number) for number in range(5)]
    living, other = _queue(tmp_path), _queue(tmp_path)
    living.append(payloads[:3])
    assert living.oldest() == payloads[0]
    living.remove_oldest()
    other.take_over()
    assert other.oldest() is None
    living.close()
    other.append(payloads[3:])
    other.take_over()
    assert list(_all_of(other)) == payloads[1:]
    other.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first_line", [b"\0" * 36 + b"\n", b"passed on up to %020d\n" % 10**9])
def test_a_queue_that_does_not_know_how_far_it_was_is_passed_on_from_the_beginning(
    tmp_path: Path, first_line: bytes
) -> None:
    """A power cut may lose what was written last; twice is what Meta does too, and not at all is nobody's answer."""
    queue = _queue(tmp_path)
    queue.append([_payload(1), _payload(2)])
    queue.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(first_line + path.read_bytes()[len(first_line) :])
    found = _queue(tmp_path)
    found.take_over()
    assert [each.body for each in _all_of(found)] == [payload(1), payload(2)]
    found.close()


def test_a_queue_that_is_emptied_while_it_grows_loses_nothing_and_keeps_its_order(tmp_path: Path) -> None:
    """Its files are begun, ended, given up and taken away by two threads."""
    queue = _queue(tmp_path, segment_bytes=3_000)
    groups = [[_payload(5 * group + number) for number in range(5)] for group in range(150)]
    found: list[Payload] = []

    def empty() -> None:
        while len(found) < 750:
            found.extend(_all_of(queue))
            queue.wait(0.01)

    with ThreadPoolExecutor(1) as pool:
        emptied = pool.submit(empty)
        for number, group in enumerate(groups):
            queue.append(group)
            if number % 10 == 0:
                queue.retire()
        emptied.result(PATIENCE)
    assert found == [each for group in groups for each in group]
    assert (queue.waiting_bytes, queue.dropped) == (0, 0)
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_half_a_record_at_the_end_is_left_out_and_every_whole_one_is_passed_on(tmp_path: Path) -> None:
    """A kill, or a disk that was full, leaves the file broken off at any byte."""
    payloads = [_payload(number) for number in range(2)]
    queue = _queue(tmp_path)
    queue.append(payloads[:1])
    (path,) = tmp_path.iterdir()
    first = path.stat().st_size
    queue.append(payloads[1:])
    queue.close()
    whole = path.read_bytes()
    for length in {0, 10, 36, 37, 38, first - 1, first, first + 1, first + 27, first + 28, len(whole) - 1}:
        path.write_bytes(whole[:length])
        found = _queue(tmp_path)
        found.take_over()
        assert list(_all_of(found)) == payloads[: 1 if length >= first else 0]
        found.close()
        assert list(tmp_path.iterdir()) == []


def test_a_queue_that_the_disk_has_spoilt_is_kept_for_whoever_can_read_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a record is nothing that anybody was told of; one that cannot be read was acknowledged."""
    queue = _queue(tmp_path)
    queue.append([_payload(1), _payload(2)])
    queue.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b"wamid.00000001", b"wamid.\0\0\0\0\0\0\0\0"))
    found = _queue(tmp_path)
    found.take_over()
    assert found.oldest() is None
    assert "are NOT passed on" in caplog.text
    assert [each.suffix for each in tmp_path.iterdir()] == [DAMAGED]


def test_beyond_its_bound_the_oldest_are_given_up_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bot that nobody mends must not fill the disk, since then the statuses would be lost too."""
    queue = _queue(tmp_path, most_bytes=3_000, segment_bytes=1_000)
    for number in range(20):
        queue.append([_payload(number)])
    left = [each.body for each in _all_of(queue)]
    assert 2 < len(left) < 10
    assert left == [payload(number) for number in range(20 - len(left), 20)]
    assert queue.dropped == 20 - len(left)
    assert "were NOT passed on and are given up" in caplog.text


def test_what_nobody_took_for_a_week_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Meta itself gives up then; a reply to a message of last week helps nobody."""
    caplog.set_level(logging.INFO)
    queue = _queue(tmp_path)
    queue.append([_payload(1, time.time() - MOST_SECONDS - 60), _payload(2)])
    with WebhookReceiver() as bot:
        forwarder = Forwarder(queue, ForwardTarget(bot.url))
        forwarder.start()
        wait_until(lambda: forwarder.counts.passed_on == 1, "the other one")
        forwarder.stop()
        assert [call.body for call in bot.calls] == [payload(2)]
    assert forwarder.counts.given_up == 1
    assert "nobody took it for a week" in caplog.text
    queue.close()
