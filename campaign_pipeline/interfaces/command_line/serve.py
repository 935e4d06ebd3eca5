"""The command `campaign serve`: what other programs call by HTTP.

Add here another part that is served, and what it needs to start.
Keep out what is answered, and how sockets are held (`interfaces.listening`).
"""

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign_pipeline.interfaces.command_line import output
from campaign_pipeline.interfaces.command_line.context import workplace_of

if TYPE_CHECKING:
    from pydantic import SecretStr

    from campaign_pipeline.interfaces.webhook_receiver.app import ReceiverApp
    from campaign_pipeline.interfaces.webhook_receiver.receiver import Receiver, ReceiverOptions
    from campaign_pipeline.interfaces.workplace import Workplace
    from campaign_pipeline.settings import Settings

PANEL: Final = "Setting up"

_MEGABYTE: Final = 1024 * 1024

commands = typer.Typer()


class Part(StrEnum):
    """What can be served alone."""

    WEBHOOKS = "webhooks"


@commands.command(rich_help_panel=PANEL, epilog="Example: campaign serve --only webhooks --host 0.0.0.0 --port 8080")
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = 8080,
    only: Annotated[Part | None, typer.Option(help="Serve this part alone.", show_default="everything")] = None,
) -> None:
    """Answer the REST API, and receive WhatsApp's webhooks, until it is stopped.

    Each webhook is on the disk before it is answered, and passed on.
    """
    from campaign_pipeline.interfaces.listening import listen
    from campaign_pipeline.interfaces.webhook_receiver.app import create_app
    from campaign_pipeline.interfaces.webhook_receiver.forwarding import refuse_loop
    from campaign_pipeline.interfaces.webhook_receiver.receiver import Receiver

    _log_to_stderr()
    workplace = workplace_of(ctx)
    options = _receiver_options(workplace.settings)
    refuse_loop(options.forward_url, host, port)
    with Receiver(options) as receiver:
        app = create_app(receiver) if only is Part.WEBHOOKS else _with_api(workplace, receiver)
        listen(app, host=host, port=port, announce=lambda url: output.remark(f"campaign serve listens on {url}"))


def _with_api(workplace: "Workplace", receiver: "Receiver") -> "ReceiverApp":
    from campaign_pipeline.interfaces.rest_api.app import build_app
    from campaign_pipeline.interfaces.webhook_receiver.app import ReceiverApp, webhook_routes

    refuses = "The disk refuses webhooks: look whether it is full, and whether the data folder may be written to."
    api = build_app(workplace, conditions={refuses: lambda: receiver.is_well}, receiver_counts=receiver.counts)
    api.include_router(webhook_routes(receiver))
    return ReceiverApp(receiver, api)


def _receiver_options(settings: "Settings") -> "ReceiverOptions":
    from campaign_pipeline.interfaces.webhook_receiver.receiver import ReceiverOptions
    from campaign_pipeline.settings import UnsignedWebhooks

    return ReceiverOptions(
        inbox=settings.status_folders.inbox,
        queue_folder=settings.forward_folder,
        app_secrets=settings.app_secrets,
        takes_unsigned=settings.webhook_unsigned is UnsignedWebhooks.ACCEPT,
        verify_token=_revealed(settings.webhook_verify_token),
        forward_url=_revealed(settings.webhook_forward_url),
        file_bytes=round(settings.webhook_file_mb * _MEGABYTE),
        file_seconds=settings.webhook_file_seconds,
        queue_bytes=settings.webhook_forward_mb * _MEGABYTE,
    )


def _revealed(secret: "SecretStr | None") -> str | None:
    return None if secret is None else secret.get_secret_value().strip()


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Its news about starting and stopping says nothing that `campaign serve` does not.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
