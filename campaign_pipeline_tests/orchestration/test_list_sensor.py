"""Lists that are put into a campaign's folder: when they are noticed, what is requested, and what comes of it."""

import gzip
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from campaign_pipeline.orchestration import sensors
from campaign_pipeline.orchestration.jobs import TAKE_IN_LISTS
from campaign_pipeline_tests.orchestration.desk import OrchestrationDesk
from campaign_pipeline_tests.orchestration.ticking import UNDER_WAY, Tick, TickingSensor, drop, leave_run
from campaign_pipeline_tests.support.campaigns import draft, phone
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import people, states
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess

LONG_AGO = 1_200.0
"""Seconds since a file's last change after which nobody writes to it any more."""


@pytest.fixture
def sensor(desk: OrchestrationDesk) -> TickingSensor:
    """The sensor, on a desk with the drafts spring-sale and summer-sale."""
    draft(desk.ledger, "Spring Sale")
    draft(desk.ledger, "Summer Sale")
    return TickingSensor(desk, "recipient_list_sensor")


def rows(numbers: Iterable[int]) -> bytes:
    """A list as CSV."""
    return ("phone\n" + "".join(f"{phone(number)}\n" for number in numbers)).encode()


def put(
    sensor: TickingSensor,
    numbers: Iterable[int],
    name: str = "list.csv",
    campaign: str = "spring-sale",
    age: float = LONG_AGO,
) -> Path:
    """Puts a list of some people into a campaign's folder."""
    return put_bytes(sensor, rows(numbers), name, campaign, age)


def put_bytes(
    sensor: TickingSensor, content: bytes, name: str, campaign: str = "spring-sale", age: float = LONG_AGO
) -> Path:
    """Puts a file with some content into a campaign's folder."""
    return drop(sensor.desk, sensor.desk.settings.list_folders.waiting / campaign / name, content, age=age)


def rejected(sensor: TickingSensor) -> dict[str, str]:
    """The files among the rejected ones by name, and the reason that lies beside each."""
    folder = sensor.desk.settings.list_folders.rejected
    files = [path for path in folder.glob("*") if not path.name.endswith(".reason.txt")]
    return {path.name: Path(f"{path}.reason.txt").read_text(encoding="utf-8").strip() for path in files}


def audience(sensor: TickingSensor, campaign: str = "spring-sale") -> int:
    """How many people a campaign has."""
    return len(states(sensor.desk.ledger, campaign))


def test_a_list_is_requested_once_it_has_stopped_growing(sensor: TickingSensor) -> None:
    """An upload over a slow line, taken in at half: 5,000 people who never hear of the sale."""
    path = put(sensor, people(5), age=0)
    assert sensor.tick() == Tick((), "spring-sale: 1 still growing.", ())
    sensor.desk.clock.forward(seconds=15)
    drop(sensor.desk, path, path.read_bytes() + rows(people(3)))
    assert sensor.tick() == Tick((), "spring-sale: 1 still growing.", ())
    sensor.desk.clock.forward(seconds=15)
    assert sensor.tick().partitions == ["spring-sale"]


def test_a_file_that_was_put_there_long_ago_needs_no_second_look(sensor: TickingSensor) -> None:
    """After a weekend without the daemon, everything would wait for one tick more than it has to."""
    put(sensor, people(5))
    assert sensor.tick().partitions == ["spring-sale"]


def test_half_a_list_is_not_taken_in_along_with_a_whole_one(sensor: TickingSensor) -> None:
    """A run takes a list away once it is in: the second half of the upload would go nowhere."""
    put(sensor, people(5), "whole.csv")
    growing = put(sensor, people(4), "growing.csv", age=0)
    (run,) = sensor.tick_and_run()
    assert run.success
    assert (audience(sensor), growing.exists()) == (5, True)
    drop(sensor.desk, growing, rows(people(9)))
    assert sensor.tick() == Tick((), "spring-sale: 1 still growing.", ())
    sensor.tick_and_run()
    assert (audience(sensor), growing.exists()) == (14, False)


def test_the_requested_run_makes_the_file_an_audience(sensor: TickingSensor) -> None:
    """The tick may request what it likes: people look at the audience, and at the folder that is empty again."""
    path = put(sensor, people(12))
    (run,) = sensor.tick_and_run()
    assert run.success
    assert audience(sensor) == 12
    assert not path.exists()
    assert len(list(sensor.desk.settings.list_folders.kept.iterdir())) == 1
    made = {event.asset_key.to_user_string() for event in run.get_asset_materialization_events() if event.asset_key}
    assert made == {"recipient_list", "audience"}
    assert sensor.tick() == Tick((), "No list waits.", ())


def test_lists_of_equal_names_go_to_their_own_campaigns(sensor: TickingSensor) -> None:
    """Every shop exports `customers.csv`; a memory by name would take in one of them and forget the other."""
    put(sensor, people(3), "customers.csv")
    put(sensor, people(4), "customers.csv", "summer-sale")
    runs = sensor.tick_and_run()
    assert [run.success for run in runs] == [True, True]
    assert (audience(sensor), audience(sensor, "summer-sale")) == (3, 4)


def test_the_same_name_with_other_people_is_another_list(sensor: TickingSensor) -> None:
    """The nightly export has one name for ever; from the second night on nobody would be added."""
    put(sensor, people(3), "export.csv")
    sensor.tick_and_run()
    put(sensor, people(4), "export.csv")
    assert [run.success for run in sensor.tick_and_run()] == [True]
    assert audience(sensor) == 7


def test_a_name_that_comes_late_is_taken_in(sensor: TickingSensor) -> None:
    """A memory of the highest name so far skips `2026-02.csv` when it comes after `2026-03.csv`."""
    put(sensor, people(3), "2026-03.csv")
    sensor.tick_and_run()
    put(sensor, people(4), "2026-02.csv")
    sensor.tick_and_run()
    assert audience(sensor) == 7


def test_the_same_list_again_adds_nobody(sensor: TickingSensor) -> None:
    """Whoever is not sure whether it has worked drops the file again, under another name."""
    numbers = people(6)
    put(sensor, numbers, "list.csv")
    sensor.tick_and_run()
    put(sensor, numbers, "list (1).csv")
    assert [run.success for run in sensor.tick_and_run()] == [True]
    assert audience(sensor) == 6


def test_several_lists_of_a_campaign_are_one_run(sensor: TickingSensor) -> None:
    """Two runs on one folder take the files away from under each other."""
    for name in ("a.csv", "b.csv", "c.csv"):
        put(sensor, people(2), name)
    (run,) = sensor.tick_and_run()
    assert run.success
    assert audience(sensor) == 6


def test_a_file_in_a_folder_of_no_campaign_is_rejected_and_the_tick_says_it(sensor: TickingSensor) -> None:
    """A slip in the folder's name, and the list lies there until somebody asks why the sale went so badly."""
    path = put(sensor, people(3), campaign="sprnig-sale")
    reason = "there is no campaign sprnig-sale: create it, then put list.csv into lists/sprnig-sale/ again"
    assert sensor.tick() == Tick((), reason, ())
    assert rejected(sensor) == {"sprnig-sale-list.csv": reason}
    assert not path.exists()
    assert sensor.tick().said == "No list waits."


def test_a_file_beside_the_campaigns_folders_is_rejected_and_the_tick_says_it(sensor: TickingSensor) -> None:
    """Put one folder too high, it would be looked at by nobody, and nobody would say so."""
    draft(sensor.desk.ledger, "Lists")
    put(sensor, people(3), campaign=".")
    reason = "list.csv is in no folder of a campaign: put it into lists/<campaign>/"
    assert sensor.tick() == Tick((), reason, ())
    assert rejected(sensor) == {"lists-list.csv": reason}


BAD_FILES = {
    "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "nothing": b"",
    "bytes of no format": bytes(range(256)) * 8,
    "no phone column": b"colour,size\nred,XL\n",
    "no header": f"{phone(1)},Ada\n{phone(2)},Bob\n".encode(),
    "half a gzip": gzip.compress(rows(range(500)))[:40],
    "a zip of nothing": b"PK\x03\x04" + b"\x00" * 60,
    "a Parquet without its end": b"PAR1" + b"\x15\x04" * 40,
    "a web page": b"<!DOCTYPE html><html><body>Please sign in</body></html>",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_rejected_and_the_other_lists_go_on_in_the_same_tick(
    sensor: TickingSensor, content: bytes
) -> None:
    """A sensor that fails at the first file never gets to the second, today or tomorrow."""
    bad = put_bytes(sensor, content, "aaa.csv")
    put(sensor, people(3), "good.csv")
    put(sensor, people(4), campaign="summer-sale")
    runs = sensor.tick_and_run()
    assert [run.success for run in runs] == [True, True]
    assert (audience(sensor), audience(sensor, "summer-sale")) == (3, 4)
    assert not bad.exists()
    assert list(rejected(sensor)) == ["spring-sale-aaa.csv"]
    assert "aaa.csv" in rejected(sensor)["spring-sale-aaa.csv"]


def test_a_bad_file_alone_starts_no_run_and_is_the_ticks_reason(sensor: TickingSensor) -> None:
    """A red run a minute for one PDF teaches people to look away."""
    put_bytes(sensor, BAD_FILES["a PDF"], "people.pdf")
    tick = sensor.tick()
    assert tick.requests == ()
    assert tick.said == rejected(sensor)["spring-sale-people.pdf"]
    assert tick.said.startswith("people.pdf is a PDF: ask for the list itself")


def test_a_file_is_told_by_its_first_bytes_on_the_tick_and_opened_by_the_run(sensor: TickingSensor) -> None:
    """A workbook of 800,000 rows takes most of a minute to open: the tick was cut off, and nothing was taken in."""
    bad = put_bytes(sensor, BAD_FILES["a zip of nothing"], "people.xlsx")
    tick = sensor.tick()
    assert tick.partitions == ["spring-sale"]
    assert bad.exists(), "it is left to the run"
    (run,) = sensor.tick_and_run()
    assert run.success
    assert list(rejected(sensor)) == ["spring-sale-people.xlsx"]
    assert not bad.exists()


def test_a_folder_that_cannot_be_read_is_told_of_and_the_others_go_on(sensor: TickingSensor) -> None:
    """One folder with a fault of its own stopped the lists of every campaign."""
    path = put(sensor, people(3), campaign="summer-sale")
    broken = sensor.desk.settings.list_folders.waiting / "spring-sale"
    broken.symlink_to(broken)
    assert sensor.tick().partitions == ["summer-sale"]
    path.unlink()
    said = sensor.tick().said
    assert said is not None
    assert said.startswith("lists/spring-sale cannot be read, mend it or remove it: Too many levels of symbolic links")


def test_a_name_that_is_no_text_is_rejected(sensor: TickingSensor) -> None:
    """Unpacked on another system, `Käufer.csv` has a name that no database takes: its run would fail for ever."""
    put(sensor, people(3), "K\udce4ufer.csv")
    put(sensor, people(4), "good.csv")
    assert [run.success for run in sensor.tick_and_run()] == [True]
    assert audience(sensor) == 4
    (reason,) = rejected(sensor).values()
    assert reason.startswith("the name of K\N{REPLACEMENT CHARACTER}ufer.csv is not UTF-8: rename it, then put it into")


def test_a_file_that_cannot_be_moved_away_is_told_of_and_the_others_go_on(sensor: TickingSensor) -> None:
    """The folder of rejected files is a disk that is gone: the good lists do not need it."""
    sensor.desk.settings.list_folders.rejected.write_text("no folder", encoding="utf-8")
    bad = put_bytes(sensor, BAD_FILES["a PDF"], "people.pdf")
    assert (
        sensor.tick().said == "spring-sale: people.pdf stays where it is, since it cannot be read or moved: File exists"
    )
    assert bad.exists()
    put(sensor, people(4), campaign="summer-sale")
    assert sensor.tick().partitions == ["summer-sale"]


@pytest.fixture
def logging_sensor(folder: Path, simulator: SimulatorProcess, clock: HandClock) -> Iterator[TickingSensor]:
    """The sensor on an instance that keeps the logs of its ticks, as a real one does."""
    (folder / "dagster").mkdir()
    with dg.instance_for_test(temp_dir=str(folder / "dagster")) as instance:
        made = OrchestrationDesk(folder, simulator, clock, instance, {})
        draft(made.ledger, "Spring Sale")
        yield TickingSensor(made, "recipient_list_sensor")
        made.close()


def test_what_was_rejected_beside_a_requested_run_stands_in_the_ticks_log(logging_sensor: TickingSensor) -> None:
    """Dagster shows no reason on a tick that requests a run, and the rejected file would be a surprise in May."""
    sensor = logging_sensor
    put_bytes(sensor, BAD_FILES["a PDF"], "people.pdf")
    put(sensor, people(2), campaign="sumer-sale")
    put(sensor, people(3))
    tick = sensor.tick()
    assert (tick.partitions, tick.said) == (["spring-sale"], None)
    (sentence,) = tick.logged
    assert "people.pdf is a PDF" in sentence
    assert "there is no campaign sumer-sale" in sentence


@pytest.mark.parametrize("status", UNDER_WAY, ids=lambda status: status.value)
def test_a_campaign_has_one_run_at_a_time(sensor: TickingSensor, status: DagsterRunStatus) -> None:
    """A tick every fifteen seconds and a run that waits for its slot: forty runs for one list."""
    put(sensor, people(3))
    put(sensor, people(4), campaign="summer-sale")
    leave_run(sensor.desk, TAKE_IN_LISTS, status, partition="spring-sale")
    assert sensor.tick().partitions == ["summer-sale"]
    sensor.desk.settings.list_folders.waiting.joinpath("summer-sale/list.csv").unlink()
    assert sensor.tick().said == "spring-sale: a run that takes the files in is under way."


def test_a_run_that_a_person_has_started_counts_as_well(sensor: TickingSensor) -> None:
    """Somebody presses Materialize and the sensor ticks: the files go from under the hands of one of the two."""
    bad = put_bytes(sensor, BAD_FILES["a PDF"], "people.pdf")
    leave_run(sensor.desk, "__ASSET_JOB", DagsterRunStatus.STARTED, partition="spring-sale", asset="recipient_list")
    assert sensor.tick().said == "spring-sale: a run that takes the files in is under way."
    assert bad.exists(), "it is left to that run"


def test_after_a_failed_run_the_list_is_taken_in_after_a_pause_and_others_go_on(sensor: TickingSensor) -> None:
    """Remembered as done, the list of a run that failed is lost; tried at each tick, it fills the page with red."""
    sensor.desk.sql(
        "CREATE TRIGGER full_disk BEFORE INSERT ON campaign_recipients WHEN NEW.campaign_id = 1 "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    path = put(sensor, people(3))
    put(sensor, people(4), campaign="summer-sale")
    assert [run.success for run in sensor.tick_and_run()] == [False, True]
    assert path.exists()
    assert (audience(sensor), audience(sensor, "summer-sale")) == (0, 4)
    sensor.desk.sql("DROP TRIGGER full_disk")

    sensor.until_the_last_run_ended()
    put(sensor, people(5), "more.csv", "summer-sale")
    assert sensor.tick().partitions == ["summer-sale"], "whose last run has not failed"
    sensor.desk.settings.list_folders.waiting.joinpath("summer-sale/more.csv").unlink()
    said = sensor.tick().said
    assert said is not None
    assert said.startswith("spring-sale: the last run failed; the files are taken in again after ")

    sensor.desk.clock.forward(seconds=sensors.PAUSE_AFTER_FAILURE / timedelta(seconds=1) + 1)
    assert [run.success for run in sensor.tick_and_run()] == [True]
    assert (audience(sensor), path.exists()) == (3, False)


def test_a_tick_that_runs_out_of_time_says_so_and_the_next_one_goes_on(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that takes a minute is cut off by Dagster, which keeps nothing of it: the same files, for ever."""
    monkeypatch.setattr(sensors, "TICK_BUDGET", 0.0)
    put(sensor, people(2), campaign="no-campaign")
    put(sensor, people(3))
    put(sensor, people(4), campaign="summer-sale")
    first = sensor.tick()
    assert first.requests == ()
    assert first.said is not None
    assert first.said.endswith("there was no time to look at all folders; the next tick goes on.")
    assert len(sensor.tick_and_run()) == 1
    assert len(sensor.tick_and_run()) == 1
    assert (audience(sensor), audience(sensor, "summer-sale")) == (3, 4)
    assert list(rejected(sensor)) == ["no-campaign-list.csv"]


@pytest.mark.parametrize("cursor", ["no JSON", "[]", "7", '{"a": 1}', '{"a": [1]}'])
def test_a_cursor_that_cannot_be_read_is_no_look_at_all(sensor: TickingSensor, cursor: str) -> None:
    """Somebody edits it in the web UI, or an older version wrote it: the sensor would never tick again."""
    put(sensor, people(3), age=0)
    sensor.cursor = cursor
    assert sensor.tick().said == "spring-sale: 1 still growing."
    assert sensor.tick().partitions == ["spring-sale"]


def test_without_any_folder_nothing_waits(sensor: TickingSensor) -> None:
    """A new installation has no folder yet; an error at each tick would be the first thing that its people see."""
    assert not sensor.desk.settings.list_folders.waiting.exists()
    assert sensor.tick() == Tick((), "No list waits.", ())


def test_a_file_that_is_still_being_written_under_another_name_is_left_alone(sensor: TickingSensor) -> None:
    """Programs that write carefully begin with a dot and rename at the end."""
    path = put(sensor, people(3), ".list.csv.part")
    assert sensor.tick() == Tick((), "No list waits.", ())
    assert path.exists()


def test_a_tick_requests_a_bounded_number_of_runs_and_the_next_one_goes_on(
    sensor: TickingSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agency puts in the lists of two hundred campaigns at once: two hundred processes start on one machine."""
    monkeypatch.setattr(sensors, "MOST_REQUESTS", 1)
    put(sensor, people(3), campaign="spring-sale")
    put(sensor, people(3), campaign="summer-sale")
    (first,) = sensor.tick().requests
    assert first.partition_key == "spring-sale"
    assert sensor.run(first).success
    assert sensor.tick().partitions == ["summer-sale"]
