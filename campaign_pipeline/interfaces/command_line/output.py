"""How commands speak: answers to stdout, as sentences, tables or one JSON document; everything else to stderr.

Add here a form that more than one command needs.
Keep out what is said.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

import typer

from campaign_pipeline.interfaces.documents import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from campaign_pipeline.campaigns.figures import Figures

_JOINER: Final = "\N{ZERO WIDTH JOINER}"
"""Part of many emoji."""

_WIDTH_WITHOUT_TERMINAL: Final = 240
"""A file or a pipe has no width that cells would have to be cut to."""


def say(sentence: str = "") -> None:
    """Answers the person."""
    typer.echo(sentence)


def remark(sentence: str) -> None:
    """Says something that is not the answer: advice, a warning, how far a command is."""
    typer.echo(sentence, err=True)


def complain(sentence: str) -> None:
    """Says what went wrong, in one line."""
    typer.echo(f"Error: {' '.join(sentence.split())}", err=True)


def print_json(document: object) -> None:
    """Answers a program: one JSON document, with moments in UTC."""
    typer.echo(to_json(document, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """Answers with a table.

    Args:
        columns: The headings.
        rows: A cell for each column; None is left empty.
        numbers: The headings of columns that are aligned to the right.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _console(sys.stdout).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Answers with names and values, one a line; what has no value is left out."""
    longest = max(map(len, facts))
    for name, value in facts.items():
        if value not in (None, ""):
            say(f"{name:<{longest}}  {_cell(value)}")
    say()


def print_figures(figures: "Figures") -> None:
    """Answers with the figures of an audience, or of a part of it."""
    rows = [
        (name.replace("_", " "), f"{value:.2f} %" if isinstance(value, float) else value)
        for name, value in figures.as_dict().items()
        if not isinstance(value, dict)
    ]
    print_table(("figure", "now"), rows, ("now",))
    say()


@contextmanager
def progress(what: str, *, in_bytes: bool = False) -> Generator[Callable[[int, int | None], None]]:
    """Shows on a terminal how far something is; elsewhere nothing.

    Args:
        what: What is being done.
        in_bytes: Whether bytes are counted; else people or files.

    Yields:
        A function to tell how many are done, and how many there are; None while that is not known.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), counted, TimeElapsedColumn())
    with Progress(*columns, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def people(number: int) -> str:
    """``1 person``, ``2 people``."""
    return f"{number:,} {'person' if number == 1 else 'people'}"


def days(number: int) -> str:
    """``1 day``, ``2 days``."""
    return f"{number:,} {'day' if number == 1 else 'days'}"


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    # A campaign's name or a webhook's error text may contain square brackets, which are not ours to interpret.
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return harmless(f"{value:,}" if isinstance(value, int) else str(value))


def harmless(text: str) -> str:
    """A line that does not steer the terminal, whatever file or webhook it came from."""
    return "".join(each if each.isprintable() or each == _JOINER else "\N{REPLACEMENT CHARACTER}" for each in text)
