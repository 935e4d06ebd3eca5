"""What a simulator can be told when it is started, and the command that starts one.

Add here an option, with its unit, when a demo or a test needs one. Keep out what the options do.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from campaign_pipeline.whatsapp.simulator.faults import check_shares


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
        fault_shares: share of well-formed requests that meet each kind of fault, by kind, 0 to 1.
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

    def __post_init__(self) -> None:
        """Refuses shares that do not add up and times that run backwards.

        Raises:
            ValueError: an option is out of its range; the message names it.
        """
        for name in ("delivered_share", "read_share", "failed_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}.")
        if self.delivered_share + self.failed_share > 1:
            raise ValueError("delivered_share and failed_share are shares of the same messages: together at most 1.")
        for name in (option.name for option in fields(self) if option.name.endswith(("_after", "_jitter", "latency"))):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is in seconds and cannot be negative.")
        if self.flush_interval <= 0:
            raise ValueError("flush_interval is in seconds and must be more than 0.")
        check_shares(self.fault_shares)


def command_for(options: SimulatorOptions) -> list[str]:
    """Spells the command that starts a simulator with these options in a process of its own.

    Args:
        options: how the simulator shall behave.

    Returns:
        The arguments for `subprocess.Popen`; the access token stands among them, which is fine for a made-up one.
    """
    command = [sys.executable, "-m", "campaign_pipeline.whatsapp.simulator"]
    for option in fields(options):
        if option.name != "fault_shares":
            command += [f"--{option.name.replace('_', '-')}={getattr(options, option.name)}"]
    command += [f"--fault-share={kind}={share}" for kind, share in options.fault_shares.items()]
    return command
