"""The lists of a campaign: those that were taken in, and those that wait in its folder.

Add here what concerns lists as a whole.
Keep out what is in them: `intake` takes a list in row by row.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from campaign_pipeline.campaigns.errors import CampaignError
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import recipient_lists, recipient_rejections
from campaign_pipeline.ledger.states import RejectionReason
from campaign_pipeline.recipients.consent import ConsentNeeded
from campaign_pipeline.recipients.destinations import UsNumbers
from campaign_pipeline.recipients.folders import ListFolders, shortened
from campaign_pipeline.recipients.intake import IntakeReport, add_file
from campaign_pipeline.recipients.list_format import BYTES_TO_TELL, recognise
from campaign_pipeline.recipients.list_rows import ListFileError
from campaign_pipeline.recipients.sorting import IntakeCounts


@dataclass(frozen=True, slots=True)
class RecipientList:
    """One list of a campaign, as the ledger knows it."""

    id: int
    name: str
    state: str
    counts: IntakeCounts
    received_at: datetime
    sha256: str | None
    rejections_file: str | None


@dataclass(frozen=True, slots=True)
class KeptRejection:
    """A row of a list that did not become a recipient, as the ledger keeps it."""

    id: int
    line_number: int
    value: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of the lists that waited.

    Attributes:
        reports: Those of the lists that are in.
        rejected: Why others were rejected.
        left: Which changed meanwhile, and stay in their folder to be taken in again.
    """

    reports: list[IntakeReport]
    rejected: list[str]
    left: list[str] = field(default_factory=list)


def read_rejections(
    connection: Connection, list_id: int, *, reason: RejectionReason | None = None, after: int = 0, limit: int
) -> list[KeptRejection]:
    """The rows of a list that did not become recipients, in the order of the list.

    Args:
        connection: A transaction.
        list_id: Which list.
        reason: Only those with this reason.
        after: The id of the rejection before the first; 0 begins.
        limit: How many at most.
    """
    query = select(recipient_rejections).where(
        recipient_rejections.c.list_id == list_id, recipient_rejections.c.id > after
    )
    if reason is not None:
        query = query.where(recipient_rejections.c.reason == reason)
    rows = connection.execute(query.order_by(recipient_rejections.c.id).limit(limit))
    return [KeptRejection(row.id, row.line_number, row.value, row.reason, row.detail) for row in rows]


def read_lists(connection: Connection, campaign_id: int) -> list[RecipientList]:
    """The lists of a campaign, in the order in which they came."""
    rows = connection.execute(
        select(recipient_lists).where(recipient_lists.c.campaign_id == campaign_id).order_by(recipient_lists.c.id)
    )
    return [
        RecipientList(
            id=row.id,
            name=row.name,
            state=row.state,
            counts=IntakeCounts(
                row.rows_read,
                row.added,
                row.duplicate_in_list,
                row.already_in_campaign,
                row.invalid,
                row.unsubscribed,
            ),
            received_at=row.received_at,
            sha256=row.sha256,
            rejections_file=row.rejections_file,
        )
        for row in rows
    ]


def waiting_lists(folders: ListFolders, campaign: str) -> list[Path]:
    """The files in a campaign's folder, by name; those whose name begins with a dot are still being written.

    Raises:
        OSError: The folder cannot be read. That there is none is no fault.
    """
    try:
        found = list((folders.waiting / campaign).iterdir())
    except FileNotFoundError:
        return []
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def campaigns_with_folders(folders: ListFolders) -> list[str]:
    """The folders of campaigns, by name: whether anything waits in them, or can be read, is not looked at."""
    try:
        found = list(folders.waiting.iterdir())
    except FileNotFoundError:
        return []
    return sorted(path.name for path in found if not path.is_file() and not path.name.startswith("."))


def refuse_unreadable(path: Path, folders: ListFolders) -> str | None:
    """Rejects a waiting file whose first bytes show that it is no list; gives the reason, or None when it may be one.

    It is quick for a file of any size. Opening a large workbook takes most of a minute: that is left to the taking in.
    """
    try:
        with path.open("rb") as file:
            recognise(path.name, file.read(BYTES_TO_TELL))
    except FileNotFoundError:
        return f"{path.name} is gone again"
    except ListFileError as error:
        reject(path, folders, str(error))
        return str(error)
    return None


def reject(path: Path, folders: ListFolders, reason: str) -> Path:
    """Moves a waiting file to the rejected ones, with its reason beside it; gives where it is now."""
    folders.rejected.mkdir(parents=True, exist_ok=True)
    target = _free_name(folders.rejected / shortened(f"{path.parent.name}-{path.name}"))
    path.replace(target)
    target.with_name(f"{target.name}.reason.txt").write_text(f"{reason}\n", encoding="utf-8")
    return target


def _free_name(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{number}-{path.name}")
    return free


def take_in_waiting(
    ledger: Ledger,
    campaign: str,
    *,
    folders: ListFolders,
    region: str | None,
    actor: str,
    clock: Callable[[], datetime],
    us_numbers: UsNumbers = UsNumbers.REJECT,
    consent: ConsentNeeded = ConsentNeeded.UPLOAD,
    names: Container[str] | None = None,
) -> TakenIn:
    """Adds the lists that wait in a campaign's folder; each leaves the folder once it is in and kept.

    A file that is no list, or that this campaign cannot take, goes to the rejected ones; the others are taken in. A
    file that changed meanwhile stays where it is: nobody knows how much of it was read, and adding it again adds nobody
    twice.

    Args:
        ledger: Where the audience is.
        campaign: Its slug.
        folders: Where lists wait, are kept and are rejected.
        region: The country of numbers without a country code.
        actor: Who adds them.
        clock: Gives the moment, UTC.
        us_numbers: What becomes of numbers of the United States.
        consent: What has to be known of somebody's consent.
        names: Which of them to take in, so that others may go on growing; None is whatever waits.
    """
    taken_in = TakenIn([], [])
    for path in waiting_lists(folders, campaign):
        if names is not None and path.name not in names:
            continue
        before = _version(path)
        try:
            report = add_file(
                ledger,
                campaign,
                path,
                folders=folders,
                region=region,
                phone_column=None,
                actor=actor,
                clock=clock,
                us_numbers=us_numbers,
                consent=consent,
            )
        except (ListFileError, CampaignError) as error:
            if _version(path) != before:
                taken_in.left.append(_changed(path))
                continue
            reject(path, folders, str(error))
            taken_in.rejected.append(f"{path.name}: {error}")
        else:
            taken_in.reports.append(report)
            if _version(path) == before:
                path.unlink(missing_ok=True)
            else:
                taken_in.left.append(_changed(path))
    return taken_in


def _version(path: Path) -> tuple[int, int, int] | None:
    """What is another one after a file was replaced or written to; None when it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> str:
    return f"{path.name} changed while it was taken in: it stays in its folder and is taken in again"
