"""Lists that are put into a campaign's folder are taken in one after the other, and each leaves it once it is in."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, recipient_lists
from campaign_pipeline.recipients import lists
from campaign_pipeline.recipients.lists import (
    TakenIn,
    campaigns_with_folders,
    read_lists,
    refuse_unreadable,
    take_in_waiting,
    waiting_lists,
)
from campaign_pipeline.recipients.sorting import IntakeCounts
from campaign_pipeline_tests.support.campaigns import NOON, add_people, draft, folders, phone, write_list


def _take_in(ledger: Ledger, root: Path, campaign: str = "spring-sale") -> TakenIn:
    return take_in_waiting(ledger, campaign, folders=folders(root), region="GB", actor="sensor", clock=lambda: NOON)


def _folder(root: Path, campaign: str = "spring-sale") -> Path:
    folder = folders(root).waiting / campaign
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_waiting_lists_are_taken_in_by_name_and_leave_their_folder(ledger: Ledger, tmp_path: Path) -> None:
    """Left in the folder, a list would be taken in again every minute; kept nowhere, its consent could not be shown."""
    campaign = draft(ledger)
    folder = _folder(tmp_path)
    content = write_list(folder / "b.csv", [2, 3]).read_bytes()
    write_list(folder / "a.csv", [1, 2])
    write_list(_folder(tmp_path, "another") / "c.csv", [9])
    taken_in = _take_in(ledger, tmp_path)
    reports = taken_in.reports
    assert taken_in.rejected == []
    assert [(report.name, report.counts.added, report.counts.already_in_campaign) for report in reports] == [
        ("a.csv", 2, 0),
        ("b.csv", 1, 1),
    ]
    assert list(folder.iterdir()) == []
    assert reports[1].kept_as is not None
    assert reports[1].kept_as.read_bytes() == content
    assert [path.name for path in waiting_lists(folders(tmp_path), "another")] == ["c.csv"]
    assert campaigns_with_folders(folders(tmp_path)) == ["another", "spring-sale"]
    with ledger.read() as connection:
        phones = connection.execute(
            select(campaign_recipients.c.phone).order_by(campaign_recipients.c.position)
        ).scalars()
        assert list(phones) == [phone(1), phone(2), phone(3)]
        first, second = read_lists(connection, campaign.id)
    assert (first.name, first.state, first.counts) == ("a.csv", "done", IntakeCounts(read=2, added=2))
    assert second.counts == IntakeCounts(read=2, added=1, already_in_campaign=1)
    assert (second.received_at, second.rejections_file) == (NOON, str(reports[1].rejections_file))
    assert first.sha256 != second.sha256
    assert _take_in(ledger, tmp_path) == TakenIn([], [])


def test_a_file_that_is_still_being_written_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    """Half a list taken in is 5,000 people forgotten without a word."""
    draft(ledger)
    write_list(_folder(tmp_path) / ".people.csv", [1])
    (_folder(tmp_path) / "old").mkdir()
    assert _take_in(ledger, tmp_path) == TakenIn([], [])
    assert (_folder(tmp_path) / ".people.csv").exists()
    assert waiting_lists(folders(tmp_path), "spring-sale") == []


def test_a_campaign_without_a_folder_has_no_lists_waiting(ledger: Ledger, tmp_path: Path) -> None:
    """Most lists are added at the command line; that there is no folder is no fault."""
    campaign = draft(ledger)
    assert waiting_lists(folders(tmp_path), "spring-sale") == []
    assert campaigns_with_folders(folders(tmp_path)) == []
    assert _take_in(ledger, tmp_path) == TakenIn([], [])
    with ledger.read() as connection:
        assert read_lists(connection, campaign.id) == []


def _rejected(root: Path) -> dict[str, str]:
    """What lies among the rejected files, and what stands in it."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folders(root).rejected.iterdir())}


def test_a_file_that_is_no_list_is_rejected_with_its_reason_and_the_others_are_in(
    ledger: Ledger, tmp_path: Path
) -> None:
    """One broken file must not hold up the good ones behind it, nor vanish: somebody has to repair it."""
    campaign = draft(ledger)
    folder = _folder(tmp_path)
    write_list(folder / "1.csv", [1])
    (folder / "2.csv").write_text("name,city\nAda,Bern\n", encoding="utf-8")
    write_list(folder / "3.csv", [3])
    taken_in = _take_in(ledger, tmp_path)
    assert [report.counts.added for report in taken_in.reports] == [1, 1]
    (reason,) = taken_in.rejected
    assert reason.startswith("2.csv: No column of 2.csv is known to hold the phone number")
    assert list(folder.iterdir()) == []
    assert _rejected(tmp_path) == {
        "spring-sale-2.csv": "name,city\nAda,Bern\n",
        "spring-sale-2.csv.reason.txt": f"{reason.removeprefix('2.csv: ')}\n",
    }
    with ledger.read() as connection:
        assert [each.name for each in read_lists(connection, campaign.id)] == ["1.csv", "3.csv"]


def test_rejected_files_of_one_name_do_not_replace_each_other(ledger: Ledger, tmp_path: Path) -> None:
    """The shop exports `customers.csv` every night; the one of yesterday is still to be looked at."""
    draft(ledger)
    for content in ("one", "two", "three"):
        (_folder(tmp_path) / "customers.csv").write_text(content, encoding="utf-8")
        assert len(_take_in(ledger, tmp_path).rejected) == 1
    contents = {name: text for name, text in _rejected(tmp_path).items() if not name.endswith(".reason.txt")}
    assert sorted(contents.values()) == ["one", "three", "two"]
    assert len(_rejected(tmp_path)) == 6


def test_a_list_of_a_campaign_that_has_ended_is_rejected_with_that_reason(ledger: Ledger, tmp_path: Path) -> None:
    """Its people got nothing, so the file must not look as if it had been taken in."""
    campaign = draft(ledger)
    with ledger.write() as connection:
        lifecycle.cancel(connection, campaign.id, actor="ada", now=NOON)
    content = write_list(_folder(tmp_path) / "late.csv", [1]).read_text(encoding="utf-8")
    (reason,) = _take_in(ledger, tmp_path).rejected
    assert reason.startswith("late.csv: spring-sale is cancelled: nobody can be added")
    assert _rejected(tmp_path)["spring-sale-late.csv"] == content
    assert list(_folder(tmp_path).iterdir()) == []


def test_a_file_is_looked_at_before_anything_is_started_for_it(tmp_path: Path) -> None:
    """The sensor starts no run for a file that no run could take in; a good one it leaves where it is."""
    good = write_list(_folder(tmp_path) / "good.csv", [1])
    bad = _folder(tmp_path) / "bad.csv"
    bad.write_bytes(b"%PDF-1.7\n")
    assert refuse_unreadable(good, folders(tmp_path)) is None
    assert good.exists()
    reason = refuse_unreadable(bad, folders(tmp_path))
    assert reason is not None
    assert reason.startswith("bad.csv is a PDF")
    assert not bad.exists()
    assert _rejected(tmp_path).keys() == {"spring-sale-bad.csv", "spring-sale-bad.csv.reason.txt"}
    assert refuse_unreadable(bad, folders(tmp_path)) == "bad.csv is gone again"


def test_the_lists_of_a_campaign_are_told_with_how_far_their_reading_came(ledger: Ledger, tmp_path: Path) -> None:
    """A list that still says `reading` a day later is one whose process was killed; somebody has to see it."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [1, 1, 2], name="first.csv")
    add_people(ledger, draft(ledger, "Other").slug, tmp_path, [1], name="other.csv")
    with ledger.write() as connection:
        connection.execute(update(recipient_lists).values(state="reading", finished_at=None))
        (only,) = read_lists(connection, campaign.id)
    assert (only.name, only.state) == ("first.csv", "reading")
    assert only.counts == IntakeCounts(read=3, added=2, duplicate_in_list=1)


def test_a_list_with_the_longest_name_that_there_is_can_be_kept_and_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """A hash or a campaign is put before the name; too long for the file system, it held up every other list."""
    draft(ledger)
    folder = _folder(tmp_path)
    write_list(folder / f"{'p' * 251}.csv", [1])
    (folder / f"{'x' * 251}.csv").write_text("name,city\nAda,Bern\n", encoding="utf-8")
    taken_in = _take_in(ledger, tmp_path)
    assert [report.counts.added for report in taken_in.reports] == [1]
    assert len(taken_in.rejected) == 1
    assert waiting_lists(folders(tmp_path), "spring-sale") == []
    assert all(name.endswith(("xxx.csv", "xxx.csv.reason.txt")) for name in _rejected(tmp_path))


def _replaced(path: Path) -> None:
    new = path.with_name(".new")
    write_list(new, [2])
    new.replace(path)


def _appended_to(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{phone(2)},Bob\n")


def _rewritten_at_the_same_length(path: Path) -> None:
    write_list(path, [2])


CHANGES = {"replaced": _replaced, "appended to": _appended_to, "rewritten": _rewritten_at_the_same_length}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_list_that_changes_while_it_is_taken_in_stays_and_is_taken_in_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """Removed with the part of it that was read, the people who came later were lost without a word."""
    draft(ledger)
    path = write_list(_folder(tmp_path) / "a.csv", [1])
    add_file = lists.add_file

    def changed_meanwhile(ledger: Ledger, campaign: str, path: Path, **options: object) -> object:
        report = add_file(ledger, campaign, path, **options)  # ty: ignore[invalid-argument-type]
        change(path)
        return report

    with monkeypatch.context() as patch:
        patch.setattr(lists, "add_file", changed_meanwhile)
        taken_in = _take_in(ledger, tmp_path)
    assert [report.counts.added for report in taken_in.reports] == [1]
    assert taken_in.left == ["a.csv changed while it was taken in: it stays in its folder and is taken in again"]
    assert path.exists()
    again = _take_in(ledger, tmp_path)
    assert ([report.counts.added for report in again.reports], again.left) == ([1], [])
    assert not path.exists()


def test_a_file_that_becomes_a_list_while_it_is_read_is_not_rejected(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first half is no list; the whole one would lie among the rejected files with a reason that is not true."""
    draft(ledger)
    path = _folder(tmp_path) / "a.csv"
    path.write_bytes(b"")
    add_file = lists.add_file

    def completed_meanwhile(ledger: Ledger, campaign: str, path: Path, **options: object) -> object:
        try:
            return add_file(ledger, campaign, path, **options)  # ty: ignore[invalid-argument-type]
        finally:
            write_list(path, [1])

    with monkeypatch.context() as patch:
        patch.setattr(lists, "add_file", completed_meanwhile)
        taken_in = _take_in(ledger, tmp_path)
    assert (taken_in.reports, taken_in.rejected, len(taken_in.left)) == ([], [], 1)
    assert [report.counts.added for report in _take_in(ledger, tmp_path).reports] == [1]
    assert not path.exists()
