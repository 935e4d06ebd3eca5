"""`make dev`: the Dagster web UI, its daemon and the local Cloud API, on the demo's data.

In a folder that is set up for sending for real, it starts the web UI and the daemon on that, and no local Cloud API.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from surroundings import OwnSettingsError, is_set_up_for_real, prepare, start_simulator


def main() -> int:
    """Runs until Ctrl-C or SIGTERM."""
    os.chdir(Path(__file__).parents[2])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    simulator = None
    environment = dict(os.environ)
    if is_set_up_for_real():
        print(
            "This folder has a token of its own: what is sent from here goes to WhatsApp, to real people.", flush=True
        )
    else:
        try:
            environment = prepare()
        except OwnSettingsError as error:
            print(error, file=sys.stderr)
            return 1
        simulator = start_simulator(environment)
    subprocess.run([Path(sys.executable).with_name("campaign"), "init"], env=environment, check=True)
    dagster = subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), "dev", "--host", "127.0.0.1", "--port", _port()],
        env=environment,
        # In the background of a shell a program ignores Ctrl-C, and Dagster with it.
        preexec_fn=_listen_to_interrupts,  # noqa: PLW1509 - nothing else runs in this program
    )
    try:
        return dagster.wait()
    except KeyboardInterrupt:
        dagster.send_signal(signal.SIGINT)
        return dagster.wait()
    finally:
        if simulator is not None:
            simulator.terminate()
            simulator.wait()


def _port() -> str:
    return os.environ.get("DAGSTER_PORT", "3000")


def _listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
