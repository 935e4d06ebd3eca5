"""What was acknowledged is on the disk, once and whole: through kills, full disks, and two receivers at once."""

import errno
import http.client
import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from campaign_pipeline.interfaces.webhook_receiver.forward_queue import ForwardQueue, Payload
from campaign_pipeline.interfaces.webhook_receiver.inbox_files import BEING_WRITTEN, InboxFiles
from campaign_pipeline.interfaces.webhook_receiver.living_files import LivingFile, delete_unborn, left_behind
from campaign_pipeline_tests.interfaces.webhook_receiver.receiver_process import ReceiverProcess, payload, signed
from campaign_pipeline_tests.support.waiting import wait_until
from campaign_pipeline_tests.whatsapp.webhook_receiver import WebhookReceiver

KILLS = int(os.environ.get("RECEIVER_KILLS", "3"))
"""How often the receiver is killed under load."""

SEED = int(os.environ.get("SEED", "0"))


class Load:
    """Posts different payloads from several connections at once, whether somebody listens or not.

    Attributes:
        acknowledged: The bodies that were answered with 200, a list for each connection, in order.
        refused: The statuses of all other answers.
    """

    def __init__(self, receiver: ReceiverProcess, connections: int = 4) -> None:
        self.acknowledged: list[list[bytes]] = [[] for _ in range(connections)]
        self.refused: list[int] = []
        self._receiver = receiver
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._post, args=(number, kept)) for number, kept in enumerate(self.acknowledged)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        """How many were acknowledged so far."""
        return sum(map(len, self.acknowledged))

    def _post(self, connection_number: int, kept: list[bytes]) -> None:
        number = connection_number * 1_000_000
        connection = self._receiver.connect()
        while not self._over.is_set():
            # Never the same one again: what came twice would have been acknowledged twice.
            number += 1
            body = payload(number)
            try:
                connection.request("POST", "/webhook", body, dict(signed(body)))
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._over.wait(0.01)
                connection = self._receiver.connect()
            else:
                if answer.status == 200:
                    kept.append(body)
                else:
                    self.refused.append(answer.status)
        connection.close()


def test_killed_under_load_everything_acknowledged_is_in_one_file_and_passed_on_in_order(tmp_path: Path) -> None:
    """WhatsApp never says again what was answered with 200."""
    chance = random.Random(SEED)  # noqa: S311 - it only has to be repeatable
    with WebhookReceiver() as bot:
        settings = {"WEBHOOK_FORWARD_URL": bot.url, "WEBHOOK_FILE_MB": "0.02", "WEBHOOK_FILE_SECONDS": "0.2"}
        receiver = ReceiverProcess(tmp_path, **settings)
        with Load(receiver) as load:
            for _ in range(KILLS):
                # Every moment may be the last, that of taking over what the one before has left among them.
                if chance.random() < 0.8:
                    receiver.start()
                    before = load.count
                    wait_until(lambda before=before: load.count > before, "an answer", longest_pause=0.02)
                    time.sleep(chance.uniform(0, 0.3))
                else:
                    receiver.launch()
                    time.sleep(chance.uniform(0.3, 0.9))
                receiver.kill()
        with receiver:
            wait_until(lambda: receiver.waiting_to_be_passed_on() == 0, "everything to be passed on")
            assert receiver.stop() == 0
        calls = [call.body for call in bot.calls]
    counts = Counter(receiver.kept())
    assert load.refused == []
    # One that was killed while it made a file has left it empty; for a minute nobody knows that nobody makes it.
    assert [path for path in receiver.hidden() if path.stat().st_size] == []
    # What was written while the receiver was killed may be there too, as whole as the rest.
    assert set(counts.values()) == {1}
    assert all(line.startswith(b'{"object"') and line.endswith(b"}") for line in counts)
    first_calls = {body: place for place, body in reversed(list(enumerate(calls)))}
    for acknowledged in load.acknowledged:
        assert acknowledged
        assert [body for body in acknowledged if body not in counts] == []
        places = [first_calls[body] for body in acknowledged]
        assert places == sorted(places)


def test_half_a_line_of_a_killed_receiver_is_cut_off_and_the_rest_is_taken(tmp_path: Path) -> None:
    """Half a payload is no payload; nobody was told that it is kept."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    whole = payload(1) + b"\n" + payload(2) + b"\n"
    (inbox / f"{BEING_WRITTEN}webhooks-1.ndjson").write_bytes(whole + payload(3)[:50])
    (inbox / f"{BEING_WRITTEN}webhooks-2.ndjson").write_bytes(bytes(200_000))
    (inbox / f"{BEING_WRITTEN}webhooks-3.ndjson").write_bytes(b"")
    (inbox / ".being-written-by-somebody-else.ndjson").write_bytes(payload(4)[:50])
    with ReceiverProcess(tmp_path) as receiver:
        wait_until(lambda: len(receiver.hidden()) == 1, "the files to be finished")
        assert receiver.stop() == 0
    assert [path.name for path in receiver.hidden()] == [".being-written-by-somebody-else.ndjson"]
    assert (inbox / "webhooks-1.ndjson").read_bytes() == whole
    assert receiver.kept() == [payload(1), payload(2)]


def test_what_cannot_be_taken_over_holds_up_nothing_else(tmp_path: Path) -> None:
    """A file of another user's would keep everything behind it hidden for ever, and whatever waits to be passed on."""
    inbox, forward = tmp_path / "inbox", tmp_path / "forward"
    for folder, name in ((inbox, f"{BEING_WRITTEN}webhooks-1.ndjson"), (forward, "payloads-1.queue")):
        (folder / name).mkdir(parents=True)  # which nobody can open to write, not even root
    (inbox / f"{BEING_WRITTEN}webhooks-2.ndjson").write_bytes(payload(1) + b"\n")
    with WebhookReceiver() as bot:
        queue = ForwardQueue(forward, most_bytes=10_000, segment_bytes=10_000)
        queue.append([Payload(payload(2), [], time.time())])
        queue.close()
        with ReceiverProcess(tmp_path, WEBHOOK_FORWARD_URL=bot.url) as receiver:
            wait_until(lambda: receiver.kept() == [payload(1)], "the file behind it")
            wait_until(lambda: len(bot.calls) == 1, "the payload behind it")
            assert receiver.stop() == 0
    assert receiver.log.count("cannot be opened") == 1


def test_two_receivers_of_one_folder_leave_each_other_alone_until_one_is_killed(tmp_path: Path) -> None:
    """One is started while the other still runs, at every upgrade without a gap."""
    with ReceiverProcess(tmp_path, WEBHOOK_FILE_SECONDS="3600") as old:
        assert old.post(payload(1)) == 200
        with ReceiverProcess(tmp_path, WEBHOOK_FILE_SECONDS="3600") as new:
            assert new.post(payload(2)) == 200
            assert old.post(payload(3)) == 200
            assert (len(old.hidden()), old.kept()) == (2, [])
            old.kill()
            # Its file is found within seconds, although nobody is started anew.
            wait_until(lambda: new.kept() == [payload(1), payload(3)], "the file of the killed one")
            assert new.stop() == 0
    assert sorted(new.kept()) == [payload(1), payload(2), payload(3)]


def test_files_come_into_the_inbox_by_their_size_and_by_their_age(tmp_path: Path) -> None:
    """One that grew for ever would never be taken in; nor would the last one of a quiet evening."""
    with ReceiverProcess(tmp_path, WEBHOOK_FILE_SECONDS="3600", WEBHOOK_FILE_MB="0.001") as receiver:
        for number in range(8):
            assert receiver.post(payload(number)) == 200
        wait_until(lambda: len(receiver.kept()) >= 6, "files that are large enough")
        receiver.kill()
    with ReceiverProcess(tmp_path, WEBHOOK_FILE_SECONDS="0.2") as receiver:
        assert receiver.post(payload(8)) == 200
        wait_until(lambda: len(receiver.kept()) == 9, "a file that is old enough")
        assert receiver.hidden() == []


def test_a_full_disk_is_answered_503_and_keeps_what_was_kept(tmp_path: Path) -> None:
    """A 200 for what the disk did not take is a lost payload; half a line in front of the next one loses two."""
    bound = 10_000
    with ReceiverProcess(tmp_path, most_bytes_a_file=bound, WEBHOOK_FILE_SECONDS="3600") as receiver:
        number = 0
        while (status := receiver.post(payload(number))) == 200:
            number += 1
        assert (status, number > 10) == (503, True)
        answer = receiver.ask("POST", "/webhook", payload(number), **signed(payload(number)))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert receiver.ask("GET", "/healthz").status == 503
        whole = b"".join(payload(each) + b"\n" for each in range(number))
        assert [path.read_bytes() for path in receiver.hidden()] == [whole]
        receiver.bound_files(10 * bound)
        assert receiver.post(payload(number)) == 200
        assert receiver.ask("GET", "/healthz").status == 200
        assert receiver.stop() == 0
    assert receiver.kept() == [payload(each) for each in range(number + 1)]
    assert "make room on the disk" in receiver.log


def test_a_file_that_somebody_deletes_is_noticed_before_the_next_answer(tmp_path: Path) -> None:
    """A program can go on writing to a deleted file for days, and everything in it would be acknowledged and gone."""
    with ReceiverProcess(tmp_path, WEBHOOK_FILE_SECONDS="3600") as receiver:
        assert receiver.post(payload(1)) == 200
        for hidden in receiver.hidden():
            hidden.unlink()
        assert receiver.post(payload(2)) == 503
        assert receiver.post(payload(2)) == 200
        assert receiver.stop() == 0
    assert receiver.kept() == [payload(2)]


def test_the_first_file_on_a_full_disk_is_none(tmp_path: Path) -> None:
    """A disk is full when the receiver is started, and well again when nobody posts."""
    with ReceiverProcess(tmp_path, most_bytes_a_file=100) as receiver:
        assert receiver.post(payload(1)) == 503
        assert receiver.ask("GET", "/healthz").status == 503
        receiver.bound_files(10_000)
        wait_until(lambda: receiver.ask("GET", "/healthz").status == 200, "the receiver to find out")
        assert receiver.stop() == 0
    assert (receiver.kept(), receiver.hidden()) == ([], [])


def test_what_the_kernel_does_not_take_is_no_part_of_the_file() -> None:
    """The real refusal of a full disk, from the device that always gives it."""
    file = LivingFile(Path("/dev/full"), os.open("/dev/full", os.O_RDWR), 0)
    with pytest.raises(OSError, match="No space left") as refused:
        file.append(b"line\n")
    assert (refused.value.errno, file.end) == (errno.ENOSPC, 0)
    file.close()


def test_a_file_that_the_disk_has_failed_is_given_up_with_what_it_had(tmp_path: Path) -> None:
    """After a failed fsync the kernel may forget what it lost: a second one that goes well proves nothing."""
    files = InboxFiles(tmp_path, most_bytes=1_000_000, most_seconds=3_600)
    files.append(b"first\n")
    (hidden,) = tmp_path.iterdir()
    descriptor = next(int(each.name) for each in Path("/proc/self/fd").iterdir() if _leads_to(each, hidden))
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, descriptor)  # it takes every byte, and cannot say that it is on a disk
    os.close(null)
    with pytest.raises(OSError, match="Invalid argument"):
        files.append(b"second\n")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first\n"]
    files.append(b"third\n")
    files.close()
    kept = sorted(tmp_path.iterdir())
    assert [path.read_bytes() for path in kept] == [b"first\n", b"third\n"]
    assert [path.name for path in kept if path.name.startswith(".")] == []


def _leads_to(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.readlink() == path
    except OSError:
        return False


def test_the_names_of_a_file_and_of_its_folders_are_on_the_disk_before_it_is_written(tmp_path: Path) -> None:
    """A power cut on the first day would take the whole inbox, with everything that was acknowledged."""
    synced: list[Path] = []

    def watch(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and called is os.fsync and "folder" in frame.f_locals:
            synced.append(frame.f_locals["folder"])

    inbox = tmp_path / "data" / "inbox"
    sys.setprofile(watch)
    try:
        LivingFile.create(inbox / "first.ndjson").close()
        LivingFile.create(inbox / "second.ndjson").close()
    finally:
        sys.setprofile(None)
    assert synced == [tmp_path, tmp_path / "data", inbox, inbox]


def test_a_file_whose_owner_lives_is_not_claimed(tmp_path: Path) -> None:
    """Also not by its own process, nor one that got another name between a look and the lock."""
    path = tmp_path / ".living.ndjson"
    file = LivingFile.create(path, b"line\n")
    assert LivingFile.claim(path) is None
    assert LivingFile.claim(tmp_path / "gone") is None
    file.close()
    claimed = LivingFile.claim(path)
    assert claimed is not None
    assert claimed.end == 5
    claimed.delete()
    assert list(tmp_path.iterdir()) == []


def test_files_that_never_got_their_name_are_taken_away_when_nobody_makes_them_any_more(tmp_path: Path) -> None:
    """A kill between making and naming leaves one; one that is being made at this moment is not locked yet."""
    old, young = tmp_path / ".being-made-1-a.ndjson", tmp_path / ".being-made-2-b.ndjson"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 600,) * 2)
    delete_unborn(tmp_path)
    assert list(tmp_path.iterdir()) == [young]
    assert left_behind(tmp_path / "nowhere", "", "") == []
