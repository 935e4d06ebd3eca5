"""Numbers that WhatsApp delivers no marketing messages to are found when a list is added, not when it is sent."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, recipient_rejections, subscriptions
from campaign_pipeline.recipients.destinations import UsNumbers, refusal_of
from campaign_pipeline.recipients.intake import IntakeReport, add_file, add_subscribed
from campaign_pipeline.recipients.phone_numbers import parse_phone
from campaign_pipeline.recipients.sorting import IntakeCounts
from campaign_pipeline.recipients.subscriptions import subscribe
from campaign_pipeline_tests.support.campaigns import NOON, draft, folders

AMERICAN = "+12015550123"
CANADIAN = "+15062345678"
JAMAICAN = "+18762101234"
BRITISH = "+447911000001"


def _add(ledger: Ledger, root: Path, *lines: str, us_numbers: UsNumbers = UsNumbers.REJECT) -> IntakeReport:
    path = root / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return add_file(
        ledger,
        "spring-sale",
        path,
        folders=folders(root),
        region="GB",
        phone_column=None,
        actor="ada",
        clock=lambda: NOON,
        us_numbers=us_numbers,
    )


def _regions(ledger: Ledger) -> dict[str, str | None]:
    query = select(campaign_recipients.c.phone, campaign_recipients.c.region).order_by(campaign_recipients.c.position)
    with ledger.read() as connection:
        return {row.phone: row.region for row in connection.execute(query)}


@pytest.mark.parametrize("phone", [CANADIAN, JAMAICAN, BRITISH, "+80012345678"])
def test_only_the_united_states_are_refused(phone: str) -> None:
    """Every list of Canadians would be thrown away for its +1."""
    assert refusal_of(parse_phone(phone, None), UsNumbers.REJECT) is None


def test_a_refusal_names_the_setting_that_lets_the_number_through() -> None:
    """A marketer with a utility template would not know what to do about a thousand rejected customers."""
    said = refusal_of(parse_phone(AMERICAN, None), UsNumbers.REJECT)
    assert said is not None
    assert "United States" in said
    assert "CAMPAIGN_US_NUMBERS=keep" in said
    assert refusal_of(parse_phone(AMERICAN, None), UsNumbers.KEEP) is None


def test_american_numbers_of_a_list_are_invalid_and_the_others_know_their_country(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Each of them would take a place in the 250 of its day, and come back as an error."""
    draft(ledger)
    rows = ("phone", AMERICAN, CANADIAN, JAMAICAN, BRITISH, "001 201 555 0123", "+80012345678", AMERICAN)
    report = _add(ledger, tmp_path, *rows)
    assert report.counts == IntakeCounts(read=7, added=4, invalid=3)
    assert _regions(ledger) == {CANADIAN: "CA", JAMAICAN: "JM", BRITISH: "GB", "+80012345678": None}
    assert report.rejections_file is not None
    with report.rejections_file.open(encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [row["line_number"] for row in rejected] == ["2", "6", "8"]
    assert all("CAMPAIGN_US_NUMBERS=keep" in row["detail"] for row in rejected)


def test_kept_american_numbers_are_added_like_any_other(ledger: Ledger, tmp_path: Path) -> None:
    """The setting that the rejection names has to do what it says, also for a list that was added before."""
    draft(ledger)
    _add(ledger, tmp_path, "phone", AMERICAN, BRITISH)
    report = _add(ledger, tmp_path, "phone", AMERICAN, BRITISH, us_numbers=UsNumbers.KEEP)
    assert report.counts == IntakeCounts(read=2, added=1, already_in_campaign=1)
    assert _regions(ledger)[AMERICAN] == "US"


def test_an_american_who_says_no_is_still_unsubscribed(ledger: Ledger, tmp_path: Path) -> None:
    """The number can be added later under another setting, and the no would be lost."""
    draft(ledger)
    report = _add(ledger, tmp_path, "phone,opt_in", f"{AMERICAN},no")
    assert report.counts == IntakeCounts(read=1, unsubscribed=1)
    with ledger.read() as connection:
        assert connection.execute(select(subscriptions.c.status)).scalar_one() == "unsubscribed"


@pytest.mark.parametrize(("us_numbers", "added", "invalid"), [(UsNumbers.REJECT, 2, 1), (UsNumbers.KEEP, 3, 0)])
def test_everyone_who_is_subscribed_comes_with_a_country_and_without_americans(
    ledger: Ledger, us_numbers: UsNumbers, added: int, invalid: int
) -> None:
    """People who subscribed by hand come into the audience without any list that was looked at."""
    draft(ledger)
    with ledger.write() as connection:
        for phone in (BRITISH, AMERICAN, CANADIAN):
            subscribe(connection, parse_phone(phone, None), source="test", now=NOON)
    report = add_subscribed(ledger, "spring-sale", us_numbers=us_numbers, actor="ada", now=NOON)
    assert report.counts == IntakeCounts(read=3, added=added, invalid=invalid)
    regions = Counter(_regions(ledger).values())
    assert regions == Counter({"GB": 1, "CA": 1, **({"US": 1} if added == 3 else {})})
    with ledger.read() as connection:
        rejected = connection.execute(select(recipient_rejections.c.value, recipient_rejections.c.reason)).all()
    assert [tuple(row) for row in rejected] == [(AMERICAN, "invalid")] * invalid
