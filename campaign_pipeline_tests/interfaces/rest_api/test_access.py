"""Who may ask: tokens with roles, kept as hashes, revoked at once; and whoever guesses is slowed down."""

import http.client
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from campaign_pipeline.interfaces.rest_api.callers import OPEN_TO_ALL
from campaign_pipeline.interfaces.rest_api.failures import FAILURES_ALLOWED, WINDOW_SECONDS, FailureLimit
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

CAMPAIGNS = "/marketing/campaigns"


def _with(api: ServedApi, authorization: str | None) -> requests.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return requests.get(f"{api.url}{CAMPAIGNS}", headers=headers, timeout=PATIENCE)


def test_without_a_token_nothing_is_told_but_that_it_lives(api: ServedApi) -> None:
    """An endpoint that was forgotten is open to everybody."""
    paths = api.app.openapi()["paths"]
    for path, operations in paths.items():
        for method in operations:
            answer = requests.request(method, f"{api.url}{path.replace('{campaign}', '1')}", timeout=PATIENCE)
            assert answer.status_code == (200 if path in OPEN_TO_ALL else 401), (method, path)
    assert requests.get(f"{api.url}/nothing", timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer cp_wrong",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer {viewer} {viewer}",
        "{viewer}",
        "Bearer {viewer}x",
        "Bearer \xe9\xff",
        "Bearer ' OR 1=1 --",
        "Bearer " + "a" * 5_000,
    ],
)
def test_whatever_is_no_token_is_refused(api: ServedApi, authorization: str | None) -> None:
    """The answer says what is missing, and the same for a wrong token as for one that was revoked."""
    text = None if authorization is None else authorization.format(viewer=api.tokens[ApiRole.VIEWER])
    refused = _with(api, text)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert "campaign token create" in refused.json()["detail"]


def test_two_tokens_in_one_request_are_none(api: ServedApi) -> None:
    """A proxy that looks at the first and a server that looks at the last would disagree about who asks."""
    token = f"Bearer {api.tokens[ApiRole.VIEWER]}"
    host = api.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    connection.putrequest("GET", CAMPAIGNS)
    connection.putheader("Authorization", token)
    connection.putheader("Authorization", token)
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_a_revoked_token_is_refused_from_the_next_request_on(api: ServedApi, installation: Installation) -> None:
    """A token on a lost laptop is worth nothing once somebody has said so."""
    made = installation.must("token", "create", "--role", "admin", "--name", "laptop", "--json").json
    assert _with(api, f"Bearer {made['token']}").status_code == 200
    installation.must("token", "revoke", "laptop")
    assert _with(api, f"Bearer {made['token']}").status_code == 401
    installation.must("token", "revoke", str(made["id"]))


def test_a_token_is_shown_once_and_kept_nowhere(installation: Installation) -> None:
    """Whoever reads a backup of the ledger could act for every program."""
    token = installation.must("token", "create", "--role", "operator", "--json").json["token"]
    assert re.fullmatch(r"cp_[A-Za-z0-9_-]{43}", token)
    typed = installation.must("token", "create", "--role", "viewer", "--name", "screen")
    assert re.fullmatch(r"cp_[A-Za-z0-9_-]{43}\n", typed.stdout)
    told = installation.must("token", "list").stdout + installation.must("token", "list", "--json").stdout
    kept = b"".join(path.read_bytes() for path in (installation.folder / "data").glob("ledger.sqlite3*"))
    for secret in (token, typed.stdout.strip()):
        assert secret not in told
        assert secret.encode() not in kept


def test_a_token_of_a_known_name_or_of_none_is_not_made(installation: Installation) -> None:
    """Two programs under one name, and nobody knows which of them did it."""
    installation.must("token", "create", "--role", "viewer", "--name", "shop")
    for name in ("shop", "", "7", "a\nb"):
        refused = installation.run("token", "create", "--role", "viewer", "--name", name)
        assert (refused.status, refused.stderr.count("\n")) == (1, 1), name
    assert "no token 'nobody'" in installation.run("token", "revoke", "nobody").stderr
    assert installation.run("token", "create", "--role", "root").status == 2


def test_the_use_of_a_token_is_noted_to_the_minute(api: ServedApi, installation: Installation) -> None:
    """A token that nobody has used for a year can be revoked."""

    def last_used() -> str:
        (row,) = [each for each in installation.must("token", "list", "--json").json if each["role"] == "viewer"]
        return row["last_used_at"]

    api.get(CAMPAIGNS)
    wait_until(lambda: last_used() is not None, "the use to be noted")
    first = last_used()
    installation.clock.forward(seconds=59)
    api.get(CAMPAIGNS)
    installation.clock.forward(seconds=1)
    assert last_used() == first
    api.get(CAMPAIGNS)
    wait_until(lambda: last_used() != first, "the next use to be noted")


def test_what_was_done_stands_under_the_name_of_its_token(api: ServedApi) -> None:
    """Only "API" is not an answer to who has cancelled the campaign."""
    api.tokens[ApiRole.OPERATOR] = api.new_token(ApiRole.OPERATOR, "web shop")
    api.must(CAMPAIGNS, SPRING)
    api.must(f"{CAMPAIGNS}/1/cancel")
    with api.workplace.ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT actor, action FROM audit_log ORDER BY id DESC LIMIT 2").all()
        outbox = connection.exec_driver_sql("SELECT kind FROM outbox ORDER BY id").scalars().all()
    assert [tuple(row) for row in rows] == [
        ("web shop (API)", "campaign_cancelled"),
        ("web shop (API)", "campaign_created"),
    ]
    assert outbox == ["campaign_created", "campaign_cancelled"]


def test_whoever_guesses_is_refused_for_a_while_and_nobody_else(api: ServedApi) -> None:
    """Guesses as fast as the network fill the log and the processor."""
    with ThreadPoolExecutor(8) as guessing:
        guesses = list(guessing.map(lambda n: _with(api, f"Bearer cp_{n}").status_code, range(FAILURES_ALLOWED + 5)))
    assert set(guesses) == {401, 429}
    refused = _with(api, f"Bearer {api.tokens[ApiRole.ADMIN]}")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= WINDOW_SECONDS + 1


def test_failures_are_forgotten_after_a_minute_and_counted_apart() -> None:
    """Somebody else's guesses at a token lock out neither its holder nor other addresses."""
    clock = HandClock()
    limit = FailureLimit(3, clock.monotonic)
    for _ in range(2):
        limit.note("203.0.113.1", "token cp_abc")
    with pytest.raises(Problem):
        limit.note("203.0.113.1", "token cp_abc")
    with pytest.raises(Problem):
        limit.refuse_if_too_many("203.0.113.1")
    limit.refuse_if_too_many("203.0.113.2")
    with pytest.raises(Problem):
        limit.note("203.0.113.2", "token cp_abc")
    clock.forward(seconds=WINDOW_SECONDS)
    limit.refuse_if_too_many("203.0.113.1")
    limit.note("203.0.113.1", "token cp_abc")


def test_every_answer_tells_browsers_to_keep_out(api: ServedApi) -> None:
    """An answer that a browser runs, frames or keeps is somebody else's way in; there is no CORS at all."""
    origin = {"Origin": "https://elsewhere.example"}
    asked = [
        api.ask("GET", CAMPAIGNS, headers=origin),
        api.ask("OPTIONS", CAMPAIGNS, headers={**origin, "Access-Control-Request-Method": "POST"}),
        api.ask("GET", "/nothing"),
        _with(api, None),
        requests.get(f"{api.url}/openapi.json", timeout=PATIENCE),
    ]
    for answer in asked:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert [each.status_code for each in asked] == [200, 405, 404, 401, 200]
    assert asked[1].headers["Allow"] == "GET, POST"


def test_an_error_that_nobody_foresaw_tells_nothing(api: ServedApi, caplog: pytest.LogCaptureFixture) -> None:
    """A traceback in an answer tells an attacker what the program is made of."""
    api.must(CAMPAIGNS, SPRING)
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE marketing_campaigns SET template_parameters = '7', name = 'Secret'")
    answer = api.get(f"{CAMPAIGNS}/1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "int" not in answer.text
    assert "Traceback" in caplog.text
    assert "Secret" not in caplog.text


def test_an_error_that_quotes_a_number_brings_it_into_no_log(api: ServedApi, caplog: pytest.LogCaptureFixture) -> None:
    """An error of a library shows the value that it met, and a log is kept for longer than the ledger."""
    api.must(CAMPAIGNS, SPRING)
    api.must(f"{CAMPAIGNS}/1/recipients", {"phone_numbers": ["+447911000001"]})
    wamid = "wamid.HBgMNDQ3OTExMDAwMDAxFQIAERgS"
    with api.workplace.ledger.write() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.exec_driver_sql("UPDATE campaign_recipients SET state = ?", (f"447911000001 {wamid}",))
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")
    assert api.get(f"{CAMPAIGNS}/1/recipients").status_code == 500
    assert "Traceback" in caplog.text
    assert "447911000001" not in caplog.text
    assert wamid not in caplog.text
