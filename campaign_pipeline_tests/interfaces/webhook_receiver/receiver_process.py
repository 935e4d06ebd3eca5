"""The webhook receiver of a test: `campaign serve` in a process of its own, with a folder of its own.

Add here how a test starts it, posts to it and looks at what it has kept. Keep out expectations.
"""

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from campaign_pipeline.whatsapp.signature import signature_of
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

SECRET: Final = "app-secret-0123456789"
VERIFY_TOKEN: Final = "a-word-of-our-own"
ANNOUNCEMENT: Final = "campaign serve listens on http://"

_COMMAND: Final = (sys.executable, "-m", "campaign_pipeline.interfaces.command_line.app", "serve", "--only", "webhooks")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver has answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class ReceiverProcess:
    """A receiver that runs while the `with` block does.

    Attributes:
        folder: Its data folder.
        port: Where it listens; 0 when it does not run.
        log: What it has said on stderr since its last start, once it has ended.
    """

    def __init__(self, folder: Path, *, port: int = 0, most_bytes_a_file: int | None = None, **settings: str) -> None:
        """Prepares a receiver.

        Args:
            folder: Its data folder.
            port: 0 takes any that is free.
            most_bytes_a_file: No file may be larger, as on a disk that is full; None has no bound.
            settings: Environment variables; an empty one is not set.
        """
        self.folder = folder
        self.port = port
        self.log = ""
        self._wanted_port = port
        self._most_bytes_a_file = most_bytes_a_file
        ours = ("CAMPAIGN_", "WHATSAPP_", "WEBHOOK_")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment |= {
            "CAMPAIGN_DATA_DIR": str(folder),
            # A ledger that nobody can reach: the receiver must not care.
            "CAMPAIGN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "WHATSAPP_APP_SECRET": SECRET,
            "WEBHOOK_VERIFY_TOKEN": VERIFY_TOKEN,
        }
        self._environment |= settings
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the running receiver."""
        return self._running().pid

    @property
    def inbox(self) -> Path:
        """Where its files go."""
        return self.folder / "inbox"

    @property
    def said(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.launch()
        wait_until(lambda: ANNOUNCEMENT in self.said or self._running().poll() is not None, "the receiver to listen")
        assert ANNOUNCEMENT in self.said, self.said
        self.port = int(self.said.partition(ANNOUNCEMENT)[2].split()[0].rpartition(":")[2])

    def launch(self) -> None:
        """Starts it without waiting."""
        assert self._process is None
        self._lines = []
        command = [*_COMMAND, "--port", str(self._wanted_port)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=self._environment)
        if self._most_bytes_a_file is not None:
            self.bound_files(self._most_bytes_a_file, process.pid)
        self._process = process
        stream, lines = process.stderr, self._lines
        assert stream is not None
        self._reader = threading.Thread(target=lambda: lines.extend(iter(stream.readline, "")))
        self._reader.start()

    def bound_files(self, most_bytes: int, pid: int | None = None) -> None:
        """Lets no file become larger than so many bytes, from now on: the kernel refuses, as for a full disk."""
        resource.prlimit(pid or self.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

    def stop(self) -> int:
        """Stops it with SIGTERM; gives its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """Kills it as a lost machine would; nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> int:
        """Waits until it has ended; gives its exit status."""
        process = self._running()
        status = process.wait(PATIENCE)
        assert self._reader is not None
        self._reader.join()
        assert process.stderr is not None
        process.stderr.close()
        self.log = self.said
        # Somebody else may listen there next.
        self.port = 0
        self._process = None
        return status

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """Makes one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def post(self, body: bytes, secret: str = SECRET) -> int:
        """Posts a signed body; gives the status of the answer."""
        return self.ask("POST", "/webhook", body, **signed(body, secret)).status

    def kept(self) -> list[bytes]:
        """The lines of the files that ingestion would take in, in the order of their names."""
        files = sorted(path for path in self.inbox.iterdir() if not path.name.startswith("."))
        return [line for path in files for line in path.read_bytes().splitlines()]

    def hidden(self) -> list[Path]:
        """Files of the inbox that are still being written, or were left behind."""
        return [path for path in self.inbox.iterdir() if path.name.startswith(".")]

    def waiting_to_be_passed_on(self) -> int:
        """Bytes, as it says by itself."""
        return json.loads(self.ask("GET", "/healthz").body)["forwards_waiting_bytes"]

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process


def signed(body: bytes, secret: str = SECRET) -> Mapping[str, str]:
    """The headers that Meta sends with a body."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "facebookexternalua",
        "X-Hub-Signature-256": signature_of(body, secret),
    }


def payload(number: int, name: str = "delivered") -> bytes:
    """A webhook of one status, different for each number."""
    status = {"id": f"wamid.{number:08d}", "status": name, "timestamp": "1772445600", "recipient_id": "447911123456"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "statuses": [status],
    }
    change = {"value": value, "field": "messages"}
    document = {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [change]}]}
    return json.dumps(document, separators=(",", ":")).encode()
