"""An installation in a folder of its own, used as people use it: through processes, with an environment that is given.

Add here how something is started and what it left behind. Keep out expectations: those belong to the tests.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from campaign_pipeline.interfaces.command_line.app import app
from campaign_pipeline.ledger.engine import connect
from campaign_pipeline_tests.support.campaigns import write_list
from campaign_pipeline_tests.support.sending import states
from campaign_pipeline_tests.support.waiting import PATIENCE
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

PROJECT: Final = Path(__file__).parents[2]
COMMANDS: Final = Path(sys.executable).parent
"""Where `campaign` and `dagster` are, beside the Python that runs the tests."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        """The one document on stdout."""
        return json.loads(self.stdout)


def surroundings(folder: Path) -> dict[str, str]:
    """An environment without any setting of the machine that the tests run on."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(folder), "PYTHONUNBUFFERED": "1"}


def today() -> datetime:
    """Midnight, UTC: these installations keep the dates of that zone."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Installation:
    """A folder with Dagster's files, whose commands send to a simulator at any hour, and fast."""

    def __init__(self, folder: Path, simulator: SimulatorProcess, settings: Mapping[str, str]) -> None:
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(PROJECT / name, folder)
        self.folder = folder
        self.simulator = simulator
        self.environment = {
            **surroundings(folder),
            "CAMPAIGN_DATA_DIR": "data",
            "CAMPAIGN_START_DATE": (today() - timedelta(days=7)).date().isoformat(),
            "CAMPAIGN_TIMEZONE": "UTC",
            "CAMPAIGN_SEND_WINDOW": "00:00-24:00",
            "CAMPAIGN_SENDER_RATE": "500",
            "WHATSAPP_BASE_URL": simulator.base_url,
            "WHATSAPP_PHONE_NUMBER_ID": simulator.options.phone_number_id,
            "WHATSAPP_ACCESS_TOKEN": simulator.options.access_token,
            **settings,
        }

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Starts a command, as in a terminal of its own."""
        return subprocess.Popen(
            [COMMANDS / "campaign", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Ended:
        """Types a command and waits for it."""
        return ended(self.start(*words))

    def must(self, *words: str) -> Ended:
        """Types a command that has to go well."""
        result = self.run(*words)
        assert result.status == 0, result.stderr
        return result

    def type_here(self, *words: str) -> Ended:
        """Types a command that has to go well in the test's own process: to start one takes longer than most commands.

        For what comes before a test and after it, by the clock of the machine.
        """
        ours = ("CAMPAIGN_", "WHATSAPP_", "DAGSTER_")
        environment = {name: None for name in os.environ if name.startswith(ours)} | self.environment
        with chdir(self.folder):
            result = CliRunner().invoke(app, list(words), env=environment, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return Ended(result.exit_code, result.stdout, result.stderr)

    def campaign(self, numbers: Iterable[int], daily_limit: int = 250) -> None:
        """Makes `spring-sale` with people in it, and activates it."""
        for words in self.words_for_a_campaign(numbers, daily_limit):
            self.type_here(*words)

    def words_for_a_campaign(self, numbers: Iterable[int], daily_limit: int) -> list[list[str]]:
        """The commands that make `spring-sale` with people in it, and activate it."""
        people = str(write_list(self.folder / "people.csv", numbers))
        return [
            ["create", "Spring Sale", "--template", "spring_sale", "--daily-limit", str(daily_limit)],
            ["add", "spring-sale", people],
            ["activate", "spring-sale"],
        ]

    def figures(self) -> dict[str, Any]:
        """The figures of the campaign."""
        return self.type_here("stats", "spring-sale", "--json").json

    def promises_are_kept(self) -> bool:
        """What the proof says."""
        return self.type_here("prove", "--json").json["kept"]

    def people(self) -> list[str]:
        """Everyone's state, without starting a command for each look."""
        file = self.folder / self.environment["CAMPAIGN_DATA_DIR"] / "ledger.sqlite3"
        url = self.environment.get("CAMPAIGN_DATABASE_URL", f"sqlite:///{file}")
        with closing(connect(url)) as ledger:
            return states(ledger)

    def reached(self) -> list[str]:
        """Whom the simulator took a message for, each as often as it did."""
        return [message["to"] for message in self.simulator.messages()]


def ended(process: "subprocess.Popen[str]", timeout: float = PATIENCE) -> Ended:
    """Waits for a process; one that hangs is killed, and fails the test."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, stdout, stderr)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still live."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
    return [child for child, parent in pairs if parent == pid]
