"""The day's batch, started from outside: one run of today's partition in Dagster, however often it is asked for.

Add here an endpoint about the day as a whole.
Keep out how Dagster is asked (`dagster_runs`) and what a run does: `orchestration`, `sending`.
"""

import threading
import time
from datetime import date
from typing import Final

from fastapi import APIRouter, Response

from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.interfaces.rest_api import launching
from campaign_pipeline.interfaces.rest_api.callers import By, Place
from campaign_pipeline.interfaces.rest_api.dagster_runs import UNDER_WAY, DagsterRun, DagsterRuns, UnknownEndError
from campaign_pipeline.interfaces.rest_api.endpoint import SLOW, act
from campaign_pipeline.interfaces.rest_api.problems import Problem
from campaign_pipeline.interfaces.rest_api.shapes import Told
from campaign_pipeline.interfaces.workplace import Workplace
from campaign_pipeline.sending.batches import batch_of

router = APIRouter(prefix="/marketing", tags=["daily run"])

_PATIENCE_SECONDS: Final = 60.0
_LOOK_EVERY_SECONDS: Final = 0.2

DAILY_RUN_LAUNCHED: Final = "daily_run_launched"
"""In the audit log, about a date."""

_one_at_a_time: Final = threading.Lock()


class DailyRun(Told):
    """The run of a send date."""

    send_date: date
    run_id: str | None
    """Dagster's id of it; none for a batch that is finished and whose run Dagster does not show any more."""
    state: str
    """Dagster's word: queued, started, success, failure …"""
    launched: bool
    """Whether this request has started it."""


_UNREACHABLE: Final = (
    "Dagster does not answer at http://127.0.0.1:3000: start its webserver, or set DAGSTER_WEBSERVER_URL."
)
_STARTED: Final = {202: {"model": DailyRun, "description": "The run was started."}}


def _today(place: Workplace) -> str:
    return str(place.settings.calendar.date_of(place.clock()))


@act(
    router,
    "/process-daily",
    # Whoever asks every day under one key means another day each time.
    era=_today,
    at_once=SLOW,
    response_model=DailyRun,
    response_description="A run is under way, or the batch is finished: nothing was started.",
    responses=_STARTED,
    refusals={502: "Dagster has no job daily_send: look at its page.", 503: _UNREACHABLE},
)
def process_daily(place: Place, by: By, response: Response) -> DailyRun:
    """Send today's batch: starts its run in Dagster, or tells of the one that is under way. One batch a day."""
    today = place.settings.calendar.date_of(place.clock())
    start = place.settings.calendar.start_date
    if today < start:
        raise Problem(409, f"The first send date is {start}: until then nothing is sent.")
    runs = DagsterRuns(place.settings.dagster_webserver_url)
    give_up = time.monotonic() + _PATIENCE_SECONDS
    if not _one_at_a_time.acquire(timeout=_PATIENCE_SECONDS):
        raise _too_busy()
    try:
        answer = _run_of(place, runs, today, give_up, by.actor)
    finally:
        _one_at_a_time.release()
    response.status_code = 202 if answer.launched else 200
    return answer


def _run_of(place: Workplace, runs: DagsterRuns, today: date, give_up: float, actor: str) -> DailyRun:
    """The run of a date: one that is under way, that of a batch that is finished, or a new one."""
    while True:
        found = _run_there_is(place, runs, today)
        if found is not None:
            return found
        with place.ledger.write() as connection:
            claim = launching.claim_launch(connection, today, place.clock())
        if claim is not None:
            return _launch(place, runs, today, claim, actor)
        if time.monotonic() > give_up:
            raise _too_busy()
        # Another process is starting it.
        time.sleep(_LOOK_EVERY_SECONDS)


def _run_there_is(place: Workplace, runs: DagsterRuns, today: date) -> DailyRun | None:
    under_way = runs.of_date(today, UNDER_WAY)
    if under_way is not None:
        return _told(today, under_way)
    with place.ledger.read() as connection:
        batch = batch_of(connection, today)
    if batch is None or batch.is_open:
        return None
    newest = runs.of_date(today)
    return (
        DailyRun(send_date=today, run_id=None, state="success", launched=False)
        if newest is None
        else _told(today, newest)
    )


def _launch(place: Workplace, runs: DagsterRuns, today: date, claim: str, actor: str) -> DailyRun:
    try:
        # Somebody may have started one between the look and the claim.
        found = _run_there_is(place, runs, today)
        if found is None:
            run = runs.launch(today)
            found = DailyRun(send_date=today, run_id=run.run_id, state=run.state, launched=True)
            _note_launch(place, today, run.run_id, actor)
    except UnknownEndError as error:
        # Perhaps it was started: the claim stays for a while, until Dagster would show the run.
        _note_launch(place, today, None, actor)
        raise error.problem from error
    except Exception:
        _end(place, today, claim)
        raise
    _end(place, today, claim)
    return found


def _note_launch(place: Workplace, today: date, run_id: str | None, actor: str) -> None:
    """Writes down who has started the run; without its id, whose request may have started it."""
    with place.ledger.write() as connection:
        audit(connection, DAILY_RUN_LAUNCHED, str(today), actor=actor, now=place.clock(), details={"run_id": run_id})


def _end(place: Workplace, today: date, claim: str) -> None:
    with place.ledger.write() as connection:
        launching.end_launch(connection, today, claim)


def _told(today: date, run: DagsterRun) -> DailyRun:
    return DailyRun(send_date=today, run_id=run.run_id, state=run.state, launched=False)


def _too_busy() -> Problem:
    return Problem(503, "The run of today is just being started: ask again.", headers={"Retry-After": "5"})
