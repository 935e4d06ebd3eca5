"""The Cloud API's client: what is certain after a call, and nothing made up."""

import json
import logging
import socket
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.whatsapp.account import CloudApiAccount, cloud_api_of, is_this_machine
from campaign_pipeline.whatsapp.client import Answer, AnswerKind, CloudApiClient, read_answer
from campaign_pipeline.whatsapp.messages import TemplateMessage
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess
from campaign_pipeline_tests.whatsapp.test_connection import Wire, http, read_request, wire

MESSAGE = TemplateMessage("+447911000001", "spring_sale", "en_US", {"who": "Ada"}, "attempt-1")
ACCEPTED, REFUSED, NOT_SENT, UNKNOWN = AnswerKind
TOKEN = "EAAG-secret-token"


@contextmanager
def client_of(base_url: str, token: str = TOKEN) -> Generator[CloudApiClient]:
    client = CloudApiClient(CloudApiAccount(base_url, "v25.0", "106540352242922", token), connections=2)
    try:
        yield client
    finally:
        client.close()


def answering(answer: bytes) -> AbstractContextManager[Wire]:
    """A server that gives every request the same answer."""

    def behave(connection: socket.socket, server: Wire) -> None:
        while read_request(connection, server):
            connection.sendall(answer)

    return wire(behave)


def error(code: object, **more: object) -> dict[str, object]:
    return {"error": {"message": "(#1) Something", "code": code, **more}}


def taken(**more: object) -> dict[str, object]:
    return {"messages": [{"id": "wamid.1", **more}], "contacts": [{"input": "+44", "wa_id": "44"}]}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, taken(), ACCEPTED, None),
        (200, {"messages": [{"id": "wamid.1"}]}, ACCEPTED, None),
        (200, {"messages": [{"id": "wamid.1"}], "contacts": "odd"}, ACCEPTED, None),
        (200, {"messages": [{"id": "wamid.1"}], "contacts": [{"user_id": "US.1"}]}, ACCEPTED, None),
        (200, {"messages": []}, UNKNOWN, None),
        (200, {"messages": [{}]}, UNKNOWN, None),
        (200, {"messages": [{"id": ""}]}, UNKNOWN, None),
        (200, {"messages": [{"id": 7}]}, UNKNOWN, None),
        (200, {"messages": {"id": "wamid.1"}}, UNKNOWN, None),
        (200, ["wamid.1"], UNKNOWN, None),
        (200, None, UNKNOWN, None),
        (200, error(131026), UNKNOWN, None),
        (201, taken(), UNKNOWN, None),
        (202, None, UNKNOWN, None),
        (204, None, UNKNOWN, None),
        (302, error(131026), UNKNOWN, 131026),
        (400, error(131026), REFUSED, 131026),
        (400, error("132015"), REFUSED, 132015),
        (401, error(190), REFUSED, 190),
        (404, error(132001), REFUSED, 132001),
        (429, error(80007), REFUSED, 80007),
        (499, error(0), REFUSED, 0),
        (400, {"error": {"code": 100}}, REFUSED, 100),
        (400, error(True), UNKNOWN, None),
        (400, error("many"), UNKNOWN, None),
        (400, error("²"), UNKNOWN, None),
        (400, error(None), UNKNOWN, None),
        (400, error(1.5), UNKNOWN, None),
        (400, {"error": "no"}, UNKNOWN, None),
        (400, {"error": [131026]}, UNKNOWN, None),
        (400, {}, UNKNOWN, None),
        (400, None, UNKNOWN, None),
        (408, None, UNKNOWN, None),
        (500, error(131000), UNKNOWN, 131000),
        (500, error(131026), UNKNOWN, 131026),
        (502, None, UNKNOWN, None),
        (503, error(2), UNKNOWN, 2),
    ],
)
def test_an_http_answer_is_read_for_what_is_certain(
    status: int, body: object, kind: AnswerKind, code: int | None
) -> None:
    """Only a 200 with a wamid is a yes, only a 4xx with a Graph error is a no; the rest is nobody's guess."""
    answer = read_answer(status, body)
    assert (answer.kind, answer.error_code, answer.http_status) == (kind, code, status)
    assert (answer.wamid is not None) == (kind is ACCEPTED)
    assert (answer.error_text is None) == (kind is ACCEPTED)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["\0", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "messages", "contacts", "id", "message"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 599), body=_json)
def test_no_json_whatever_makes_the_reading_fail_or_say_yes_without_a_wamid(status: int, body: object) -> None:
    """An exception here is a call whose answer is lost, though it has come."""
    answer = read_answer(status, body)
    if answer.kind is ACCEPTED:
        assert status == 200
        assert isinstance(body, dict)
        assert body["messages"][0]["id"] == answer.wamid
    if answer.kind is REFUSED:
        assert 400 <= status < 500
        assert answer.error_code is not None


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
def test_an_answer_holds_no_text_that_the_ledger_cannot_keep(odd: str) -> None:
    """PostgreSQL takes no NUL and no half of a character: recording this one answer would fail, and all beside it."""
    answers = [
        read_answer(400, {"error": {"code": 131026, "message": odd, "error_data": {"details": odd}}}),
        read_answer(200, {"messages": [{"id": "wamid.1", "message_status": odd}], "contacts": [{"wa_id": odd}]}),
    ]
    assert [answer.kind for answer in answers] == [REFUSED, ACCEPTED]
    for answer in answers:
        for text in (answer.error_text, answer.wamid, answer.wa_id, answer.message_status):
            assert "\0" not in (text or "")
            (text or "").encode()
    assert read_answer(200, {"messages": [{"id": odd}]}).kind is UNKNOWN


def test_what_an_acceptance_says_is_kept() -> None:
    """The wamid joins the webhooks; the wa_id may differ from the number; held messages are in flight."""
    answer = read_answer(200, taken(message_status="held_for_quality_assessment"))
    assert answer == Answer(ACCEPTED, 200, None, None, "wamid.1", "44", "held_for_quality_assessment")


def test_a_refusal_keeps_metas_words() -> None:
    """The details are what tells a person what to mend."""
    answer = read_answer(400, error(132000, error_data={"details": "body: 1 of 3"}, fbtrace_id="x"))
    assert answer.error_text == "(#1) Something: body: 1 of 3"
    assert read_answer(400, error(1, error_data="odd")).error_text == "(#1) Something"


def test_a_call_carries_the_message_the_token_and_the_version_and_nothing_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy or a .netrc of the machine would send customers' numbers, and the token, somewhere else."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    with answering(http(json.dumps(taken()).encode())) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is ACCEPTED
        (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v25.0/106540352242922/messages HTTP/1.1")
    assert f"Authorization: Bearer {TOKEN}".encode() in head
    assert json.loads(body) == MESSAGE.as_request()


def test_a_redirect_is_not_followed() -> None:
    """Followed, a POST becomes a second message, or the token goes to whoever the answer names."""
    hops: list[str] = []
    with wire(lambda connection, server: None) as elsewhere:
        location = f"Location: {elsewhere.base_url}/v25.0/1/messages"
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            with answering(http(b"{}", status, location)) as server, client_of(server.base_url) as client:
                answer = client.send(MESSAGE)
                hops.append(answer.kind)
                assert len(server.requests) == 1
        assert hops == [UNKNOWN] * 5
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>502</html>", "502 Bad Gateway"),
        http(b"<html>hello</html>"),
        http(b""),
        http(b'{"messages": [{"id": "wamid.'),
        http(b"\xff\xfe\x00"),
        http(b"[" * 100_000),
        http(b"{}", "200 OK", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{}",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        http(b"{}", "400 Bad Request", "Content-Encoding: br"),
    ],
    ids=range(13),
)
def test_an_answer_that_cannot_be_read_leaves_a_doubt_and_raises_nothing(answer: bytes) -> None:
    """The bytes were written: an exception that escapes would end the run and lose the answers of all other calls."""

    def behave(connection: socket.socket, server: Wire) -> None:
        read_request(connection, server)
        connection.sendall(answer)

    with wire(behave) as server, client_of(server.base_url) as client:
        assert client.send(MESSAGE).kind is UNKNOWN
        assert len(server.requests) == 1


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\nX-Evil: 1", "ü\u2028"])
def test_a_token_that_no_header_can_carry_is_not_shown_and_nothing_is_sent(ending: str) -> None:
    """A secret mounted from a file ends in a line end; the message about that stands in the ledger and in the UI."""
    with answering(http(b"{}")) as server, client_of(server.base_url, TOKEN + ending) as client:
        answer = client.send(MESSAGE)
        assert answer.kind is NOT_SENT
        assert TOKEN not in str(answer.error_text)
        assert server.requests == []


def test_the_token_shows_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Error texts are stored, shown and sent around; a token in one of them is a token lost."""
    caplog.set_level(logging.DEBUG)
    with wire(lambda connection, server: None) as server, client_of(server.base_url) as client:
        text = str(client.send(MESSAGE))
    with client_of("http://127.0.0.1:1") as client:
        text += str(client.send(MESSAGE))
    with client_of("https://no.such.host.invalid") as client:
        text += str(client.send(MESSAGE))
    account = CloudApiAccount("https://graph.facebook.com", "v25.0", "1", TOKEN)
    assert TOKEN not in text + repr(account) + str(account) + f"{account}" + caplog.text


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://graph.facebook.com", "graph.facebook.com"),
        ("https://graph.facebook.com/", "graph.facebook.com"),
        ("https://Graph.Facebook.com:443", "graph.facebook.com"),
        ("http://127.0.0.1:8000", "simulator"),
        ("http://localhost:9", "simulator"),
        ("http://[::1]:9", "simulator"),
        ("http://127.1.2.3:9", "simulator"),
    ],
)
def test_a_cloud_api_has_one_name_however_its_address_is_spelled(base_url: str, name: str) -> None:
    """A simulator gets another port at each start; a ledger that is bound to the port could never send again."""
    assert cloud_api_of(base_url) == name
    assert is_this_machine(base_url) is (name == "simulator")


@pytest.mark.parametrize("token", ["abc…def", "secret-token\n", "secret\r\nHost: other"])
def test_a_token_that_fits_into_no_request_is_certainly_not_sent_and_not_shown(token: str) -> None:
    """In doubt, 250 people would wait for a person's word, for a line end copied with the token."""
    with wire(lambda connection, server: None) as server, client_of(server.base_url, token) as client:
        answer = client.send(MESSAGE)
    assert answer.kind is NOT_SENT
    assert "secret" not in str(answer.error_text)


def test_the_address_is_the_same_with_and_without_a_slash_at_its_end() -> None:
    """A double slash is another path, and Meta answers 2500 to it."""
    plain, slashed = (CloudApiAccount(url, "v25.0", "1", TOKEN).messages_url for url in ("http://a", "http://a/"))
    assert plain == slashed == "http://a/v25.0/1/messages"


@pytest.mark.parametrize(
    ("fault", "kind", "http_status", "code"),
    [
        (None, ACCEPTED, 200, None),
        ("lost_answer", UNKNOWN, None, None),
        ("reset_before", UNKNOWN, None, None),
        ("server_error", UNKNOWN, 500, 131000),
        ("throttle", REFUSED, 400, 130429),
        ("refused", REFUSED, 400, 131026),
        ("account", REFUSED, 401, 190),
        ("no_wamid", UNKNOWN, 200, None),
        ("html", UNKNOWN, 502, None),
        ("redirect", UNKNOWN, 302, None),
    ],
)
def test_each_fault_of_the_simulator_is_read_for_what_it_is(
    simulator: SimulatorProcess, fault: str | None, kind: AnswerKind, http_status: int | None, code: int | None
) -> None:
    """The same cases over a real server and a pooled connection."""
    before = simulator.health()["accepted"]
    if fault is not None:
        simulator.fault(fault, next=1)
    with client_of(simulator.base_url, simulator.options.access_token) as client:
        answer = client.send(MESSAGE)
        assert (answer.kind, answer.http_status, answer.error_code) == (kind, http_status, code)
        assert client.send(MESSAGE).kind is ACCEPTED
    went_out = 1 if fault in (None, "lost_answer", "no_wamid") else 0
    assert simulator.health()["accepted"] - before == went_out + 1
