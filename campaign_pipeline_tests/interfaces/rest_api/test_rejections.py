"""Who was not added from a campaign's lists, over the REST API."""

import csv
import io

from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.interfaces.rest_api.test_audience import pages
from campaign_pipeline_tests.support.campaigns import phone

REJECTIONS = "/marketing/campaigns/spring-sale/rejections"


def _lists(api: ServedApi, installation: Installation) -> None:
    """Two lists with some who were not added, and between them one without."""
    api.must("/marketing/campaigns", SPRING)
    (installation.folder / "first.csv").write_text(f"phone\n{phone(1)}\nhello\n{phone(1)}\n12345678\n")
    for name in ("first.csv", installation.list_of([2], "second.csv"), installation.list_of([2, 1], "third.csv")):
        installation.must("add", "spring-sale", name)


def test_every_row_that_was_not_added_is_on_one_page(api: ServedApi, installation: Installation) -> None:
    """Whoever looks for a customer in it looks through all lists, a page at a time."""
    _lists(api, installation)
    found = pages(api, f"{REJECTIONS}?limit=500", "rejections")
    assert [(each["list_name"], each["line_number"], each["value"], each["reason"]) for each in found] == [
        ("first.csv", 3, "hello", "invalid"),
        ("first.csv", 4, phone(1), "duplicate_in_list"),
        ("first.csv", 5, "12345678", "invalid"),
        ("third.csv", 2, phone(2), "already_in_campaign"),
        ("third.csv", 3, phone(1), "already_in_campaign"),
    ]
    for size in (1, 2, 3, 5):
        assert pages(api, f"{REJECTIONS}?limit={size}", "rejections") == found
    invalid = [each for each in found if each["reason"] == "invalid"]
    assert pages(api, f"{REJECTIONS}?limit=1&reason=invalid", "rejections") == invalid
    table = api.get(f"{REJECTIONS}.csv?reason=invalid", ApiRole.OPERATOR).text
    assert [each["value"] for each in csv.DictReader(io.StringIO(table))] == ["hello", "12345678"]
    everything = list(csv.DictReader(io.StringIO(api.get(f"{REJECTIONS}.csv", ApiRole.OPERATOR).text)))
    assert everything == [{name: str(value) for name, value in each.items()} for each in found]


def test_a_viewer_sees_no_number_among_them(api: ServedApi, installation: Installation) -> None:
    """A number that was not added is somebody's number all the same."""
    _lists(api, installation)
    for form in ("", ".csv"):
        told = api.get(f"{REJECTIONS}{form}").text
        assert "***01" in told
        assert phone(1)[1:] not in told
        assert "12345678" not in told
