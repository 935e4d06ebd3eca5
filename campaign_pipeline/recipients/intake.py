"""Taking in a recipient list: every row of it becomes a recipient, or ends in the rejections with a reason.

Add here a step between a file and the audience, or another source of people.
Keep out how files are read (`list_files`), which rows become recipients (`sorting`) and the statements (`loading`).
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from campaign_pipeline.campaigns import templates
from campaign_pipeline.campaigns.catalogue import Campaign, find
from campaign_pipeline.campaigns.errors import CampaignError, CampaignStateError
from campaign_pipeline.campaigns.journal import record
from campaign_pipeline.campaigns.values import faults_in
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.states import ListState, RejectionReason
from campaign_pipeline.recipients.consent import ConsentColumns, ConsentNeeded, EvidenceColumns
from campaign_pipeline.recipients.destinations import UNITED_STATES, US_REFUSAL, UsNumbers, refusal_of
from campaign_pipeline.recipients.folders import ListFolders, shortened
from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListReader, ListRow, open_list
from campaign_pipeline.recipients.loading import (
    ENDED,
    begin_list,
    count_subscribed,
    end_list,
    insert_people,
    insert_rejections,
    insert_subscribed,
    lists_by_person,
    note_consent,
    note_evidence,
    note_refusals,
    note_regions,
    reserve_positions,
    take_out_region,
    take_out_unproven,
    write_counts,
)
from campaign_pipeline.recipients.opt_ins import opted_in_among
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, check_default_region, parse_phone
from campaign_pipeline.recipients.rejections import RejectionsFile
from campaign_pipeline.recipients.sorting import NO_EVIDENCE, Candidate, IntakeCounts, Rejection, SortedRows, sort_rows
from campaign_pipeline.recipients.subscriptions import unsubscribed_among

ROWS_PER_TRANSACTION: Final = 5_000
"""Short enough that a sender never waits long for SQLite's one write lock."""


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """What became of one list.

    Attributes:
        list_id: Its row in the ledger.
        name: The file's name, or what else the people came from.
        counts: Where its rows ended.
        rejections_file: The rows that did not become recipients; None when all did.
        kept_as: The list as it came; None when it was no file.
    """

    list_id: int
    name: str
    counts: IntakeCounts
    rejections_file: Path | None
    kept_as: Path | None


def add_file(
    ledger: Ledger,
    campaign: str,
    path: Path,
    *,
    folders: ListFolders,
    region: str | None,
    phone_column: str | None,
    actor: str,
    clock: Callable[[], datetime],
    us_numbers: UsNumbers = UsNumbers.REJECT,
    consent: ConsentNeeded = ConsentNeeded.UPLOAD,
    on_progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> IntakeReport:
    """Adds the people of a list to a campaign, at the end of its queue.

    Rows are taken in by the thousand, each thousand in a transaction of its own. After a crash the same list is simply
    added again: who is in the campaign already is not added twice.

    Args:
        ledger: Where the audience is.
        campaign: Slug, name or id.
        path: A CSV file with a header.
        folders: Where the list is kept, and its rejections go.
        region: The country of numbers without a country code.
        phone_column: The column of phone numbers, where its name is not a usual one.
        actor: Who adds it.
        clock: Gives the moment, UTC.
        us_numbers: What becomes of numbers of the United States.
        consent: What has to be known of somebody's consent.
        on_progress: Told the bytes read and the bytes in all.

    Raises:
        CampaignError: There is no such campaign, it has ended, or the list lacks a column that its template needs.
        ListFileError: The file cannot be read as a list of people.
    """
    checked_region = check_default_region(region)
    with open_list(path, phone_column=phone_column) as reader:
        with ledger.read() as connection:
            found = _open_campaign(connection, campaign)
        _refuse_missing_columns(found, reader, path)
        digest, kept_as = _keep(path, folders.kept)
        received_at = clock()
        with ledger.write() as connection:
            list_id = begin_list(connection, found.id, path.name, digest, kept_as, received_at)
        rules = _Rules(checked_region, us_numbers, consent)
        intake = _Intake(ledger, found, list_id, path.name, received_at, rules, reader, clock, on_progress)
        try:
            counts, rejections_file = intake.run(folders.rejected / f"{found.slug}-list-{list_id}.csv")
        except Exception as error:
            with ledger.write() as connection:
                end_list(connection, list_id, ListState.FAILED, clock(), error=str(error))
            raise
    with ledger.write() as connection:
        end_list(connection, list_id, ListState.DONE, clock(), rejections_file=rejections_file)
        details = {"list_id": list_id, "list": path.name, **counts.as_dict()}
        record(connection, "list_added", found.slug, actor=actor, now=clock(), details=details)
    return IntakeReport(list_id, path.name, counts, rejections_file, kept_as)


def add_subscribed(
    ledger: Ledger,
    campaign: str,
    *,
    actor: str,
    now: datetime,
    us_numbers: UsNumbers = UsNumbers.REJECT,
    consent: ConsentNeeded = ConsentNeeded.UPLOAD,
) -> IntakeReport:
    """Adds everyone who is subscribed to a campaign, in the order in which they subscribed.

    Raises:
        CampaignError: There is no such campaign, it has ended, or its template needs values that only a list has.
    """
    name = "everyone who is subscribed"
    with ledger.write() as connection:
        found = _open_campaign(connection, campaign)
        if columns := templates.columns_of(found.parameters):
            msg = (
                f"The template of {found.slug} needs values ({', '.join(columns)}) that only a list has: add a file "
                "instead."
            )
            raise CampaignError(msg)
        list_id = begin_list(connection, found.id, name, None, None, now)
        subscribed = count_subscribed(connection)
        inserted = insert_subscribed(connection, found.id, list_id, now)
        note_regions(connection, list_id)
        refused = 0 if us_numbers is UsNumbers.KEEP else take_out_region(connection, list_id, UNITED_STATES, US_REFUSAL)
        unproven = 0 if consent is ConsentNeeded.UPLOAD else take_out_unproven(connection, list_id, NO_EVIDENCE)
        counts = IntakeCounts(
            read=subscribed,
            added=inserted - refused - unproven,
            already_in_campaign=subscribed - inserted,
            invalid=refused,
            unsubscribed=unproven,
        )
        write_counts(connection, list_id, counts)
        end_list(connection, list_id, ListState.DONE, now)
        details = {"list_id": list_id, "list": name, **counts.as_dict()}
        record(connection, "list_added", found.slug, actor=actor, now=now, details=details)
    return IntakeReport(list_id, name, counts, None, None)


@dataclass(frozen=True, slots=True)
class _Rules:
    """By which rules rows are read."""

    region: str | None
    us_numbers: UsNumbers
    consent: ConsentNeeded


class _Intake:
    """The reading of one list into one campaign."""

    def __init__(
        self,
        ledger: Ledger,
        campaign: Campaign,
        list_id: int,
        name: str,
        received_at: datetime,
        rules: _Rules,
        reader: ListReader,
        clock: Callable[[], datetime],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._list_id = list_id
        self._name = name
        self._received_at = received_at
        self._rules = rules
        self._reader = reader
        self._clock = clock
        self._on_progress = on_progress
        self._consent = ConsentColumns.from_header(reader.header)
        self._evidence = EvidenceColumns.from_header(reader.header)

    def run(self, rejections_path: Path) -> tuple[IntakeCounts, Path | None]:
        """Reads to the end; gives the counts and, if there are rejections, the file that holds them."""
        counts = IntakeCounts()
        with RejectionsFile(rejections_path) as rejections_file:
            for rows in self._reader.in_chunks(ROWS_PER_TRANSACTION):
                sorted_rows = self._take_in([self._read(row) for row in rows], counts)
                counts = counts.plus(len(sorted_rows.to_add), sorted_rows.rejections)
                rejections_file.write(sorted_rows.rejections)
                self._on_progress(self._reader.bytes_read, self._reader.size)
        return counts, rejections_path if rejections_file.written else None

    def _read(self, row: ListRow | BadRow) -> Candidate | Rejection:
        if isinstance(row, BadRow):
            return Rejection(row.line_number, row.value, RejectionReason.INVALID, row.reason)
        try:
            phone = parse_phone(row.phone, self._rules.region)
        except InvalidPhone as error:
            return Rejection(row.line_number, row.phone, RejectionReason.INVALID, f"{error.code}: {error}")
        # Before all else that can be wrong with the row: a "no" counts for every campaign, whatever this one needs.
        if self._consent.clearly_refuses(row.columns):
            return Candidate(row.line_number, row.phone, phone, row.columns, refuses=True)
        missing = templates.missing_columns(self._campaign.parameters, row.columns)
        if missing:
            detail = f"missing_value: nothing in {', '.join(missing)}, which the template needs"
            return Rejection(row.line_number, row.phone, RejectionReason.INVALID, detail)
        faults = faults_in(self._campaign.pattern, row.columns)
        if faults:
            detail = "; ".join(fault.sentence for fault in faults)
            return Rejection(row.line_number, row.phone, RejectionReason.INVALID, detail)
        agrees = self._consent.consent(row.columns)
        if agrees is False:
            detail = "what the list says about consent is neither yes nor no"
            return Rejection(row.line_number, row.phone, RejectionReason.UNSUBSCRIBED, detail)
        refusal = refusal_of(phone, self._rules.us_numbers)
        if refusal is not None:
            return Rejection(row.line_number, row.phone, RejectionReason.INVALID, refusal)
        evidence = self._evidence.evidence(row.columns, agrees=agrees is True)
        return Candidate(row.line_number, row.phone, phone, row.columns, refuses=False, evidence=evidence)

    def _without_opt_in(self, connection: Connection, keys: Sequence[str]) -> set[str]:
        """Whoever of some people may not be added, since nothing shows that they agreed."""
        if self._rules.consent is ConsentNeeded.UPLOAD:
            return set()
        return set(keys) - opted_in_among(connection, keys)

    def _take_in(self, rows: Sequence[Candidate | Rejection], so_far: IntakeCounts) -> SortedRows:
        keys = list({row.phone.person_key for row in rows if isinstance(row, Candidate)})
        now = self._clock()
        with self._ledger.write() as connection:
            # Before the unsubscribed are looked up, and before the evidence that is asked for.
            note_refusals(connection, self._list_id, rows, self._name, self._received_at)
            note_evidence(connection, rows, self._name, self._received_at)
            first_position = reserve_positions(connection, self._campaign.id, len(rows))
            sorted_rows = sort_rows(
                rows,
                lists_by_person(connection, self._campaign.id, keys),
                unsubscribed_among(connection, keys),
                self._list_id,
                self._without_opt_in(connection, keys),
            )
            insert_people(connection, self._campaign.id, self._list_id, sorted_rows.to_add, first_position, now)
            note_consent(connection, sorted_rows.to_add, self._name, now)
            insert_rejections(connection, self._list_id, sorted_rows.rejections)
            write_counts(connection, self._list_id, so_far.plus(len(sorted_rows.to_add), sorted_rows.rejections))
        return sorted_rows


def _open_campaign(connection: Connection, campaign: str) -> Campaign:
    found = find(connection, campaign)
    if found.status in ENDED:
        msg = f"{found.slug} is {found.status}: nobody can be added to it any more. Make a new campaign for them."
        raise CampaignStateError(msg)
    return found


def _refuse_missing_columns(campaign: Campaign, reader: ListReader, path: Path) -> None:
    missing = [column for column in templates.columns_of(campaign.parameters) if column not in reader.header]
    if missing:
        msg = (
            f"{path.name} has no column {', '.join(missing)}, which fills the template of {campaign.slug}; it has "
            f"{', '.join(reader.header)}."
        )
        raise ListFileError(msg)


def _keep(path: Path, kept: Path) -> tuple[str, Path]:
    """Copies a list as it came under its hash, so that it can be looked at after its source has changed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept.mkdir(parents=True, exist_ok=True)
    kept_as = kept / f"{digest[:16]}-{shortened(path.name)}"
    if not kept_as.exists():
        # Under a name of its own first: another process may be keeping the same list at this moment.
        with (
            path.open("rb") as source,
            tempfile.NamedTemporaryFile(dir=kept, prefix=".", suffix=".partial", delete=False) as partial,
        ):
            shutil.copyfileobj(source, partial)
        Path(partial.name).replace(kept_as)
    return digest, kept_as
