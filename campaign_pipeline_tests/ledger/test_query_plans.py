"""Everything that a running campaign asks again and again finds its rows by an index, however old the statistics are.

The statements are those that the real functions run, explained at that moment by the real database, in a ledger of
60,000 people of whom most were sent to. Statistics are `none` (SQLite, unless it is told to look), `stale` (from when
everybody waited) or, in the long form, `fresh`.

A new query that fails here wants an index, or to be asked in another way; one that is not found here wants to be asked
by `running_campaign`.
"""

import ast
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text

import campaign_pipeline
from campaign_pipeline.campaigns.lifecycle import complete_settled
from campaign_pipeline.campaigns.queue import head_of_queue
from campaign_pipeline.ledger.engine import Ledger, connect
from campaign_pipeline_tests.ledger import large_ledger
from campaign_pipeline_tests.ledger.large_ledger import AUTUMN, BIG_TABLES, PEOPLE, SPRING
from campaign_pipeline_tests.ledger.query_plans import Asked, Visit, Watch, kept_for_any_values, watching
from campaign_pipeline_tests.ledger.running_campaign import (
    HALF_TAKEN_FILE,
    ask_about_a_smaller_campaign,
    go_through_a_day,
)
from campaign_pipeline_tests.support.campaigns import NOON
from campaign_pipeline_tests.support.clock import HandClock
from campaign_pipeline_tests.support.postgres import PostgresServer
from campaign_pipeline_tests.support.sending import SendingDesk
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess, simulator_options

# With fresh statistics a plan is rarely worse than with stale ones: the long form looks.
_ALSO: Final = ("fresh",) if os.environ.get("FRESH_STATISTICS") else ()
ON_SQLITE: Final = tuple(f"sqlite-{each}" for each in ("none", "stale", *_ALSO))
ON_POSTGRESQL: Final = tuple(f"postgresql-{each}" for each in ("stale", *_ALSO))

MOST: Final = {"sqlite": 50_000, "postgresql": 3_000}
"""Instructions of SQLite, of which a scan of the smallest big table takes more; rows that PostgreSQL meets."""

LISTS_OF_WHAT_WAITS: Final = {
    "ix_outbox_unreported",
    "ix_send_attempts_in_doubt",
    "ix_delivery_events_unmatched",
    "ix_delivery_events_to_act_on",
    "ix_inbound_words_to_act_on",
}
"""These indexes hold only what somebody waits for, and are read from one end to the other."""

BY_CAMPAIGN_AND_PERSON: Final = "uq_campaign_recipients_campaign_id_person_key"
"""Searched for a campaign alone, it leads to everybody of it."""

ABOUT_A_WHOLE_CAMPAIGN: Final = {
    "campaigns.figures._figures": "the figures of a campaign, shown in Dagster when something was done to it",
    "campaigns.figures._figures_by": "the progress of a campaign by day, shown in Dagster when something has changed",
    "campaigns.queue.demands_in_order": "a plan is about everybody who waits",
    "campaigns.send_schedule.read_schedule_of": "the kept schedule, at the end of a batch and of an ingest",
    "campaigns.send_schedule._waiting": "the kept schedule, at the end of a batch and of an ingest",
}
"""Of a campaign that is most of the ledger, most of the ledger. Asked about a smaller one, they stay with that."""

ABOUT_A_WHOLE_FILE: Final = {
    "delivery.standing.unmatched_events": "how many events are of strangers' messages, at the end of an ingest",
}
"""Found by an index, however many events there are."""

FOR_PEOPLE: Final = {
    "campaigns.held_countries.waiting_in_held": "how many people wait in the countries that are held, if any are",
    "delivery.impediments._unknown_errors": "a week's failures with codes that nobody knows, every hour",
    "campaigns.queue.demands_in_order": "a plan is about everybody who waits",
    "sending.doubts.list_doubts": "a SQLite that was told to look, once and long ago, starts from the people",
    "recipients.audience._dates_of": "whose turn it is when, for a page of those who wait",
    "recipients.audience.read_recipient_page": "the first page of a late campaign, along the ids of those before it",
    "recipients.audience.read_recipients": "the export of an audience, with what is known of each message",
    "sending.proof._count": "the proof of a batch looks at what is stored, however long it takes",
    "sending.proof.reached_twice": "the proof of a batch looks at what is stored, however long it takes",
}
"""May go through tables: asked now and then, by somebody who waits for the answer."""

MODULES: Final = (
    "campaigns/catalogue.py",
    "campaigns/figures.py",
    "campaigns/held_countries.py",
    "campaigns/journal.py",
    "campaigns/kept_template.py",
    "campaigns/lifecycle.py",
    "campaigns/queue.py",
    "campaigns/send_schedule.py",
    "campaigns/value_problems.py",
    "delivery/analytics.py",
    "delivery/consequences.py",
    "delivery/event_store.py",
    "delivery/evidence.py",
    "delivery/folding.py",
    "delivery/impediments.py",
    "delivery/inbound_store.py",
    "delivery/matching.py",
    "delivery/new_evidence.py",
    "delivery/replies.py",
    "delivery/standing.py",
    "delivery/status_file.py",
    "delivery/status_files.py",
    "interfaces/rest_api/launching.py",
    "interfaces/rest_api/repeats.py",
    "interfaces/rest_api/tokens.py",
    "recipients/accounts.py",
    "recipients/heard_words.py",
    "recipients/identity.py",
    "recipients/loading.py",
    "recipients/opt_ins.py",
    "recipients/subscriptions.py",
    "sending/account_events.py",
    "sending/attempts.py",
    "sending/batches.py",
    "sending/capacity.py",
    "sending/test_sends.py",
)
"""In these stands what a running campaign asks."""

NOT_LOOKED_AT: Final = {
    "recipients.loading.count_subscribed": "adding everyone who is subscribed is about all of them",
    "recipients.loading.insert_subscribed": "adding everyone who is subscribed is about all of them",
    "recipients.loading.note_regions": "adding everyone who is subscribed is about all of them",
    "recipients.loading._take_out": "adding everyone who is subscribed is about all of them",
    "recipients.opt_ins.evidence_of": "one person's history, for whoever asks for it",
    "recipients.subscriptions.history_of": "one person's history, for whoever asks for it",
    "sending.capacity.sender_id": "makes the sender's one row, the first time",
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator that tells of many messages in one file."""
    options = simulator_options(tmp_path_factory.mktemp("simulator"), flush_interval=0.3)
    with SimulatorProcess(options) as process:
        yield process


@pytest.fixture(scope="session")
def large_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large ledger with stale statistics, to be copied."""
    path = tmp_path_factory.mktemp("large") / "ledger.sqlite3"
    shutil.copy(migrated_sqlite, path)
    _fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def large_postgresql(postgres: PostgresServer, migrated_postgres: str) -> str:
    """The name of a database that is a large ledger with stale statistics, to be copied."""
    url = postgres.new_database(migrated_postgres)
    _fill(url)
    return url.rsplit("/", 1)[1]


def _fill(url: str) -> None:
    ledger = connect(url)
    large_ledger.fill(ledger, hashlib.sha256(HALF_TAKEN_FILE).hexdigest())
    ledger.close()


@dataclass(frozen=True, slots=True, repr=False)
class Looked:
    """What was asked in a day and, after it, about a smaller campaign.

    Attributes:
        kind: The database.
        day: What the day asked.
        questions: What was asked about the smaller campaign.
        kept: What the day asked so often that PostgreSQL has one plan for all values.
    """

    kind: str
    day: Watch
    questions: Watch
    kept: list[Asked]


@contextmanager
def _large(parameter: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Ledger]:
    """A large ledger on the database, and with the statistics, of a parameter."""
    kind, statistics = parameter.split("-")
    if kind == "sqlite":
        path = folder / "ledger.sqlite3"
        shutil.copy(request.getfixturevalue("large_sqlite"), path)
        url = f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database(request.getfixturevalue("large_postgresql"))
    ledger = connect(url)
    if statistics == "fresh":
        large_ledger.look_again(ledger)
    elif statistics == "none":
        large_ledger.forget_statistics(ledger)
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def looked(
    request: pytest.FixtureRequest, simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Looked:
    """A day and some questions, done once for all tests."""
    folder = tmp_path_factory.mktemp("looked")
    with (
        _large(request.param, request, folder) as ledger,
        closing(SendingDesk(ledger, simulator, HandClock(), folder)) as desk,
    ):
        kind = ledger.engine.dialect.name
        with watching(ledger) as day:
            go_through_a_day(desk)
            kept = kept_for_any_values(ledger, day) if kind == "postgresql" else []
        with watching(ledger) as questions:
            ask_about_a_smaller_campaign(desk)
    return Looked(kind, day, questions, kept)


@pytest.mark.parametrize("looked", [*ON_SQLITE, *ON_POSTGRESQL], indirect=True)
def test_whatever_a_running_campaign_repeats_is_found_by_an_index(looked: Looked) -> None:
    """Sending gets slower with everyone who was ever sent to, until an admission takes longer than a call."""
    repeated = [each for each in looked.day.asked if each.by not in {*ABOUT_A_WHOLE_CAMPAIGN, *FOR_PEOPLE}]
    assert _shown(each for each in repeated if any(map(_goes_through_a_table, each.visits))) == []
    most = MOST[looked.kind]
    assert _shown(each for each in repeated if each.effort > most and each.by not in ABOUT_A_WHOLE_FILE) == []


@pytest.mark.parametrize("looked", ON_POSTGRESQL, indirect=True)
def test_a_plan_for_all_values_to_come_uses_an_index_too(looked: Looked) -> None:
    """PostgreSQL turns to it after some repetitions: the first calls of a run are quick, and all others slow."""
    kept = [each for each in looked.kept if each.by not in {*ABOUT_A_WHOLE_CAMPAIGN, *FOR_PEOPLE}]
    assert _shown(each for each in kept if any(map(_goes_through_a_campaign, each.visits))) == []
    assert {"campaigns.lifecycle.complete_settled", "delivery.folding.match_events"} <= {each.by for each in kept}


@pytest.mark.parametrize("looked", [*ON_SQLITE, *ON_POSTGRESQL], indirect=True)
def test_a_question_about_one_campaign_leaves_the_others_alone(looked: Looked) -> None:
    """Whoever looks at a small campaign waits for all the others to be read."""
    asked = [each for each in looked.questions.asked if each.by not in FOR_PEOPLE]
    assert _shown(each for each in asked if any(map(_goes_through_a_table, each.visits))) == []
    if looked.kind == "postgresql":
        assert _shown(each for each in asked if each.effort > 2 * PEOPLE[AUTUMN]) == []


@pytest.mark.parametrize("looked", ["sqlite-none"], indirect=True)
def test_everything_that_a_running_campaign_asks_was_looked_at(looked: Looked) -> None:
    """A query that is new goes through whole tables, and no test runs it in a ledger that is large."""
    asking = set().union(*map(_functions_that_ask, MODULES))
    asked = looked.day.askers | looked.questions.askers
    assert sorted(asking - asked - NOT_LOOKED_AT.keys()) == [], "running_campaign.py has to ask it too"
    assert sorted(NOT_LOOKED_AT.keys() - asking) == [], "there is no such query any more"


@pytest.mark.parametrize("parameter", ["sqlite-none", "postgresql-stale"])
def test_a_missing_index_is_noticed(parameter: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A look that finds nothing wrong in anything would pass for ever."""
    with _large(parameter, request, tmp_path) as ledger:
        with ledger.write() as connection:
            for index in ("ix_campaign_recipients_queue", "ix_campaign_recipients_unsettled"):
                connection.execute(text(f"DROP INDEX {index}"))
        with watching(ledger) as watch, ledger.write() as connection:
            head_of_queue(connection, SPRING, 10, 0)
            complete_settled(connection, NOON)
        most = MOST[ledger.engine.dialect.name]
    effort = {each.by: each.effort for each in watch.asked}
    assert effort["campaigns.queue.head_of_queue"] > most
    assert effort["campaigns.lifecycle.complete_settled"] > most


def _goes_through_a_table(visit: Visit) -> bool:
    """Whether a big table, or an index of it, is read from one end to the other."""
    if visit.table not in BIG_TABLES or visit.condition or visit.index in LISTS_OF_WHAT_WAITS:
        return False
    # The first row of an index, or its last, needs no condition.
    return visit.index is None or visit.rows is None or visit.rows > 1


def _goes_through_a_campaign(visit: Visit) -> bool:
    """Whether a big table, or everybody of a campaign, is read from one end to the other."""
    everybody = visit.index == BY_CAMPAIGN_AND_PERSON and "person_key" not in visit.condition
    return everybody or _goes_through_a_table(visit)


def _shown(asked: Iterable[Asked]) -> list[str]:
    return [str(each) for each in asked]


def _functions_that_ask(module: str) -> set[str]:
    """The functions of a module that run a statement themselves, named as `Asked.by` names them."""
    tree = ast.parse((Path(campaign_pipeline.__file__).parent / module).read_text(encoding="utf-8"))
    name = module.removesuffix(".py").replace("/", ".")
    methods = {
        f"{name}.{each.name}.{method.name}": method
        for each in tree.body
        if isinstance(each, ast.ClassDef)
        for method in each.body
        if isinstance(method, ast.FunctionDef)
    }
    functions = {f"{name}.{each.name}": each for each in tree.body if isinstance(each, ast.FunctionDef)}
    return {
        named
        for named, function in {**functions, **methods}.items()
        if any(isinstance(node, ast.Call) and _runs_a_statement(node) for node in ast.walk(function))
    }


def _runs_a_statement(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr == "execute"
    return isinstance(call.func, ast.Name) and call.func.id in ("insert_new", "load_new", "upsert", "upsert_rows")
