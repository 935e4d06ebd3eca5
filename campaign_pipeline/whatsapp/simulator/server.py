"""Runs the local Cloud API as a process of its own, from its first line on stdout to a clean stop.

Add here what concerns the process: sockets, signals, start and stop. Keep out what requests and answers are (app.py).
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Generator

import uvicorn

from campaign_pipeline.whatsapp.simulator.app import create_app
from campaign_pipeline.whatsapp.simulator.connections import BreakableConnection
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions

__all__ = ["SimulatorOptions", "run"]

_BACKLOG = 2048
# Longer than any client here keeps a connection idle: only faults that were ordered shall break a call.
_KEEP_ALIVE_SECONDS = 300
_GRACEFUL_STOP_SECONDS = 2


def run(options: SimulatorOptions) -> None:
    """Serves until SIGTERM or SIGINT, in the main thread.

    Once requests are taken, one line goes to stdout: `simulator listening on http://HOST:PORT`. At the stop, requests
    that are held or slow lose their connection, statuses that are due are written to the inbox, and those that are not
    due yet are forgotten: they live in memory only, and a restart on the same record does not bring them back. Webhooks
    that were never posted are posted once, those that wait for another try are forgotten as well.

    Args:
        options: how the simulator behaves.

    Raises:
        OSError: the address is taken, or the inbox or the record cannot be written.
        ValueError: the record holds something else than accepted messages.
    """
    asyncio.run(_serve(options))


class _Server(uvicorn.Server):
    """uvicorn, told when to stop by us, and saying so once it takes requests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn's own version raises the signal again when it is done, which would end the process by that signal
        # before the statuses that are due are written.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            sys.stdout.write(f"simulator listening on http://{host}:{port}\n")
        sys.stdout.flush()


async def _serve(options: SimulatorOptions) -> None:
    simulator = Simulator(options)
    server = _Server(_uvicorn_config(simulator))
    stopped = asyncio.Event()

    def stop() -> None:
        server.should_exit = True
        simulator.close()

    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop)
    with (
        contextlib.closing(simulator.record),
        socket.create_server((options.host, options.port), backlog=_BACKLOG) as listener,
    ):
        # A task group, so that an inbox that cannot be written stops the server instead of losing statuses in silence.
        async with asyncio.TaskGroup() as tasks:
            flushing = tasks.create_task(simulator.statuses.keep_flushing(stopped))
            tasks.create_task(simulator.delivery.keep_calling())
            await server.serve(sockets=[listener])
            stopped.set()
            await flushing
            simulator.delivery.finish()


def _uvicorn_config(simulator: Simulator) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(simulator),
        http=BreakableConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_STOP_SECONDS,
    )
