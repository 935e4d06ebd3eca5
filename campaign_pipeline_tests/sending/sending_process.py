"""Sends a date in a process of its own, so that a test can kill it as a power cut would.

Add here what such a process needs to be told. Keep out expectations: those belong to the tests.
"""

import argparse
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

from campaign_pipeline.ledger.engine import Ledger, open_ledger
from campaign_pipeline.sending.clock import SystemClock
from campaign_pipeline.sending.lease import LeaseTerms
from campaign_pipeline.sending.sender import Sender, SenderTerms
from campaign_pipeline.whatsapp.account import CloudApiAccount, cloud_api_of
from campaign_pipeline.whatsapp.client import CloudApiClient
from campaign_pipeline_tests.support.campaigns import calendar
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.sending import PATIENT, SendingDesk

SHORT = LeaseTerms(beat_every=60, silence=6, margin=2, look_every=1)
"""For a clock whose waiting takes no time: a dead holder has been silent for long enough after six looks."""

BRISK = LeaseTerms(beat_every=0.1, silence=0.6, margin=0.3, look_every=0.05)
"""For the machine's own clock: so short that a process on a busy machine often loses it, and has to notice."""

LEASES: Final = {"patient": PATIENT, "short": SHORT, "brisk": BRISK}


@dataclass(frozen=True, kw_only=True)
class SendingOrder:
    """What a process is to send.

    Attributes:
        ledger_url: Where the batch is.
        base_url: Where the simulator listens.
        phone_number_id: Whose token it is.
        access_token: What the simulator lets in.
        send_date: The date.
        moment: What the process's clock shows, moved by hand; "now" for the machine's own clock.
        concurrency: Calls in flight.
        lease: On which of the terms above.
        limit: People in 24 hours.
        rate: Calls a second.
    """

    ledger_url: str
    base_url: str
    phone_number_id: str
    access_token: str
    send_date: str
    moment: str
    concurrency: int
    lease: str
    limit: int = 250
    rate: float = 1_000.0


def order_for(desk: SendingDesk, send_date: date | None = None, **changes: Any) -> SendingOrder:  # noqa: ANN401 - the fields differ in type
    """An order for a desk's ledger and simulator, at the moment that its clock shows; today's date by default."""
    options = desk.simulator.options
    now = desk.clock.now()
    order = SendingOrder(
        ledger_url=desk.ledger.engine.url.render_as_string(hide_password=False),
        base_url=desk.simulator.base_url,
        phone_number_id=options.phone_number_id,
        access_token=options.access_token,
        send_date=str(send_date or now.date()),
        moment=now.isoformat(),
        concurrency=2,
        lease="short",
    )
    return replace(order, **changes)


def start_sending(order: SendingOrder) -> "subprocess.Popen[str]":
    """Starts a process that sends a date and prints its report."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(order).items()]
    return subprocess.Popen([sys.executable, "-m", __name__, *words], stdout=subprocess.PIPE, text=True)


def sender_of(order: SendingOrder, ledger: Ledger) -> Sender:
    """The sender that carries out an order on its ledger."""
    account = CloudApiAccount(order.base_url, "v25.0", order.phone_number_id, order.access_token)
    terms = SenderTerms(
        cloud_api=cloud_api_of(order.base_url),
        limit_setting=order.limit,
        rate=order.rate,
        concurrency=order.concurrency,
        lease=LEASES[order.lease],
    )
    clock = SystemClock() if order.moment == "now" else HandClock(order.moment)
    return Sender(ledger, lambda: CloudApiClient(account, order.concurrency), calendar(), terms, clock)


def _order_from_command_line() -> SendingOrder:
    parser = argparse.ArgumentParser()
    for name, kind in SendingOrder.__annotations__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    return SendingOrder(**vars(parser.parse_args()))


if __name__ == "__main__":
    order = _order_from_command_line()
    report = sender_of(order, open_ledger(order.ledger_url)).send(date.fromisoformat(order.send_date), "process")
    sys.stdout.write(report.sentence + "\n")
