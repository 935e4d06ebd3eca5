"""The day's batch started from outside: one run however often it is asked for, or a sentence why there is none."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date

import pytest

from campaign_pipeline.interfaces.rest_api import launching
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.dagster_webserver import DagsterWebserver
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi
from campaign_pipeline_tests.ledger.rows import MOMENT, put
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.waiting import wait_until

PROCESS_DAILY = "/marketing/process-daily"
TODAY = "2026-03-02"


@pytest.fixture
def dagster(installation: Installation) -> Iterator[DagsterWebserver]:
    """Dagster's webserver, as far as it is asked."""
    with DagsterWebserver() as webserver:
        installation.set("DAGSTER_WEBSERVER_URL", webserver.url)
        yield webserver


@pytest.fixture
def api(dagster: DagsterWebserver, installation: Installation) -> Iterator[ServedApi]:
    """The REST API that knows it."""
    assert dagster.url
    with ServedApi(installation.clock) as served:
        yield served


def test_ten_calls_at_once_start_one_run(api: ServedApi, dagster: DagsterWebserver) -> None:
    """Ten runs would wait for each other all morning, and nobody could say which of them sends."""
    dagster.seconds = 0.2
    together = threading.Barrier(10)

    def ask(_: int) -> tuple[int, str, bool]:
        together.wait()
        answer = api.post(PROCESS_DAILY)
        document = answer.json()
        return answer.status_code, document["run_id"], document["launched"]

    with ThreadPoolExecutor(10) as asking:
        answers = list(asking.map(ask, range(10)))
    assert sorted(answers) == [(200, "run-1", False)] * 9 + [(202, "run-1", True)]
    assert [run["partition"] for run in dagster.runs] == [TODAY]


def test_whoever_started_the_run_stands_in_the_audit_log(api: ServedApi, dagster: DagsterWebserver) -> None:
    """Two hundred and fifty people got a message today, and nobody could say who has sent it off."""

    def launches() -> list[tuple[str, str, str | None]]:
        found = api.get("/marketing/audit-log?action=daily_run_launched", ApiRole.ADMIN).json()["entries"]
        return [(each["subject"], each["actor"], each["details"]["run_id"]) for each in found]

    api.tokens[ApiRole.OPERATOR] = api.new_token(ApiRole.OPERATOR, "web shop")
    dagster.refusal = "PythonError"
    assert api.post(PROCESS_DAILY).status_code == 502
    assert launches() == []
    dagster.refusal = None
    for _ in range(2):
        api.must(PROCESS_DAILY)
    assert launches() == [(TODAY, "web shop (API)", "run-1")]
    dagster.runs.clear()
    dagster.loses_answers = True
    assert api.post(PROCESS_DAILY).status_code == 503
    assert launches() == [(TODAY, "web shop (API)", None), (TODAY, "web shop (API)", "run-1")]


def test_two_servers_start_one_run(api: ServedApi, dagster: DagsterWebserver, installation: Installation) -> None:
    """Behind a load balancer the ten calls come to several processes."""
    with closing(Workplace(installation.clock.now)) as other, other.ledger.write() as connection:
        claim = launching.claim_launch(connection, date.fromisoformat(TODAY), installation.clock.now())
    with ThreadPoolExecutor(1) as asking:
        answer = asking.submit(api.post, PROCESS_DAILY)
        wait_until(lambda: dagster.questions >= 2, "it to wait for the other")
        assert dagster.runs == []
        dagster.add(TODAY, "STARTING")
        assert answer.result().json() == {
            "send_date": TODAY,
            "run_id": "run-1",
            "state": "starting",
            "launched": False,
        }
    assert claim is not None


def test_a_run_that_appears_between_look_and_claim_is_found(api: ServedApi, dagster: DagsterWebserver) -> None:
    """Another server was quicker by a moment, and has given the right to start back already."""

    def appear() -> None:
        dagster.after_answer = None
        dagster.add(TODAY, "QUEUED")

    dagster.after_answer = appear
    assert api.must(PROCESS_DAILY)["launched"] is False
    assert len(dagster.runs) == 1


@pytest.mark.parametrize("was_started", [True, False])
def test_a_lost_answer_starts_no_second_run(
    api: ServedApi, dagster: DagsterWebserver, installation: Installation, was_started: bool
) -> None:
    """Nobody knows whether the run was started: it may be there any moment."""
    dagster.loses_answers = True
    assert api.post(PROCESS_DAILY).status_code == 503
    dagster.loses_answers = False
    with api.workplace.ledger.write() as connection:
        day = date.fromisoformat(TODAY)
        assert launching.claim_launch(connection, day, installation.clock.now()) is None, "nobody else may start one"
    if was_started:
        assert api.must(PROCESS_DAILY)["run_id"] == "run-1"
    else:
        dagster.runs.clear()
        installation.clock.forward(seconds=91)
        assert api.must(PROCESS_DAILY)["launched"]
    assert len(dagster.runs) == 1


def test_a_run_that_was_started_otherwise_is_told(api: ServedApi, dagster: DagsterWebserver) -> None:
    """The schedule at nine, `campaign send` and a backfill from the page send the same batch."""
    dagster.add("2026-03-01", "STARTED")
    dagster.add(TODAY, "STARTED", "__ASSET_JOB", "campaign_analytics")
    dagster.add(TODAY, "FAILURE")
    dagster.add(TODAY, "STARTED", "__ASSET_JOB")
    assert api.must(PROCESS_DAILY)["run_id"] == "run-4"
    dagster.runs[0]["status"] = "SUCCESS"
    assert api.must(PROCESS_DAILY)["launched"], "a run that has ended while people are left is not the last"


def test_a_finished_batch_is_told_with_its_run(api: ServedApi, dagster: DagsterWebserver) -> None:
    """A program that asks every hour would fill Dagster's page with runs that find nothing to do."""
    with api.workplace.ledger.write() as connection:
        put(connection, "senders")
        put(connection, "batches", state="closed", closed_at=MOMENT)
    assert api.must(PROCESS_DAILY)["run_id"] is None
    dagster.add(TODAY, "SUCCESS")
    told = api.must(PROCESS_DAILY)
    assert (told["run_id"], told["state"], told["launched"]) == ("run-1", "success", False)
    assert len(dagster.runs) == 1


def test_a_key_of_yesterday_starts_the_run_of_today(
    api: ServedApi, dagster: DagsterWebserver, installation: Installation
) -> None:
    """A line in a crontab has the same key every day; with yesterday's answer nobody would be sent to."""
    assert api.post(PROCESS_DAILY, key="daily").json()["launched"]
    assert api.post(PROCESS_DAILY, key="daily").json()["launched"], "the answer of the same day is kept"
    installation.clock.forward(days=1)
    assert api.post(PROCESS_DAILY, key="daily").json()["send_date"] == "2026-03-03"
    assert len(dagster.runs) == 2


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"refusal": "PythonError"}, 502, "It is broken."),
        ({"refusal": "RunConflict"}, 502, "It is broken."),
        ({"has_job": False}, 502, "no job daily_send"),
        ({"status": 404}, 502, "not Dagster"),
        ({"status": 302}, 502, "not Dagster"),
        ({"status": 500}, 503, "does not answer"),
    ],
)
def test_what_dagster_refuses_is_told_with_what_to_do(
    api: ServedApi, dagster: DagsterWebserver, fault: dict[str, object], status: int, said: str
) -> None:
    """A red answer without a reason sends somebody through three programs' logs."""
    for name, value in fault.items():
        setattr(dagster, name, value)
    refused = api.post(PROCESS_DAILY)
    assert (refused.status_code, said in refused.json()["detail"]) == (status, True), refused.text
    dagster.refusal, dagster.status, dagster.has_job = None, None, True
    assert api.post(PROCESS_DAILY).status_code == 202, "nothing of it stands in the way afterwards"


def test_a_dagster_that_cannot_be_reached_is_told(installation: Installation) -> None:
    """The address may hold a password for the proxy in front, which is nobody's business."""
    port = free_port()
    installation.set("DAGSTER_WEBSERVER_URL", f"http://someone:secret@127.0.0.1:{port}")
    with ServedApi(installation.clock) as api:
        refused = api.post(PROCESS_DAILY)
    assert refused.status_code == 503
    assert f"http://127.0.0.1:{port}" in refused.json()["detail"]
    assert "secret" not in refused.text
    assert refused.headers["Retry-After"]


def test_nothing_is_started_before_the_first_send_date(api: ServedApi, installation: Installation) -> None:
    """There is no such partition, and Dagster would only say so in a traceback."""
    installation.clock.set("2026-02-01T10:00:00+00:00")
    refused = api.post(PROCESS_DAILY)
    assert (refused.status_code, "2026-03-01" in refused.json()["detail"]) == (409, True)


def test_whoever_may_only_look_sends_nothing(api: ServedApi, dagster: DagsterWebserver) -> None:
    """The token on the screen in the office."""
    assert api.post(PROCESS_DAILY, role=ApiRole.VIEWER).status_code == 403
    assert dagster.runs == []


def test_the_right_to_start_ends_by_itself(ledger: Ledger, clock: HandClock) -> None:
    """A server that died while it had the right would keep everybody from starting the day's run."""
    day = date.fromisoformat(TODAY)
    with ledger.write() as connection:
        first = launching.claim_launch(connection, day, clock.now())
        assert first is not None
        assert launching.claim_launch(connection, day, clock.now()) is None
        assert launching.claim_launch(connection, date(2026, 3, 3), clock.now()) is not None
    clock.forward(seconds=91)
    with ledger.write() as connection:
        second = launching.claim_launch(connection, day, clock.now())
        assert second is not None
        launching.end_launch(connection, day, first)
        assert launching.claim_launch(connection, day, clock.now()) is None
        launching.end_launch(connection, day, second)
        assert launching.claim_launch(connection, day, clock.now()) is not None
