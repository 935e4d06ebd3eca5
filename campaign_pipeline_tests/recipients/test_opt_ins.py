"""Where, when and to what somebody agreed is kept, and where that is asked for nobody is added without it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, opt_ins, recipient_rejections
from campaign_pipeline.recipients.consent import ConsentNeeded, EvidenceColumns, ListedEvidence
from campaign_pipeline.recipients.intake import IntakeReport, add_file, add_subscribed
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.subscriptions import subscribe, unsubscribe
from campaign_pipeline_tests.support.campaigns import NOON, draft, folders, phone


def add(ledger: Ledger, root: Path, text: str, consent: ConsentNeeded = ConsentNeeded.UPLOAD) -> IntakeReport:
    """Adds a list with some text to the campaign."""
    path = root / "people.csv"
    path.write_text(text, encoding="utf-8")
    return add_file(
        ledger,
        "spring-sale",
        path,
        folders=folders(root),
        region="GB",
        phone_column=None,
        actor="ada",
        clock=lambda: NOON,
        consent=consent,
    )


def kept(ledger: Ledger) -> list[tuple[Any, ...]]:
    """The evidence: person, source, when and text."""
    query = select(*opt_ins.c["person_key", "source", "occurred_at", "text"]).order_by(opt_ins.c.id)
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def added(ledger: Ledger) -> list[str]:
    """Who is in the campaign."""
    with ledger.read() as connection:
        return list(
            connection.execute(select(campaign_recipients.c.phone).order_by(campaign_recipients.c.position)).scalars()
        )


def test_the_columns_are_found_by_their_usual_names() -> None:
    """Nobody renames the columns of an export for us."""
    found = EvidenceColumns.from_header(["Phone", "Opt-in Source", "opt_in_at", "Consent text", "opt_in"])
    assert found == EvidenceColumns(("Opt-in Source",), ("opt_in_at",), ("Consent text",))
    row = {"Opt-in Source": " web ", "opt_in_at": "2026-01-02", "Consent text": "", "opt_in": ""}
    assert found.evidence(row, agrees=False) == ListedEvidence("web", datetime(2026, 1, 2, tzinfo=UTC), None)
    assert found.evidence({}, agrees=False) is None
    assert found.evidence({}, agrees=True) == ListedEvidence(None, None, None)


def test_what_a_list_says_of_consent_is_kept_once(ledger: Ledger, tmp_path: Path) -> None:
    """The proof has to be there years later, and the same list added each week is one proof."""
    draft(ledger)
    text = (
        "phone,opt_in,opt_in_source,opt_in_time,opt_in_text\n"
        f"{phone(1)},yes,shop,2026-01-02T03:04:05Z,I want offers\n"
        f"{phone(2)},yes,,,\n"
        f"{phone(3)},,till,,\n"
        f"{phone(4)},,,,\n"
        f"{phone(5)},no,shop,2026-01-02,\n"
    )
    for _ in range(2):
        add(ledger, tmp_path, text)
    assert kept(ledger) == [
        (phone(1), "shop", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "I want offers"),
        (phone(2), "list people.csv", NOON, None),
        (phone(3), "till", NOON, None),
    ]
    assert added(ledger) == [phone(number) for number in (1, 2, 3, 4)]


def test_where_evidence_is_asked_for_nobody_is_added_without_it(ledger: Ledger, tmp_path: Path) -> None:
    """A business that has to show consent could show an upload."""
    draft(ledger)
    with ledger.write() as connection:
        subscribe(connection, parse_phone(phone(3), None), source="a letter", now=NOON)
        unsubscribe(connection, parse_phone(phone(5), None), source="a letter", now=NOON)
    text = (
        "phone,opt_in\n"
        f"{phone(1)},yes\n{phone(2)},\n{phone(3)},\n{phone(2)},\n{phone(5)},yes\n{phone(1)},\n{phone(6)},no\n"
    )
    report = add(ledger, tmp_path, text, ConsentNeeded.EVIDENCE)
    counts = report.counts
    assert (counts.read, counts.added, counts.duplicate_in_list, counts.unsubscribed) == (7, 2, 2, 3)
    assert added(ledger) == [phone(1), phone(3)]
    with ledger.read() as connection:
        details = connection.execute(select(recipient_rejections.c.detail)).scalars().all()
    assert sum("CAMPAIGN_REQUIRE_OPT_IN" in detail for detail in details) == 1


@pytest.mark.parametrize(("consent", "numbers"), [(ConsentNeeded.UPLOAD, [1, 2]), (ConsentNeeded.EVIDENCE, [2])])
def test_everyone_who_is_subscribed_means_those_who_agreed_where_that_is_asked_for(
    ledger: Ledger, tmp_path: Path, consent: ConsentNeeded, numbers: list[int]
) -> None:
    """One command would add whoever an earlier upload has brought."""
    draft(ledger)
    add(ledger, tmp_path, f"phone\n{phone(1)}\n")
    draft(ledger, "Summer Sale")
    with ledger.write() as connection:
        subscribe(connection, parse_phone(phone(2), None), source="a letter", now=NOON)
    report = add_subscribed(ledger, "summer-sale", actor="ada", now=NOON, consent=consent)
    assert report.counts.added == len(numbers)
    assert report.counts.unsubscribed == 2 - len(numbers)
    assert added(ledger)[1:] == [phone(number) for number in numbers] or added(ledger) == [phone(1), phone(2)]
