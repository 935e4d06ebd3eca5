"""The simulator as a real server in its own process, seen from a `requests` client."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.exceptions import ProtocolError

from campaign_pipeline.whatsapp.simulator.options import command_for
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.simulator_start import ByCommand
from campaign_pipeline_tests.whatsapp.test_simulator_judge import payload


def send(simulator: SimulatorProcess, to: str, *, timeout: float = 10, **changes: object) -> requests.Response:
    options = simulator.options
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{simulator.base_url}/v25.0/{options.phone_number_id}/messages",
            json=payload(to=to, **changes),
            headers={"Authorization": f"Bearer {options.access_token}"},
            timeout=timeout,
            allow_redirects=False,
        )


def recorded(simulator: SimulatorProcess, to: str) -> int:
    return sum(message["to"] == to for message in simulator.messages())


def statuses_in(inbox: Path) -> list[dict[str, Any]]:
    lines = [line for file in sorted(inbox.glob("*.ndjson")) for line in file.read_text().splitlines()]
    values = [json.loads(line)["entry"][0]["changes"][0]["value"] for line in lines]
    return [status for value in values for status in value.get("statuses", [])]


def test_an_accepted_message_is_answered_as_meta_does_and_recorded(simulator: SimulatorProcess) -> None:
    """The plain case; if it is wrong, nothing else here means anything."""
    answer = send(simulator, "+447700900001", biz_opaque_callback_data="attempt-77")
    message = simulator.messages()[-1]
    assert answer.status_code == 200
    assert answer.json() == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+447700900001", "wa_id": "447700900001"}],
        "messages": [{"id": message["wamid"], "message_status": "accepted"}],
    }
    assert message["biz_opaque_callback_data"] == "attempt-77"
    assert message["components"] == payload()["template"]["components"]


def test_a_refusal_reaches_the_client_and_leaves_no_record(simulator: SimulatorProcess) -> None:
    """A refused message in the record would accuse the sender of reaching someone it did not reach."""
    answer = send(simulator, "+447700900002", type="text")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 131051)
    assert recorded(simulator, "+447700900002") == 0


def test_the_same_message_twice_goes_out_twice(simulator: SimulatorProcess) -> None:
    """Meta knows no idempotency key; a simulator that forgives a duplicate could never show one."""
    for _ in range(2):
        assert send(simulator, "+447700900003").status_code == 200
    assert {"to": "+447700900003", "template": "spring_sale", "count": 2} in simulator.report()["reached_twice"]


def test_a_lost_answer_ends_the_connection_after_the_message_went_out(simulator: SimulatorProcess) -> None:
    """The case that all of this exists for: the person has the message, and the sender cannot know."""
    simulator.fault("lost_answer", next=1)
    with pytest.raises(requests.ConnectionError) as failure:
        send(simulator, "+447700900004")
    (reason,) = failure.value.args
    assert isinstance(reason, ProtocolError)
    assert isinstance(reason.args[1], RemoteDisconnected)
    assert recorded(simulator, "+447700900004") == 1
    assert send(simulator, "+447700900005").status_code == 200


def test_a_reset_breaks_the_connection_before_anything_was_accepted(simulator: SimulatorProcess) -> None:
    """To the sender it looks like a lost answer; only the record knows that nobody was reached."""
    simulator.fault("reset_before", to="+447700900006")
    for _ in range(2):
        with pytest.raises(requests.ConnectionError) as failure:
            send(simulator, "+447700900006")
        (reason,) = failure.value.args
        assert isinstance(reason.args[1], ConnectionResetError)
    assert recorded(simulator, "+447700900006") == 0


@pytest.mark.parametrize(
    ("kind", "accepted", "status", "code", "times_recorded"),
    [
        ("server_error", None, 500, 131000, 0),
        ("server_error", True, 500, 131000, 1),
        ("throttle", None, 400, 130429, 0),
        ("refused", None, 400, 131026, 0),
        ("account", None, 401, 190, 0),
    ],
)
def test_a_fault_with_a_graph_error_shows_its_status_and_code(
    simulator: SimulatorProcess, kind: str, accepted: bool | None, status: int, code: int, times_recorded: int
) -> None:
    """The sender decides by status and code whether it may try again; a wrong pair would train it wrongly."""
    before = simulator.report()["accepted"]
    simulator.fault(kind, next=1, accepted=accepted)
    answer = send(simulator, "+447700900007")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert simulator.report()["accepted"] == before + times_recorded


def test_a_200_without_a_wamid_says_nothing_though_the_message_went_out(simulator: SimulatorProcess) -> None:
    """A sender that counts this as not sent would send it again."""
    simulator.fault("no_wamid", next=1)
    answer = send(simulator, "+447700900008")
    assert answer.status_code == 200
    assert "messages" not in answer.json()
    assert recorded(simulator, "+447700900008") == 1


def test_html_and_redirects_come_from_something_that_is_not_the_graph_api(simulator: SimulatorProcess) -> None:
    """A proxy's page carries no Graph error: a client that parses blindly crashes, one that follows sends twice."""
    simulator.fault("html", next=1)
    page = send(simulator, "+447700900009")
    simulator.fault("redirect", next=1)
    redirect = send(simulator, "+447700900009")
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (502, "text/html")
    assert redirect.status_code == 302
    assert redirect.headers["Location"].endswith("/messages")
    assert recorded(simulator, "+447700900009") == 0


def test_a_slow_answer_comes_after_its_seconds_and_holds_up_nobody_else(simulator: SimulatorProcess) -> None:
    """One slow call must run into the sender's timeout alone, and its message still goes out."""
    simulator.fault("slow", to="+447700900010", seconds=3.0)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(send, simulator, "+447700900010", timeout=1.0)
        simulator.wait_for_unanswered(1)
        assert send(simulator, "+447700900011").status_code == 200
        with pytest.raises(requests.ReadTimeout):
            slow.result()
    assert recorded(simulator, "+447700900010") == 1


def test_answers_that_are_held_back_are_recorded_and_come_at_the_release(simulator: SimulatorProcess) -> None:
    """Tests kill the sender with calls in flight; the calls must be known to have arrived, and still be open."""
    simulator.hold()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(send, simulator, f"+44770090002{number}") for number in range(3)]
        simulator.wait_for_unanswered(3)
        assert [recorded(simulator, f"+44770090002{number}") for number in range(3)] == [1, 1, 1]
        assert not any(call.done() for call in calls)
        simulator.release()
        assert [call.result().status_code for call in calls] == [200, 200, 200]
    assert not simulator.health()["holding"]


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "slow"},
        {"kind": "slow", "share": 0.5, "next": 1},
        {"kind": "sloth", "next": 1},
        {"kind": "throttle", "next": 1, "accepted": True},
    ],
)
def test_an_order_for_a_fault_that_makes_no_sense_is_refused(
    simulator: SimulatorProcess, order: dict[str, Any]
) -> None:
    """An order that is silently dropped leaves a test that passes because nothing went wrong."""
    with pytest.raises(ValueError, match="refused POST faults"):
        simulator.fault(**order)


def test_counts_survive_a_kill_and_the_server_comes_back_on_its_port(tmp_path: Path) -> None:
    """The witness must outlive the server, or a duplicate across its restart is never seen."""
    with SimulatorProcess(simulator_options(tmp_path), ByCommand) as simulator:
        first = send(simulator, "+447700900001").json()["messages"][0]["id"]
        address = simulator.base_url
        simulator.kill()
        simulator.start()
        second = send(simulator, "+447700900001").json()["messages"][0]["id"]
        assert simulator.base_url == address
        assert [message["wamid"] for message in simulator.messages()] == [first, second]
        assert simulator.report()["reached_twice"] == [{"to": "+447700900001", "template": "spring_sale", "count": 2}]


def test_every_status_arrives_once_in_files_that_were_never_seen_half_written(tmp_path: Path) -> None:
    """A reader that takes half a file loses its last status for good, for files are remembered by their hash."""
    inbox = tmp_path / "inbox"
    seen: dict[str, bytes] = {}
    changed: list[str] = []
    finished = threading.Event()

    def watch() -> None:
        while not finished.is_set():
            for file in inbox.glob("[!.]*"):
                content = file.read_bytes()
                if seen.setdefault(file.name, content) != content:
                    changed.append(file.name)

    options = simulator_options(tmp_path, delivered_after=0.1, read_after=0.2, latency=0.01)
    with SimulatorProcess(options) as simulator:
        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(40):
            send(simulator, f"+4477009000{number:02}")
        simulator.wait_for_statuses()
        finished.set()
        watcher.join()
        wamids = [message["wamid"] for message in simulator.messages()]
    arrived = sorted((status["id"], status["status"]) for status in statuses_in(inbox))
    assert arrived == sorted((wamid, status) for wamid in wamids for status in ("sent", "delivered", "read"))
    assert changed == []
    assert all(name.startswith("statuses-") and name.endswith(".ndjson") for name in seen)
    assert len(seen) > 1
    assert list(inbox.glob(".*")) == []


def test_a_request_that_breaks_off_before_its_end_is_no_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A killed sender leaves half a request: taken for a message, or for an error, it hides what was received."""
    with SimulatorProcess(simulator_options(tmp_path), ByCommand) as simulator:
        host, port = simulator.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            path = f"/v25.0/{simulator.options.phone_number_id}/messages"
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n{{".encode())
        assert send(simulator, "+447700900003").status_code == 200
        assert [message["to"] for message in simulator.messages()] == ["+447700900003"]
        assert simulator.stop() == 0
    assert capfd.readouterr().err == ""


def test_a_stop_lets_go_of_held_calls_and_writes_the_statuses_that_are_due(tmp_path: Path) -> None:
    """A server that waits for held calls never stops, and one that forgets due statuses leaves people unsettled."""
    options = simulator_options(tmp_path, flush_interval=60, read_after=3600)
    with SimulatorProcess(options, ByCommand) as simulator, ThreadPoolExecutor(1) as pool:
        send(simulator, "+447700900001")
        simulator.hold()
        held = pool.submit(send, simulator, "+447700900002")
        simulator.wait_for_unanswered(1)
        assert simulator.health()["statuses_pending"] == 6
        started = time.monotonic()
        assert simulator.stop() == 0
        assert time.monotonic() - started < 30
        assert isinstance(held.exception(), requests.ConnectionError)
    assert sorted(status["status"] for status in statuses_in(tmp_path / "inbox")) == ["delivered"] * 2 + ["sent"] * 2


def test_a_server_that_cannot_write_statuses_stops_instead_of_losing_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A full disk that nobody notices looks like a campaign that nobody received."""
    (tmp_path / "inbox").write_text("a file where the folder should be")
    with SimulatorProcess(simulator_options(tmp_path), ByCommand) as simulator:
        send(simulator, "+447700900001")
        deadline = time.monotonic() + 60
        with pytest.raises(requests.ConnectionError):
            while time.monotonic() < deadline:
                simulator.health()
        assert simulator.end_by_itself() != 0
    assert "inbox" in capfd.readouterr().err


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_nothing_but_the_address_is_said_on_stdout_and_a_signal_ends_it_well(tmp_path: Path, stop_signal: int) -> None:
    """Programs read the address from the first line and take any other exit code than 0 for a crash."""
    command = command_for(simulator_options(tmp_path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(stop_signal)
        rest, errors = process.communicate(timeout=300)
    assert re.fullmatch(r"simulator listening on http://127\.0\.0\.1:[0-9]+\n", line)
    assert (rest, errors, process.returncode) == ("", "", 0)


def test_the_simulator_loads_neither_dagster_nor_the_ledger() -> None:
    """A judge that shares code with the accused proves nothing, and a demo waits for every import."""
    code = (
        "import sys, campaign_pipeline.whatsapp.simulator.server as _;"
        "print(sorted({'dagster', 'pandas', 'sqlalchemy', 'requests', 'campaign_pipeline.ledger'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
