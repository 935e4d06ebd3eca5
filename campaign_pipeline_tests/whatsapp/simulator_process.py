"""Starts the local Cloud API in a process of its own for a test, and steers it over HTTP.

Add here what a test needs to order or to ask of the simulator. Keep out expectations: those belong to the tests.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from campaign_pipeline.whatsapp.simulator.account import AccountState
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until
from campaign_pipeline_tests.whatsapp.simulator_start import Forked, StartedSimulator

_ANNOUNCEMENT = "simulator listening on "
_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_CONTROL_SECONDS = 60.0
_LONGEST_PAUSE = 0.1


def simulator_options(folder: Path, **changes: Any) -> SimulatorOptions:  # noqa: ANN401 - the fields differ in type
    """Makes options for a test: everything is delivered and read at once, and nothing goes wrong.

    Args:
        folder: gets the folder `inbox` and the file `simulator-record.ndjson`.
        changes: fields of SimulatorOptions that the test wants otherwise.

    Returns:
        The options.
    """
    options = SimulatorOptions(
        inbox=folder / "inbox",
        record=folder / "simulator-record.ndjson",
        phone_number_id="106540352242922",
        access_token="simulator-token",
        business_account_id="102290129340398",
        sent_after=0,
        sent_jitter=0,
        delivered_after=0,
        delivered_jitter=0,
        read_after=0,
        read_jitter=0,
        delivered_share=1,
        read_share=1,
        failed_share=0,
        seed=1,
        flush_interval=0.05,
    )
    return replace(options, **changes)


class SimulatorProcess:
    """A simulator that runs while the `with` block does.

    Attributes:
        options: how it behaves.
        base_url: where it listens, such as `http://127.0.0.1:40123`; without the version.
    """

    def __init__(
        self, options: SimulatorOptions, start: Callable[[SimulatorOptions], StartedSimulator] = Forked
    ) -> None:
        self.options = options
        self.base_url = ""
        self._start = start
        self._process: StartedSimulator | None = None
        self._control = requests.Session()
        self._control.trust_env = False  # a proxy of the machine has no business between two local processes

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._control.close()

    @property
    def pid(self) -> int:
        """The process id of the running simulator."""
        return self._running().pid

    def start(self) -> None:
        """Starts it and waits until it listens; after a stop or a kill it comes back on the same port and record.

        Raises:
            RuntimeError: it is running already, or did not come up; its stderr says why.
        """
        if self._process is not None:
            raise RuntimeError("The simulator is running already.")
        self._process = self._start(self.options)
        line = self._process.first_line(_START_SECONDS)
        if not line.startswith(_ANNOUNCEMENT):
            self.kill()
            raise RuntimeError(f"The simulator did not start; it said {line!r}.")
        self.base_url = line.removeprefix(_ANNOUNCEMENT).strip()
        self.options = replace(self.options, port=int(self.base_url.rpartition(":")[2]))

    def stop(self) -> int:
        """Stops it with SIGTERM; due statuses are written.

        Returns:
            Its exit code, 0 after a clean stop.
        """
        self._running().terminate()
        return self._wait()

    def end_by_itself(self) -> int:
        """Waits until it has ended without being asked to.

        Returns:
            Its exit code.
        """
        self._running()
        return self._wait()

    def kill(self) -> None:
        """Kills it as a power cut would; nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def messages(self) -> list[dict[str, Any]]:
        """Every message that it accepted, newest last."""
        return self._ask("GET", "messages")

    def report(self) -> dict[str, Any]:
        """How many messages and people, and who was reached twice."""
        return self._ask("GET", "report")

    def health(self) -> dict[str, Any]:
        """Counts of what was accepted, what is to come and what is held; docs/simulator.md names them all."""
        return self._ask("GET", "health")

    def fault(
        self,
        kind: str,
        *,
        share: float | None = None,
        to: str | None = None,
        next: int | None = None,
        accepted: bool | None = None,
        seconds: float = 5.0,
        code: int | None = None,
        http_status: int | None = None,
        details: str | None = None,
        after_sent: bool = False,
        held: bool = False,
    ) -> None:
        """Orders a fault for exactly one of: a share of all requests, a number, the next requests.

        Args:
            kind: a FaultKind, such as `lost_answer`.
            share: for which share of all requests, 0 to 1.
            to: for every request to this number, E.164.
            next: for so many of the next requests.
            accepted: whether the message goes out anyway, where the fault leaves it open.
            seconds: how long a slow answer takes.
            code: Meta's error code, for `error` and `failed`.
            http_status: HTTP status of an `error`; None is the usual one of the code.
            details: text for `error_data.details`; None is what Meta says with the code.
            after_sent: whether `failed` comes behind `sent` instead of in its place.
            held: whether the answer to a message that will fail says `held_for_quality_assessment`.
        """
        order: dict[str, object] = {
            "fault": kind,
            "share": share,
            "to": to,
            "next": next,
            "accepted": accepted,
            "seconds": seconds,
            "code": code,
            "http_status": http_status,
            "details": details,
            "after_sent": after_sent,
            "held": held,
        }
        self._ask("POST", "faults", order)

    def fault_sequence(self, *steps: dict[str, object] | None) -> None:
        """Orders what the next requests meet, one after the other.

        Args:
            steps: one for each request, such as `{"fault": "error", "code": 131000}`; None lets a request through.
        """
        self._ask("POST", "faults", {"sequence": list(steps)})

    def release_held(self) -> int:
        """Lets go of every message held for quality assessment.

        Returns:
            How many that were.
        """
        return self._ask("POST", "held/release")["released"]

    def drop_held(self, code: int) -> int:
        """Drops every message held for quality assessment.

        Args:
            code: 132015 or 135000.

        Returns:
            How many that were.
        """
        return self._ask("POST", "held/drop", {"code": code})["dropped"]

    def clear_faults(self) -> None:
        """Takes back every fault, also the shares that it was started with."""
        self._ask("DELETE", "faults")

    def account(self, **changes: object) -> None:
        """Changes the account: quality_rating, tier, status, throughput, token, scopes, subscribed.

        Args:
            changes: what is to change; the rest stays as it is.
        """
        self._ask("POST", "account", changes)

    def reset_account(self) -> None:
        """Makes all well again with the account."""
        well = asdict(AccountState())
        del well["expired"]
        self.account(**well, token="valid")

    def hold(self) -> None:
        """Holds back every answer; requests are still judged and recorded."""
        self._ask("POST", "hold")

    def release(self) -> None:
        """Gives the answers that were held back."""
        self._ask("POST", "release")

    def call_webhook(self, field: str, value: dict[str, object]) -> dict[str, Any]:
        """Orders a webhook about the account, its templates or its users.

        Args:
            field: such as `message_template_status_update`.
            value: what it says, in Meta's own shape.

        Returns:
            The payload, which is in the inbox after `wait_for_statuses`.
        """
        return self._ask("POST", "webhooks", {"field": field, "value": value})

    def inbound(
        self,
        sender: str,
        *,
        text: str | None = None,
        button: dict[str, str] | None = None,
        context: str | None = None,
    ) -> dict[str, Any]:
        """Lets a person write to the business.

        Args:
            sender: the person's number, E.164.
            text: what the person writes.
            button: `payload` and `text` of the button that the person taps, in place of a text.
            context: wamid of the message that it answers.

        Returns:
            The payload, which is in the inbox after `wait_for_statuses`.
        """
        order: dict[str, object] = {"from": sender, "text": text, "button": button, "context": context}
        return self._ask("POST", "inbound", order)

    def create_template(self, name: str = "spring_sale", **changes: object) -> None:
        """Creates a template, or replaces it; by default an approved one of the category MARKETING.

        Args:
            name: its name.
            changes: fields of TemplateOrder; `body` is short for a template that has nothing but this text.
        """
        text = changes.pop("body", None)
        components = [] if text is None else [{"type": "BODY", "text": text}]
        self._ask("POST", "templates", {"name": name, "components": components, **changes})

    def clear_templates(self) -> None:
        """Forgets every template that was created."""
        self._ask("DELETE", "templates")

    def set_template_status(self, name: str, status: str, *, webhook: bool = False) -> None:
        """Changes the status of a template in every language.

        Args:
            name: the template.
            status: such as `PAUSED`.
            webhook: whether the business is told, in the inbox.
        """
        self._ask("POST", f"templates/{name}/status", {"status": status, "webhook": webhook})

    def set_template_quality(self, name: str, quality: str, *, webhook: bool = False) -> None:
        """Changes the quality of a template in every language.

        Args:
            name: the template.
            quality: such as `RED`.
            webhook: whether the business is told, in the inbox.
        """
        self._ask("POST", f"templates/{name}/quality", {"quality": quality, "webhook": webhook})

    def wait_for_unanswered(self, count: int, timeout: float = PATIENCE) -> None:
        """Waits until so many requests wait for their answer, the moment to kill a sender.

        A slow request whose caller has gone away counts until its seconds are over.

        Args:
            count: at least so many.
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: they did not come.
        """
        self._wait_until(lambda health: health["unanswered"] >= count, f"{count} unanswered requests", timeout)

    def wait_for_statuses(self, timeout: float = PATIENCE) -> None:
        """Waits until every status of every accepted message is in the inbox.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: statuses are still to come.
        """
        self._wait_until(lambda health: health["statuses_pending"] == 0, "all statuses", timeout)

    def wait_for_webhooks(self, timeout: float = PATIENCE) -> None:
        """Waits until every status is in the inbox and every webhook is posted, or given up.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: webhooks are still to come or to be posted.
        """
        self._wait_until(
            lambda health: health["statuses_pending"] + health["webhooks_waiting"] == 0, "all webhooks", timeout
        )

    def _wait_until(self, reached: Callable[[dict[str, Any]], bool], what: str, timeout: float) -> None:
        try:
            wait_until(lambda: reached(self.health()), what, timeout, _LONGEST_PAUSE)
        except TimeoutError as error:
            raise TimeoutError(f"{error} The simulator says {self.health()}.") from error

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:  # noqa: ANN401 - whatever JSON the simulator answers
        url = f"{self.base_url}/simulator/{path}"
        answer = self._control.request(method, url, json=body, timeout=_CONTROL_SECONDS)
        if not answer.ok:
            raise ValueError(f"The simulator refused {method} {path}: {answer.text}")
        return answer.json()

    def _running(self) -> StartedSimulator:
        if self._process is None:
            raise RuntimeError("The simulator is not running.")
        return self._process

    def _wait(self) -> int:
        exit_code = self._running().wait(_STOP_SECONDS)
        self._process = None
        return exit_code
