"""Every row of a list ends somewhere, nobody is in a campaign twice, and a crash in the middle costs nothing."""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.errors import CampaignError, CampaignNotFoundError
from campaign_pipeline.campaigns.queue import demands_in_order
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger, LedgerError, connect, initialise
from campaign_pipeline.ledger.schema import (
    audit_log,
    campaign_recipients,
    outbox,
    recipient_lists,
    recipient_rejections,
    subscriptions,
)
from campaign_pipeline.recipients.intake import ROWS_PER_TRANSACTION, IntakeReport, add_file, add_subscribed
from campaign_pipeline.recipients.list_files import ListFileError
from campaign_pipeline.recipients.phone_numbers import PhoneNumber
from campaign_pipeline.recipients.sorting import IntakeCounts
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.ledger.rows import in_processes, put
from campaign_pipeline_tests.support.campaigns import (
    NOON,
    active_campaign,
    add_people,
    draft,
    folders,
    phone,
    write_list,
)

FIRST_CHUNK = ROWS_PER_TRANSACTION


def _write(root: Path, *lines: str, name: str = "people.csv") -> Path:
    path = root / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _add(ledger: Ledger, path: Path, *, campaign: str = "spring-sale", region: str | None = "GB") -> IntakeReport:
    return add_file(
        ledger,
        campaign,
        path,
        folders=folders(path.parent),
        region=region,
        phone_column=None,
        actor="ada",
        clock=lambda: NOON,
    )


def _audience(ledger: Ledger, campaign_id: int) -> list[str]:
    """The phone numbers of a campaign, in the order of its queue."""
    query = (
        select(campaign_recipients.c.phone)
        .where(campaign_recipients.c.campaign_id == campaign_id)
        .order_by(campaign_recipients.c.position)
    )
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def _statuses(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """What is known of people's wishes: status and source by number."""
    with ledger.read() as connection:
        return {row.phone: (row.status, row.source) for row in connection.execute(select(subscriptions))}


def _say(ledger: Ledger, number: int, *, wants: bool) -> None:
    person = PhoneNumber(phone(number), phone(number))
    with ledger.write() as connection:
        (subscribe if wants else unsubscribe)(connection, person, source="test", now=NOON)


def _states_of_lists(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(recipient_lists.c.state).order_by(recipient_lists.c.id)).scalars())


def test_every_row_of_a_messy_list_ends_somewhere(ledger: Ledger, tmp_path: Path) -> None:
    """The marketer who uploads 15 rows and finds 3 people has to be able to see why, row by row."""
    campaign = draft(ledger)
    add_people(ledger, campaign.slug, tmp_path, [8])
    _say(ledger, 7, wants=False)
    path = _write(
        tmp_path,
        "Name;Mobile Number;City;Opt-Out",
        "Ada;07911 000001;Bern;",
        "Ada again;+44 7911 000001;Bern;",
        "Ada once more;0044 (0)7911-000001;Bern;",
        "",
        "Zoë;447911000002;Köln;no",
        "Nobody;;Bern;",
        "Short;0791;Bern;",
        "Letters;call me;Bern;",
        "Too many;07911 000003;Bern;;and more",
        "Opted out;07911 000004;Bern;yes",
        "Unsubscribed;07911 000007;Bern;",
        "There already;07911 000008;Bern;",
        "Eve;07911 000005",
    )
    report = _add(ledger, path)
    assert report.counts == IntakeCounts(
        read=12, added=3, duplicate_in_list=2, already_in_campaign=1, invalid=4, unsubscribed=2
    )
    assert _audience(ledger, campaign.id) == [phone(8), phone(1), phone(2), phone(5)]
    with ledger.read() as connection:
        row = connection.execute(select(recipient_lists).where(recipient_lists.c.id == report.list_id)).one()
        rejected = connection.execute(
            select(recipient_rejections.c["line_number", "value", "reason"])
            .where(recipient_rejections.c.list_id == report.list_id)
            .order_by(recipient_rejections.c.line_number)
        ).all()
        zoe = connection.execute(select(campaign_recipients).where(campaign_recipients.c.person_key == phone(2))).one()
    assert (row.rows_read, row.added, row.invalid, row.state, row.name) == (12, 3, 4, "done", "people.csv")
    assert (row.received_at, row.finished_at) == (NOON, NOON)
    assert [tuple(each) for each in rejected] == [
        (3, "+44 7911 000001", "duplicate_in_list"),
        (4, "0044 (0)7911-000001", "duplicate_in_list"),
        (7, "", "invalid"),
        (8, "0791", "invalid"),
        (9, "call me", "invalid"),
        (10, "07911 000003", "invalid"),
        (11, "07911 000004", "unsubscribed"),
        (12, "07911 000007", "unsubscribed"),
        (13, "07911 000008", "already_in_campaign"),
    ]
    assert zoe.parameters == {"Name": "Zoë", "City": "Köln", "Opt-Out": "no"}
    assert (zoe.line_number, zoe.list_id, zoe.state, zoe.phone) == (6, report.list_id, "pending", phone(2))


def test_the_same_list_again_adds_nobody(ledger: Ledger, tmp_path: Path) -> None:
    """The most usual mistake there is: the upload is clicked twice, and everybody would get it twice."""
    campaign = draft(ledger)
    path = write_list(tmp_path / "people.csv", [1, 2, 3, 2])
    assert _add(ledger, path).counts == IntakeCounts(read=4, added=3, duplicate_in_list=1)
    again = IntakeCounts(read=4, added=0, already_in_campaign=4)
    assert _add(ledger, path).counts == again
    renamed = path.rename(tmp_path / "people (1).csv")
    assert _add(ledger, renamed).counts == again
    assert _audience(ledger, campaign.id) == [phone(1), phone(2), phone(3)]


def test_a_person_is_added_once_however_the_number_is_spelled(ledger: Ledger, tmp_path: Path) -> None:
    """One Argentine with and without the 9, one Brazilian with and without the ninth digit: one message each."""
    campaign = draft(ledger)
    first = _write(tmp_path, "phone", "+54 9 11 2345-6789", "+55 11 98765-4321", name="first.csv")
    second = _write(tmp_path, "phone", "+54 11 2345 6789", "+55 11 8765-4321", "+54 11 15 2345 6789", name="second.csv")
    assert _add(ledger, first, region=None).counts.added == 2
    assert _add(ledger, second, region=None).counts.already_in_campaign == 3
    assert len(_audience(ledger, campaign.id)) == 2


SPELLINGS = ("+447911{:06d}", "07911 {:06d}", "0044 7911 {:06d}", "(07911) {:06d}", "+44-7911-{:06d}")
rows = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(SPELLINGS), st.integers(0, 9), st.sampled_from(["", "yes", "no", "perhaps"])),
        st.tuples(st.sampled_from(["", "12", "n/a", "07911 00000x"]), st.just(0), st.sampled_from(["", "yes", "no"])),
        st.just(("too many", 0, "a,b")),
        st.just(None),
    ),
    max_size=20,
)
numbers = st.sets(st.integers(0, 9))
_blocks = count(10_000)


def _list_of(mixture: Sequence[tuple[str, int, str] | None], block: int) -> Iterator[str]:
    yield "phone,name,consent"
    for row in mixture:
        yield f"{row[0].format(block + row[1])},Ada,{row[2]}" if row else ""


def _expected(
    mixture: Sequence[tuple[str, int, str] | None], unwilling: set[int], there: set[int]
) -> tuple[Counter[str], list[int]]:
    """What the design says of each row, and who is added, in order: told a second time, in the plainest way."""
    ends: Counter[str] = Counter()
    added: list[int] = []
    # A no counts wherever in the list it stands; what is neither yes nor no agrees to nothing, and refuses nothing.
    refused = {row[1] for row in mixture if row is not None and row[0] in SPELLINGS and row[2] == "no"}
    for row in mixture:
        if row is None:
            continue
        spelling, number, consent = row
        if spelling not in SPELLINGS:
            ends["invalid"] += 1
        elif consent == "perhaps" or number in unwilling | refused:
            ends["unsubscribed"] += 1
        elif number in there:
            ends["already_in_campaign"] += 1
        elif number in added:
            ends["duplicate_in_list"] += 1
        else:
            ends["added"] += 1
            added.append(number)
    return ends, added


@settings(max_examples=30)
@given(rows, numbers, numbers)
def test_the_counts_always_sum_to_the_rows_that_were_read(
    ledger: Ledger, tmp_path: Path, mixture: list[tuple[str, int, str] | None], unwilling: set[int], there: set[int]
) -> None:
    """Whatever is mixed into a list: a row in no count is a person forgotten without a word."""
    block = 10 * next(_blocks)
    campaign = draft(ledger, f"Campaign {block}")
    there = there - unwilling
    add_people(ledger, campaign.slug, tmp_path, [block + number for number in there])
    for number in unwilling:
        _say(ledger, block + number, wants=False)
    path = _write(tmp_path, *_list_of(mixture, block))
    report = _add(ledger, path, campaign=campaign.slug)
    ends, added = _expected(mixture, unwilling, there)
    counts = report.counts.as_dict()
    assert counts.pop("read") == sum(counts.values()) == len([row for row in mixture if row is not None])
    assert counts == {name: ends[name] for name in counts}
    audience = _audience(ledger, campaign.id)
    assert audience == [phone(block + number) for number in (*there, *added)]
    with ledger.read() as connection:
        kept = connection.execute(
            select(func.count()).where(recipient_rejections.c.list_id == report.list_id)
        ).scalar_one()
        statuses = connection.execute(
            select(subscriptions.c.phone, subscriptions.c.status).where(subscriptions.c.phone.in_(audience))
        ).all()
    assert kept == report.counts.read - report.counts.added
    assert len(statuses) == len(audience)


def _rejections(ledger: Ledger, list_id: int) -> list[tuple[object, ...]]:
    with ledger.read() as connection:
        query = select(recipient_rejections.c["line_number", "value", "reason", "detail"])
        rows = connection.execute(query.where(recipient_rejections.c.list_id == list_id))
        return sorted(tuple(row) for row in rows)


def test_the_rejected_rows_stand_in_the_file_as_in_the_table(ledger: Ledger, tmp_path: Path) -> None:
    """The file is what the marketer repairs the list by: line, value and reason have to be those of the ledger."""
    draft(ledger)
    _say(ledger, 4, wants=False)
    quoted = ['"two', 'lines, ""quoted"""']
    path = _write(tmp_path, "phone,name", "12,a", f"{phone(1)},b", f"{phone(1)},c", *quoted, f"{phone(4)},d", "ünï,e")
    report = _add(ledger, path)
    assert report.rejections_file is not None
    assert report.rejections_file.parent == folders(tmp_path).rejected
    with report.rejections_file.open(encoding="utf-8", newline="") as file:
        in_file = list(csv.reader(file))
    assert in_file[0] == ["line_number", "value", "reason", "detail"]
    in_table = _rejections(ledger, report.list_id)
    assert sorted((int(line), value, reason, detail) for line, value, reason, detail in in_file[1:]) == in_table
    assert [row[:3] for row in in_table] == [
        (2, "12", "invalid"),
        (4, phone(1), "duplicate_in_list"),
        (5, 'two\nlines, "quoted"', "invalid"),
        (7, phone(4), "unsubscribed"),
        (8, "ünï", "invalid"),
    ]
    assert all(detail for *_, detail in in_table)
    with ledger.read() as connection:
        named = connection.execute(select(recipient_lists.c.rejections_file)).scalar_one()
    assert named == str(report.rejections_file)


def test_a_list_without_rejections_leaves_no_file(ledger: Ledger, tmp_path: Path) -> None:
    """An empty file of rejections makes people look for what was rejected."""
    draft(ledger)
    report = _add(ledger, write_list(tmp_path / "people.csv", [1, 2]))
    assert report.rejections_file is None
    assert not folders(tmp_path).rejected.exists()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('=HYPERLINK("http://example.org")', '\'=HYPERLINK("http://example.org")'),
        ("@SUM(1+1)", "'@SUM(1+1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("+44 7911", "'+44 7911"),
        # What is only a number stays as it was written.
        ("+447911", "+447911"),
        ("12", "12"),
    ],
)
def test_a_rejected_value_is_no_formula_in_a_spreadsheet(tmp_path: Path, value: str, shown: str) -> None:
    """A list from a stranger's web form must not run anything on the computer of whoever opens the rejections."""
    ledger = connect(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    initialise(ledger)
    draft(ledger)
    quoted = value.replace('"', '""')
    report = _add(ledger, _write(tmp_path, "phone,name", f'"{quoted}",a'))
    assert report.rejections_file is not None
    with report.rejections_file.open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["value"] == shown
    assert _rejections(ledger, report.list_id)[0][1] == value
    ledger.close()


def test_a_list_without_a_column_of_the_template_is_refused_whole(ledger: Ledger, tmp_path: Path) -> None:
    """Taken in, it would be 10,000 people of whom not one can be sent to."""
    campaign = draft(ledger, parameters=[TemplateParameter("1", "name"), TemplateParameter("2", "city")])
    path = _write(tmp_path, "phone,Name,town", f"{phone(1)},Ada,Bern")
    with pytest.raises(ListFileError, match=r"people.csv has no column name, city, .* it has phone, Name, town"):
        _add(ledger, path)
    assert _audience(ledger, campaign.id) == []
    assert _states_of_lists(ledger) == []


def test_a_person_without_a_value_that_the_template_needs_is_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """Meta refuses a message with an empty parameter, and the refusal uses up the person's place."""
    campaign = draft(ledger, parameters=[TemplateParameter("1", "name"), TemplateParameter("2", "city")])
    path = _write(
        tmp_path, "phone,name,city,note", f"{phone(1)},Ada,Bern,", f"{phone(2)},  ,Bern,x", f"{phone(3)},,,", phone(4)
    )
    report = _add(ledger, path)
    assert report.counts == IntakeCounts(read=4, added=1, invalid=3)
    assert _audience(ledger, campaign.id) == [phone(1)]
    assert [detail for *_, detail in _rejections(ledger, report.list_id)] == [
        "missing_value: nothing in name, which the template needs",
        "missing_value: nothing in name, city, which the template needs",
        "missing_value: nothing in name, city, which the template needs",
    ]


def test_whom_a_list_refuses_for_is_sent_to_by_no_campaign(ledger: Ledger, tmp_path: Path) -> None:
    """A `no` in any list is the person's latest word, and counts for the campaigns that have them already."""
    other = active_campaign(ledger, tmp_path, [1, 2, 3], name="Other")
    campaign = draft(ledger)
    path = _write(tmp_path, "phone,opt_in", f"{phone(1)},no", f"{phone(2)},yes", f"{phone(4)},")
    assert _add(ledger, path).counts == IntakeCounts(read=3, added=2, unsubscribed=1)
    assert _audience(ledger, campaign.id) == [phone(2), phone(4)]
    statuses = _statuses(ledger)
    assert statuses[phone(1)] == ("unsubscribed", "list people.csv")
    # An upload counts as consent, with its source kept; the first source stays.
    assert statuses[phone(2)] == ("subscribed", "list other.csv")
    assert statuses[phone(4)] == ("subscribed", "list people.csv")
    with ledger.read() as connection:
        assert [(each.campaign_id, each.waiting) for each in demands_in_order(connection)] == [(other.id, 2)]


def test_a_list_never_subscribes_again_who_has_said_no(ledger: Ledger, tmp_path: Path) -> None:
    """An old export says `yes` about people who have written STOP since."""
    campaign = draft(ledger)
    _say(ledger, 1, wants=False)
    path = _write(tmp_path, "phone,consent", f"{phone(1)},yes")
    assert _add(ledger, path).counts == IntakeCounts(read=1, unsubscribed=1)
    assert _audience(ledger, campaign.id) == []
    assert _statuses(ledger)[phone(1)] == ("unsubscribed", "test")


def test_of_two_rows_of_one_person_a_no_wins(ledger: Ledger, tmp_path: Path) -> None:
    """Whichever row comes first: a person of whom a list says no gets nothing."""
    campaign = draft(ledger)
    path = _write(tmp_path, "phone,consent", f"{phone(1)},yes", f"{phone(1)},no", f"{phone(2)},no", f"{phone(2)},yes")
    report = _add(ledger, path)
    assert report.counts.read == 4
    assert {number: status for number, (status, _) in _statuses(ledger).items()} == {
        phone(1): "unsubscribed",
        phone(2): "unsubscribed",
    }
    assert phone(2) not in _audience(ledger, campaign.id)


def test_people_added_to_an_active_campaign_go_to_the_end_of_its_queue(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever was promised the third day must not slip to the fourth because of a later list."""
    campaign = active_campaign(ledger, tmp_path, [5, 6])
    with ledger.write() as connection:
        lifecycle.pause(connection, campaign.id, actor="ada", now=NOON)
    add_people(ledger, campaign.slug, tmp_path, [1, 5, 2], name="second.csv")
    with ledger.write() as connection:
        lifecycle.resume(connection, campaign.id, actor="ada", now=NOON)
    add_people(ledger, campaign.slug, tmp_path, [0], name="third.csv")
    assert _audience(ledger, campaign.id) == [phone(number) for number in (5, 6, 1, 2, 0)]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_campaign_that_has_ended_takes_nobody(ledger: Ledger, tmp_path: Path, status: str) -> None:
    """`completed` has been reported; people added after it would wait for a batch that never comes."""
    campaign = active_campaign(ledger, tmp_path, [1])
    with ledger.write() as connection:
        if status == "cancelled":
            lifecycle.cancel(connection, campaign.id, actor="ada", now=NOON)
        else:
            connection.execute(update(campaign_recipients).values(state="failed"))
            lifecycle.complete_settled(connection, NOON)
    path = write_list(tmp_path / "more.csv", [2])
    with pytest.raises(CampaignError, match=f"spring-sale is {status}: nobody can be added to it any more"):
        _add(ledger, path)
    with pytest.raises(CampaignError, match=f"spring-sale is {status}"):
        add_subscribed(ledger, campaign.slug, actor="ada", now=NOON)
    assert _audience(ledger, campaign.id) == [phone(1)]
    assert _states_of_lists(ledger) == ["done"]


def test_a_list_for_no_campaign_or_with_an_unknown_region_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing of it may be kept, or half a list lies about in a campaign that there is not."""
    path = write_list(tmp_path / "people.csv", [1])
    with pytest.raises(CampaignNotFoundError, match="There is no campaign 'spring-sale'"):
        _add(ledger, path)
    draft(ledger)
    with pytest.raises(ValueError, match="Unknown region 'UK'"):
        _add(ledger, path, region="UK")
    assert _states_of_lists(ledger) == []


def test_a_list_that_was_added_is_written_down_for_people_and_for_dagster(ledger: Ledger, tmp_path: Path) -> None:
    """The desk shows the list as a materialization, though it was added at the command line."""
    campaign = draft(ledger)
    report = _add(ledger, write_list(tmp_path / "people.csv", [1, 1]))
    with ledger.read() as connection:
        audit = connection.execute(select(audit_log).where(audit_log.c.action == "list_added")).one()
        word = connection.execute(select(outbox).where(outbox.c.kind == "list_added")).one()
    assert (audit.actor, audit.subject, word.campaign_slug) == ("ada", campaign.slug, campaign.slug)
    assert (
        audit.details
        == word.details
        == {
            "list_id": report.list_id,
            "list": "people.csv",
            **IntakeCounts(read=2, added=1, duplicate_in_list=1).as_dict(),
        }
    )


def test_the_kept_copy_has_the_bytes_of_the_list(ledger: Ledger, tmp_path: Path) -> None:
    """Who consented, and where, is asked a year later, when the source has long been overwritten."""
    draft(ledger)
    content = f"\ufeffphone;name\r\n{phone(1)};Zoë\r\n\r\n".encode()
    path = tmp_path / "Kunden März.csv"
    path.write_bytes(content)
    report = _add(ledger, path)
    assert report.kept_as is not None
    assert report.kept_as.read_bytes() == content
    with ledger.read() as connection:
        row = connection.execute(select(recipient_lists)).one()
    assert (row.sha256, row.kept_as) == (hashlib.sha256(content).hexdigest(), str(report.kept_as))
    assert _add(ledger, path).kept_as == report.kept_as
    path.write_bytes(content + f"{phone(2)};Eve\r\n".encode())
    changed = _add(ledger, path)
    assert changed.kept_as != report.kept_as
    assert report.kept_as.read_bytes() == content
    assert len(list(folders(tmp_path).kept.iterdir())) == 2


def _long_list(root: Path) -> Path:
    """A list of more than one transaction, with a rejection and a person of the first one in the second."""
    lines = ["phone", "12", *(phone(number) for number in range(FIRST_CHUNK + 20)), "13", phone(0)]
    return _write(root, *lines)


LONG_LIST = IntakeCounts(read=FIRST_CHUNK + 23, added=FIRST_CHUNK + 20, duplicate_in_list=1, invalid=2)


def test_a_list_of_several_transactions_is_counted_as_one(ledger: Ledger, tmp_path: Path) -> None:
    """A person in two chunks of one list is a duplicate there, and the last chunk must not replace the counts."""
    campaign = draft(ledger)
    told: list[tuple[int, int]] = []
    path = _long_list(tmp_path)
    report = add_file(
        ledger,
        campaign.slug,
        path,
        folders=folders(tmp_path),
        region="GB",
        phone_column="1",
        actor="ada",
        clock=lambda: NOON,
        on_progress=lambda done, size: told.append((done, size)),
    )
    assert report.counts == LONG_LIST
    assert len(told) == 2
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    assert len(set(_audience(ledger, campaign.id))) == LONG_LIST.added


def test_a_list_that_fails_halfway_says_so_and_can_be_added_again(ledger: Ledger, tmp_path: Path) -> None:
    """The people of the first part are in: added again, they must neither be doubled nor hide the second part."""
    campaign = draft(ledger)
    path = _long_list(tmp_path)
    looks = count(1)

    def clock() -> datetime:
        # One look for the list's own row, one for each part: the third is that of the second part.
        if next(looks) == 3:
            raise OSError("No space left on device")
        return NOON

    with pytest.raises(OSError, match="No space left"):
        add_file(
            ledger,
            campaign.slug,
            path,
            folders=folders(tmp_path),
            region="GB",
            phone_column=None,
            actor="ada",
            clock=clock,
        )
    with ledger.read() as connection:
        failed = connection.execute(select(recipient_lists)).one()
    assert (failed.state, failed.error, failed.rows_read) == ("failed", "No space left on device", FIRST_CHUNK)
    assert (failed.added, failed.invalid, failed.finished_at) == (FIRST_CHUNK - 1, 1, NOON)
    again = _add(ledger, path)
    assert again.counts.added == LONG_LIST.added - failed.added
    assert again.counts.read == LONG_LIST.read
    assert _audience(ledger, campaign.id) == [phone(number) for number in range(LONG_LIST.added)]
    assert _states_of_lists(ledger) == ["failed", "done"]


def _die_halfway(number: int, barrier: Barrier, url: str, path: Path) -> None:
    barrier.wait(300)
    looks = count(1)

    def clock() -> datetime:
        if next(looks) == 3:
            os._exit(9 + number)
        return NOON

    add_file(
        connect(url),
        "spring-sale",
        path,
        folders=folders(path.parent),
        region="GB",
        phone_column=None,
        actor="ada",
        clock=clock,
    )


def test_a_list_whose_process_is_killed_can_be_added_again(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    """Nobody is left to write that it failed: the list still says `reading`, and adding it again completes it."""
    campaign = draft(ledger)
    path = _long_list(tmp_path)
    assert in_processes(1, _die_halfway, {"url": ledger_url, "path": path}) == [9]
    with ledger.read() as connection:
        killed = connection.execute(select(recipient_lists)).one()
    assert (killed.state, killed.rows_read, killed.added) == ("reading", FIRST_CHUNK, FIRST_CHUNK - 1)
    assert _add(ledger, path).counts.added == LONG_LIST.added - killed.added
    assert _audience(ledger, campaign.id) == [phone(number) for number in range(LONG_LIST.added)]


AT_ONCE = 3
LISTS = 5


def _add_each(number: int, barrier: Barrier, url: str, paths: list[Path], campaigns: list[list[str]]) -> None:
    ledger = connect(url)
    for path, names in zip(paths, campaigns, strict=True):
        barrier.wait(20)
        _add(ledger, path, campaign=names[number % len(names)])
    ledger.close()


def test_processes_that_add_one_list_at_once_add_everybody_once(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    """A sensor and an impatient person take up the same file at the same moment."""
    campaigns = [draft(ledger, f"Campaign {number}") for number in range(LISTS)]
    # Long notes: while one copies the file to keep it, the others are at it too.
    paths = [
        write_list(tmp_path / f"{number}.csv", range(number, 100 + number), value="x" * 10_000)
        for number in range(LISTS)
    ]
    work = {"url": ledger_url, "paths": paths, "campaigns": [[each.slug] for each in campaigns]}
    assert in_processes(AT_ONCE, _add_each, work) == [0] * AT_ONCE
    with ledger.read() as connection:
        lists = connection.execute(select(recipient_lists)).all()
    for campaign, path in zip(campaigns, paths, strict=True):
        mine = [each for each in lists if each.campaign_id == campaign.id]
        assert [each.state for each in mine] == ["done"] * AT_ONCE
        assert [each.rows_read for each in mine] == [100] * AT_ONCE
        assert sum(each.added for each in mine) == 100
        assert sum(each.already_in_campaign for each in mine) == 100 * (AT_ONCE - 1)
        audience = _audience(ledger, campaign.id)
        assert len(audience) == len(set(audience)) == 100
        assert {Path(each.kept_as).read_bytes() for each in mine} == {path.read_bytes()}
    assert len(list(folders(tmp_path).kept.iterdir())) == LISTS


def _add_in_step(number: int, barrier: Barrier, url: str, work: list[list[tuple[str, Path]]]) -> None:
    """Adds one list a round, its people at the very moment at which the other processes add theirs."""
    ledger = connect(url)
    for campaign, path in (each[number] for each in work):
        looks = count(1)

        def clock(looks: Iterator[int] = looks) -> datetime:
            # The first look is for the list's own row, the second just before its people go in.
            if next(looks) == 2:
                barrier.wait(20)
            return NOON

        add_file(
            ledger,
            campaign,
            path,
            folders=folders(path.parent),
            region=None,
            phone_column=None,
            actor="ada",
            clock=clock,
        )
    ledger.close()


def test_lists_with_the_same_people_in_another_order_do_not_hinder_each_other(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    """Two campaigns get the same customers at once, sorted differently: neither upload may fail because of it."""
    work = []
    for number in range(2):
        people = range(3_000 * number, 3_000 * (number + 1))
        up = write_list(tmp_path / f"up-{number}.csv", people)
        down = write_list(tmp_path / f"down-{number}.csv", reversed(people))
        work.append([(draft(ledger, f"Up {number}").slug, up), (draft(ledger, f"Down {number}").slug, down)])
    assert in_processes(2, _add_in_step, {"url": ledger_url, "work": work}) == [0, 0]
    assert _states_of_lists(ledger) == ["done"] * 4
    assert len(_statuses(ledger)) == 6_000


def test_nobody_is_counted_as_added_who_is_not_in_the_campaign(ledger: Ledger, tmp_path: Path) -> None:
    """A ledger moved to PostgreSQL by hand counts its rows from 1 again: who is dropped for that must not be lost."""
    old = draft(ledger, "Old")
    with ledger.write() as connection:
        put(connection, "campaign_recipients", campaign_id=old.id, state="pending", batch_id=None)
    campaign = draft(ledger)
    try:
        added = add_people(ledger, campaign.slug, tmp_path, [1, 2, 3]).counts.added
    except (IntegrityError, LedgerError):
        added = 0
    assert len(_audience(ledger, campaign.id)) == added


def test_everyone_who_is_subscribed_is_added_in_the_order_in_which_they_subscribed(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Whoever has waited longest is reached first; whoever has said no is not there."""
    campaign = draft(ledger)
    with ledger.write() as connection:
        for minutes, number in enumerate([3, 1, 2, 9, 4]):
            person = PhoneNumber(phone(number), phone(number))
            subscribe(connection, person, source="test", now=NOON + timedelta(minutes=minutes))
        unsubscribe(connection, PhoneNumber(phone(9), phone(9)), source="test", now=NOON)
    add_people(ledger, campaign.slug, tmp_path, [2, 7], name="some.csv")
    report = add_subscribed(ledger, campaign.slug, actor="ada", now=NOON)
    # 7 was subscribed by being uploaded, and is in the campaign with 2 already.
    assert report.counts == IntakeCounts(read=5, added=3, already_in_campaign=2)
    assert (report.rejections_file, report.kept_as) == (None, None)
    assert _audience(ledger, campaign.id) == [phone(number) for number in (2, 7, 3, 1, 4)]
    again = add_subscribed(ledger, campaign.slug, actor="ada", now=NOON)
    assert again.counts == IntakeCounts(read=5, already_in_campaign=5)
    with ledger.write() as connection:
        subscribe(connection, PhoneNumber(phone(0), phone(0)), source="test", now=NOON)
    assert add_subscribed(ledger, campaign.slug, actor="ada", now=NOON).counts.added == 1
    assert _audience(ledger, campaign.id)[-1] == phone(0)
    with ledger.read() as connection:
        row = connection.execute(select(recipient_lists).order_by(recipient_lists.c.id.desc()).limit(1)).one()
        person = connection.execute(
            select(campaign_recipients).where(campaign_recipients.c.person_key == phone(0))
        ).one()
    assert (row.name, row.state, row.rows_read, row.sha256) == ("everyone who is subscribed", "done", 6, None)
    assert (person.state, person.parameters, person.list_id) == ("pending", {}, row.id)


def test_a_template_with_values_cannot_be_filled_from_subscriptions(ledger: Ledger) -> None:
    """A subscription has no first name: Meta would refuse every single message."""
    draft(ledger, parameters=[TemplateParameter("1", "name"), TemplateParameter("2", "city")])
    _say(ledger, 1, wants=True)
    with pytest.raises(CampaignError, match=r"spring-sale needs values \(name, city\) that only a list has"):
        add_subscribed(ledger, "spring-sale", actor="ada", now=NOON)
    assert _states_of_lists(ledger) == []
