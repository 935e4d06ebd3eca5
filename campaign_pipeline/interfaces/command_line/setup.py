"""Commands around the pipeline: init, simulator.

Add here a command that prepares an installation or stands in for a part of the world.
Keep out what the simulator does: `whatsapp.simulator`.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.context import Workplace, workplace_of
from campaign_pipeline.whatsapp.account import is_this_machine
from campaign_pipeline.whatsapp.simulator.options import SimulatorOptions as Defaults

if TYPE_CHECKING:
    from campaign_pipeline.settings import Settings

PANEL = "Setting up"

SIMULATOR_PORT: Final = 8025
SIMULATOR_PHONE_NUMBER_ID: Final = "106540352242922"
SIMULATOR_TOKEN: Final = "simulator-token"  # noqa: S105 - made up, and good for the simulator only
SIMULATOR_BUSINESS_ACCOUNT_ID: Final = "102290129340398"

_ENV_FILE: Final = Path(".env")
_START_DATE: Final = "CAMPAIGN_START_DATE"
_HIGHEST_PORT: Final = 65_535
_LAST_LINES: Final = 15

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign init")
def init(ctx: typer.Context) -> None:
    """Prepare an installation: ledger, data folders, .env, Dagster's history; doing it again changes nothing."""
    workplace = workplace_of(ctx)
    settings = workplace.settings
    _make_folders(settings)
    output.say(f"Ledger: {_prepare_ledger(settings.ledger_url)}.")
    output.say(f"Data folders: {settings.data_dir}.")
    output.say(f"Settings: {_prepare_env(workplace)}")
    dagster = _prepare_dagster()
    if dagster is not None:
        output.say(f"Dagster: {dagster}")
    output.say("Next: campaign create NAME --template TEMPLATE, campaign add, campaign activate, campaign send.")


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign simulator --port 8025 --read-share 0.4 --seed 7")
def simulator(
    ctx: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=_HIGHEST_PORT,
            help="0 takes a free one.",
            show_default=f"that of WHATSAPP_BASE_URL if it is this machine, else {SIMULATOR_PORT}",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Equal seeds give equal runs.")] = Defaults.seed,
    latency: Annotated[
        float, typer.Option("--latency", help="Seconds until a request is answered.")
    ] = Defaults.latency,
    sent_after: Annotated[
        float, typer.Option(help="Seconds from acceptance to sent, or failed.")
    ] = Defaults.sent_after,
    sent_jitter: Annotated[float, typer.Option(help="Up to so many seconds more.")] = Defaults.sent_jitter,
    delivered_after: Annotated[float, typer.Option(help="Seconds to delivered.")] = Defaults.delivered_after,
    delivered_jitter: Annotated[float, typer.Option(help="Up to so many seconds more.")] = Defaults.delivered_jitter,
    read_after: Annotated[float, typer.Option(help="Seconds to read.")] = Defaults.read_after,
    read_jitter: Annotated[float, typer.Option(help="Up to so many seconds more.")] = Defaults.read_jitter,
    delivered_share: Annotated[float, typer.Option(help="Share of all that is delivered.")] = Defaults.delivered_share,
    read_share: Annotated[float, typer.Option(help="Share of the delivered that is read.")] = Defaults.read_share,
    failed_share: Annotated[float, typer.Option(help="Share of all that fails.")] = Defaults.failed_share,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="KIND=SHARE", help="A share of calls that goes wrong, as lost_answer=0.01."),
    ] = None,
    messaging_limit: Annotated[
        int | None, typer.Option(help="Different people in any 24 hours, above which messages are refused.")
    ] = Defaults.messaging_limit,
    limit_answer: Annotated[
        str, typer.Option(metavar="FAULT", help="What comes above the limit, as failed:131048.")
    ] = Defaults.limit_answer,
    wa_id_spellings: Annotated[
        bool, typer.Option(help="Spell numbers of Brazil, Mexico and Argentina as WhatsApp does.")
    ] = Defaults.wa_id_spellings,
    webhook_url: Annotated[
        str | None, typer.Option(help="Post each webhook here, beside the files.")
    ] = Defaults.webhook_url,
    app_secret: Annotated[str | None, typer.Option(help="Made-up secret that signs the posted webhooks.")] = None,
    unknown_templates: Annotated[
        str, typer.Option(help="Whether templates that were never created are approved or refused.")
    ] = Defaults.unknown_templates,
) -> None:
    """Run a local Cloud API that judges messages as Meta would, until Ctrl-C."""
    from campaign_pipeline.whatsapp.simulator.server import run

    settings = workplace_of(ctx).settings
    token = settings.whatsapp_access_token
    try:
        options = Defaults(
            inbox=settings.status_folders.inbox,
            record=settings.data_dir / "simulator" / "accepted.ndjson",
            phone_number_id=settings.whatsapp_phone_number_id or SIMULATOR_PHONE_NUMBER_ID,
            access_token=token.get_secret_value() if token is not None else SIMULATOR_TOKEN,
            business_account_id=settings.whatsapp_business_account_id or SIMULATOR_BUSINESS_ACCOUNT_ID,
            port=port if port is not None else _usual_port(settings.whatsapp_base_url),
            seed=seed,
            latency=latency,
            sent_after=sent_after,
            sent_jitter=sent_jitter,
            delivered_after=delivered_after,
            delivered_jitter=delivered_jitter,
            read_after=read_after,
            read_jitter=read_jitter,
            delivered_share=delivered_share,
            read_share=read_share,
            failed_share=failed_share,
            fault_shares=dict(map(_fault_share, fault or [])),
            messaging_limit=messaging_limit,
            limit_answer=limit_answer,
            wa_id_spellings=wa_id_spellings,
            webhook_url=webhook_url,
            app_secret=app_secret,
            unknown_templates=unknown_templates,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _advise(settings, options.port)
    run(options)


def _make_folders(settings: "Settings") -> None:
    lists, statuses = settings.list_folders, settings.status_folders
    logs = settings.data_dir / "logs"
    for folder in (
        lists.waiting,
        lists.kept,
        lists.rejected,
        statuses.inbox,
        statuses.archive,
        statuses.rejected,
        logs,
    ):
        folder.mkdir(parents=True, exist_ok=True)


def _prepare_ledger(url: str) -> str:
    from sqlalchemy import make_url

    from campaign_pipeline.ledger import migrate
    from campaign_pipeline.ledger.engine import connect, initialise

    ledger = connect(url)
    try:
        was_current = migrate.is_current(ledger.engine)
        initialise(ledger)
    finally:
        ledger.close()
    shown = make_url(url).render_as_string(hide_password=True)
    return f"{shown} {'was ready' if was_current else 'is ready now'}"


def _prepare_env(workplace: Workplace) -> str:
    """Writes `.env` if there is none; one that exists is only looked at."""
    settings = workplace.settings
    line = f"{_START_DATE}={settings.start_date or settings.calendar.date_of(workplace.clock())}"
    text = f"# The settings of this folder; the README lists them all.\n{line}\n"
    try:
        # Only for its owner: the access token will stand in it.
        descriptor = os.open(_ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _judge_env(settings, line)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return f".env is written, with {line}."


def _prepare_dagster() -> str | None:
    """Makes Dagster's tables; None where nothing says where it keeps its history.

    Its web server and its daemon, started side by side on a new folder, can leave SQLite files behind that neither of
    them opens ever again.
    """
    if not os.environ.get("DAGSTER_HOME") and not Path("dagster.yaml").is_file():
        return None
    prepared = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "campaign_pipeline.orchestration.instance"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if prepared.returncode == 0:
        return "its history is ready."
    output.complain("\n".join(prepared.stderr.splitlines()[-_LAST_LINES:]))
    output.complain("Dagster's history could not be prepared: look at dagster.yaml, then run this again.")
    raise typer.Exit(1)


def _judge_env(settings: "Settings", line: str) -> str:
    if settings.start_date is not None:
        return f".env is left as it is ({_START_DATE} is {settings.start_date})."
    return f".env is left as it is, but lacks {_START_DATE}: without it each day is the first. Add: {line}"


def _usual_port(base_url: str) -> int:
    address = urlsplit(base_url)
    if not is_this_machine(base_url):
        return SIMULATOR_PORT
    return address.port or (443 if address.scheme == "https" else 80)


def _fault_share(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    try:
        return kind, float(share)
    except ValueError as error:
        msg = f"A fault is written KIND=SHARE, as in lost_answer=0.01, not {text!r}."
        raise ValueError(msg) from error


def _advise(settings: "Settings", port: int) -> None:
    """Says what to set, for a person who has started the simulator before pointing anything at it."""
    if port and is_this_machine(settings.whatsapp_base_url):
        return
    output.remark("To send to this simulator, set:")
    output.remark(f"  WHATSAPP_BASE_URL=http://127.0.0.1:{port or 'PORT'}")
    if settings.whatsapp_phone_number_id is None:
        output.remark(f"  WHATSAPP_PHONE_NUMBER_ID={SIMULATOR_PHONE_NUMBER_ID}")
    if settings.whatsapp_access_token is None:
        output.remark(f"  WHATSAPP_ACCESS_TOKEN={SIMULATOR_TOKEN}")
