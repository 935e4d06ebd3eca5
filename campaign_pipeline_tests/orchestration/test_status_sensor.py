"""Status files that wait in the inbox: when they are noticed, what is requested, and what comes of it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from campaign_pipeline.orchestration import file_batches, sensors, waiting_files
from campaign_pipeline.orchestration.jobs import INGEST_STATUSES
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, metadata_of, rows_of, shown
from campaign_pipeline_tests.orchestration.ticking import UNDER_WAY, Tick, TickingSensor, drop, leave_run
from campaign_pipeline_tests.support.sending import people

NEXT_DATE = "2026-03-03"
LONG_AGO = 1_200.0
"""Seconds since a file's last change after which nobody writes to it any more."""


@pytest.fixture
def sensor(desk: OrchestrationDesk) -> TickingSensor:
    """The sensor."""
    return TickingSensor(desk, "delivery_status_sensor")


def put(sensor: TickingSensor, content: bytes, name: str = "statuses.ndjson", age: float = LONG_AGO) -> Path:
    """Puts a file into the inbox."""
    return drop(sensor.desk, sensor.desk.settings.status_folders.inbox / name, content, age=age)


def statuses(sensor: TickingSensor) -> bytes:
    """Everything that the simulator has to tell since the last time, as one file; none of it is in the inbox."""
    sensor.desk.statuses()
    files = sorted(sensor.desk.settings.status_folders.inbox.glob("*.ndjson"))
    content = b"".join(file.read_bytes() for file in files)
    for file in files:
        file.unlink()
    assert content
    return content


def sent(sensor: TickingSensor, size: int = 4) -> bytes:
    """Sends to some people; gives the statuses of their messages."""
    sensor.desk.campaign(people(size))
    assert sensor.desk.send().success
    return statuses(sensor)


def reports(sensor: TickingSensor, send_date: str = THE_DATE) -> int:
    """How often the analytics of a date were reported."""
    return len(sensor.desk.materializations("campaign_analytics", send_date))


def test_a_file_is_requested_once_it_has_stopped_growing(sensor: TickingSensor) -> None:
    """Half a line at the end of half a file is a status that nobody hears of."""
    path = put(sensor, b'{"object":', age=0)
    assert sensor.tick() == Tick((), "A status file is still growing.", ())
    sensor.desk.clock.forward(seconds=15)
    drop(sensor.desk, path, b'{"object": "whatsapp_business_account"')
    assert sensor.tick() == Tick((), "A status file is still growing.", ())
    sensor.desk.clock.forward(seconds=15)
    assert len(sensor.tick().requests) == 1


def test_a_file_that_was_put_there_long_ago_needs_no_second_look(sensor: TickingSensor) -> None:
    """After a weekend without the daemon, everything would wait for one tick more than it has to."""
    put(sensor, b"{}\n")
    assert len(sensor.tick().requests) == 1


def test_an_empty_inbox_requests_nothing_and_says_so(sensor: TickingSensor) -> None:
    """Four runs a minute that find nothing bury the one that does; and a new installation has no inbox at all."""
    assert sensor.tick() == Tick((), "No status file waits.", ())
    put(sensor, b"{}\n", ".statuses.part")
    assert sensor.tick() == Tick((), "No status file waits.", ())


def test_the_requested_run_takes_the_files_in_and_reports_the_dates_that_they_touch(sensor: TickingSensor) -> None:
    """Forty dates reported for one late "read" bury it; none reported, and the page shows the morning's figures."""
    desk = sensor.desk
    desk.campaign(people(20), daily_send_limit=10)
    desk.send()
    late = statuses(sensor)
    desk.clock.forward(days=1)
    desk.send(NEXT_DATE)
    put(sensor, statuses(sensor), "second.ndjson")
    assert (reports(sensor), reports(sensor, NEXT_DATE)) == (1, 1), "by the runs that have sent"

    (run,) = sensor.tick_and_run()
    assert shown(run, "delivery_statuses")["send_dates_touched"] == NEXT_DATE
    assert (reports(sensor), reports(sensor, NEXT_DATE)) == (1, 2)
    assert desk.figures(NEXT_DATE).read == 10

    put(sensor, late, "first.ndjson")
    (run,) = sensor.tick_and_run()
    assert shown(run, "delivery_statuses")["send_dates_touched"] == THE_DATE
    assert (reports(sensor), reports(sensor, NEXT_DATE)) == (2, 2)
    assert metadata_of(desk.materializations("campaign_analytics", THE_DATE)[0])["read"] == 10


def test_all_files_that_wait_are_one_run(sensor: TickingSensor) -> None:
    """A run for each of a hundred files takes ten minutes of starting and stopping."""
    lines = sent(sensor).splitlines(keepends=True)
    for number, line in enumerate(lines):
        put(sensor, line, f"{number:03}.ndjson")
    (run,) = sensor.tick_and_run()
    assert shown(run, "delivery_statuses")["files"] == len(lines)
    assert sensor.desk.figures().read == 4
    assert sensor.tick().said == "No status file waits."


def test_half_a_file_is_not_taken_in_along_with_a_whole_one(sensor: TickingSensor) -> None:
    """A run moves what it has read to the archive: whoever still writes to it writes into the archive from then on."""
    whole = sent(sensor)
    put(sensor, whole, "whole.ndjson")
    growing = put(sensor, whole[:-100], "growing.ndjson", age=0)
    (run,) = sensor.tick_and_run()
    assert [file["file"] for file in rows_of(shown(run, "delivery_statuses")["by_file"])] == ["whole.ndjson"]
    assert growing.exists()
    sensor.tick_and_run()
    assert not growing.exists()


@pytest.mark.parametrize("status", UNDER_WAY, ids=lambda status: status.value)
def test_there_is_one_run_at_a_time(sensor: TickingSensor, status: DagsterRunStatus) -> None:
    """Behind forty dates that are being sent, each tick would add one more run to the queue."""
    put(sensor, b"{}\n")
    leave_run(sensor.desk, INGEST_STATUSES, status)
    assert sensor.tick() == Tick((), "a run that takes the files in is under way.", ())


def test_a_run_that_a_person_has_started_counts_as_well(sensor: TickingSensor) -> None:
    """Somebody presses Materialize and the sensor ticks: both read the same files."""
    put(sensor, b"{}\n")
    leave_run(sensor.desk, "__ASSET_JOB", DagsterRunStatus.STARTED, asset="delivery_statuses")
    assert sensor.tick().said == "a run that takes the files in is under way."


@pytest.mark.parametrize("job", ["daily_send", "take_in_lists"])
def test_runs_of_other_jobs_hold_up_no_status(sensor: TickingSensor, job: str) -> None:
    """A batch waits for capacity until the evening; so would every "delivered" of the day."""
    put(sensor, b"{}\n")
    leave_run(sensor.desk, job, DagsterRunStatus.STARTED, partition=THE_DATE)
    assert len(sensor.tick().requests) == 1


def test_after_a_failed_run_the_files_are_taken_in_after_a_pause(sensor: TickingSensor) -> None:
    """Remembered as done, the files of a run that failed are lost; tried at each tick, they fill the page with red."""
    path = put(sensor, sent(sensor))
    archive = sensor.desk.settings.status_folders.archive
    archive.write_text("a file where the folder should be", encoding="utf-8")
    (run,) = sensor.tick_and_run()
    assert not run.success
    archive.unlink()

    sensor.until_the_last_run_ended()
    said = sensor.tick().said
    assert said is not None
    assert said.startswith("the last run failed; the files are taken in again after ")
    sensor.desk.clock.forward(seconds=sensors.PAUSE_AFTER_FAILURE / timedelta(seconds=1) + 1)
    (run,) = sensor.tick_and_run()
    assert run.success
    assert sensor.desk.figures().read == 4
    assert not path.exists()
    assert [file.name.endswith("statuses.ndjson") for file in archive.iterdir()] == [True]


def test_a_poisoned_file_is_rejected_with_its_reason_and_good_ones_count(sensor: TickingSensor) -> None:
    """One file that cannot be read stands first in the inbox, and nothing behind it is ever delivered."""
    put(sensor, sent(sensor), "bbb.ndjson")
    put(sensor, b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "aaa.ndjson")
    (run,) = sensor.tick_and_run()
    assert run.success
    assert sensor.desk.figures().read == 4
    files = {file["file"]: file["state"] for file in rows_of(shown(run, "delivery_statuses")["by_file"])}
    assert files == {"aaa.ndjson": "rejected", "bbb.ndjson": "done"}
    rejected = sorted(sensor.desk.settings.status_folders.rejected.iterdir())
    assert [path.name.split("-", 1)[1] for path in rejected] == ["aaa.ndjson", "aaa.ndjson.reason.txt"]
    assert "nothing in it can be read; line 1: not JSON" in rejected[1].read_text(encoding="utf-8")
    assert sensor.tick().said == "No status file waits."


def test_a_file_that_comes_back_under_another_name_adds_nothing(sensor: TickingSensor) -> None:
    """Whoever restores a backup of the inbox would double every figure of the year."""
    content = sent(sensor)
    put(sensor, content, "monday.ndjson")
    sensor.tick_and_run()
    before = sensor.desk.figures()
    put(sensor, content, "monday (copy).ndjson")
    (run,) = sensor.tick_and_run()
    facts = shown(run, "delivery_statuses")
    assert (facts["files"], facts["new_events"]) == (1, 0)
    assert rows_of(facts["by_file"])[0]["reason"] == "its content was taken in before"
    assert sensor.desk.figures() == before


def test_a_name_that_comes_late_or_again_is_taken_in(sensor: TickingSensor) -> None:
    """A memory of names skips the file of Sunday that comes on Tuesday, and today's second `statuses.ndjson`."""
    desk = sensor.desk
    desk.campaign(people(6), daily_send_limit=3)
    desk.send()
    put(sensor, statuses(sensor), "b.ndjson")
    sensor.tick_and_run()
    desk.clock.forward(days=1)
    desk.send(NEXT_DATE)
    events = statuses(sensor).splitlines(keepends=True)
    put(sensor, b"".join(events[::2]), "a.ndjson")
    put(sensor, b"".join(events[1::2]), "b.ndjson")
    sensor.tick_and_run()
    assert (desk.figures().read, desk.figures(NEXT_DATE).read) == (3, 3)


def test_a_file_that_a_killed_run_has_set_aside_is_taken_up(sensor: TickingSensor) -> None:
    """The machine went down in mid-file: under the name that it has now, nobody but the ingest looks for it."""
    put(sensor, sent(sensor), ".taking-0123456789abcdef0123456789abcdef-statuses.ndjson")
    (run,) = sensor.tick_and_run()
    assert shown(run, "delivery_statuses")["files"] == 1
    assert sensor.desk.figures().read == 4


def names_asked_for(tick: Tick) -> list[str]:
    """The files that the one requested run is to take in."""
    (request,) = tick.requests
    return request.run_config["ops"]["delivery_statuses"]["config"]["names"]


def test_a_run_is_handed_no_more_than_it_can_take_and_the_next_one_the_rest(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a week without the daemon a hundred thousand names stand in one run, which nobody can look at or repeat."""
    monkeypatch.setattr(file_batches, "FILES_PER_RUN", 2)
    lines = sent(sensor).splitlines(keepends=True)
    for number, line in enumerate(lines[:5]):
        put(sensor, line, f"{number}.ndjson")
    asked = []
    while requests := (tick := sensor.tick()).requests:
        asked.append(names_asked_for(tick))
        assert sensor.run(requests[0]).success
    assert asked == [["0.ndjson", "1.ndjson"], ["2.ndjson", "3.ndjson"], ["4.ndjson"]]


def test_a_tick_looks_at_the_first_names_only_and_remembers_few(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor of a hundred thousand names is written and read every fifteen seconds, by everybody's Dagster."""
    monkeypatch.setattr(waiting_files, "MOST_LOOKED_AT", 3)
    monkeypatch.setattr(waiting_files, "MOST_REMEMBERED", 2)
    for name in "edcba":
        put(sensor, b"{}\n", f"{name}.ndjson", age=0)
    assert sensor.tick().said == "A status file is still growing."
    assert sensor.cursor is not None
    assert ("b.ndjson" in sensor.cursor, "c.ndjson" in sensor.cursor) == (True, False)
    assert names_asked_for(sensor.tick()) == ["a.ndjson", "b.ndjson"]


def test_a_tick_ends_in_time_however_many_files_there_are(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster cuts a tick off at sixty seconds and keeps nothing of it: then nothing is ever taken in again."""
    monkeypatch.setattr(sensors, "TICK_BUDGET", -1.0)
    put(sensor, b"{}\n")
    assert names_asked_for(sensor.tick()) == ["statuses.ndjson"]


def test_a_file_from_the_future_is_taken_in_once_it_has_stopped_growing(sensor: TickingSensor) -> None:
    """The receiver's clock is a year ahead: by its age the file would be still growing for a year."""
    put(sensor, b"{}\n", age=-365 * 86_400.0)
    assert sensor.tick().said == "A status file is still growing."
    sensor.desk.clock.forward(seconds=15)
    assert len(sensor.tick().requests) == 1


def test_a_file_of_a_slow_clock_is_not_taken_for_an_old_one(sensor: TickingSensor) -> None:
    """The file server is two minutes behind: what is being written there was, it seems, finished long ago."""
    put(sensor, b'{"object":', age=120)
    assert sensor.tick().said == "A status file is still growing."


def test_a_name_that_is_no_text_is_taken_in_like_any_other(sensor: TickingSensor) -> None:
    """One file name in another encoding, and the sensor fails at each tick, for all files."""
    content = sent(sensor)
    put(sensor, content, os.fsdecode(b"st\xe4tus.ndjson"))
    (run,) = sensor.tick_and_run()
    assert run.success
    assert sensor.desk.figures().read == 4


def test_an_inbox_that_cannot_be_read_is_told_of(sensor: TickingSensor) -> None:
    """A red tick with a traceback says less than a sentence."""
    inbox = sensor.desk.settings.status_folders.inbox
    inbox.parent.mkdir(exist_ok=True)
    inbox.write_text("a file where the folder should be", encoding="utf-8")
    assert sensor.tick().said == "the inbox cannot be read, mend it: Not a directory."


def test_a_file_that_ends_its_run_is_found_left_aside_and_tried_again_later(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file that needs more memory than there is, and behind it nothing is ever taken in."""
    monkeypatch.setattr(file_batches, "FILES_PER_RUN", 8)
    for name in "abc":
        put(sensor, b"{}\n", f"{name}.ndjson")
    asked = []
    for _ in range(3):
        tick = sensor.tick()
        asked.append(names_asked_for(tick))
        leave_run(sensor.desk, INGEST_STATUSES, DagsterRunStatus.FAILURE, run_config=tick.requests[0].run_config)
        sensor.desk.clock.moment = sensor.desk.instance.get_run_records(limit=1)[0].update_timestamp
        sensor.desk.clock.forward(minutes=6)
    assert asked == [["a.ndjson", "b.ndjson", "c.ndjson"], ["a.ndjson"], ["b.ndjson"]]
    assert names_asked_for(sensor.tick()) == ["c.ndjson"]
    sensor.desk.clock.forward(minutes=60)
    assert names_asked_for(sensor.tick()) == ["a.ndjson"]
