"""Everybody in a file of opt-outs is unsubscribed as of the time that it gives, every row ends in one count."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import audit_log, subscription_events, subscriptions
from campaign_pipeline.recipients import opt_out_files
from campaign_pipeline.recipients.list_files import ListFileError
from campaign_pipeline.recipients.opt_out_files import OptOutCounts, OptOutReport, take_in_opt_outs
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.said_times import read_said_time
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.support.campaigns import NOON, folders, phone
from campaign_pipeline_tests.support.sending import count_of


def take_in(
    ledger: Ledger,
    root: Path,
    text: str,
    *,
    now: datetime = NOON,
    name: str = "opt-outs.csv",
    column: str | None = None,
) -> OptOutReport:
    """Takes in a file with some text."""
    path = root / name
    path.write_text(text, encoding="utf-8")
    return take_in_opt_outs(
        ledger, path, folders=folders(root), region="GB", phone_column=column, actor="ada", clock=lambda: now
    )


def said(ledger: Ledger) -> dict[str, tuple[str, str, datetime]]:
    """Where everybody stands: status, source and since when."""
    with ledger.read() as connection:
        rows = connection.execute(select(subscriptions)).all()
    return {row.person_key: (row.status, row.source, row.changed_at) for row in rows}


def test_every_row_ends_in_one_count(ledger: Ledger, tmp_path: Path) -> None:
    """A row that is in no count is somebody who believes to have opted out."""
    with ledger.write() as connection:
        unsubscribe(connection, parse_phone(phone(2), None), source="letter", now=NOON - timedelta(days=9))
        subscribe(connection, parse_phone(phone(3), None), source="START", now=NOON - timedelta(days=1))
    report = take_in(
        ledger,
        tmp_path,
        "Phone,Unsubscribed at,Reason\n"
        f"{phone(1)},2026-02-01T10:00:00Z,moved\n"
        f"{phone(2)},2026-02-01T10:00:00Z,\n"
        f"{phone(3)},01.02.2026 10:00,\n"
        f"{phone(1)},,again\n"
        f"{phone(4)},some day,\n"
        "call me,,\n"
        "12,,\n",
    )
    assert report.counts == OptOutCounts(read=7, unsubscribed=2, already=1, overtaken=1, duplicate_in_file=1, invalid=2)
    known = said(ledger)
    assert known[phone(1)] == ("unsubscribed", "file opt-outs.csv: moved", datetime(2026, 2, 1, 10, tzinfo=UTC))
    assert known[phone(3)][0] == "subscribed"
    # Nobody can say when that was: it holds from now on.
    assert known[phone(4)] == ("unsubscribed", "file opt-outs.csv", NOON)
    assert report.rejections_file is not None
    assert report.rejections_file.read_text(encoding="utf-8").splitlines()[1].startswith("7,call me,invalid,")
    with ledger.read() as connection:
        (entry,) = connection.execute(select(audit_log).where(audit_log.c.action == "opt_outs_taken_in")).all()
    assert (entry.actor, entry.subject, entry.details["unsubscribed"]) == ("ada", "opt-outs.csv", 2)


def test_the_same_file_again_unsubscribes_nobody_anew(ledger: Ledger, tmp_path: Path) -> None:
    """It is uploaded every week: whoever wrote START in between would be unsubscribed by last week's opt-out."""
    text = f"phone\n{phone(1)}\n{phone(2)}\n"
    assert take_in(ledger, tmp_path, text).counts.unsubscribed == 2
    with ledger.write() as connection:
        subscribe(connection, parse_phone(phone(2), None), source="START", now=NOON + timedelta(days=1))
    again = take_in(ledger, tmp_path, text, now=NOON + timedelta(days=2), name="renamed.csv")
    assert again.counts == OptOutCounts(read=2, already=1, overtaken=1)
    with ledger.read() as connection:
        assert count_of(connection, subscription_events) == 3
    grown = take_in(ledger, tmp_path, f"{text}{phone(3)}\n", now=NOON + timedelta(days=3))
    assert grown.counts == OptOutCounts(read=3, unsubscribed=2, already=1)


def test_many_rows_are_taken_in_by_portions(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts over several portions have to sum as over one."""
    monkeypatch.setattr(opt_out_files, "ROWS_PER_TRANSACTION", 3)
    rows = [phone(number) for number in (1, 2, 3, 1, 4, 5, 5, 6)]
    report = take_in(ledger, tmp_path, "\n".join(["phone", *rows, "nobody"]))
    assert report.counts == OptOutCounts(read=9, unsubscribed=6, duplicate_in_file=2, invalid=1)


@pytest.mark.parametrize("column", ["subscribed", "opt_in"])
def test_an_export_of_everybody_opts_out_only_those_who_do_not_want_messages(
    ledger: Ledger, tmp_path: Path, column: str
) -> None:
    """The whole address book, with a column that says who has opted out, would unsubscribe everybody."""
    report = take_in(ledger, tmp_path, f"phone,{column}\n{phone(1)},no\n{phone(2)},yes\n{phone(3)},\n")
    assert report.counts == OptOutCounts(read=3, unsubscribed=2, wants_messages=1)
    report = take_in(ledger, tmp_path, f"phone,opt_out\n{phone(4)},yes\n{phone(5)},no\n", name="other.csv")
    assert report.counts == OptOutCounts(read=2, unsubscribed=1, wants_messages=1)
    assert sorted(said(ledger)) == [phone(1), phone(3), phone(4)]


def test_a_file_that_is_no_list_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The sentence says which column to name."""
    with pytest.raises(ListFileError, match="--phone-column"):
        take_in(ledger, tmp_path, "name,city\nAda,London\n")
    assert said(ledger) == {}
    assert take_in(ledger, tmp_path, f"who,city\n{phone(1)},London\n", column="who").counts.unsubscribed == 1


def test_a_time_in_the_future_is_now(ledger: Ledger, tmp_path: Path) -> None:
    """A typing error in the year would keep somebody out for a year, whatever they say."""
    take_in(ledger, tmp_path, f"phone,date\n{phone(1)},2027-02-01\n")
    assert said(ledger)[phone(1)][2] == NOON


@pytest.mark.parametrize(
    ("day", "until"),
    [
        ("2026-02-27", datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)),
        ("27.02.2026", datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)),
        ("2026-02-27 00:00:00", datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)),
        ("2026-03-02", NOON),
    ],
)
def test_a_day_without_an_hour_is_all_of_that_day(ledger: Ledger, tmp_path: Path, day: str, until: datetime) -> None:
    """Taken for its midnight, the stop of an evening would lose to a START of that morning."""
    with ledger.write() as connection:
        subscribe(connection, parse_phone(phone(1), None), source="START", now=until - timedelta(hours=4))
    assert take_in(ledger, tmp_path, f"phone,date\n{phone(1)},{day}\n").counts.unsubscribed == 1
    assert said(ledger)[phone(1)][2] == until


@pytest.mark.parametrize("no_time", ["0001-01-01T00:00:00", "1900-01-01", "1970-01-01 00:00:00", "0000000000"])
def test_a_time_that_stands_for_none_is_now(ledger: Ledger, tmp_path: Path, no_time: str) -> None:
    """Programs write the first day that they know where they know none: any START of before would outlive the stop."""
    with ledger.write() as connection:
        subscribe(connection, parse_phone(phone(1), None), source="START", now=NOON - timedelta(days=9))
    assert take_in(ledger, tmp_path, f"phone,date\n{phone(1)},{no_time}\n").counts.unsubscribed == 1
    assert said(ledger)[phone(1)][2] == NOON


MARCH_2 = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-02", MARCH_2),
        ("2026/3/2", MARCH_2),
        ("02.03.2026", MARCH_2),
        ("2.3.2026 10:30", MARCH_2 + timedelta(hours=10, minutes=30)),
        ("2026-03-02 10:30:00 UTC", MARCH_2 + timedelta(hours=10, minutes=30)),
        ("2026-03-02T10:30:00+01:00", MARCH_2 + timedelta(hours=9, minutes=30)),
        (" 2026-03-02T10:30:00.000Z ", MARCH_2 + timedelta(hours=10, minutes=30)),
        ("1772409600", MARCH_2),
        ("1772409600000", MARCH_2),
        *((text, None) for text in ("", "03/02/2026", "yes", "45718", "2026-13-01", "32.01.2026", "٢٠٢٦", "9" * 40)),
    ],
)
def test_times_are_read_in_one_way_or_not_at_all(text: str, moment: datetime | None) -> None:
    """03/02/2026 is in March here and in February there."""
    found: Sequence[datetime | None] = [read_said_time(text)]
    assert found == [moment]
