"""Pictures for the desk: small PNGs inside a materialization's metadata, readable on a light and on a dark page.

Add here a picture that answers a question at a glance. Figures come in worked out; nothing is counted here.
Keep out tables and numbers: `metadata`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Final

import dagster as dg

from campaign_pipeline.campaigns.figures import Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_PICTURE: Final = 100_000
"""Bytes: pictures live in Dagster's event log."""

INK: Final = "#777c88"
"""What is written; the background is transparent, so it has to stand out from white and from black alike."""

COLOURS: Final = {
    "planned": "#7d8492",
    "expected": "#9a73dd",
    "sent": "#3f84f3",
    "delivered": "#179a74",
    "read": "#778f14",
    "failed": "#e0502a",
    "in doubt": "#b87608",
}
"""None of them is bright or dark: each stands out from the light and from the dark page at least three to one."""

_MOST_DATES_WRITTEN: Final = 8
_MOST_BARS_APART: Final = 60


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day of a campaign, for the picture of its progress; None where there is nothing to tell."""

    send_date: date
    planned: int | None
    expected: int | None
    sent: int | None
    delivered: int | None
    read: int | None


def funnel(figures: Figures) -> dg.MetadataValue:
    """How many of an audience were sent to, how many messages arrived and were read, and what went wrong."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(width=6.4, height=2.2)
    bars = {
        "in doubt": figures.in_doubt,
        "failed": figures.failed,
        "read": figures.read,
        "delivered": figures.delivered,
        "sent": figures.sent,
    }
    drawn = axes.barh(list(bars), list(bars.values()), color=[COLOURS[name] for name in bars])
    axes.bar_label(drawn, labels=[f"{number:,}" for number in bars.values()], padding=4, color=INK)
    axes.set_xlim(0, max(figures.total, 1) * 1.12)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    title = f"of {figures.total:,} people"
    axes.set_title(title, color=INK, fontsize=10, loc="left")
    in_words = ", ".join(f"{number:,} {name}" for name, number in reversed(bars.items()))
    return _as_metadata(figure, f"{title}: {in_words}")


def progress(days: Sequence[DayFigures]) -> dg.MetadataValue:
    """A campaign day by day, in order: what was planned and is expected as lines, what happened as bars."""
    if not days:
        return dg.MetadataValue.text("no date yet")
    from matplotlib.ticker import MaxNLocator

    figure, axes = _canvas(width=8.0, height=3.0)
    dates = [day.send_date.toordinal() for day in days]
    # Thin bars with gaps between them turn into stripes.
    width = 0.8 if len(days) <= _MOST_BARS_APART else 1.0
    for name in ("sent", "delivered", "read"):
        heights = [getattr(day, name) or 0 for day in days]
        axes.bar(dates, heights, label=name, color=COLOURS[name], width=width, antialiased=False)
    # As wide as a date, so that a single one is seen as well.
    edges = [each - 0.5 for each in range(dates[0], dates[-1] + 2)]
    # The wider one first: where both are told, both are seen.
    for name, style, line in (("expected", "-", 4.0), ("planned", "--", 1.8)):
        told = {day.send_date.toordinal(): getattr(day, name) for day in days}
        values = [told.get(each) for each in range(dates[0], dates[-1] + 1)]
        axes.stairs(
            [float("nan") if value is None else value for value in values],
            edges,
            baseline=None,
            label=name,
            color=COLOURS[name],
            linestyle=style,
            linewidth=line,
        )
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    written = days[:: ceil(len(days) / _MOST_DATES_WRITTEN)]
    axes.set_xticks([day.send_date.toordinal() for day in written], [day.send_date.isoformat() for day in written])
    figure.autofmt_xdate(rotation=30)
    axes.legend(frameon=False, labelcolor=INK, fontsize=8, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
    sums = {name: sum(getattr(day, name) or 0 for day in days) for name in ("sent", "delivered", "read", "expected")}
    in_words = ", ".join(f"{number:,} {name}" for name, number in sums.items())
    return _as_metadata(figure, f"{days[0].send_date} to {days[-1].send_date}: {in_words}")


def _canvas(*, width: float, height: float) -> "tuple[Figure, Axes]":
    # Loaded here: a code location that only lists its assets has no use for it. Without pyplot, since that keeps
    # every figure and may look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return figure, axes


def _as_metadata(figure: "Figure", in_words: str) -> dg.MetadataValue:
    """The picture, and its numbers in words for whoever does not see it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    picture = buffer.getvalue()
    if len(picture) > LARGEST_PICTURE:
        return dg.MetadataValue.text(f"{in_words} (the picture would be {len(picture):,} bytes)")
    return dg.MetadataValue.md(f"![{in_words}](data:image/png;base64,{base64.b64encode(picture).decode()})")
