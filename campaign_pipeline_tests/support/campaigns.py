"""Campaigns with people in them, for tests that need some."""

from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from campaign_pipeline.campaigns import lifecycle
from campaign_pipeline.campaigns.calendar import SendCalendar, SendWindow
from campaign_pipeline.campaigns.lifecycle import Campaign, CampaignDraft
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.recipients.folders import ListFolders
from campaign_pipeline.recipients.intake import IntakeReport, add_file

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


def phone(number: int) -> str:
    """A British number; different for each number from 0 to 999,999."""
    return f"+447911{number:06d}"


def calendar(
    *, start: str = "2026-03-01", send_time: str = "09:00", window: str = "00:00-24:00", zone: str = "UTC"
) -> SendCalendar:
    """A calendar whose window is always open, unless told otherwise."""
    return SendCalendar(
        ZoneInfo(zone), date.fromisoformat(start), time.fromisoformat(send_time), SendWindow.parse(window)
    )


def write_list(path: Path, numbers: Iterable[int], *, columns: str = "first_name", value: str = "Ada") -> Path:
    """Writes a list of people as CSV."""
    rows = "".join(f"{phone(number)},{value}\n" for number in numbers)
    path.write_text(f"phone,{columns}\n{rows}", encoding="utf-8")
    return path


def folders(root: Path) -> ListFolders:
    """Folders of lists below a test's own."""
    return ListFolders(root / "lists", root / "kept", root / "rejected")


def draft(ledger: Ledger, name: str = "Spring Sale", now: datetime = NOON, **changes: object) -> Campaign:
    """Makes a campaign in draft."""
    fields: dict[str, object] = {"name": name, "template_name": "spring_sale", **changes}
    with ledger.write() as connection:
        return lifecycle.create(connection, CampaignDraft(**fields), actor="test", now=now)  # ty: ignore[invalid-argument-type]


def add_people(
    ledger: Ledger, campaign: str, root: Path, numbers: Iterable[int], *, now: datetime = NOON, name: str = "list.csv"
) -> IntakeReport:
    """Adds people to a campaign through a list file."""
    return add_file(
        ledger,
        campaign,
        write_list(root / name, numbers),
        folders=folders(root),
        region="GB",
        phone_column=None,
        actor="test",
        clock=lambda: now,
    )


def activate(ledger: Ledger, campaign: str, *, limit: int = 250, now: datetime = NOON, **days: str) -> None:
    """Makes a campaign active."""
    with ledger.write() as connection:
        lifecycle.activate(connection, campaign, calendar=calendar(**days), sender_limit=limit, actor="test", now=now)


def active_campaign(
    ledger: Ledger,
    root: Path,
    numbers: Iterable[int],
    *,
    name: str = "Spring Sale",
    limit: int = 250,
    now: datetime = NOON,
    **changes: object,
) -> Campaign:
    """Makes an active campaign with people in it."""
    campaign = draft(ledger, name, now, **changes)
    add_people(ledger, campaign.slug, root, numbers, now=now, name=f"{campaign.slug}.csv")
    activate(ledger, campaign.slug, limit=limit, now=now)
    return campaign
