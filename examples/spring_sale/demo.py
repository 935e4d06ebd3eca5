"""The demo: 10,000 customers from a messy list become an audience, a plan of 40 days, and today's first 250 messages.

Every step is a command that can be typed by hand. Run again on the same day, it adds nobody and sends nothing.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from surroundings import CAMPAIGN, OwnSettingsError, prepare, simulator_says, start_simulator

LIST: Final = Path("examples/spring_sale/recipients.csv")
NAME: Final = "Spring Sale"
SLUG: Final = "spring-sale"
_LONGEST_WAIT: Final = 60.0


def main() -> int:
    """Runs the demo; 0 if what came out is what should have."""
    os.chdir(Path(__file__).parents[2])
    try:
        environment = prepare()
    except OwnSettingsError as error:
        print(error, file=sys.stderr)
        return 1
    simulator = start_simulator(environment)
    try:
        return _run(environment)
    finally:
        if simulator is not None:
            simulator.terminate()
            simulator.wait()


def _run(environment: Mapping[str, str]) -> int:
    _title("A campaign, and the people of a list as a marketer has it")
    _campaign(environment, "init")
    if SLUG not in {campaign["slug"] for campaign in _asked(environment, "list")}:
        _campaign(environment, "create", NAME, "--template", "spring_sale", "--parameter", "first_name=first_name")
    _campaign(environment, "add", SLUG, str(LIST))

    _title("The preflight: would WhatsApp take these messages?")
    _campaign(environment, "preflight", SLUG)

    _title("The plan: 250 people a day")
    if _asked(environment, "show", SLUG)["status"] == "draft":
        _campaign(environment, "activate", SLUG)
    planned = [each for each in _asked(environment, "plan", SLUG) if each["planned_size"]]
    print(f"planned: {len(planned)} days, from {planned[0]['send_date']} to {planned[-1]['send_date']}")

    _title("Today's batch, sent by a Dagster run of the daily partition")
    _campaign(environment, "send")

    _title("What became of the messages: statuses come as files")
    _wait_for_statuses(environment)
    _campaign(environment, "ingest")
    _campaign(environment, "stats", SLUG)
    return _judge(environment, len(planned))


def _judge(environment: Mapping[str, str], planned_days: int) -> int:
    """Holds the figures against what the local Cloud API itself has counted."""
    _title("Do the figures add up?")
    stats = _asked(environment, "stats", SLUG)
    report = simulator_says(environment, "report")
    facts = {
        "10,000 people in the audience": stats["total"] == 10_000,
        "a plan of 40 days": planned_days == 40,
        f"{stats['sent']} sent, and the Cloud API has accepted as many": stats["sent"] == report["accepted"] >= 250,
        "nobody was reached twice": report["reached_twice"] == [],
        f"{stats['delivered']} delivered, {stats['read']} of them read": stats["delivered"] >= stats["read"] > 0,
        "the states sum to the audience": sum(stats["states"].values()) == stats["total"],
    }
    for fact, holds in facts.items():
        print(f"  {'yes' if holds else 'NO '}  {fact}")
    print(
        "\nNow look at it:  make dev   and open http://127.0.0.1:3000\n"
        "There, on daily_batch, up to three of the missed dates can be materialized; the fourth is refused by the\n"
        "moving 24-hour limit of 1,000 people. `make demo` again sends nothing again. What else there is:\n"
        ".venv/bin/campaign --help"
    )
    return 0 if all(facts.values()) else 1


def _title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def _campaign(environment: Mapping[str, str], *arguments: str) -> None:
    """Runs a command as a person would, and shows it."""
    shown = " ".join(f'"{each}"' if " " in each else each for each in arguments)
    print(f"$ campaign {shown}", flush=True)
    subprocess.run([CAMPAIGN, *arguments], env=dict(environment), check=True)


def _asked(environment: Mapping[str, str], *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
    command = [CAMPAIGN, *arguments, "--json"]
    answer = subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def _wait_for_statuses(environment: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while simulator_says(environment, "health")["statuses_pending"] and time.monotonic() < deadline:
        time.sleep(0.2)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"The demo stopped, since this command failed: campaign {' '.join(map(str, error.cmd[1:]))}")
