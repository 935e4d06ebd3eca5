"""Histories of messages, and the many ways in which they can come: in any order, any files, repeated, reworded, killed.

Add here another thing that Meta's webhooks have been seen to do, or could.
Keep out expectations: those belong to the tests.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, select, text, update

from campaign_pipeline.delivery.digest import Digest, digest_of
from campaign_pipeline.delivery.folding import refold
from campaign_pipeline.delivery.rebuild import RebuildReport, rebuild
from campaign_pipeline.delivery.status_files import ingest_waiting
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import metadata, send_attempts
from campaign_pipeline.sending.batches import close_batch
from campaign_pipeline.whatsapp.client import Answer, AnswerKind
from campaign_pipeline_tests.delivery.ingest_process import folders_in
from campaign_pipeline_tests.delivery.payloads import MARCH, ndjson, payload, put, status
from campaign_pipeline_tests.delivery.rebuild_process import NOW
from campaign_pipeline_tests.support.campaigns import active_campaign
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.ledgers import empty
from campaign_pipeline_tests.support.sending import LOST, accepted, answer_calls, batch_rows, take_and_admit

CALLS: Final = 6
VOIDED: Final = 4
"""The call of which a person has said that it reached nobody."""

ANSWERS: Final[Mapping[int, Answer]] = {
    0: accepted("wamid.0"),
    1: LOST,
    2: Answer(AnswerKind.REFUSED, 400, 131026, "nobody"),
    VOIDED: LOST,
    5: accepted("wamid.5"),
}
"""What came of the calls; that of number 3 is still out."""

Rows = Mapping[str, Sequence[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Told:
    """One event, in one of its wordings.

    Attributes:
        wamid: The message's number at Meta's.
        word: The status.
        at: Seconds.
        code: Of a failure.
        call: Whose id the event carries; None for no id, `CALLS` for a stranger's.
        title: Meta's words.
        shows: Which of id, wa_id and BSUID this wording has.
    """

    wamid: int
    word: str
    at: int
    code: int
    call: int | None
    title: str = "Message undeliverable"
    shows: tuple[bool, bool, bool] = (True, True, True)

    def as_status(self, attempt_ids: Sequence[str]) -> dict[str, Any]:
        """The status object."""
        shows_id, shows_wa_id, shows_bsuid = self.shows
        made = status(f"wamid.{self.wamid}", self.word, MARCH + self.at)
        if self.call is not None and shows_id:
            made["biz_opaque_callback_data"] = [*attempt_ids, "somebody else's"][self.call]
        if shows_wa_id:
            made["recipient_id"] = f"4479110000{self.wamid:02d}"
        if shows_bsuid:
            made["recipient_user_id"] = f"GB.{self.wamid}"
        if self.word == "failed":
            made["errors"] = [{"code": self.code, "title": self.title}]
        return made


@dataclass(frozen=True, slots=True)
class Delivery:
    """One way in which a history comes: the files, which of them an ingest finds at a time, and where ingests die."""

    files: tuple[tuple[Told, ...], ...]
    killed_at: tuple[int, ...]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Told, ...]:
    """Some events, each in all the wordings in which it will come; several may be about one message, or be strangers'.

    Two wordings of one event may differ in whether they carry an id, never in which: no attempt would have sent both.
    """
    events = draw(
        st.lists(
            st.builds(
                Told,
                wamid=st.integers(0, 8),
                word=st.sampled_from(["sent", "delivered", "read", "failed", "played"]),
                at=st.integers(0, 3),
                code=st.sampled_from([131026, 131049, 131042]),
                call=st.none() | st.integers(0, CALLS),
            ),
            min_size=1,
            max_size=12,
            unique_by=lambda told: (told.wamid, told.word, told.at, told.code if told.word == "failed" else 0),
        )
    )
    wordings = st.tuples(
        st.sampled_from(["Message undeliverable", "message undeliverable", "Nicht zustellbar: ä", "_"]),
        st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    told: list[Told] = []
    for each in events:
        for title, shows in draw(st.lists(wordings, min_size=1, max_size=3, unique=True)):
            told.append(replace(each, title=title, shows=shows))
    return tuple(told)


@st.composite
def deliveries(draw: st.DrawFn, history: tuple[Told, ...]) -> Delivery:
    """One way in which a history comes."""
    again = draw(st.lists(st.sampled_from(history), max_size=len(history)))
    order = draw(st.permutations([*history, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=4)) | {len(order)})
    files = [tuple(order[start:end]) for start, end in zip([0, *cuts[:-1]], cuts, strict=True)]
    return Delivery(tuple(files), tuple(draw(st.lists(st.integers(1, 60), max_size=3))))


class Killed(BaseException):
    """Stands for a process that is gone; nobody catches it, as they would an error of a file."""


def rows_of_six_calls(ledger: Ledger, clock: HandClock, root: Path) -> Rows:
    """Makes a campaign with six calls, each of another fate, and gives every row of the ledger."""
    empty(ledger)
    active_campaign(ledger, root, range(CALLS), now=clock.now(), daily_send_limit=CALLS)
    _, calls = take_and_admit(ledger, CALLS, clock)
    answer_calls(ledger, [(calls[number], answer) for number, answer in ANSWERS.items()], clock.now())
    (batch,) = batch_rows(ledger)
    mine = send_attempts.c.id == calls[VOIDED].attempt_id
    with ledger.write() as connection:
        connection.execute(update(send_attempts).where(mine).values(outcome="voided"))
        refold(connection, select(send_attempts.c.recipient_id).where(mine), clock.now())
        close_batch(connection, batch, "closed by a test", clock.now())
        # The call that is still out outlives its batch here: the worst that evidence can find.
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


def put_rows(ledger: Ledger, rows: Rows) -> None:
    """Makes a ledger hold these rows and nothing else."""
    empty(ledger)
    with ledger.write() as connection:
        for table in metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(insert(table), list(rows[table.name]))
        if connection.dialect.name == "postgresql":
            _number_on(connection)


def _number_on(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if "id" in table.c and table.c.id.type.python_type is int:
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'),"  # noqa: S608 - our own tables
                    f" (SELECT coalesce(max(id), 0) + 1 FROM {table.name}), false)"
                )
            )


def come_in(ledger: Ledger, delivery: Delivery, attempt_ids: Sequence[str], root: Path, chance: random.Random) -> None:
    """Takes in what comes, file by file or several at once, with ingests that are killed."""
    folders = folders_in(root)
    to_kill = list(delivery.killed_at)
    for number, told in enumerate(delivery.files):
        name = f"{chance.randrange(10**6):06d}-{number}.ndjson"
        put(folders.inbox, name, ndjson(payload(each.as_status(attempt_ids)) for each in told))
        if chance.random() < 0.5:
            _ingest(ledger, root, to_kill.pop() if to_kill else None)
    for statement in to_kill:
        _ingest(ledger, root, statement)
    _ingest(ledger, root, None)


def _ingest(ledger: Ledger, root: Path, killed_at: int | None) -> None:
    """Takes in what waits; dies before one of its statements, if it comes to that one."""
    run = 0

    def count(*_: object) -> None:
        nonlocal run
        run += 1
        if run == killed_at:
            raise Killed

    event.listen(ledger.engine, "before_cursor_execute", count)
    try:
        ingest_waiting(ledger, folders_in(root), lambda: NOW)
    except Killed:
        pass
    finally:
        event.remove(ledger.engine, "before_cursor_execute", count)


def look(ledger: Ledger) -> Digest:
    """What was learnt."""
    with ledger.read() as connection:
        return digest_of(connection)


def rebuilt(ledger: Ledger, archive: Path | None = None) -> RebuildReport:
    """Rebuilds."""
    return rebuild(ledger, archive, lambda: NOW, actor="test", on_progress=lambda _what, _done, _all: None)
