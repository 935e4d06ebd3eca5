"""What people look at: pictures that can be seen on either page, and numbers that plot from one date to the next."""

import base64
import re
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import dagster as dg
import numpy as np
import pytest
from matplotlib.image import imread

from campaign_pipeline.campaigns.figures import figures_from
from campaign_pipeline.campaigns.send_schedule import ScheduledDate
from campaign_pipeline.orchestration import metadata, pictures
from campaign_pipeline.orchestration.pictures import COLOURS, INK, DayFigures
from campaign_pipeline_tests.orchestration.desk import THE_DATE, OrchestrationDesk, metadata_of, rows_of, shown
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.sending import people

PAGES = {
    "white": "#ffffff",
    "light": "#f7f8f9",
    "shaded": "#f0f1f3",
    "black": "#000000",
    "dark": "#030615",
    "night": "#0d1121",
}
"""White and black, and what dagster-webserver 1.13 puts behind pictures: core-gray10, 50, 990 and 950 of its style."""

LEGIBLE = 3.0
"""The least contrast of graphics, WCAG 2.1, 1.4.11."""

MONDAY = date(2026, 3, 2)
NOBODY = figures_from({}, 0)
A_DAY = figures_from({"accepted": 20, "delivered": 100, "read": 90, "failed": 12, "in_doubt": 3, "pending": 25}, 222)
MILLIONS = figures_from({"read": 9_000_000, "accepted": 1_200_000, "failed": 1}, 10_200_000)


@dataclass(frozen=True)
class Seen:
    """A picture as the web UI gets it: its bytes, what stands for it where it is not shown, and its pixels."""

    png: bytes
    in_words: str
    pixels: np.ndarray

    def has(self, colour: str) -> bool:
        """Whether something is drawn in a colour."""
        return bool(self.of_colour(colour).any())

    def of_colour(self, colour: str) -> np.ndarray:
        """Where something is drawn in a colour."""
        rgba = np.array([*_channels(colour), 1.0])
        return np.all(np.abs(self.pixels - rgba) < 0.5 / 255, axis=2)

    def widest(self, colour: str) -> int:
        """The longest line of pixels of a colour."""
        return int(self.of_colour(colour).sum(axis=1).max())


def look(value: dg.MetadataValue) -> Seen:
    """Takes a picture out of its metadata."""
    assert isinstance(value, dg.MarkdownMetadataValue)
    found = re.fullmatch(r"!\[(?P<words>[^\]]*)\]\(data:image/png;base64,(?P<data>[A-Za-z0-9+/=]+)\)", value.value)
    assert found is not None
    png = base64.b64decode(found["data"], validate=True)
    return Seen(png, found["words"], imread(BytesIO(png), format="png"))


def days(count: int, sent: int) -> list[DayFigures]:
    """Days of a campaign, of which some were sent."""
    return [
        DayFigures(MONDAY + timedelta(days=number), 250, None, 240, 220, 150)
        if number < sent
        else DayFigures(MONDAY + timedelta(days=number), 250, 230, None, None, None)
        for number in range(count)
    ]


def _channels(colour: str) -> list[float]:
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def luminance(channels: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colours, as WCAG defines it."""
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(colours: np.ndarray, page: str) -> np.ndarray:
    """The contrast of colours against a page, 1 to 21."""
    behind = luminance(np.array(_channels(page)))
    of_colours = luminance(colours)
    return (np.maximum(of_colours, behind) + 0.05) / (np.minimum(of_colours, behind) + 0.05)


DRAWN = {
    "a funnel of nobody": lambda: pictures.funnel(NOBODY),
    "a funnel of a day": lambda: pictures.funnel(A_DAY),
    "a funnel of millions": lambda: pictures.funnel(MILLIONS),
    "one date, sent": lambda: pictures.progress(days(1, sent=1)),
    "one date, to come": lambda: pictures.progress(days(1, sent=0)),
    "one date of nobody": lambda: pictures.progress([DayFigures(MONDAY, None, None, 0, 0, 0)]),
    "forty dates": lambda: pictures.progress(days(40, sent=15)),
    "four hundred dates": lambda: pictures.progress(days(400, sent=150)),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Seen]:
    """Every picture, drawn once."""
    return {name: look(draw()) for name, draw in DRAWN.items()}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_a_small_png_with_nothing_behind_it(drawn: dict[str, Seen], name: str) -> None:
    """It is stored in the event log with every materialization; and a white box on the dark page blinds people."""
    picture = drawn[name]
    assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture.png) < 100_000
    height, width, channels = picture.pixels.shape
    assert (height > 200, width > 600, channels) == (True, True, 4)
    corners = picture.pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners[:, 3].tolist() == [0, 0, 0, 0]
    assert (picture.pixels[:, :, 3] == 1).any()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["ink", *COLOURS])
def test_each_colour_stands_out_from_either_page(name: str, page: str) -> None:
    """Chosen on a white page, the yellow of doubts is not seen by half of the people, the grey not by the others."""
    colour = {"ink": INK, **COLOURS}[name]
    assert contrast(np.array(_channels(colour)), PAGES[page]) >= LEGIBLE


@pytest.mark.parametrize("name", DRAWN)
def test_whatever_is_drawn_stands_out_from_either_page(drawn: dict[str, Seen], name: str) -> None:
    """Colours that were agreed, and a library that draws its axes in black all the same."""
    pixels = drawn[name].pixels.reshape(-1, 4)
    colours = np.unique(pixels[pixels[:, 3] == 1][:, :3], axis=0)
    worst = {page: float(contrast(colours, behind).min()) for page, behind in PAGES.items()}
    assert {page: ratio for page, ratio in worst.items() if ratio < LEGIBLE} == {}


def test_no_two_colours_are_taken_for_each_other() -> None:
    """Seven series in five colours: two bars with one meaning, for whoever looks at the legend."""
    channels = [np.array(_channels(colour)) for colour in COLOURS.values()]
    apart = [float(np.abs(one - other).sum()) for place, one in enumerate(channels) for other in channels[:place]]
    assert min(apart) > 0.3


def test_a_funnel_holds_its_numbers(drawn: dict[str, Seen]) -> None:
    """Read aloud by a screen reader, or where pictures are blocked, it would say "funnel"."""
    assert drawn["a funnel of a day"].in_words == (
        "of 250 people: 222 sent, 190 delivered, 90 read, 12 failed, 3 in doubt"
    )
    assert drawn["a funnel of nobody"].in_words == ("of 0 people: 0 sent, 0 delivered, 0 read, 0 failed, 0 in doubt")
    assert drawn["a funnel of millions"].in_words.startswith("of 10,200,001 people: 10,200,000 sent, 9,000,000")


def test_the_bars_of_a_funnel_are_as_long_as_their_numbers(drawn: dict[str, Seen]) -> None:
    """Names and numbers that are listed in different orders give a picture that is wrong and looks right."""
    picture = drawn["a funnel of a day"]
    longest = picture.widest(COLOURS["sent"])
    for name, number in (("delivered", 190), ("read", 90), ("failed", 12), ("in doubt", 3)):
        assert picture.widest(COLOURS[name]) == pytest.approx(longest * number / 222, abs=2), name
    assert not any(drawn["a funnel of nobody"].has(colour) for colour in COLOURS.values())


def test_the_progress_of_a_campaign_holds_its_numbers(drawn: dict[str, Seen]) -> None:
    """Fifteen days of bars, and nobody can say what they come to."""
    assert drawn["forty dates"].in_words == (
        "2026-03-02 to 2026-04-10: 3,600 sent, 3,300 delivered, 2,250 read, 5,750 expected"
    )
    assert drawn["one date, to come"].in_words == (
        "2026-03-02 to 2026-03-02: 0 sent, 0 delivered, 0 read, 230 expected"
    )


SERIES = {
    "one date, sent": {"sent", "delivered", "read", "planned"},
    "one date, to come": {"expected", "planned"},
    "forty dates": {"sent", "delivered", "read", "planned", "expected"},
    "four hundred dates": {"sent", "delivered", "read", "planned", "expected"},
}


@pytest.mark.parametrize("name", SERIES)
def test_every_series_of_a_progress_is_seen_however_many_dates_there_are(drawn: dict[str, Seen], name: str) -> None:
    """A line needs two points: the plan of a campaign of one day was not to be seen at all."""
    # Below the legend, which has all the colours.
    picture = drawn[name]
    plot = Seen(picture.png, picture.in_words, picture.pixels[35:])
    assert {series for series, colour in COLOURS.items() if plot.has(colour)} == SERIES[name]


def test_what_was_planned_for_a_date_stands_over_what_became_of_it(drawn: dict[str, Seen]) -> None:
    """Half a day to the right, the plan of Tuesday is compared with what was sent on Monday."""
    picture = drawn["one date, sent"]
    middles = [
        np.flatnonzero(picture.of_colour(COLOURS[series])[35:].any(axis=0))[[0, -1]].mean()
        for series in ("planned", "sent")
    ]
    assert middles[0] == pytest.approx(middles[1], abs=8)


def test_many_dates_are_no_stripes(drawn: dict[str, Seen]) -> None:
    """Bars thinner than a pixel with gaps between them: a pattern that looks as if every other day had failed."""
    read = drawn["four hundred dates"].of_colour(COLOURS["read"])[35:]
    lowest = read[np.flatnonzero(read.any(axis=1))[-2]]
    first, *_, last = np.flatnonzero(lowest)
    assert lowest[first : last + 1].all()


def test_a_campaign_without_a_date_has_words_for_a_picture() -> None:
    """A draft's progress is looked at as well, and empty axes say that something is broken."""
    assert pictures.progress([]) == dg.MetadataValue.text("no date yet")
    assert metadata.of_days([], {})["progress"] == dg.MetadataValue.text("no date yet")


def test_a_picture_that_has_grown_too_large_is_its_numbers_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty dates with a megabyte each, and the event log's page takes a minute to load."""
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 1_000)
    told = pictures.funnel(A_DAY)
    assert isinstance(told, dg.TextMetadataValue)
    assert told.value is not None
    assert told.value.startswith("of 250 people: 222 sent, 190 delivered, 90 read, 12 failed, 3 in doubt (the picture")


def test_a_table_that_is_cut_off_says_so() -> None:
    """A plan of 400 dates that ends in the middle of June without a word is a campaign that ends in June."""
    schedule = [
        ScheduledDate("spring-sale", MONDAY + timedelta(days=number), number + 1, 250, 250, None, None, 0)
        for number in range(400)
    ]
    plan = metadata.of_schedule(schedule)
    assert len(rows_of(plan["plan"])) == 100  # ty: ignore[invalid-argument-type]
    told = f"100 of 400 rows, from {MONDAY} to {MONDAY + timedelta(days=99)}"
    assert plan["plan_shown"].value == told
    by_day = metadata.of_days(schedule, {})
    assert by_day["by_day_shown"].value == told
    assert "plan_shown" not in metadata.of_schedule(schedule[:100])


def numbers(facts: dict[str, Any]) -> dict[str, type]:
    """What Dagster plots of a materialization over partitions: the numbers, by name, and their types."""
    return {name: type(value) for name, value in facts.items() if isinstance(value, int | float)}


PLOTTED_FIGURES = {
    **dict.fromkeys(("total", "pending", "sent", "delivered", "read", "replied", "failed", "skipped", "in_doubt"), int),
    **dict.fromkeys(("progress_percentage", "delivery_rate", "read_rate"), float),
}


def test_the_same_numbers_are_plotted_for_every_date(desk: OrchestrationDesk) -> None:
    """A rate that is 0 on one date and 33.3 on the next, or a name that is missing: two plots with a point each."""
    of_people = people(9)
    desk.campaign(of_people, daily_send_limit=3)
    desk.simulator.fault("refused", share=1)
    batches = [shown(desk.send(), "daily_batch")]
    desk.simulator.clear_faults()
    desk.clock.forward(days=1)
    desk.simulator.fault("lost_answer", to=phone(of_people[4]))
    batches.append(shown(desk.send("2026-03-03"), "daily_batch"))
    desk.statuses()
    desk.materialize("delivery_statuses")
    batches.append(shown(desk.send("2026-03-03"), "daily_batch"))

    counted = ("sent_in_this_run", "calls_in_this_run", "moved_on", "sender_limit", "capacity_before", "capacity_after")
    plotted = {**dict.fromkeys(("dagster/row_count", *counted), int), **PLOTTED_FIGURES}
    assert [numbers(each) for each in batches] == [plotted] * 3
    assert [each["sent"] for each in batches] == [0, 2, 3]
    assert [each["delivery_rate"] for each in batches] == [0.0, 0.0, 100.0]

    dates = ("2026-03-01", THE_DATE, "2026-03-03")
    analytics = [shown(desk.materialize("campaign_analytics", each), "campaign_analytics") for each in dates]
    assert [numbers(each) for each in analytics] == [PLOTTED_FIGURES] * 3
    assert [each["delivery_rate"] for each in analytics] == [0.0, 0.0, 100.0]


def test_a_date_that_another_one_has_closed_plots_the_same_figures(desk: OrchestrationDesk) -> None:
    """Reported without a run, with names of its own, it would be a gap in every plot."""
    of_people = people(8)
    desk.campaign(of_people)
    desk.simulator.fault("account", to=phone(of_people[3]))
    assert not desk.send().success
    desk.mend()
    desk.clock.forward(days=1)
    assert desk.send("2026-03-03").success
    closed = metadata_of(desk.materializations("daily_batch", THE_DATE)[0])
    assert numbers(closed) == {"moved_on": int, **PLOTTED_FIGURES}


def test_the_analytics_of_a_date_sum_over_its_campaigns(desk: OrchestrationDesk) -> None:
    """The mean of two campaigns' rates is not the rate of the date."""
    desk.campaign(people(6))
    desk.campaign(people(2), "Summer Sale")
    desk.send()
    desk.sql("UPDATE campaign_recipients SET state = 'read' WHERE campaign_id = 2")
    facts = shown(desk.materialize("campaign_analytics", THE_DATE), "campaign_analytics")
    assert (facts["total"], facts["sent"], facts["read"], facts["read_rate"]) == (8, 8, 2, 25.0)
    assert rows_of(facts["states"]) == [{"state": "accepted", "people": 6}, {"state": "read", "people": 2}]
    assert [(row["campaign"], row["read_rate"]) for row in rows_of(facts["campaigns"])] == [
        ("spring-sale", 0.0),
        ("summer-sale", 100.0),
    ]


def test_a_batch_shows_its_picture_and_its_failures_by_reason(desk: OrchestrationDesk) -> None:
    """Three of ten failed: the next question is why, and the answer should not need the database."""
    of_people = people(10)
    desk.campaign(of_people)
    for number in of_people[:3]:
        desk.simulator.fault("refused", to=phone(number))
    facts = shown(desk.send(), "daily_batch")
    assert look(dg.MetadataValue.md(facts["funnel"])).in_words == (
        "of 10 people: 7 sent, 0 delivered, 0 read, 3 failed, 0 in doubt"
    )
    (failed,) = rows_of(facts["failed_and_skipped_by_reason"])
    assert (failed["state"], failed["people"]) == ("failed", 3)
    assert "131026" in str(failed["reason"])
    assert (facts["capacity_before"], facts["capacity_after"]) == (250, 243)


def test_a_campaign_shows_what_was_planned_expected_and_has_happened_by_day(desk: OrchestrationDesk) -> None:
    """Planned and done side by side is what a marketer is asked for on Monday."""
    desk.clock.set("2026-03-02T08:00:00+00:00")
    desk.campaign(people(25), daily_send_limit=10)
    desk.clock.set("2026-03-02T09:00:00+00:00")
    desk.send()
    desk.statuses()
    desk.materialize("delivery_statuses")
    desk.show_ledger()
    facts = shown(desk.materialize("campaign_progress", "spring-sale"), "campaign_progress")
    assert rows_of(facts["by_day"]) == [
        {"send_date": THE_DATE, "planned": 10, "expected": None, "sent": 10, "delivered": 10, "read": 10},
        {"send_date": "2026-03-03", "planned": 10, "expected": 10, "sent": None, "delivered": None, "read": None},
        {"send_date": "2026-03-04", "planned": 5, "expected": 5, "sent": None, "delivered": None, "read": None},
    ]
    assert look(dg.MetadataValue.md(facts["progress"])).in_words == (
        "2026-03-02 to 2026-03-04: 10 sent, 10 delivered, 10 read, 15 expected"
    )
