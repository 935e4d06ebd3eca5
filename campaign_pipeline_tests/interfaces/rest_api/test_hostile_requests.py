"""Whatever is sent, the answer is a refusal or harmless: too much, too slow, broken, or meant to be run elsewhere."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from campaign_pipeline.interfaces.rest_api.bodies import LARGE, SMALL
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.waiting import PATIENCE

CAMPAIGNS: Final = "/marketing/campaigns"
PEOPLE: Final = f"{CAMPAIGNS}/1/recipients"
FIVE_GIGABYTES: Final = 5 * 1024**3


@contextmanager
def _connected(url: str) -> Iterator[socket.socket]:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        yield connection


def _head(api_token: str, path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: api", f"Authorization: Bearer {api_token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _all_of(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


@pytest.mark.parametrize(
    ("path", "kind"), [(CAMPAIGNS, "application/json"), (PEOPLE, "application/json"), (PEOPLE, "text/csv")]
)
def test_five_gigabytes_are_refused_before_they_are_sent(api: ServedApi, path: str, kind: str) -> None:
    """Read first, they fill the memory or the disk."""
    api.must(CAMPAIGNS, SPRING)
    token = api.tokens[ApiRole.OPERATOR]
    with _connected(api.url) as connection:
        connection.sendall(_head(token, path, f"Content-Type: {kind}", f"Content-Length: {FIVE_GIGABYTES}"))
        answer = _all_of(connection)
    assert _status(answer) == 413
    assert b"text/csv" in answer


@pytest.mark.parametrize(("kind", "limit"), [("application/json", LARGE), ("text/csv", 50_000)])
def test_a_body_without_end_is_refused_once_it_is_too_long(installation: Installation, kind: str, limit: int) -> None:
    """Whoever does not say how long it is could go on until the disk is full."""
    installation.set("CAMPAIGN_UPLOAD_LIMIT", "50000")
    with ServedApi(installation.clock) as api:
        api.must(CAMPAIGNS, SPRING)
        token = api.tokens[ApiRole.OPERATOR]
        block = b"a" * 65_536
        with _connected(api.url) as connection:
            connection.sendall(_head(token, PEOPLE, f"Content-Type: {kind}", "Transfer-Encoding: chunked"))
            sent = 0
            try:
                while sent < limit + 64 * len(block):
                    connection.sendall(b"%x\r\n%s\r\n" % (len(block), block))
                    sent += len(block)
                answer = _all_of(connection)
            except (BrokenPipeError, ConnectionResetError):
                # It is gone before everything was sent, which is what is asked of it.
                answer = b"HTTP/1.1 413"
        assert _status(answer) == 413
    assert list((installation.folder / "data" / "uploads").glob("*")) == []


def test_a_body_that_breaks_off_leaves_nothing(api: ServedApi, installation: Installation) -> None:
    """A disk that fills with half lists, one for every lost connection."""
    api.must(CAMPAIGNS, SPRING)
    token = api.tokens[ApiRole.OPERATOR]
    with _connected(api.url) as connection:
        connection.sendall(_head(token, PEOPLE, "Content-Type: text/csv", "Content-Length: 1000") + b"phone\n")
    assert api.must(f"{PEOPLE}", data=b"phone\n", headers={"Content-Type": "text/csv"})["read"] == 0
    assert list((installation.folder / "data" / "uploads").glob("*")) == []
    assert len(list((installation.folder / "data" / "kept").iterdir())) == 1


_BOUNDED = """
import sys
from campaign_pipeline.interfaces.listening import Bounds, listen
from campaign_pipeline.interfaces.rest_api.app import build_app
from campaign_pipeline.interfaces.workplace import Workplace
listen(
    build_app(Workplace()), host="127.0.0.1", port=0, bounds=Bounds(head=0.5, body=0.5),
    announce=lambda url: print(url, flush=True),
)
"""


def test_a_slow_body_does_not_hold_a_place(api: ServedApi) -> None:
    """A thousand connections that send a byte a minute, and nobody else gets an answer."""
    api.must(CAMPAIGNS, SPRING)
    with subprocess.Popen([sys.executable, "-c", _BOUNDED], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            head = _head(api.tokens[ApiRole.OPERATOR], PEOPLE, "Content-Type: text/csv", "Content-Length: 1000")
            with _connected(server.stdout.readline().strip()) as connection:
                connection.sendall(head + b"phone\n")
                assert _status(_all_of(connection)) == 408
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


HOSTILE_NAMES: Final = (
    "Robert'); DROP TABLE marketing_campaigns;--",
    "<script>alert(document.cookie)</script>",
    "=cmd|' /C calc'!A0",
    "{{7*7}} ${jndi:ldap://x} %s %n",
    "../../etc/passwd",
    "a\u202eevil\u200b",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_a_program_elsewhere_is_a_name_here(api: ServedApi, name: str) -> None:
    """SQL, HTML and formulas are text: kept as they came, and given back as data that no browser runs."""
    parameters = [{"name": "first_name", "fixed": name}]
    made = api.post(CAMPAIGNS, {**SPRING, "name": name, "parameters": parameters})
    assert made.status_code == 201, made.text
    assert made.headers["Content-Type"] == "application/json"
    found = api.get(f"{CAMPAIGNS}/{made.json()['slug']}").json()
    assert (found["name"], found["parameters"]) == (name, parameters)
    assert len(api.get(CAMPAIGNS).json()["campaigns"]) == 1


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_list_may_be_called_anything(api: ServedApi, installation: Installation, name: str) -> None:
    """Its name becomes a file's, in the folder of lists and nowhere else."""
    api.must(CAMPAIGNS, SPRING)
    before = {path for path in installation.folder.rglob("*") if path.is_file()}
    answer = api.ask(
        "POST", PEOPLE, params={"list_name": name}, data=b"phone\n1\n", headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 200, answer.text
    made = {path for path in installation.folder.rglob("*") if path.is_file()} - before
    assert {path.parent.name for path in made} == {"kept", "rejected"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'"Spring"', 422),
        (b"[" * (SMALL - 1), 400),
        (b'{"a":' * 10_000, 400),
        (b'{"name": "a\\ud800b", "template_name": "t"}', 422),
        (b'{"name": "a\\u0000b", "template_name": "t"}', 422),
        (b'{"name": "a", "template_name": "t", "priority": %s}' % (b"9" * 30), 422),
        (b'{"name": "a", "template_name": "t", "priority": %s}' % (b"9" * 5_000), 400),
        (b'{"name": "a", "template_name": "t", "priority": 1e400}', 422),
        (b'{"name": "a", "template_name": "t", "priority": NaN}', 400),
        (b'{"name": "a", "template_name": "t", "priority": true}', 422),
        (b'{"name": "a", "name": "b", "template_name": "t"}', 400),
        (b'{"name": "a", "template_name": "t", "owner": "me"}', 422),
        (b'{"name": "a", "template_name": "t", "daily_send_limit": "250"}', 422),
        (b'{"name": "a", "template_name": "t", "daily_send_limit": 0}', 422),
        (b"a" * (SMALL + 1), 413),
    ],
)
def test_a_broken_body_is_refused(api: ServedApi, body: bytes, status: int) -> None:
    """An error of the program instead of a refusal is where attackers begin to look."""
    refused = api.ask("POST", CAMPAIGNS, data=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == status, refused.text
    assert refused.json()["detail"]
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/marketing/campaigns/9223372036854775808", {404}),
        ("/marketing/campaigns/" + "9" * 100, {404}),
        ("/marketing/campaigns/" + "9" * 5_000, {422}),
        ("/marketing/campaigns/-1", {422}),
        ("/marketing/campaigns/%00", {422}),
        ("/marketing/campaigns/%ff%fe", {422}),
        ("/marketing/campaigns/1%20OR%201=1", {422}),
        ("/marketing/campaigns/..%2f..%2fetc%2fpasswd", {404}),
        ("/marketing/campaigns/1/", {404}),
        ("/marketing/campaigns?limit=0", {422}),
        ("/marketing/campaigns?limit=99999999999999999999", {422}),
        ("/marketing/campaigns?limit=1%00", {422}),
        ("/marketing/campaigns?sort=id;DROP", {422}),
        ("/marketing/campaigns?unknown=1", {422}),
        ("/marketing/campaigns?status=%ff", {422}),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(api: ServedApi, path: str, statuses: set[int]) -> None:
    """Ids beyond what the database counts to, and text where a number stands."""
    refused = api.get(path)
    assert refused.status_code in statuses, refused.text
    assert refused.json()["detail"]


def test_headers_of_any_bytes_do_no_harm(api: ServedApi) -> None:
    """Not everything that a header may hold is text."""
    token = api.tokens[ApiRole.OPERATOR]
    body = json.dumps(SPRING).encode()
    with _connected(api.url) as connection:
        head = _head(token, CAMPAIGNS, f"Content-Length: {len(body)}", "Connection: close")[:-2]
        odd = b"Content-Type: application/json; charset=\xff\xfe\r\nX-Odd: \x80\xff\r\nUser-Agent: \xc3\r\n\r\n"
        connection.sendall(head + odd + body)
        assert _status(_all_of(connection)) == 201


def test_no_phone_number_comes_into_a_log(
    api: ServedApi, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs are kept for longer, and read by more people, than the ledger."""
    caplog.set_level("DEBUG", logger="campaign_pipeline")
    api.must(CAMPAIGNS, SPRING)
    api.must(PEOPLE, {"phone_numbers": [phone(1), phone(1), "nonsense"]})
    api.post(PEOPLE, {"phone_numbers": [phone(2)], "other": phone(3)})
    api.get(f"/marketing/campaigns/{phone(4)}")
    captured = capfd.readouterr()
    for number in range(1, 5):
        assert phone(number)[1:] not in caplog.text + captured.out + captured.err
