"""What a simulator can be told when it is started, and the command that starts one.

Add here an option, with its unit, when a demo or a test needs one. Keep out what the options do.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from campaign_pipeline.whatsapp.simulator.faults import FaultKind, fault_named, faults_of

_LIMIT_ANSWERS = frozenset({FaultKind.ERROR, FaultKind.FAILED})


class Bsuid(StrEnum):
    """How webhooks name a person since usernames came, or before."""

    NONE = "none"  # wa_id only, as before April 2026
    BESIDE = "beside"  # wa_id and business-scoped user id
    INSTEAD = "instead"  # user id only, as for a person with a username who never wrote; `failed` keeps the number


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """How one local Cloud API behaves.

    Attributes:
        inbox: folder into which status files are written; made if missing.
        record: NDJSON file of the accepted messages; read at the start, so that counts survive a restart.
        phone_number_id: the business phone number that may send.
        access_token: the only bearer token that is let in.
        business_account_id: the WhatsApp business account (WABA) named in status webhooks.
        display_phone_number: the business phone number as webhooks print it, digits only.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        sent_after: seconds from acceptance to `sent` (or to `failed`, which comes in its place).
        sent_jitter: up to so many seconds more, by chance.
        delivered_after: seconds from acceptance to `delivered`, never before `sent`.
        delivered_jitter: up to so many seconds more, by chance.
        read_after: seconds from acceptance to `read`, never before `delivered`.
        read_jitter: up to so many seconds more, by chance.
        delivered_share: share of all accepted messages that are delivered, 0 to 1.
        read_share: share of the delivered messages that are read, 0 to 1.
        failed_share: share of all accepted messages that fail with 131026, 0 to 1. The rest stays `sent`.
        seed: what all chance is drawn from; equal seeds give equal runs.
        latency: seconds between taking a request and answering it.
        flush_interval: seconds between two status files.
        fault_shares: share of well-formed requests that meet each fault, by its name such as `slow` or
            `failed:131049`, 0 to 1.
        messaging_limit: so many different people in a moving 24 hours; None enforces no limit.
        limit_answer: what a request above the messaging limit meets, as the name of a fault: Meta documents no answer.
        messages_per_second: Cloud API throughput, above which 130429 is the answer; None enforces none. Meta's is 80.
        pair_seconds: seconds for each message to the same person, above which 131056 is the answer; None enforces
            nothing. Meta's are 6.
        pair_burst: so many messages to the same person may come at once, borrowed from the seconds that follow.
        wa_id_spellings: whether answers and webhooks spell numbers of Brazil, Mexico and Argentina as WhatsApp does.
        bsuid: whether webhooks name business-scoped user ids, beside the wa_id or instead of it.
        webhook_url: address that each webhook is posted to, beside the files; None posts nothing.
        app_secret: what signs the posted webhooks; None posts them without a signature.
        webhook_retry_after: seconds until a webhook that was not answered with 200 is posted again; the pause doubles
            each time.
        webhook_give_up_after: seconds after which it is posted no more; Meta's are seven days.
        webhook_duplicate_share: share of webhooks that are posted a second time though they arrived, 0 to 1.
        webhook_late_share: share of webhooks that are posted late, and so behind others, 0 to 1.
        webhook_late_by: up to so many seconds late, by chance.
        unknown_templates: whether a template that was never created is `approved` or `refused`.
    """

    inbox: Path
    record: Path
    phone_number_id: str
    access_token: str = field(repr=False)
    business_account_id: str
    display_phone_number: str = "15550783881"
    host: str = "127.0.0.1"
    port: int = 0
    sent_after: float = 1.0
    sent_jitter: float = 1.0
    delivered_after: float = 3.0
    delivered_jitter: float = 3.0
    read_after: float = 8.0
    read_jitter: float = 10.0
    delivered_share: float = 0.96
    read_share: float = 0.60
    failed_share: float = 0.02
    seed: int = 0
    latency: float = 0.0
    flush_interval: float = 1.0
    fault_shares: Mapping[str, float] = field(default_factory=dict)
    messaging_limit: int | None = None
    limit_answer: str = "error:131048"
    messages_per_second: int | None = None
    pair_seconds: float | None = None
    pair_burst: int = 45
    wa_id_spellings: bool = False
    bsuid: Bsuid = Bsuid.BESIDE
    webhook_url: str | None = None
    app_secret: str | None = field(default=None, repr=False)
    webhook_retry_after: float = 10.0
    webhook_give_up_after: float = 604_800.0
    webhook_duplicate_share: float = 0.0
    webhook_late_share: float = 0.0
    webhook_late_by: float = 5.0
    unknown_templates: str = "approved"

    def __post_init__(self) -> None:
        """Refuses shares that do not add up and times that run backwards.

        Raises:
            ValueError: an option is out of its range; the message names it.
        """
        _check_shares(self)
        _check_times(self)
        _check_limits(self)
        if self.unknown_templates not in ("approved", "refused"):
            raise ValueError(f"unknown_templates are approved or refused, not {self.unknown_templates!r}.")
        if self.webhook_url is not None and not self.webhook_url.startswith(("http://", "https://")):
            raise ValueError(f"webhook_url begins with http:// or https://, not as {self.webhook_url}.")


def _check_shares(options: SimulatorOptions) -> None:
    for name in _options_that_end_with("_share"):
        if not 0 <= getattr(options, name) <= 1:
            raise ValueError(f"{name} is a share between 0 and 1, not {getattr(options, name)}.")
    if options.delivered_share + options.failed_share > 1:
        raise ValueError("delivered_share and failed_share are shares of the same messages: together at most 1.")
    faults_of(options.fault_shares)


def _check_times(options: SimulatorOptions) -> None:
    for name in _options_that_end_with("_after", "_jitter", "_by", "latency"):
        if getattr(options, name) < 0:
            raise ValueError(f"{name} is in seconds and cannot be negative.")
    if options.flush_interval <= 0:
        raise ValueError("flush_interval is in seconds and must be more than 0.")


def _check_limits(options: SimulatorOptions) -> None:
    for name in ("messaging_limit", "messages_per_second", "pair_seconds", "pair_burst"):
        if getattr(options, name) is not None and getattr(options, name) <= 0:
            raise ValueError(f"{name} must be more than 0; leave it out to enforce nothing.")
    if fault_named(options.limit_answer).kind not in _LIMIT_ANSWERS:
        raise ValueError(f"limit_answer is error:CODE or failed:CODE, not {options.limit_answer}.")


def _options_that_end_with(*endings: str) -> list[str]:
    return [option.name for option in fields(SimulatorOptions) if option.name.endswith(endings)]


def command_for(options: SimulatorOptions) -> list[str]:
    """Spells the command that starts a simulator with these options in a process of its own.

    Args:
        options: how the simulator shall behave.

    Returns:
        The arguments for `subprocess.Popen`; the access token and the app secret stand among them, which is fine for
        made-up ones.
    """
    command = [sys.executable, "-m", "campaign_pipeline.whatsapp.simulator"]
    for option in fields(options):
        value = getattr(options, option.name)
        if option.name != "fault_shares" and value is not None:
            command += [f"--{option.name.replace('_', '-')}={value}"]
    command += [f"--fault-share={kind}={share}" for kind, share in options.fault_shares.items()]
    return command
