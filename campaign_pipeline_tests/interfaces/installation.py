"""The command line as a test uses it: typed into a folder of its own, at a moment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from campaign_pipeline.interfaces.command_line.app import app
from campaign_pipeline.interfaces.command_line.context import Workplace
from campaign_pipeline.ledger.engine import Ledger, open_ledger
from campaign_pipeline_tests.support.campaigns import write_list
from campaign_pipeline_tests.support.clock import HandClock

MODULE = "campaign_pipeline.interfaces.command_line.app"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        """The one document on stdout."""
        return json.loads(self.stdout)


class Installation:
    """A folder in which commands are typed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in os.environ:
            if name.startswith(("CAMPAIGN_", "WHATSAPP_", "WEBHOOK_")):
                monkeypatch.delenv(name)
        monkeypatch.chdir(folder)
        self._monkeypatch = monkeypatch
        self.folder = folder
        self.clock = HandClock("2026-03-02T08:00:00+00:00")
        self.set("CAMPAIGN_START_DATE", "2026-03-01")

    def set(self, name: str, value: str) -> None:
        """Sets an environment variable."""
        self._monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        """Takes an environment variable away."""
        self._monkeypatch.delenv(name, raising=False)

    def run(self, *words: str, answer: str | None = None) -> Answer:
        """Types a command; an exception that nobody foresaw comes out as it is."""
        result = CliRunner().invoke(
            app, list(words), input=answer, catch_exceptions=False, obj=Workplace(self.clock.now)
        )
        return Answer(result.exit_code, result.stdout, result.stderr)

    def must(self, *words: str) -> Answer:
        """Types a command that has to go well."""
        answer = self.run(*words)
        assert answer.status == 0, answer.stderr
        return answer

    def run_process(self, *words: str) -> Answer:
        """Types a command in a process of its own, as people do."""
        ended = subprocess.run(
            [sys.executable, "-m", MODULE, *words], capture_output=True, text=True, timeout=300, check=False
        )
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def list_of(self, numbers: Iterable[int], name: str = "people.csv") -> str:
        """Writes a recipient list; gives its path."""
        return str(write_list(self.folder / name, numbers))

    def ledger(self) -> Ledger:
        """The ledger behind the commands."""
        return open_ledger("sqlite:///data/ledger.sqlite3")

    def active_campaign(self, people: int = 10, daily_limit: int = 2) -> None:
        """Makes `spring-sale`, puts people in and activates it."""
        self.must("create", "Spring Sale", "--template", "spring_sale", "--daily-limit", str(daily_limit))
        self.must("add", "spring-sale", self.list_of(range(people)))
        self.must("activate", "spring-sale")
