"""How long do signed webhooks wait for a durable answer, at 1,000 of them a second?

Starts the real receiver (`campaign serve --only webhooks`) in a folder of its own, posts signed payloads of one status
each at a fixed rate, and prints the median and the slowest hundredth, counted from the moment at which each was due: a
receiver that falls behind cannot hide it. Then everything acknowledged is looked for in the files of the inbox. The
second round also passes each payload on to another receiver; the third one to a receiver that never answers.

    .venv/bin/python -m benchmarks.receiver
"""

import asyncio
import collections
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from campaign_pipeline.whatsapp.signature import signature_of

RATE = int(os.environ.get("RATE", "1000"))
SECONDS = int(os.environ.get("LOAD_SECONDS", "15"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECRET = "benchmark-secret"  # noqa: S105 - of nobody
FOLDER = os.environ.get("FOLDER")
"""Where the files are written; a folder on the disk that is to be measured."""

_COMMAND = (sys.executable, "-m", "campaign_pipeline.interfaces.command_line.app", "serve", "--only", "webhooks")


def main() -> None:
    """Measures each round and prints what it found."""
    print(f"{RATE:,} signed webhooks a second for {SECONDS} seconds, {ROUNDS} times each")
    for name, sink in (("not passed on", None), ("passed on", "answers"), ("passed on to nobody", "hangs")):
        medians, slowest = [], []
        for _ in range(ROUNDS):
            waits, disk = _round(sink)
            medians.append(statistics.median(waits) * 1000)
            slowest.append(statistics.quantiles(waits, n=100)[98] * 1000)
        print(
            f"{name}: median {statistics.median(medians):.1f} ms, 99 of 100 within {statistics.median(slowest):.1f} ms"
            f"; {disk}"
        )


def _round(sink: str | None) -> tuple[list[float], str]:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, _sink(sink) as forward_url:
        environment = os.environ | {
            "CAMPAIGN_DATA_DIR": folder,
            "WHATSAPP_APP_SECRET": SECRET,
            "WEBHOOK_VERIFY_TOKEN": "benchmark",
            "WEBHOOK_FORWARD_URL": forward_url or "",
        }
        with _process([*_COMMAND, "--port", "0"], "campaign serve listens on ", environment) as (process, url):
            load = asyncio.run(_Load(int(url.rpartition(":")[2])).run())
            used = _cpu_seconds(process.pid)
        kept = collections.Counter(
            json.loads(line)["entry"][0]["changes"][0]["value"]["statuses"][0]["id"]
            for file in (Path(folder) / "inbox").iterdir()
            for line in file.read_bytes().splitlines()
        )
    wrong = [wamid for wamid in load.acknowledged if kept[wamid] != 1]
    if wrong or len(load.acknowledged) != RATE * SECONDS:
        msg = f"{len(load.acknowledged):,} were acknowledged, and {len(wrong):,} of them are not there exactly once"
        raise RuntimeError(msg)
    return load.waits, f"{len(kept):,} acknowledged, each in one file; {used / SECONDS:.0%} of a core"


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _process(
    command: list[str], announcement: str, environment: dict[str, str]
) -> Generator[tuple[subprocess.Popen[str], str], None, None]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603
        assert process.stderr is not None  # noqa: S101
        line = process.stderr.readline()
        while line and announcement not in line:
            line = process.stderr.readline()
        try:
            yield process, line.partition(announcement)[2].strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.read()


@contextlib.contextmanager
def _sink(kind: str | None) -> Generator[str | None, None, None]:
    if kind is None:
        yield None
        return
    command = [sys.executable, "-m", "benchmarks.receiver", kind]
    with _process(command, "listening on ", dict(os.environ)) as (_, url):
        yield url


class _Connection(asyncio.Protocol):
    """One kept connection; answers are told to whoever has posted on it."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._answer = b""
        self._due = 0.0
        self._wamid = ""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self)

    def post(self, due: float, wamid: str, request: bytes) -> None:
        assert self.transport is not None  # noqa: S101
        self._due, self._wamid, self._answer = due, wamid, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(b"\r\n\r\n"):
            is_taken = self._answer.startswith(b"HTTP/1.1 200 ")
            self._load.answered(self, self._due, self._wamid, is_taken=is_taken)


class _Load:
    """Posts at a fixed rate, on as many connections as are needed."""

    def __init__(self, port: int) -> None:
        self.waits: list[float] = []
        self.acknowledged: list[str] = []
        self._port = port
        self._free: list[_Connection] = []
        self._unanswered = 0

    async def run(self) -> "_Load":
        loop = asyncio.get_running_loop()
        begin = loop.time() + 0.5
        for number in range(RATE * SECONDS):
            wamid, request = _request(number)
            due = begin + number / RATE
            if (ahead := due - loop.time()) > 0:
                await asyncio.sleep(ahead)
            connection = self._free.pop() if self._free else await self._connect()
            self._unanswered += 1
            connection.post(due, wamid, request)
        last = time.monotonic() + 60
        while self._unanswered and time.monotonic() < last:
            await asyncio.sleep(0.05)
        return self

    def answered(self, connection: _Connection, due: float, wamid: str, *, is_taken: bool) -> None:
        self._unanswered -= 1
        self._free.append(connection)
        self.waits.append(asyncio.get_running_loop().time() - due)
        if is_taken:
            self.acknowledged.append(wamid)

    def lost(self, connection: _Connection) -> None:
        if connection in self._free:
            self._free.remove(connection)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port))[1]


def _request(number: int) -> tuple[str, bytes]:
    wamid = f"wamid.HBgMNDQ3OTExMDAwMDAwFQIAERgS{number:012d}"
    status = {
        "id": wamid,
        "status": "delivered",
        "timestamp": "1772445600",
        "recipient_id": "447911000000",
        "biz_opaque_callback_data": f"attempt-{number}",
        "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
    }
    metadata = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [status]}
    payload = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    }
    body = json.dumps(payload, separators=(",", ":")).encode()
    head = (
        "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: facebookexternalua\r\nContent-Type: application/json"
        f"\r\nContent-Length: {len(body)}\r\nX-Hub-Signature-256: {signature_of(body, SECRET)}\r\n\r\n"
    )
    return wamid, head.encode() + body


class _Sink(asyncio.Protocol):
    """Another receiver: it answers whatever comes, or never."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # Each payload comes in one piece: it is small, and sent at once.
        if self._answers and data and self._transport is not None:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def _serve_sink(*, answers: bool) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Sink(answers=answers), "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bot", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_serve_sink(answers=sys.argv[1] == "answers"))
    else:
        main()
