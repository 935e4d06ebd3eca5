"""Which of the files that wait are handed to one run: a bounded number, and after a failure fewer and fewer.

Add here how what came of earlier runs decides about the next one.
Keep out which files are finished (`waiting_files`).

A file that ends its run, by needing more memory than there is, say, takes the others of that run with it. After each
failure in a row a run gets a fraction of the files, until that one is alone; then it is left aside for a while, and
the others go on. All that is read off the runs that Dagster remembers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from campaign_pipeline.orchestration.waiting_files import as_text

FILES_PER_RUN: Final = 500

FEWER_AFTER_A_FAILURE: Final = 8
"""By what the number of files is divided after each failure in a row: 500, 62, 7, 1."""

LEFT_ASIDE_FOR: Final = timedelta(hours=1)

_RUNS_REMEMBERED: Final = 50


@dataclass(frozen=True, slots=True)
class FileBatch:
    """What one run is handed.

    Attributes:
        files: The files, by name.
        told: What there is to say about the others.
    """

    files: tuple[Path, ...]
    told: tuple[str, ...]


def next_batch(
    instance: dg.DagsterInstance, job_name: str, asset: str, finished: Sequence[Path], now: datetime
) -> FileBatch:
    """Chooses the files of the next run.

    Args:
        instance: Where the runs are remembered.
        job_name: The job that takes files in.
        asset: The name of its asset, which gets the names.
        finished: The files that may be taken in, by name.
        now: The moment, UTC.
    """
    runs = instance.get_run_records(RunsFilter(job_name=job_name), limit=_RUNS_REMEMBERED)
    failed = [run for run in runs if run.dagster_run.status == DagsterRunStatus.FAILURE]
    in_a_row = next((number for number, run in enumerate(runs) if run not in failed), len(runs))
    left_aside = {
        names[0]
        for run in failed
        if len(names := _names_of(run.dagster_run.run_config, asset)) == 1
        and now < run.update_timestamp + LEFT_ASIDE_FOR
    }
    willing = [path for path in finished if as_text(path.name) not in left_aside]
    size = max(1, FILES_PER_RUN // FEWER_AFTER_A_FAILURE**in_a_row)
    told = []
    if aside := len(finished) - len(willing):
        told.append(f"{aside} left aside for an hour, since a run with that file alone failed.")
    if len(willing) > size:
        told.append(f"{size} of {len(willing)} files are taken in by the next run, the others after it.")
    return FileBatch(tuple(willing[:size]), tuple(told))


def _names_of(run_config: Mapping[str, Any], asset: str) -> Sequence[str]:
    """The files that a run was handed; none if it was to take in whatever waits."""
    config = run_config.get("ops", {}).get(asset, {}).get("config", {})
    return config.get("names") or ()
