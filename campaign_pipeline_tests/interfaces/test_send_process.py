"""The process that sends a date, as the command line starts, watches and stops it; here it is a small script."""

import os
import signal
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from campaign_pipeline.interfaces.command_line import send_process
from campaign_pipeline.interfaces.command_line.send_process import SendEnd, SendFiles

_LEAVES_RESULT = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps({}))"
_STOPS_CLEANLY = """
import json, pathlib, signal, sys, time
signals = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: signals.append(number))
print("ready", flush=True)
began = time.monotonic()
while not signals and time.monotonic() - began < 20:
    time.sleep(0.05)
time.sleep(0.5)
sentence = "stopped by " + ",".join(signal.Signals(number).name for number in signals)
pathlib.Path(sys.argv[1]).write_text(json.dumps({"ok": False, "sentence": sentence}))
"""


@pytest.fixture
def files(tmp_path: Path) -> SendFiles:
    return send_process.files_for(tmp_path / "logs", date(2026, 3, 2), datetime(2026, 3, 2, 9, tzinfo=UTC))


def run(files: SendFiles, script: str, looks: list[float] | None = None) -> SendEnd:
    return send_process.run(
        [sys.executable, "-c", script, str(files.result)],
        files,
        look_every=0.1,
        on_look=lambda: looks.append(time.monotonic()) if looks is not None else None,
        on_stopping=lambda: None,
    )


def signal_us_when_ready(files: SendFiles, *numbers: signal.Signals) -> threading.Thread:
    """Sends signals to this process, as soon as the other one has said that it is ready."""

    def wait_and_signal() -> None:
        while "ready" not in files.log.read_text(encoding="utf-8"):
            time.sleep(0.05)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    files.log.touch()
    thread = threading.Thread(target=wait_and_signal)
    thread.start()
    return thread


def test_the_result_is_what_the_process_left(files: SendFiles) -> None:
    """The exit status alone cannot say how many were sent."""
    looks: list[float] = []
    result = {"ok": True, "sentence": "2026-03-02: finished."}
    end = run(files, f"import time; time.sleep(0.5); {_LEAVES_RESULT.replace('{}', repr(result))}", looks)
    assert end == SendEnd(True, "2026-03-02: finished.")
    assert looks
    assert not files.result.exists()


@pytest.mark.parametrize("fault", ["raise SystemExit('no module')", "import os; os.kill(os.getpid(), 9)"])
def test_a_process_that_dies_without_a_result_is_no_success(files: SendFiles, fault: str) -> None:
    """Killed by the system for its memory, it leaves nothing; "done" would be a lie."""
    end = run(files, f"print('last words', flush=True); {fault}")
    assert not end.ok
    assert "no result" in end.sentence
    assert "last words" in end.last_lines


def test_a_result_that_is_cut_off_is_no_success(files: SendFiles) -> None:
    """The disk was full while it was written."""
    end = run(files, "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{\"ok\": tr')")
    assert not end.ok


@pytest.mark.parametrize(
    ("number", "passed_on"),
    [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGTERM")],
)
def test_a_signal_is_passed_on_once_and_the_clean_stop_waited_for(
    files: SendFiles, number: signal.Signals, passed_on: str
) -> None:
    """Impatient people press Ctrl-C three times; the second would cut off the calls in flight."""
    thread = signal_us_when_ready(files, number, number, number)
    end = run(files, _STOPS_CLEANLY)
    thread.join()
    assert end.sentence == f"stopped by {passed_on}"


def test_handlers_are_as_before_afterwards(files: SendFiles) -> None:
    """A command that has ended its work can be interrupted like any other."""
    before = signal.getsignal(signal.SIGINT)
    run(files, "pass")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_failing_look_stops_the_process_and_waits_for_it(files: SendFiles) -> None:
    """The ledger cannot be reached any more; the sending must not go on with nobody watching."""

    def fail() -> None:
        if "ready" in files.log.read_text(encoding="utf-8"):
            raise ConnectionError

    command = [sys.executable, "-c", _STOPS_CLEANLY, str(files.result)]
    with pytest.raises(ConnectionError):
        send_process.run(command, files, look_every=0.1, on_look=fail, on_stopping=lambda: None)
    assert "SIGTERM" in files.result.read_text(encoding="utf-8")


def test_runs_started_together_do_not_share_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three terminals, one second: each has to read its own result."""
    moment = datetime(2026, 3, 2, 9, tzinfo=UTC)
    names = set()
    for process in (101, 102, 103):
        monkeypatch.setattr(os, "getpid", lambda number=process: number)
        names.add(send_process.files_for(tmp_path, date(2026, 3, 2), moment).result)
    assert len(names) == 3


def test_the_date_is_sent_by_a_process_of_its_own(files: SendFiles) -> None:
    """The command line starts without Dagster, so Dagster starts there."""
    command = send_process.command_for(date(2026, 3, 2), files)
    assert command[1:4] == ["-m", "campaign_pipeline.orchestration.send_date", "2026-03-02"]
    assert command[4:] == ["--result", str(files.result)]
