"""A webserver that answers the few questions of the REST API as Dagster's does, on a real socket.

Add here another way in which Dagster may answer. What the real one does is looked at in `end_to_end/test_rest_api.py`.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class DagsterWebserver(AbstractContextManager["DagsterWebserver"]):
    """Keeps the runs that were launched.

    Attributes:
        runs: What it shows of each, the newest first.
        refusal: Told instead of launching, if any: the type of the error.
        status: Answered instead, if any.
        seconds: How long a launch takes.
        has_job: Whether the code location is loaded.
        loses_answers: Whether the answer to a launch never comes.
        after_answer: Called after each answer, if anything.
        questions: How often it was asked anything.
    """

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.refusal: str | None = None
        self.status: int | None = None
        self.seconds = 0.0
        self.has_job = True
        self.loses_answers = False
        self.after_answer: Callable[[], None] | None = None
        self.questions = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answers one question."""
        self.questions += 1
        if "runsOrError" in query:
            return {"runsOrError": {"__typename": "Runs", "results": self._found(variables["filter"])}}
        if "repositoriesOrError" in query:
            jobs = [{"name": "daily_send"}] if self.has_job else []
            node = {"name": "__repository__", "location": {"name": "campaign_pipeline"}, "jobs": jobs}
            return {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [node]}}
        return {"launchRun": self._launch(variables["params"])}

    def add(self, partition: str, status: str, job: str = "daily_send", asset: str = "daily_batch") -> None:
        """Shows another run."""
        with self._lock:
            run = {"runId": f"run-{len(self.runs) + 1}", "status": status, "jobName": job}
            selection = [{"path": [asset]}]
            self.runs.insert(0, {**run, "assetSelection": selection, "partition": partition})

    def _found(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        (tag,) = wanted["tags"]
        statuses = wanted.get("statuses")
        with self._lock:
            return [
                {name: value for name, value in run.items() if name != "partition"}
                for run in self.runs
                if run["partition"] == tag["value"] and (statuses is None or run["status"] in statuses)
            ]

    def _launch(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.refusal is not None:
            return {"__typename": self.refusal, "message": "It is broken."}
        time.sleep(self.seconds)
        (tag,) = params["executionMetadata"]["tags"]
        self.add(tag["value"], "QUEUED")
        run = self.runs[0]
        return {"__typename": "LaunchRunSuccess", "run": {"runId": run["runId"], "status": run["status"]}}


def _handler_of(webserver: DagsterWebserver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = webserver.status or 200
            is_lost = webserver.loses_answers and "launchRun" in asked["query"]
            body = json.dumps({"data": webserver.answer(asked["query"], asked["variables"])}) if status < 300 else "no"
            if webserver.after_answer is not None:
                webserver.after_answer()
            if is_lost:
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    return Handler
