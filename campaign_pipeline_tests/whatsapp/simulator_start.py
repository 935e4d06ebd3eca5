"""The two ways in which a simulator is started for a test: by its command, or forked from a process that has it loaded.

Add here what concerns its process. Keep out what it is asked once it runs: `simulator_process`.
"""

import multiprocessing
import os
import select
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Final, Protocol

from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions, command_for

_FORKING: Final = multiprocessing.get_context("forkserver")
_SERVER: Final = "campaign_pipeline.whatsapp.simulator.server"
# uvicorn loads these two only when it serves.
_FORKING.set_forkserver_preload([_SERVER, "uvicorn.loops.asyncio", "uvicorn.lifespan.off"])


class StartedSimulator(Protocol):
    """A process of a simulator."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def first_line(self, seconds: float) -> str:
        """Waits for what it says first; empty when it says nothing."""
        ...

    def terminate(self) -> None:
        """Asks it to stop."""
        ...

    def kill(self) -> None:
        """Ends it as a power cut would."""
        ...

    def wait(self, seconds: float) -> int:
        """Waits for its end; gives its exit code."""
        ...


class ByCommand:
    """A simulator that was started as people start it, which takes most of a second."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._process = subprocess.Popen(command_for(options), stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def first_line(self, seconds: float) -> str:
        """Waits for what it says first; empty when it says nothing."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else ""

    def terminate(self) -> None:
        """Asks it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()

    def wait(self, seconds: float) -> int:
        """Waits for its end; gives its exit code."""
        exit_code = self._process.wait(seconds)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return exit_code


class Forked:
    """A simulator that was forked from a process which does nothing else, and has loaded all that a simulator needs."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._reading, writing = _FORKING.Pipe(duplex=False)
        self._process = _FORKING.Process(target=_run, args=(options, writing), daemon=True)
        self._process.start()
        writing.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def first_line(self, seconds: float) -> str:
        """Waits for what it says first; empty when it says nothing."""
        return os.read(self._reading.fileno(), 1000).decode() if self._reading.poll(seconds) else ""

    def terminate(self) -> None:
        """Asks it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()

    def wait(self, seconds: float) -> int:
        """Waits for its end; gives its exit code."""
        self._process.join(seconds)
        exit_code = self._process.exitcode
        if exit_code is None:
            raise TimeoutError(f"The simulator has not ended within {seconds} seconds.")
        self._process.close()
        self._reading.close()
        return exit_code


def _run(options: SimulatorOptions, writing: Connection) -> None:
    from campaign_pipeline.whatsapp.simulator.server import run

    sys.stdout = os.fdopen(os.dup(writing.fileno()), "w", encoding="utf-8")
    writing.close()
    run(options)
