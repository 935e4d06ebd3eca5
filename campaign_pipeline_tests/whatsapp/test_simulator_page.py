"""The page at GET /simulator, which a person reads: everything on it, nothing from elsewhere, nothing unescaped."""

import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options
from campaign_pipeline_tests.whatsapp.test_simulator_server import send


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    options = simulator_options(tmp_path, read_after=3600, messaging_limit=250)
    with SimulatorProcess(options) as process:
        yield process


def page_of(simulator: SimulatorProcess) -> str:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{simulator.base_url}/simulator", timeout=300)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def test_an_empty_simulator_shows_an_empty_page(simulator: SimulatorProcess) -> None:
    """The first thing that anyone sees must not be an error."""
    page = page_of(simulator)
    assert "None yet." in page
    assert "0 of 250" in page


def test_the_page_shows_messages_faults_and_what_is_to_come(simulator: SimulatorProcess) -> None:
    """Without it, who tries the pipeline has to believe that something arrived."""
    wamid = send(simulator, "+447700900601").json()["messages"][0]["id"]
    simulator.fault("held", next=1)
    send(simulator, "+447700900602")
    simulator.fault("failed", to="+447700900603", code=131049)
    simulator.fault("lost_answer", share=0.25)
    page = page_of(simulator)
    for shown in ("+447700900601", "447700900601", "spring_sale (en_GB)", "attempt-1", wamid, "2 of 250"):
        assert f">{shown}<" in page
    assert "2871834006348767 · Ada · STOP_MARKETING" in page
    assert "every request to +447700900603" in page
    assert "failed:131049" in page
    assert "25.0% of all requests" in page
    assert re.search(r"<dt>Held for assessment</dt><dd>1</dd>", page)
    assert re.search(r"<td>read</td><td>1</td>", page)


def test_only_the_last_hundred_messages_are_shown_newest_first(simulator: SimulatorProcess) -> None:
    """Ten thousand rows make a page that no browser likes, and the news stand at the end of it."""
    for number in range(101):
        send(simulator, f"+447700901{number:03}")
    page = page_of(simulator)
    shown = re.findall(r"<td>\+447700901(\d{3})</td>", page)
    assert shown == [f"{number:03}" for number in range(100, 0, -1)]


def test_what_a_sender_wrote_cannot_become_part_of_the_page(simulator: SimulatorProcess) -> None:
    """A parameter is text of strangers; on the page of whoever looks it must stay text."""
    send(simulator, "+447700900604", biz_opaque_callback_data="<script>alert(1)</script>")
    page = page_of(simulator)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_loads_nothing_and_knows_light_and_dark(simulator: SimulatorProcess) -> None:
    """It is read on machines without a network, and at night."""
    page = page_of(simulator)
    assert not re.findall(r"(?:src|href)=|@import|url\(", page)
    assert "color-scheme: light dark" in page


def test_every_example_on_the_page_works(simulator: SimulatorProcess) -> None:
    """An example that is refused is worse than none."""
    (examples,) = re.findall(r"<pre>(.*?)</pre>", page_of(simulator), flags=re.DOTALL)
    commands = [line for line in unescape(examples).replace("\\\n", "").splitlines() if line.startswith("curl")]
    assert len(commands) > 10
    with requests.Session() as session:
        session.trust_env = False
        for command in commands:
            words = shlex.split(command)
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            body = words[words.index("-d") + 1] if "-d" in words else None
            (url,) = (word for word in words if word.startswith(simulator.base_url))
            answer = session.request(method, url, data=body, headers={"Content-Type": "application/json"}, timeout=300)
            assert answer.ok, f"{command}: {answer.text}"
