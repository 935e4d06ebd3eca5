"""The web UI of a running Dagster, asked and steered over the GraphQL that its own pages use.

Add here what a person could see or press there. Keep out expectations: those belong to the tests.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import requests

from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

_LAUNCH_RUN: Final = """
mutation ($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""

_LAUNCH_BACKFILL: Final = """
mutation ($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  ... on PartitionKeysNotFoundError { message } } }
"""

_TERMINATE: Final = """
mutation ($run: String!, $policy: TerminateRunPolicy!) {
  terminateRun(runId: $run, terminatePolicy: $policy) { __typename ... on TerminateRunFailure { message } } }
"""

_RUNS: Final = """
query ($filter: RunsFilter!) { runsOrError(filter: $filter) {
  ... on Runs { results { runId status jobName tags { key value } } } } }
"""

_FAILURES: Final = """
query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  __typename ... on ExecutionStepFailureEvent { failureMetadata { description } error { message } } } } } }
"""

_MESSAGES: Final = """
query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { ... on MessageEvent { message } } } } }
"""

_PARTITIONS: Final = """
query ($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  partitionStats { numMaterialized numFailed numPartitions }
  assetPartitionStatuses {
    ... on TimePartitionStatuses { ranges { status startKey endKey } }
    ... on DefaultPartitionStatuses { materializedPartitions failedPartitions } } } } }
"""

_SUMMARY: Final = """
query ($asset: AssetKeyInput!, $partitions: [String!]) { assetOrError(assetKey: $asset) { ... on Asset {
  assetMaterializations(limit: 1, partitions: $partitions) {
    runId metadataEntries { label ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue } } } } } }
"""

_TICK: Final = """
query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
  sensorState { status ticks(limit: 1) { status skipReason } } } } }
"""

_SENSORS: Final = """
query ($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
  ... on Sensors { results { name } } } }
"""

_LOCATION: Final = {"repositoryName": "__repository__", "repositoryLocationName": "campaign_pipeline"}


class WebUi:
    """A running web server.

    Attributes:
        url: Where it is, without a slash at the end.
        process_group: Everything that runs with it.
    """

    def __init__(self, port: int, process_group: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process_group = process_group
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the machine has no business between two local processes

    def is_up(self) -> bool:
        """Whether it answers the image's health check, and has loaded the definitions."""
        try:
            healthy = self._session.get(f"{self.url}/server_info", timeout=5).ok
            return healthy and bool(self.ask("{ assetNodes { id } }")["assetNodes"])
        except requests.RequestException:
            return False

    def ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401 - whatever was asked for
        """Asks the GraphQL server."""
        body = {"query": query, "variables": variables}
        answer = self._session.post(f"{self.url}/graphql", json=body, timeout=300).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, job: str, partition: str | None = None) -> str:
        """Launches a job, of one partition; gives the run's id."""
        run = {
            "selector": {**_LOCATION, "jobName": job},
            "executionMetadata": {"tags": _tags(partition)},
            "runConfigData": {},
        }
        launched = self.ask(_LAUNCH_RUN, run=run)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def launch_backfill(self, dates: Sequence[str], asset: str = "daily_batch") -> str:
        """Materializes several partitions of an asset, as its button does; gives the backfill's id."""
        return self._backfill({"assetSelection": [{"path": [asset]}], "partitionNames": list(dates)})

    def materialize_all(self) -> str:
        """Presses "Materialize all" over the whole lineage, all partitions; gives the backfill's id."""
        nodes = self.ask("{ assetNodes { assetKey { path } isExecutable } }")["assetNodes"]
        selection = [{"path": node["assetKey"]["path"]} for node in nodes if node["isExecutable"]]
        return self._backfill({"assetSelection": selection, "allPartitions": True})

    def terminate(self, run_id: str) -> None:
        """Terminates a run, as the button of its page does."""
        ended = self.ask(_TERMINATE, run=run_id, policy="SAFE_TERMINATE")["terminateRun"]
        assert ended["__typename"] == "TerminateRunSuccess", ended

    def status_of(self, run_id: str) -> str:
        """Where a run stands."""
        answer = self.ask("query ($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }", r=run_id)
        return answer["runOrError"]["status"]

    def wait_for(self, run_id: str, timeout: float = PATIENCE) -> str:
        """Waits for a run's end; gives how it ended."""
        wait_until(lambda: self.status_of(run_id) in ENDED, f"run {run_id}", timeout)
        return self.status_of(run_id)

    def wait_for_backfill(self, backfill_id: str, timeout: float = PATIENCE) -> str:
        """Waits for a backfill's end, and that of its runs; gives how it ended."""
        query = """query ($b: String!) { partitionBackfillOrError(backfillId: $b) {
                     ... on PartitionBackfill { status endTimestamp } } }"""

        def state() -> dict[str, Any]:
            return self.ask(query, b=backfill_id)["partitionBackfillOrError"]

        wait_until(lambda: state()["endTimestamp"] is not None, f"backfill {backfill_id}", timeout)
        return state()["status"]

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """The runs that carry some tags, newest first: runId, status, jobName, and `partition` if they have one."""
        wanted = [{"key": name.replace("__", "/"), "value": value} for name, value in tags.items()]
        found = self.ask(_RUNS, filter={"tags": wanted})["runsOrError"]["results"]
        for run in found:
            run["partition"] = {tag["key"]: tag["value"] for tag in run["tags"]}.get("dagster/partition")
        return found

    def sentence_of(self, run_id: str) -> str:
        """What a failed run gives as its reason."""
        events = self.ask(_FAILURES, run=run_id)["logsForRun"]["events"]
        failures = [each for each in events if each["__typename"] == "ExecutionStepFailureEvent"]
        assert len(failures) == 1, failures
        return failures[0]["failureMetadata"]["description"]

    def worker_of(self, run_id: str) -> int:
        """The process in which a run executes its steps."""
        events = self.ask(_MESSAGES, run=run_id)["logsForRun"]["events"]
        found = [re.search(r"Executing steps in process \(pid: (\d+)\)", each.get("message", "")) for each in events]
        return next(int(match[1]) for match in found if match)

    def partitions_of(self, asset: str) -> dict[str, int]:
        """How many partitions of an asset are materialized, failed, and there at all."""
        return self._partitions(asset)["partitionStats"]

    def colours_of(self, asset: str, dates: Sequence[str]) -> dict[str, str]:
        """Which of some dates of an asset are MATERIALIZED or FAILED; one that is neither is missing, and left out."""
        ranges = self._partitions(asset)["assetPartitionStatuses"]["ranges"]
        return {
            each: found["status"] for found in ranges for each in dates if found["startKey"] <= each <= found["endKey"]
        }

    def shown_of(self, asset: str, partition: str) -> dict[str, Any]:
        """The words and numbers of a partition's latest materialization, by label."""
        found = self.ask(_SUMMARY, asset={"path": [asset]}, partitions=[partition])["assetOrError"]
        entries = found["assetMaterializations"][0]["metadataEntries"]
        return {each["label"]: each.get("text", each.get("intValue")) for each in entries}

    def last_tick_of(self, sensor: str) -> dict[str, Any]:
        """A sensor's last tick: its status and what it skipped for."""
        state = self.ask(_TICK, sensor={**_LOCATION, "sensorName": sensor})["sensorOrError"]["sensorState"]
        return {"status": None, "skipReason": None} if not state["ticks"] else state["ticks"][0]

    def story(self) -> str:
        """Every run with what it last said, and every sensor with its last tick, a line each; for a test that fails."""
        try:
            runs = [f"{run['jobName']} {run['status']}: {self._last_words(run['runId'])}" for run in self.runs()]
            ticks = [f"{name}: {self.last_tick_of(name)}" for name in self._sensors()]
        except requests.RequestException as error:
            return f"The web server does not answer any more: {error}"
        return "\n".join(["Dagster's runs, newest first:", *runs, *ticks])

    def _last_words(self, run_id: str) -> str:
        events = self.ask(_MESSAGES, run=run_id)["logsForRun"]["events"]
        return " | ".join(each["message"][:300] for each in events[-4:] if each.get("message"))

    def _sensors(self) -> list[str]:
        found = self.ask(_SENSORS, repository=_LOCATION)["sensorsOrError"]["results"]
        return [each["name"] for each in found]

    def _partitions(self, asset: str) -> dict[str, Any]:
        return self.ask(_PARTITIONS, asset={"path": [asset]})["assetNodeOrError"]

    def _backfill(self, params: dict[str, Any]) -> str:
        answer = self.ask(_LAUNCH_BACKFILL, backfill=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]


def _tags(partition: str | None) -> list[dict[str, str]]:
    return [{"key": "dagster/partition", "value": partition}] if partition else []
