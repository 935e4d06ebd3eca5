"""Dagster's web server and daemon: each started by the command that the image would run, or both by `dagster dev`.

Add here how a process of a server is started and ended. Keep out what is asked of it: `web_ui`.
"""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from campaign_pipeline_tests.end_to_end.installation import COMMANDS, PROJECT
from campaign_pipeline_tests.end_to_end.web_ui import WebUi
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.support.waiting import wait_until

START_UP: Final = 300.0
"""Seconds: two processes load the definitions, on two cores that do other things too."""


@contextmanager
def servers(folder: Path, environment: Mapping[str, str]) -> Generator[WebUi]:
    """Runs the web server and the daemon in a folder, by the image's own commands, until the body ends.

    The folder is prepared by `campaign init`, as the README has it: two that make Dagster's tables at once fail.
    """
    port = free_port()
    # Unlike `dagster dev`, these two find no dagster.yaml by themselves.
    with_home = {"DAGSTER_HOME": str(folder), **environment}
    web, daemon = image_commands()
    web[web.index("--host") + 1] = "127.0.0.1"
    web[web.index("--port") + 1] = str(port)
    subprocess.run([COMMANDS / "campaign", "init"], cwd=folder, env=with_home, check=True, capture_output=True)
    with ExitStack() as running:
        process = running.enter_context(_process("web", web, folder, with_home))
        running.enter_context(_process("daemon", daemon, folder, with_home))
        web_ui = WebUi(port, process.pid)
        _wait_until_up(web_ui, process, folder / "web.log")
        with _told_when_it_fails(web_ui):
            yield web_ui


@contextmanager
def dagster_dev(folder: Path, environment: Mapping[str, str]) -> Generator[WebUi]:
    """Runs `dagster dev` in a folder, as `make dev` does, until the body ends."""
    port = free_port()
    command = ["dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    with _process("dagster-dev", command, folder, environment) as process:
        web_ui = WebUi(port, process.pid)
        _wait_until_up(web_ui, process, folder / "dagster-dev.log")
        with _told_when_it_fails(web_ui):
            yield web_ui


@contextmanager
def _told_when_it_fails(web_ui: WebUi) -> Generator[None]:
    """Adds what Dagster has to show to whatever the body fails with: the folder is gone when it is read."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(web_ui.story())
        raise


def image_commands() -> tuple[list[str], list[str]]:
    """The commands of the image's two long-lived processes, as the Dockerfile and the compose file have them."""
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    compose = (PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    return _list_after("\nCMD ", dockerfile), _list_after("\n    command: ", compose, containing="dagster-daemon")


def _list_after(marker: str, text: str, containing: str = "") -> list[str]:
    for part in text.split(marker)[1:]:
        line = part.splitlines()[0]
        if containing in line:
            return shlex.split(line.strip("[]").replace(",", " "))
    msg = f"no command {containing} in the deployment's files"
    raise AssertionError(msg)


def _wait_until_up(web_ui: WebUi, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def is_up() -> bool:
        assert process.poll() is None, f"it ended by itself:\n{log.read_text(encoding='utf-8')[-3000:]}"
        return web_ui.is_up()

    wait_until(is_up, f"the web server at {web_ui.url}; its log is {log}", START_UP)


@contextmanager
def _process(
    name: str, command: list[str], folder: Path, environment: Mapping[str, str]
) -> Generator["subprocess.Popen[bytes]"]:
    path = f"{COMMANDS}{os.pathsep}{environment.get('PATH', '')}"
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [COMMANDS / command[0], *command[1:]],
            cwd=folder,
            env={**environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A group of its own, so that the processes that it starts end with it.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if process.poll() is not None and not _group_lives(process.pid):
                return
            time.sleep(0.1)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
