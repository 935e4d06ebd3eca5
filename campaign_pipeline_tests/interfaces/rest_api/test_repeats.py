"""A request under an Idempotency-Key is done once, whoever repeats it and however often at once."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from campaign_pipeline.interfaces.rest_api import repeats
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.tokens import create_token
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

CAMPAIGNS = "/marketing/campaigns"


def test_a_repeated_request_gets_the_first_answer(api: ServedApi) -> None:
    """The campaign would be there twice, or the program be told that its name is taken."""
    first = api.post(CAMPAIGNS, SPRING, key="order-1")
    again = api.post(CAMPAIGNS, SPRING, key="order-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"] == f"{CAMPAIGNS}/1"
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(api.get(CAMPAIGNS).json()["campaigns"]) == 1


def test_another_request_under_the_same_key_is_refused(api: ServedApi) -> None:
    """A program that counts its keys anew would be told that things were done which never were."""
    api.must(CAMPAIGNS, SPRING, key="order-1")
    refused = api.post(CAMPAIGNS, {**SPRING, "priority": 1}, key="order-1")
    assert (refused.status_code, "new key" in refused.json()["detail"]) == (422, True)
    people = {"phone_numbers": ["+447911000001"]}
    api.must(f"{CAMPAIGNS}/1/recipients", people, key="order-1")
    assert api.post(f"{CAMPAIGNS}/1/recipients?list_name=other", people, key="order-1").status_code == 422


def test_a_key_belongs_to_its_token(api: ServedApi) -> None:
    """Two programs that count from 1 must not get each other's answers."""
    api.must(CAMPAIGNS, SPRING, key="1")
    other = api.post(CAMPAIGNS, {**SPRING, "name": "Other"}, role=ApiRole.ADMIN, key="1")
    assert (other.status_code, other.json()["name"]) == (201, "Other")


def test_a_refused_request_leaves_its_key_free(api: ServedApi, installation: Installation) -> None:
    """Once the reason is gone, the same request is what has to be done."""
    api.must(CAMPAIGNS, SPRING)
    assert api.post(f"{CAMPAIGNS}/1/activate", key="go").status_code == 409
    installation.must("add", "spring-sale", installation.list_of(range(3)))
    assert api.must(f"{CAMPAIGNS}/1/activate", key="go")["status"] == "active"


def test_many_at_once_are_done_once(api: ServedApi) -> None:
    """A program that does not wait for its answer sends the same request on every connection."""
    together = threading.Barrier(8)

    def make(_: int) -> tuple[int, bool]:
        together.wait()
        answer = api.post(CAMPAIGNS, SPRING, key="order-1")
        return answer.status_code, "Idempotency-Replayed" in answer.headers

    with ThreadPoolExecutor(8) as asking:
        answers = list(asking.map(make, range(8)))
    assert answers.count((201, False)) == 1
    assert {status for status, _ in answers} <= {201, 409}


@pytest.mark.parametrize("key", [None, "order-1"])
def test_a_name_is_given_once_on_postgresql_too(
    installation: Installation, postgres: PostgresServer, migrated_postgres: str, key: str | None
) -> None:
    """There two look at the same moment, find the name free, and one of them meets the constraint."""
    installation.set("CAMPAIGN_DATABASE_URL", postgres.new_database(migrated_postgres))
    together = threading.Barrier(8)
    with ServedApi(installation.clock) as api:

        def make(_: int) -> int:
            together.wait()
            return api.post(CAMPAIGNS, SPRING, key=key).status_code

        with ThreadPoolExecutor(8) as asking:
            statuses = list(asking.map(make, range(8)))
        assert len(api.get(CAMPAIGNS).json()["campaigns"]) == 1
    assert set(statuses) <= {201, 409}
    assert key is not None or statuses.count(201) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe9"])
def test_a_key_that_cannot_be_kept_is_refused(api: ServedApi, key: str) -> None:
    """Cut off or changed, two keys could become one."""
    headers = {"Idempotency-Key": key.encode("latin-1")}
    assert api.ask("POST", CAMPAIGNS, headers=headers, json=SPRING).status_code == 400  # ty: ignore[invalid-argument-type]


def test_two_keys_in_one_request_are_none(api: ServedApi) -> None:
    """Two programs in a row that each add their own would repeat each other's first."""
    body = json.dumps(SPRING).encode()
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=PATIENCE)
    with closing(connection):
        connection.putrequest("POST", CAMPAIGNS)
        connection.putheader("Authorization", f"Bearer {api.tokens[ApiRole.OPERATOR]}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        for key in ("order-1", "order-2"):
            connection.putheader("Idempotency-Key", key)
        connection.endheaders(body)
        assert connection.getresponse().status == 400
    assert api.get(CAMPAIGNS).json()["campaigns"] == []


@contextmanager
def _refused(status: int) -> Iterator[None]:
    with pytest.raises(Problem) as refusal:
        yield
    assert refusal.value.status == status


def test_what_broke_off_is_taken_over_after_a_while(ledger: Ledger, clock: HandClock) -> None:
    """A server that was killed in between would block the key for ever; the one that was late stores nothing."""
    with ledger.write() as connection:
        token, _ = create_token(connection, ApiRole.OPERATOR, name=None, actor="test", now=clock.now())
    request = repeats.Request(token.id, "endpoint", "key", "body")
    with ledger.write() as connection:
        first = str(repeats.claim(connection, request, clock.now()))
    clock.forward(minutes=14)
    with _refused(409), ledger.write() as connection:
        repeats.claim(connection, request, clock.now())
    clock.forward(minutes=1)
    with ledger.write() as connection:
        second = str(repeats.claim(connection, request, clock.now()))
        repeats.keep(connection, request, first, 201, "late")
        repeats.give_back(connection, request, first)
    with _refused(409), ledger.write() as connection:
        repeats.claim(connection, request, clock.now())
    with ledger.write() as connection:
        repeats.keep(connection, request, second, 201, "done")
        assert repeats.claim(connection, request, clock.now()) == repeats.Kept(201, "done")


def test_a_key_that_is_given_back_at_this_moment_is_no_fault(ledger: Ledger, clock: HandClock) -> None:
    """On PostgreSQL the first may be refused, and leave its key free, between a repetition's two statements."""
    if ledger.engine.dialect.name == "sqlite":
        # One writer at a time: there is no moment between the two.
        return
    with ledger.write() as connection:
        token, _ = create_token(connection, ApiRole.OPERATOR, name=None, actor="test", now=clock.now())
        request = repeats.Request(token.id, "endpoint", "key", "body")
        first = str(repeats.claim(connection, request, clock.now()))

    def refuse_the_first(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO api_requests"):
            with ledger.write() as elsewhere:
                repeats.give_back(elsewhere, request, first)

    with _refused(409), ledger.write() as connection:
        event.listen(connection, "after_cursor_execute", refuse_the_first)
        repeats.claim(connection, request, clock.now())
    with ledger.write() as connection:
        assert isinstance(repeats.claim(connection, request, clock.now()), str)


def test_answers_are_forgotten_also_when_no_key_comes_any_more(api: ServedApi, installation: Installation) -> None:
    """The numbers of a program's last list would stand in them for ever."""
    api.must(CAMPAIGNS, SPRING, key="last")
    installation.clock.forward(hours=49)

    def kept() -> int:
        with api.workplace.ledger.read() as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM api_requests").scalar_one()

    def are_forgotten() -> bool:
        # One that comes while the use of the token is just being noted for the request before leaves it to the next.
        api.get(CAMPAIGNS)
        return kept() == 0

    assert kept() == 1
    wait_until(are_forgotten, "the answers to be forgotten")


def test_answers_are_forgotten_after_two_days(ledger: Ledger, clock: HandClock) -> None:
    """They hold phone numbers, and nobody repeats a request after a week."""
    with ledger.write() as connection:
        token, _ = create_token(connection, ApiRole.OPERATOR, name=None, actor="test", now=clock.now())
        request = repeats.Request(token.id, "endpoint", "key", "body")
        repeats.keep(connection, request, str(repeats.claim(connection, request, clock.now())), 201, "+447911000001")
    clock.forward(hours=47)
    with ledger.write() as connection:
        assert repeats.claim(connection, request, clock.now()) == repeats.Kept(201, "+447911000001")
    clock.moment += timedelta(hours=2)
    with ledger.write() as connection:
        assert isinstance(repeats.claim(connection, request, clock.now()), str)
