"""Reading what the diagnosis is about: the settings, the account at Meta, the ledger, the folders, Dagster's home.

Add here something to look at. Everything is only read; nothing is made, sent or changed.
Keep out what is good or bad about it: `diagnosis`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from campaign_pipeline.campaigns.catalogue import Campaign, list_all
from campaign_pipeline.campaigns.preflight import Severity, template_findings
from campaign_pipeline.interfaces.activation import look_up
from campaign_pipeline.interfaces.command_line import diagnosis
from campaign_pipeline.interfaces.command_line.diagnosis import Finding, ok, problem, warning
from campaign_pipeline.ledger import migrate
from campaign_pipeline.ledger.engine import Ledger, LedgerError, connect, durability_fault
from campaign_pipeline.ledger.schema import senders
from campaign_pipeline.ledger.states import CampaignStatus
from campaign_pipeline.sending.limits import FROM_SETTINGS, Limit, latest_word
from campaign_pipeline.settings import SettingsError, UnsignedWebhooks
from campaign_pipeline.whatsapp.account import is_this_machine
from campaign_pipeline.whatsapp.account_reading import (
    AccountReader,
    AccountReadingError,
    PhoneNumberFacts,
    RefusedError,
)

_NOT_ENDED = (CampaignStatus.DRAFT, CampaignStatus.ACTIVE, CampaignStatus.PAUSED)

if TYPE_CHECKING:
    from collections.abc import Callable

    from campaign_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class _SeenOfLedger:
    """What could be read of the ledger: the limit in force, what was found, and the campaigns that have not ended."""

    limit: Limit
    findings: list[Finding]
    campaigns: list[Campaign] = field(default_factory=list)


def examine(settings: "Settings", clock: "Callable[[], datetime]") -> list[Finding]:
    """Looks at everything once, in the order in which it would be mended.

    Args:
        settings: The configuration.
        clock: Gives the moment, UTC.

    Returns:
        A line for each thing that could be looked at.
    """
    ledger = _look_at_ledger(settings, clock())
    return [
        *_look_at_account(settings, ledger.limit, clock),
        *ledger.findings,
        *(finding for campaign in ledger.campaigns for finding in _look_at_template(settings, campaign)),
        *_look_at_receiver(settings),
        *_look_at_folders(settings),
        *_look_at_dagster(),
    ]


def _look_at_account(settings: "Settings", in_force: Limit, clock: "Callable[[], datetime]") -> Iterator[Finding]:
    try:
        account = settings.account
    except SettingsError as error:
        yield problem("settings", str(error))
        return
    if is_this_machine(settings.whatsapp_base_url):
        yield ok("cloud_api", f"{settings.whatsapp_base_url} is this machine: messages reach nobody.")
    with closing(AccountReader(account)) as reader:
        try:
            number = reader.phone_number()
        except AccountReadingError as error:
            yield diagnosis.judge_unread(error, "number")
            yield from diagnosis.judge_clock(clock(), error.server_time)
            return
        # Taken at once: whatever is read next takes its time.
        here = clock()
        yield from _look_at_token(reader, here)
        yield from _judge_number(number, settings, in_force)
        yield from _look_at_subscription(reader, settings)
        yield from diagnosis.judge_clock(here, number.server_time)


def _judge_number(number: PhoneNumberFacts, settings: "Settings", in_force: Limit) -> Iterator[Finding]:
    yield from diagnosis.judge_number(number)
    yield from diagnosis.judge_rate(settings.sender_rate, number.throughput)
    yield diagnosis.judge_limit(number.limit, in_force)


def _look_at_token(reader: AccountReader, now: datetime) -> Iterator[Finding]:
    try:
        token = reader.token()
    except RefusedError as error:
        yield warning("token", f"The access token is let in, but may not be asked about (code {error.code}).")
    except AccountReadingError as error:
        yield diagnosis.judge_unread(error, "token")
    else:
        yield from diagnosis.judge_token(token, now)


def _look_at_subscription(reader: AccountReader, settings: "Settings") -> Iterator[Finding]:
    if settings.whatsapp_business_account_id is None:
        yield warning(
            "webhooks", "Whether webhooks are subscribed cannot be asked: set WHATSAPP_BUSINESS_ACCOUNT_ID (Meta's id)."
        )
        return
    try:
        apps = reader.subscribed_apps(settings.whatsapp_business_account_id)
    except AccountReadingError as error:
        yield diagnosis.judge_unread(error, "webhooks")
    else:
        yield diagnosis.judge_subscription(apps)


def _look_at_receiver(settings: "Settings") -> Iterator[Finding]:
    """The receiver of webhooks, where anything is set for it; others may receive them as well."""
    said = (settings.whatsapp_app_secret, settings.webhook_verify_token, settings.webhook_forward_url)
    takes_unsigned = settings.webhook_unsigned is UnsignedWebhooks.ACCEPT
    if not any(said) and not takes_unsigned:
        return
    waiting = settings.forward_folder.glob("*") if settings.forward_folder.is_dir() else ()
    yield diagnosis.judge_receiver(
        has_secret=bool(settings.app_secrets),
        has_verify_token=settings.webhook_verify_token is not None,
        takes_unsigned=takes_unsigned,
        passes_on=settings.webhook_forward_url is not None,
        waiting_bytes=sum(path.stat().st_size for path in waiting if path.is_file()),
    )


def _look_at_ledger(settings: "Settings", now: datetime) -> _SeenOfLedger:
    by_settings = Limit(settings.sender_limit, None, FROM_SETTINGS)
    try:
        url = make_url(settings.ledger_url)
    except (ArgumentError, ValueError):
        # Its words may quote the address, and with it the password.
        sentence = (
            "CAMPAIGN_DATABASE_URL is no address of a database: write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME."
        )
        return _SeenOfLedger(by_settings, [problem("database", sentence)])
    try:
        # Connecting to a SQLite file that is not there would make it.
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            sentence = f"There is no ledger at {url.database}: run `campaign init`."
            return _SeenOfLedger(by_settings, [problem("database", sentence)])
        with closing(connect(settings.ledger_url)) as ledger:
            return _read_ledger(ledger, settings, now)
    except (ArgumentError, DBAPIError, LedgerError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        words = " ".join(str(cause).split())[:300].rstrip(".?")
        sentence = f"The ledger cannot be used: {words}. Look at CAMPAIGN_DATABASE_URL."
        return _SeenOfLedger(by_settings, [problem("database", sentence)])


def _read_ledger(ledger: Ledger, settings: "Settings", now: datetime) -> _SeenOfLedger:
    kind = ledger.engine.dialect.name
    if not migrate.is_current(ledger.engine):
        sentence = "The ledger's tables are missing or of another version: run `campaign init`."
        return _SeenOfLedger(Limit(settings.sender_limit, None, FROM_SETTINGS), [problem("database", sentence)])
    with ledger.read() as connection:
        fault = durability_fault(connection)
        database = (
            problem("database", f"{fault} A crash could make it forget whom a message was sent to.")
            if fault is not None
            else ok("database", f"The ledger ({kind}) is reachable, of version {migrate.SCHEMA_VERSION}, and durable.")
        )
        return _SeenOfLedger(
            latest_word(connection, settings.sender_limit, now),
            [database, _look_at_sender(connection)],
            [each for each in list_all(connection) if each.status in _NOT_ENDED],
        )


def _look_at_sender(connection: Connection) -> Finding:
    stopped = connection.execute(select(senders.c.stop_reason).where(senders.c.stopped_at.is_not(None))).all()
    return diagnosis.judge_sender(stopped[0].stop_reason if stopped else None, stopped=bool(stopped))


def _look_at_template(settings: "Settings", campaign: Campaign) -> list[Finding]:
    found = template_findings(campaign.pattern, look_up(settings, campaign), campaign.slug)
    if not found:
        return [
            ok("template", f"{campaign.slug}: {campaign.template_name} ({campaign.template_language}) can be sent.")
        ]
    judged = {Severity.ERROR: problem, Severity.WARNING: warning}
    return [judged[each.severity]("template", f"{campaign.slug}: {each.sentence}") for each in found]


def _look_at_folders(settings: "Settings") -> list[Finding]:
    lists, statuses = settings.list_folders, settings.status_folders
    folders = dict.fromkeys(
        (lists.waiting, lists.kept, lists.rejected, statuses.inbox, statuses.archive, statuses.rejected)
    )
    # One is enough to say what to do; the others usually have the same fault.
    fault = next((fault for folder in folders if (fault := _look_at_folder(folder)) is not None), None)
    return (
        [fault]
        if fault is not None
        else [ok("folders", f"The folders in {settings.data_dir} are there and can be written to.")]
    )


def _look_at_folder(folder: Path) -> Finding | None:
    exists = folder.is_dir()
    return diagnosis.judge_folder(
        str(folder),
        exists=exists,
        writable=exists and os.access(folder, os.W_OK | os.X_OK),
        free=shutil.disk_usage(folder).free if exists else None,
    )


def _look_at_dagster() -> list[Finding]:
    """Dagster's folder, where the environment or this folder says that there is one."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        here = Path("dagster.yaml").is_file()
        return [ok("dagster", "Dagster is set up by dagster.yaml of this folder.")] if here else []
    folder = Path(home)
    if not folder.is_absolute() or not folder.is_dir():
        return [problem("dagster", f"DAGSTER_HOME is {home}: set it to a folder that exists, by its whole path.")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [problem("dagster", f"Nothing can be written to DAGSTER_HOME ({home}): give this user the right to.")]
    return [ok("dagster", f"Dagster's home is {home}.")]
