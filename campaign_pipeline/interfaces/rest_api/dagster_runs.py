"""Runs of a send date in Dagster, asked for and started over its GraphQL, since only orchestration loads dagster.

Add here another question to Dagster's webserver.
Keep out when a run is started (`daily_run`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from campaign_pipeline.interfaces.rest_api.problems import Problem

DAILY_SEND: Final = "daily_send"
DAILY_BATCH: Final = "daily_batch"
"""As `orchestration` calls the job, and the asset that it materializes."""

UNDER_WAY: Final = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")

_PARTITION: Final = "dagster/partition"
_SECONDS: Final = (3.05, 30.0)
"""To connect, and between two bytes of the answer."""
_LOOKED_AT: Final = 50

_RUNS: Final = """
query($filter: RunsFilter!, $limit: Int!) {
  runsOrError(filter: $filter, limit: $limit) {
    __typename
    ... on Runs { results { runId status jobName assetSelection { path } } }
    ... on Error { message }
  }
}"""
_JOBS: Final = """
{ repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
    ... on Error { message }
} }"""
_LAUNCH: Final = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId status } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}"""


class UnknownEndError(Exception):
    """Dagster was asked and its answer was lost: nobody knows whether it did what it was asked."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class DagsterRun:
    """One run; its state is Dagster's word in lower case: queued, started, success, failure."""

    run_id: str
    state: str


class DagsterRuns:
    """The runs that a Dagster webserver shows."""

    def __init__(self, url: str) -> None:
        """Names the webserver; nothing is asked yet.

        Args:
            url: `DAGSTER_WEBSERVER_URL`, which may hold a user and a password for a proxy in front.
        """
        self._url = f"{url.rstrip('/')}/graphql"
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        self._shown = f"{parts.scheme}://{parts.hostname}{port}{parts.path}"

    def of_date(self, send_date: date, states: Sequence[str] | None = None) -> DagsterRun | None:
        """The newest run that sends, or has sent, a date; of those in the given states, Dagster's words.

        Raises:
            Problem: Dagster cannot be reached, or does not answer the question.
        """
        wanted: dict[str, Any] = {"tags": [{"key": _PARTITION, "value": send_date.isoformat()}]}
        if states is not None:
            wanted["statuses"] = list(states)
        answer = self._ask(_RUNS, "runsOrError", "Runs", {"filter": wanted, "limit": _LOOKED_AT})
        # Analytics have partitions by date too; a backfill from the page sends under a job without a name of its own.
        sending = [each for each in answer["results"] if each["jobName"] == DAILY_SEND or _holds_batch(each)]
        return _run(sending[0]) if sending else None

    def launch(self, send_date: date) -> DagsterRun:
        """Starts a run of a date.

        Raises:
            Problem: Dagster cannot be reached, or refuses.
            UnknownEndError: The answer was lost.
        """
        repository, location = self._home_of_job()
        selector = {"repositoryName": repository, "repositoryLocationName": location, "jobName": DAILY_SEND}
        tags = [{"key": _PARTITION, "value": send_date.isoformat()}]
        params = {"selector": selector, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
        document = self._post({"query": _LAUNCH, "variables": {"params": params}})
        return _run(_answer_in(document, "launchRun", "LaunchRunSuccess")["run"])

    def _home_of_job(self) -> tuple[str, str]:
        nodes = self._ask(_JOBS, "repositoriesOrError", "RepositoryConnection", {})["nodes"]
        for node in nodes:
            if any(job["name"] == DAILY_SEND for job in node["jobs"]):
                return node["name"], node["location"]["name"]
        raise Problem(502, f"Dagster has no job {DAILY_SEND}: look on its page why the code location does not load.")

    def _ask(self, query: str, field: str, wanted: str, variables: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        try:
            document = self._post({"query": query, "variables": variables})
        except UnknownEndError as error:
            # A question changes nothing.
            raise error.problem from error
        return _answer_in(document, field, wanted)

    def _post(self, document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        try:
            with requests.Session() as session:
                # A proxy of the machine has no business between the two.
                session.trust_env = False
                answer = session.post(self._url, json=document, timeout=_SECONDS, allow_redirects=False)
        except requests.exceptions.RequestException as error:
            if _is_not_connected(error):
                raise self._unreachable() from error
            raise UnknownEndError(self._unreachable()) from error
        if answer.status_code >= 500:
            raise UnknownEndError(self._unreachable())
        try:
            return answer.json()
        except ValueError as error:
            detail = (
                f"What answers at {self._shown} is not Dagster (HTTP {answer.status_code}): set DAGSTER_WEBSERVER_URL."
            )
            raise Problem(502, detail) from error

    def _unreachable(self) -> Problem:
        detail = f"Dagster does not answer at {self._shown}: start its webserver, or set DAGSTER_WEBSERVER_URL."
        return Problem(503, detail, headers={"Retry-After": "10"})


def _holds_batch(run: Mapping[str, Any]) -> bool:
    return any(asset["path"] == [DAILY_BATCH] for asset in run["assetSelection"] or ())


def _run(found: Mapping[str, Any]) -> DagsterRun:
    return DagsterRun(found["runId"], found["status"].lower())


def _is_not_connected(error: requests.exceptions.RequestException) -> bool:
    """Whether nothing can have been asked."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _answer_in(document: Any, field: str, wanted: str) -> Any:  # noqa: ANN401 - JSON
    try:
        answer = document["data"][field]
        if answer["__typename"] == wanted:
            return answer
        said = answer.get("message") or "; ".join(each["message"] for each in answer["errors"])
    except (KeyError, TypeError, AttributeError):
        said = _errors_in(document)
    raise Problem(502, f"Dagster refused: {' '.join(said.split())[:500]} Look at its page.")


def _errors_in(document: Any) -> str:  # noqa: ANN401 - JSON
    try:
        return "; ".join(each["message"] for each in document["errors"])
    except (KeyError, TypeError):
        return "its answer is none that this program knows."
