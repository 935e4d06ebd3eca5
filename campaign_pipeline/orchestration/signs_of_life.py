"""Signs of life: every run shows that it is alive, and one that shows nothing any more is ended.

Add here how a run is known to be alive. A host that is lost leaves its runs STARTED: Dagster ends them only after their
longest run time, and until then they hold a place in a pool, or the turn of whoever takes files in.
Keep out the lease of the ledger, which keeps the promises whatever is shown here.

Nobody's clock is compared with another's: a run counts up, and the watcher counts the ticks without a change.
"""

import json
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from campaign_pipeline.orchestration.resources import Pipeline

BEAT_EVERY: Final = 10.0
"""Seconds between two signs of a run."""

SILENT_TICKS: Final = 5
"""After so many ticks of the sensor without a new sign a run is gone: more than a minute."""

_log = logging.getLogger(__name__)


def pipeline_resource(pipeline: Pipeline) -> dg.ResourceDefinition:
    """The pipeline as runs and sensors get it; a run shows signs of life for as long as it has it.

    Dagster makes a run's resources before its first step, also before it waits for a place in a pool.
    """

    @dg.resource(description="Settings, ledger and sender.")
    def shown_alive(context: dg.InitResourceContext) -> Generator[Pipeline]:
        if context.run is None or context.instance is None:
            yield pipeline
            return
        with showing_life(context.instance, context.run.run_id):
            yield pipeline

    return shown_alive


@contextmanager
def showing_life(instance: DagsterInstance, run_id: str, beat_every: float = BEAT_EVERY) -> Generator[None]:
    """Shows that a run is alive, for the body.

    Args:
        instance: Where the signs are kept.
        run_id: Whose they are.
        beat_every: Seconds between two signs.
    """
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while True:
            count += 1
            try:
                instance.daemon_cursor_storage.set_cursor_values({_key(run_id): str(count)})
            except Exception as error:
                # Each storage of Dagster has exceptions of its own. Whatever it was, the next sign may get through; a
                # run that stopped showing signs would be ended while it sends.
                _log.warning("No sign of life could be written: %s", error)
            if ended.wait(beat_every):
                return

    thread = threading.Thread(target=beat, name=f"signs-of-life-{run_id[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watcher has seen of the runs under way: each one's last sign, and for how many ticks it was the same."""

    seen: dict[str, tuple[str, int]]

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "Watch":
        """What the last tick has kept; a cursor that cannot be read is no watch at all."""
        try:
            kept = json.loads(cursor or "{}")
            return cls({run_id: (str(sign), int(ticks)) for run_id, (sign, ticks) in kept.items()})
        except (ValueError, TypeError, AttributeError):
            return cls({})

    def as_cursor(self) -> str:
        """This watch, for the next tick."""
        return json.dumps(self.seen)

    def looked_again(self, signs: dict[str, str]) -> "Watch":
        """The watch after one more look at the signs of the runs that are under way."""
        return Watch({run_id: (sign, self._ticks(run_id, sign)) for run_id, sign in signs.items()})

    def silent(self) -> list[str]:
        """The runs that have shown nothing new for too long."""
        return [run_id for run_id, (_, ticks) in self.seen.items() if ticks >= SILENT_TICKS]

    def _ticks(self, run_id: str, sign: str) -> int:
        last_sign, ticks = self.seen.get(run_id, ("", 0))
        return ticks + 1 if sign == last_sign else 0


def end_silent_runs(instance: DagsterInstance, watch: Watch) -> tuple[Watch, list[str]]:
    """Looks once at the runs under way and ends those that are gone, with their places in pools.

    A run that has shown no sign at all is left alone: it has only just begun, or is of other code in the same Dagster.

    Returns:
        The watch for the next tick, and the ids of the runs that were ended.
    """
    under_way = {run.run_id: run for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))}
    signs = instance.daemon_cursor_storage.get_cursor_values({_key(run_id) for run_id in under_way})
    looked = watch.looked_again({run_id: signs[_key(run_id)] for run_id in under_way if _key(run_id) in signs})
    gone = looked.silent()
    for run_id in gone:
        instance.report_run_failed(
            under_way[run_id],
            "This run shows no sign of life any more: its machine or its process was lost. What it has sent is in the "
            "ledger; a later run goes on with the rest.",
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return Watch({run_id: seen for run_id, seen in looked.seen.items() if run_id not in gone}), gone


def _key(run_id: str) -> str:
    return f"campaign_pipeline/sign_of_life/{run_id}"
