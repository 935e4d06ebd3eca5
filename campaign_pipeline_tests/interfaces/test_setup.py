"""Preparing an installation, and starting the local Cloud API in it."""

import shutil
import signal
import subprocess
import sys

import pytest
import requests

from campaign_pipeline.interfaces.command_line import setup
from campaign_pipeline_tests.end_to_end.installation import PROJECT
from campaign_pipeline_tests.interfaces.installation import MODULE, Installation


def test_init_makes_ledger_folders_and_env_once(installation: Installation) -> None:
    """The start date must not move with each day that somebody types init."""
    installation.unset("CAMPAIGN_START_DATE")
    installation.set("CAMPAIGN_TIMEZONE", "Pacific/Auckland")
    installation.clock.forward(hours=4)  # 3 March in Auckland, still 2 March in UTC
    installation.must("init")
    env = (installation.folder / ".env").read_text(encoding="utf-8")
    assert "CAMPAIGN_START_DATE=2026-03-03\n" in env
    assert (installation.folder / "data" / "ledger.sqlite3").is_file()
    assert (installation.folder / "data" / "inbox").is_dir()
    installation.clock.forward(days=1)
    again = installation.must("init")
    assert "left as it is" in again.stdout
    assert (installation.folder / ".env").read_text(encoding="utf-8") == env


def test_init_never_changes_an_env_that_is_there_but_says_what_it_lacks(installation: Installation) -> None:
    """Without a start date each day is the first one, and past dates can never be backfilled."""
    installation.unset("CAMPAIGN_START_DATE")
    env = installation.folder / ".env"
    env.write_text("CAMPAIGN_SENDER_LIMIT=1000\n", encoding="utf-8")
    said = installation.must("init").stdout
    assert "CAMPAIGN_START_DATE=2026-03-02" in said
    assert env.read_text(encoding="utf-8") == "CAMPAIGN_SENDER_LIMIT=1000\n"


def test_an_env_is_readable_by_its_owner_only(installation: Installation) -> None:
    """The access token will stand in it."""
    installation.must("init")
    assert (installation.folder / ".env").stat().st_mode & 0o077 == 0


def test_init_makes_dagsters_tables_before_anything_is_started(installation: Installation) -> None:
    """Web server and daemon are started side by side on a new folder, and neither of them starts ever again."""
    shutil.copy(PROJECT / "dagster.yaml", installation.folder)
    assert "Dagster: its history is ready." in installation.must("init").stdout
    assert (installation.folder / ".dagster_storage" / "schedules" / "schedules.db").is_file()
    installation.must("init")


def test_init_says_what_is_wrong_with_a_dagster_yaml(installation: Installation) -> None:
    """A typing error in it would show as a web server that does not start, with nobody there to see why."""
    (installation.folder / "dagster.yaml").write_text("storage: {nowhere: {}}\n", encoding="utf-8")
    refused = installation.run("init")
    assert refused.status == 1
    assert "look at dagster.yaml" in refused.stderr
    assert "nowhere" in refused.stderr


@pytest.mark.parametrize(
    ("base_url", "port"),
    [
        ("https://graph.facebook.com", setup.SIMULATOR_PORT),
        ("http://127.0.0.1:9001", 9001),
        ("http://localhost:9002", 9002),
        ("http://[::1]:9003", 9003),
        ("http://10.0.0.5:9004", setup.SIMULATOR_PORT),
        ("http://127.0.0.1", 80),
    ],
)
def test_the_simulator_stands_where_the_sender_looks_for_it(base_url: str, port: int) -> None:
    """Two settings for one port would be set differently one day."""
    assert setup._usual_port(base_url) == port


def test_the_simulator_runs_until_it_is_stopped(installation: Installation) -> None:
    """`make dev` starts it as a process and ends it with a signal."""
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "simulator", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator listening on http://127.0.0.1:")
        url = f"{line.split()[-1]}/v25.0/{setup.SIMULATOR_PHONE_NUMBER_ID}/messages"
        refused = requests.post(url, json={}, headers={"Authorization": f"Bearer {setup.SIMULATOR_TOKEN}"}, timeout=300)
        assert refused.status_code == 400
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0


def test_commands_start_without_dagster_and_pandas(installation: Installation) -> None:
    """Both take seconds to load; nobody waits that long for a list."""
    installation.active_campaign(people=2)
    script = (
        "import sys; from campaign_pipeline.interfaces.command_line.app import app\n"
        "for words in sys.argv[1:]:\n"
        "    status = app(words.split(), standalone_mode=False)\n"
        "    heavy = {'dagster', 'pandas', 'alembic', 'fastapi', 'uvicorn'} & set(sys.modules)\n"
        "    if heavy or status: sys.exit(f'{words} loaded {heavy} and ended with {status}')"
    )
    words = ("--help", "list", "status", "stats 1", "plan", "recipients 1", "doubts", "limit", "prove", "ingest")
    ended = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_help_comes_before_settings_and_ledger_are_loaded(installation: Installation) -> None:
    """It is asked for when nothing is set yet, or when a setting is wrong."""
    installation.set("CAMPAIGN_SENDER_LIMIT", "many")
    script = (
        "import sys; from campaign_pipeline.interfaces.command_line.app import app\n"
        "app(['add', '--help'], standalone_mode=False)\n"
        "sys.exit(bool({'sqlalchemy', 'pydantic_settings', 'requests'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_command_works_as_a_process(installation: Installation) -> None:
    """Everything else here runs inside the test's own process, which has imported more than people's has."""
    installation.active_campaign(people=2)
    assert '"total": 2' in installation.run_process("stats", "spring-sale", "--json").stdout
    wrong = installation.run_process("show", "autumn")
    assert (wrong.status, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)
