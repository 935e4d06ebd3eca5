"""Where the demo lives: its settings in `.env`, its data in `data/demo`, and its local Cloud API.

`make demo` and `make dev` share this, so that the web UI shows what the demo did. A folder that is set up for anything
else is left alone, and nothing that is set outside reaches the demo's commands.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import requests
from dotenv import dotenv_values, set_key

ENV_FILE: Final = Path(".env")
CAMPAIGN: Final = Path(sys.executable).with_name("campaign")

_SIMULATOR_TOKEN: Final = "simulator-token"  # noqa: S105 - what the local Cloud API takes; it opens nothing else
_HOST: Final = "127.0.0.1"
_OURS: Final = ("CAMPAIGN_", "WHATSAPP_", "WEBHOOK_")
_FIXED: Final = {
    "CAMPAIGN_DATA_DIR": "data/demo",
    "CAMPAIGN_TIMEZONE": "UTC",
    "CAMPAIGN_DEFAULT_REGION": "GB",
    "CAMPAIGN_SEND_WINDOW": "00:00-24:00",
    "CAMPAIGN_SENDER_LIMIT": "1000",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
    "WHATSAPP_BUSINESS_ACCOUNT_ID": "102290129340398",
    "WHATSAPP_ACCESS_TOKEN": _SIMULATOR_TOKEN,
}
_DAYS_BEFORE_TODAY: Final = 7
TEMPLATE: Final = {
    "name": "spring_sale",
    "language": "en_US",
    "category": "MARKETING",
    "parameter_format": "NAMED",
    "quality": "GREEN",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Spring sale"},
        {"type": "BODY", "text": "Hi {{first_name}}, everything green is 20 % off until Sunday."},
        {"type": "FOOTER", "text": "You get this because you shop with us."},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "URL", "text": "Have a look", "url": "https://shop.example/spring"},
                {"type": "QUICK_REPLY", "text": "Unsubscribe"},
            ],
        },
    ],
}
"""As a business would have had it approved by Meta."""

_HEADING: Final = """\
# Written by `make demo`: a trial on this machine, with made-up people and a local Cloud API. To send for real, delete
# this file and the folder data/demo, and follow "Going to production" in README.md.
"""


class OwnSettingsError(RuntimeError):
    """The folder is set up for something else than the demo."""


def prepare() -> dict[str, str]:
    """Settles the demo's settings in `.env`; gives the environment that its commands run in.

    Raises:
        OwnSettingsError: `.env` or the environment is set up for something else; nothing was changed.
    """
    present = _settings_in(dotenv_values(ENV_FILE))
    _refuse_own_settings(present)
    settings = _demo_settings(present)
    written = ENV_FILE.read_text(encoding="utf-8") if ENV_FILE.exists() else ""
    if _HEADING not in written:
        ENV_FILE.write_text(_HEADING + written, encoding="utf-8")
    for name, value in settings.items():
        if present.get(name) != value:
            set_key(ENV_FILE, name, value, quote_mode="never")
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)}
    return {**others, **settings}


def is_set_up_for_real() -> bool:
    """Whether `.env` or the environment has a token that is not the local Cloud API's."""
    tokens = {_settings_in(each).get("WHATSAPP_ACCESS_TOKEN") for each in (os.environ, dotenv_values(ENV_FILE))}
    return not tokens <= {None, _SIMULATOR_TOKEN}


def _refuse_own_settings(in_file: Mapping[str, str]) -> None:
    if is_set_up_for_real():
        _refuse("a WHATSAPP_ACCESS_TOKEN of its own")
    for settings in (in_file, _settings_in(os.environ)):
        for name, value in settings.items():
            decides_where = name in ("CAMPAIGN_DATABASE_URL", "CAMPAIGN_DATA_DIR") or name.startswith("WHATSAPP_")
            if decides_where and not _is_of_the_demo(name, value):
                _refuse(f"a {name} of its own")
    beyond = set(in_file) - {"CAMPAIGN_START_DATE"}
    if beyond and _HEADING not in ENV_FILE.read_text(encoding="utf-8"):
        _refuse(f"a .env with settings of its own ({', '.join(sorted(beyond))})")


def _refuse(what: str) -> NoReturn:
    msg = f"This folder or its environment has {what}, so the demo keeps out of its way: run it in a fresh clone."
    raise OwnSettingsError(msg)


def _is_of_the_demo(name: str, value: str) -> bool:
    if name == "WHATSAPP_BASE_URL":
        return urlsplit(value).hostname == _HOST
    return value == _FIXED.get(name)


def _settings_in(values: Mapping[str, str | None]) -> dict[str, str]:
    """What is set, by the names as they are documented: settings are read in any case."""
    return {name.upper(): value for name, value in values.items() if value}


def start_simulator(environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """Starts the local Cloud API with the demo's template in it; None when it is running already."""
    base_url = environment["WHATSAPP_BASE_URL"]
    process = None if _answers(base_url) else _start(environment, base_url)
    _session().post(f"{base_url}/simulator/templates", json=TEMPLATE, timeout=10).raise_for_status()
    return process


def _start(environment: Mapping[str, str], base_url: str) -> subprocess.Popen[bytes]:
    """Starts it and waits until it answers."""
    port = str(urlsplit(base_url).port)
    log_path = _data_folder(environment) / "logs" / "simulator.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [CAMPAIGN, "simulator", "--port", port, "--delivered-after", "1", "--read-after", "3"],
            env=dict(environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    while not _answers(base_url):
        if process.poll() is not None or time.monotonic() > deadline:
            msg = f"The local Cloud API did not start; its log is {log_path}."
            raise RuntimeError(msg)
        time.sleep(0.1)
    return process


def simulator_says(environment: Mapping[str, str], what: str) -> dict[str, Any]:
    """Asks the local Cloud API: `health`, or `report` on whom it has accepted messages for."""
    return _session().get(f"{environment['WHATSAPP_BASE_URL']}/simulator/{what}", timeout=10).json()


def _demo_settings(present: Mapping[str, str]) -> dict[str, str]:
    start_date = present.get("CAMPAIGN_START_DATE")
    if start_date is None or not (_data_folder(_FIXED) / "ledger.sqlite3").exists():
        start_date = (datetime.now(UTC).date() - timedelta(days=_DAYS_BEFORE_TODAY)).isoformat()
    base_url = _base_url(present.get("WHATSAPP_BASE_URL"))
    return {**_FIXED, "CAMPAIGN_START_DATE": start_date, "WHATSAPP_BASE_URL": base_url}


def _base_url(present: str | None) -> str:
    """The address that the demo used before, if it still can, else one on a free port of this machine."""
    if present is not None and urlsplit(present).hostname == _HOST and (_answers(present) or _is_free(present)):
        return present
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return f"http://{_HOST}:{probe.getsockname()[1]}"


def _is_free(base_url: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, urlsplit(base_url).port or 0))
        except OSError:
            return False
        return True


def _answers(base_url: str) -> bool:
    try:
        return _session().get(f"{base_url}/simulator/health", timeout=2).ok
    except requests.RequestException:
        return False


def _session() -> requests.Session:
    session = requests.Session()
    # A proxy of the surroundings has nothing to do with a server on this machine.
    session.trust_env = False
    return session


def _data_folder(environment: Mapping[str, str]) -> Path:
    return Path(environment["CAMPAIGN_DATA_DIR"])
