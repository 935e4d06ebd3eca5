"""The demo, in a copy of the working tree, as somebody runs it who has just cloned the project."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from campaign_pipeline_tests.end_to_end.installation import PROJECT, Ended, ended, surroundings

DEMO = Path("examples/spring_sale/demo.py")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is in the repository, and of what is about to be: without `.env`, data and history."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    copy = tmp_path / "clone"
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, copy / name)
    return copy


def demo(clone: Path, **exported: str) -> Ended:
    """Runs the demo as `make demo` does."""
    environment = {**surroundings(clone.parent), **exported}
    command = [sys.executable, DEMO]
    process = subprocess.Popen(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return ended(process)


def accepted(clone: Path) -> list[str]:
    """Whom the demo's Cloud API took a message for, by its own record."""
    record = clone / "data" / "demo" / "simulator" / "accepted.ndjson"
    return [json.loads(line)["to"] for line in record.read_text(encoding="utf-8").splitlines()]


def test_the_demo_sends_a_first_batch_and_run_again_sends_nothing(clone: Path) -> None:
    """The first thing that a stranger types; if it fails, it is also the last."""
    # As `campaign init` leaves it; and what is exported for another installation does not reach the demo.
    (clone / ".env").write_text("# The settings of this folder.\nCAMPAIGN_START_DATE=2020-01-01\n", encoding="utf-8")
    first = demo(clone, CAMPAIGN_TIMEZONE="Asia/Tokyo", CAMPAIGN_SENDER_LIMIT="1")
    assert first.status == 0, first.stdout + first.stderr
    assert "NO " not in first.stdout
    assert "planned: 40 days" in first.stdout
    assert "250 of 250 accepted by WhatsApp" in first.stdout
    reached = accepted(clone)
    assert len(reached) == len(set(reached)) == 250
    assert dotenv_values(clone / ".env")["WHATSAPP_ACCESS_TOKEN"] == "simulator-token"

    second = demo(clone)
    assert second.status == 0, second.stdout + second.stderr
    assert "nothing sent now" in second.stdout
    assert accepted(clone) == reached


@pytest.mark.parametrize("token", ["EAAG-a-real-one", "'EAAG-a-real-one'"])
def test_the_demo_keeps_out_of_a_folder_that_is_set_up_for_sending(clone: Path, token: str) -> None:
    """It would point a real ledger at a simulator, or 10,000 made-up people at WhatsApp."""
    own = f"CAMPAIGN_DATA_DIR=data\nWHATSAPP_ACCESS_TOKEN={token}\n"
    (clone / ".env").write_text(own, encoding="utf-8")
    refused = demo(clone)
    assert refused.status == 1
    assert "WHATSAPP_ACCESS_TOKEN of its own" in refused.stderr
    assert token.strip("'") not in refused.stdout + refused.stderr
    assert (clone / ".env").read_text(encoding="utf-8") == own
    assert not (clone / "data").exists()


@pytest.mark.parametrize(
    ("exported", "written", "said"),
    [
        ({"WHATSAPP_ACCESS_TOKEN": "EAAG-a-real-one"}, "", "WHATSAPP_ACCESS_TOKEN of its own"),
        ({"WHATSAPP_ACCESS_TOKEN": "simulator-token"}, "WHATSAPP_ACCESS_TOKEN=EAAG\n", "WHATSAPP_ACCESS_TOKEN of its"),
        ({"campaign_database_url": "postgresql://host/real"}, "", "CAMPAIGN_DATABASE_URL of its own"),
        ({}, "CAMPAIGN_DATABASE_URL=sqlite:///real.sqlite3\n", "CAMPAIGN_DATABASE_URL of its own"),
        ({"CAMPAIGN_DATA_DIR": "/srv/real"}, "", "CAMPAIGN_DATA_DIR of its own"),
        ({"WHATSAPP_PHONE_NUMBER_ID": "7"}, "", "WHATSAPP_PHONE_NUMBER_ID of its own"),
        ({}, "CAMPAIGN_START_DATE=2026-03-01\nCAMPAIGN_TIMEZONE=Europe/London\n", "settings of its own"),
    ],
)
def test_the_demo_changes_nothing_of_an_installation_however_it_is_set_up(
    clone: Path, exported: dict[str, str], written: str, said: str
) -> None:
    """10,000 made-up people in a real ledger are hard to get out again."""
    if written:
        (clone / ".env").write_text(written, encoding="utf-8")
    refused = demo(clone, **exported)
    assert refused.status == 1
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "EAAG" not in refused.stderr
    assert ((clone / ".env").read_text(encoding="utf-8") if written else "") == written
    assert (clone / ".env").exists() == bool(written)
    assert not (clone / "data").exists()
