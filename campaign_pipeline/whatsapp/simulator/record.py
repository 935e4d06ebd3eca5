"""The simulator's own record of what it accepted: one line of NDJSON per message, written before it is answered.

Add here what the judge needs to know about an accepted message. Keep out what the sender believes: the record is
the witness against which the ledger is checked, so nothing of the ledger may reach it.
"""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from campaign_pipeline.whatsapp.simulator.identities import wa_id_of
from campaign_pipeline.whatsapp.simulator.judge import TemplateMessage


@dataclass(frozen=True)
class AcceptedMessage:
    """One message that the simulator took, and that a person would get.

    Attributes:
        wamid: Meta's id of the message.
        to: the recipient as it was given, E.164 with its plus.
        biz_opaque_callback_data: the sender's own id for it, if any.
        template: name of the template.
        language: code of its language.
        components: the template's components as they were given.
        accepted_at: ISO 8601 in UTC.
    """

    wamid: str
    to: str
    biz_opaque_callback_data: str | None
    template: str
    language: str
    components: list[object]
    accepted_at: str


def wamid_for(seed: int, sequence: int, to: str) -> str:
    """Makes the id of a message that the business sent.

    Args:
        seed: the simulator's seed.
        sequence: how many messages were accepted before; it makes the id unique.
        to: the recipient, E.164.

    Returns:
        `wamid.` and base64.
    """
    return wamid_of(to, f"{seed}:{sequence}")


def wamid_of(phone: str, message: str) -> str:
    """Makes the id of a message as Meta does: base64 around the person's number and a part of its own.

    The layout follows the sample in Meta's page on sending messages, which decodes to the number in plain digits.

    Args:
        phone: the person at the other end, E.164.
        message: whatever tells this message from every other.

    Returns:
        `wamid.` and base64.
    """
    digits = phone.lstrip("+").encode()
    own_part = hashlib.sha256(message.encode()).hexdigest()[:18].upper().encode()
    raw = b"\x1c\x18" + bytes([len(digits)]) + digits + b"\x15\x02\x00\x11\x18"
    return "wamid." + base64.b64encode(raw + bytes([len(own_part)]) + own_part + b"\x00").decode()


class Record:
    """The accepted messages, in memory and in a file that survives the process."""

    def __init__(self, path: Path, seed: int) -> None:
        """Reads what an earlier process accepted, and opens the file to add to it.

        A last line without its line end was cut off when a server was killed. That message was never answered, so the
        line is dropped; anything else that is not a message stops the start.

        Args:
            path: the NDJSON file; made, with its folder, if missing.
            seed: the simulator's seed, for the ids of messages.

        Raises:
            ValueError: a line of the file is not a message.
        """
        self._seed = seed
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.read_bytes() if path.exists() else b""
        whole = written[: written.rfind(b"\n") + 1]
        self.messages: list[AcceptedMessage] = [_message(line, path) for line in whole.splitlines()]
        # Cut first: appending to half a line would spoil the next message as well.
        self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(len(whole))
        self._file.seek(len(whole))

    def accept(self, message: TemplateMessage, now: datetime) -> AcceptedMessage:
        """Writes down one accepted message; when this returns, a kill of the process cannot lose it.

        Args:
            message: what was judged well-formed.
            now: time of acceptance, UTC.

        Returns:
            The message with its wamid.
        """
        accepted = AcceptedMessage(
            wamid=wamid_for(self._seed, len(self.messages), message.to),
            to=message.to,
            biz_opaque_callback_data=message.biz_opaque_callback_data,
            template=message.template,
            language=message.language,
            components=message.components,
            accepted_at=now.isoformat(),
        )
        self._file.write(json.dumps(asdict(accepted)).encode() + b"\n")
        self._file.flush()
        self.messages.append(accepted)
        return accepted

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _message(line: bytes, path: Path) -> AcceptedMessage:
    try:
        return AcceptedMessage(**json.loads(line))
    except (ValueError, TypeError) as problem:
        raise ValueError(f"{path} is not a record of this simulator; move it away or name another: {problem}") from None


def report(messages: list[AcceptedMessage]) -> dict[str, object]:
    """Tells whether anyone got the same campaign twice, under one spelling of the number or under two.

    Args:
        messages: everything that was accepted.

    Returns:
        `accepted`, `distinct_recipients`, and under `reached_twice` each person who got the same template in the same
        language more than once, with how often, and the number as it was first given.
    """
    numbers: dict[str, str] = {}
    for message in messages:
        numbers.setdefault(wa_id_of(message.to), message.to)
    counts = Counter((wa_id_of(message.to), message.template, message.language) for message in messages)
    return {
        "accepted": len(messages),
        "distinct_recipients": len(numbers),
        "reached_twice": [
            {"to": numbers[wa_id], "template": template, "count": count}
            for (wa_id, template, _language), count in counts.items()
            if count > 1
        ],
    }
