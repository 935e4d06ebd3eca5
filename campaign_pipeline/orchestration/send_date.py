"""A program: materializes one date of `daily_batch` in this installation's Dagster instance.

`campaign send` starts it as a process of its own, since the command line does without dagster.
Keep out the sending: the asset does that.
"""

import argparse
import json
import sys
import traceback
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from campaign_pipeline.campaigns.held_countries import waiting_in_held
from campaign_pipeline.orchestration.assets.sending import DAILY_BATCH
from campaign_pipeline.orchestration.build import build_definitions
from campaign_pipeline.orchestration.instance import NoInstanceError, end_dead_runs, open_instance, process_tag
from campaign_pipeline.orchestration.jobs import DAILY_SEND
from campaign_pipeline.orchestration.ledger_events import report_ledger_events
from campaign_pipeline.orchestration.resources import Pipeline
from campaign_pipeline.sending.report import nobody_waits
from campaign_pipeline.settings import Settings


def main() -> int:
    """Sends a date, writes what came of it to the result file, and gives 0 if the date needs nothing more."""
    parser = argparse.ArgumentParser(description="Materializes one date of daily_batch.")
    parser.add_argument("send_date", type=date.fromisoformat)
    parser.add_argument("--result", type=Path, required=True, help="where the outcome is written, as JSON")
    arguments = parser.parse_args()
    try:
        result = send_date(arguments.send_date)
    except NoInstanceError as error:
        result = _not_done(str(error))
    except Exception as error:
        # Whoever started this process reads the result and not the log: it has to say what went wrong, whatever it was.
        traceback.print_exc()
        result = _not_done(f"{arguments.send_date}: {type(error).__name__}: {error}")
    arguments.result.write_text(json.dumps(result), encoding="utf-8")
    return 0 if result["ok"] else 1


def send_date(send_date: date) -> dict[str, Any]:
    """Materializes a date in the folder's instance.

    Returns:
        `ok`, whether the date needs nothing more; `sentence`, what happened or why not; `run_id`; `sent_now`.
    """
    settings = Settings()
    pipeline = Pipeline(settings)
    today = settings.calendar.date_of(pipeline.now())
    if not settings.calendar.start_date <= send_date <= today:
        return _not_done(
            f"{send_date} is no send date: they run from {settings.calendar.start_date} to today, {today}."
        )
    # In no pool: if this process is killed, nobody frees its place, and while it waits for one Dagster spins. The lease
    # of the ledger lets one run send at a time all the same.
    job = build_definitions(settings, pipeline, sender_pool=None).resolve_job_def(DAILY_SEND)
    with open_instance() as instance:
        end_dead_runs(instance)
        report_ledger_events(instance, pipeline)
        run = job.execute_in_process(
            partition_key=send_date.isoformat(), instance=instance, raise_on_error=False, tags=process_tag()
        )
        report_ledger_events(instance, pipeline)
    return {
        "ok": run.success,
        "sentence": _sentence(run, send_date) or _nothing_to_send(pipeline, send_date),
        "run_id": run.run_id,
        "sent_now": _sent_now(run),
    }


def _not_done(sentence: str) -> dict[str, Any]:
    return {"ok": False, "sentence": sentence, "run_id": None, "sent_now": 0}


def _sentence(run: dg.ExecuteInProcessResult, send_date: date) -> str | None:
    for event in run.all_events:
        if event.is_step_failure and event.step_failure_data.user_failure_data is not None:
            return f"{send_date}: {event.step_failure_data.user_failure_data.description}"
        if event.is_step_failure and event.step_failure_data.error is not None:
            if event.step_failure_data.error.cls_name == DagsterExecutionInterruptedError.__name__:
                return f"{send_date}: stopped on request. Who is left stays in the batch; run the date again to go on."
            return f"{send_date}: {event.step_failure_data.error.message.strip()}"
    summary = _metadata(run).get("summary")
    return None if summary is None else str(summary.value)


def _nothing_to_send(pipeline: Pipeline, send_date: date) -> str:
    with pipeline.ledger.read() as connection:
        return nobody_waits(send_date, waiting_in_held(connection))


def _sent_now(run: dg.ExecuteInProcessResult) -> int:
    sent = _metadata(run).get("sent_in_this_run")
    return int(str(sent.value)) if sent is not None else 0


def _metadata(run: dg.ExecuteInProcessResult) -> dict[str, Any]:
    for event in run.get_asset_materialization_events():
        if event.asset_key == DAILY_BATCH:
            return dict(event.step_materialization_data.materialization.metadata)
    return {}


if __name__ == "__main__":
    sys.exit(main())
