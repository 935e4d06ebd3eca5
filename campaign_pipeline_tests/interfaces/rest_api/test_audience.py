"""Where everybody of a campaign stands, over the REST API: the same people as at the command line, in every form."""

import csv
import io
import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from sqlalchemy import text

from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.interfaces.test_doubts import with_doubts
from campaign_pipeline_tests.support.campaigns import phone
from campaign_pipeline_tests.support.waiting import PATIENCE, wait_until

ODD_QUESTIONS: Final = (
    "state=nobody",
    "state=",
    "state=pending' OR 1=1 --",
    "state=%00",
    "limit=0",
    "limit=501",
    "limit=1e3",
    "limit=%00",
    "cursor=",
    "cursor=%00",
    "cursor=<script>",
    "cursor=' OR 1=1",
    "cursor=AAAA",
    "cursor=" + "a" * 1_001,
    "cursor=eyJjYW1wYWlnbiI6MSwic3RhdGUiOm51bGwsImlkIjo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OX0",
    "colour=red",
    "cursor=a&cursor=b",
)

PEOPLE: Final = "/marketing/campaigns/spring-sale/recipients"

MANY: Final = 10_000
"""As objects they would take some 15 MB."""


def in_utc(document: Any) -> Any:  # noqa: ANN401 - JSON
    """A document of the API with moments as the command line writes them."""
    return json.loads(json.dumps(document).replace('Z"', '+00:00"'))


def pages(api: ServedApi, path: str, name: str, role: ApiRole = ApiRole.OPERATOR) -> list[Any]:
    """Everything on every page."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        more = "" if cursor is None else f"&cursor={cursor}"
        answer = api.get(f"{path}{more}", role)
        assert answer.ok, answer.text
        found += answer.json()[name]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


def _people_of_every_kind(installation: Installation) -> None:
    """Two in doubt, two accepted, of whom one is delivered, two who wait, one who is taken out, one unsubscribed."""
    with_doubts(installation)
    installation.must("create", "Summer", "--template", "summer", "--daily-limit", "1")
    installation.must("add", "spring-sale", installation.list_of(range(10, 15), "late.csv"))
    installation.must("remove", "spring-sale", phone(11))
    installation.must("unsubscribe", phone(12))


def _many(api: ServedApi) -> None:
    api.must("/marketing/campaigns", SPRING)
    with api.workplace.ledger.write() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) "
                "INSERT INTO campaign_recipients "
                "(campaign_id, person_key, phone, parameters, position, state, changed_at) "
                "SELECT 1, '+4479' || (11000000 + i), '+4479' || (11000000 + i), '{}', i, 'pending', "
                "'2026-03-02 08:00:00.000000' FROM n"
            ),
            {"many": MANY},
        )


def test_the_pages_show_what_the_command_line_shows(api: ServedApi, installation: Installation) -> None:
    """Two ways to look at one person would tell two stories."""
    _people_of_every_kind(installation)
    shown = installation.must("recipients", "spring-sale", "--json").json
    assert {each["state"] for each in shown} == {"in_doubt", "accepted", "pending", "skipped"}
    assert [bool(each["expected_date"]) for each in shown[4:]] == [True, False, False, True, True]
    for size in (1, 3, 9, 500):
        assert in_utc(pages(api, f"{PEOPLE}?limit={size}", "recipients")) == shown
    skipped = pages(api, f"{PEOPLE}?state=skipped&limit=1", "recipients")
    assert in_utc(skipped) == installation.must("recipients", "spring-sale", "--status", "skipped", "--json").json
    assert [each["reason"] for each in skipped] == ["removed"]


def test_the_files_are_those_of_the_command_line(api: ServedApi, installation: Installation) -> None:
    """A spreadsheet that was made yesterday by hand is compared with today's, which a program has fetched."""
    installation.set("CAMPAIGN_TIMEZONE", "America/New_York")
    with ServedApi(installation.clock) as served:
        _people_of_every_kind(installation)
        for words, query in (((), ""), (("--status", "in_doubt"), "?state=in_doubt")):
            table = served.get(f"{PEOPLE}.csv{query}", ApiRole.OPERATOR)
            assert table.text == installation.must("recipients", "spring-sale", *words, "--csv", "-").stdout
            assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert table.headers["Content-Length"] == str(len(table.content))
            assert table.headers["Content-Disposition"] == 'attachment; filename="spring-sale-recipients.csv"'
            lines = served.get(f"{PEOPLE}.ndjson{query}", ApiRole.OPERATOR).text.splitlines()
            told = installation.must("recipients", "spring-sale", *words, "--json").json
            assert [json.loads(line) for line in lines] == told
    assert list((installation.folder / "data" / "uploads").iterdir()) == []


def test_a_viewer_sees_no_phone_number_in_any_form(api: ServedApi, installation: Installation) -> None:
    """Meta's id of a message holds the number in Base64, so it is one too."""
    _people_of_every_kind(installation)
    answers = [api.get(f"{PEOPLE}{form}") for form in ("", ".csv", ".ndjson")]
    for answer in answers:
        assert "***10" in answer.text
        assert phone(10)[1:] not in answer.text
        assert "wamid." not in answer.text
    assert "wamid." in api.get(PEOPLE, ApiRole.OPERATOR).text


def test_a_file_of_many_takes_little_memory_and_no_transaction(api: ServedApi) -> None:
    """A million people in memory, or one slow reader who keeps the ledger from being tidied up, and sending stops."""
    _many(api)
    ask = {"Authorization": f"Bearer {api.tokens[ApiRole.OPERATOR]}"}
    requests.get(f"{api.url}{PEOPLE}.csv?state=read", headers=ask, timeout=PATIENCE)
    tracemalloc.start()
    try:
        with requests.get(f"{api.url}{PEOPLE}.csv", headers=ask, stream=True, timeout=PATIENCE) as answer:
            read = answer.raw.read(10)
            assert api.workplace.ledger.engine.pool.checkedout() == 0  # ty: ignore[unresolved-attribute]
            size = len(read) + sum(len(block) for block in answer.iter_content(64 * 1024))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == int(answer.headers["Content-Length"])
    assert size > 30 * MANY
    assert most < 6_000_000


def test_a_page_deep_in_a_long_queue_tells_the_dates_that_everybody_else_tells(api: ServedApi) -> None:
    """`When is it my turn?` is asked by the last of ten thousand too."""
    _many(api)
    api.must("/marketing/campaigns/1/activate")
    everybody = api.get(f"{PEOPLE}.ndjson", ApiRole.OPERATOR).text.splitlines()
    cursor, row = None, 0
    for _ in range(3):
        page = api.get(f"{PEOPLE}?limit=500{'' if cursor is None else f'&cursor={cursor}'}", ApiRole.OPERATOR).json()
        for each in page["recipients"]:
            assert each["expected_date"] == json.loads(everybody[row])["expected_date"]
            row += 1
        cursor = page["next_cursor"]
    assert json.loads(everybody[-1])["expected_date"] == "2026-04-10"


def test_no_cell_of_a_file_is_a_formula(api: ServedApi, installation: Installation) -> None:
    """A list's name, or a row of it, runs a program on the desk of whoever opens the file."""
    api.must("/marketing/campaigns", SPRING)
    path = installation.folder / "=1+1.csv"
    path.write_text(f"phone\n{phone(1)}\n\"=cmd|' /C calc'!A0\"\n@SUM(1)\n-5\n", encoding="utf-8")
    installation.must("add", "spring-sale", str(path))
    people = list(csv.DictReader(io.StringIO(api.get(f"{PEOPLE}.csv", ApiRole.OPERATOR).text)))
    rejected = api.get("/marketing/campaigns/spring-sale/rejections.csv", ApiRole.OPERATOR).text
    assert [(each["phone"], each["list_name"]) for each in people] == [(phone(1), "'=1+1.csv")]
    values = [each["value"] for each in csv.DictReader(io.StringIO(rejected))]
    assert values == ["'=cmd|' /C calc'!A0", "'@SUM(1)", "'-5"]
    assert all("=1+1.csv" not in line or "'=1+1.csv" in line for line in rejected.splitlines())


@pytest.mark.parametrize("path", ["recipients", "rejections"])
def test_a_question_that_makes_no_sense_is_refused(api: ServedApi, path: str) -> None:
    """Whatever stands in an address, the answer is a sentence, never a fault."""
    api.must("/marketing/campaigns", SPRING)
    for query in ODD_QUESTIONS:
        answer = api.get(f"/marketing/campaigns/spring-sale/{path}?{query}")
        assert answer.status_code in (404, 422), (query, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_cursor_is_good_for_its_own_question_alone(api: ServedApi, installation: Installation) -> None:
    """Taken for another campaign, it would leave people out without a word."""
    installation.active_campaign(3)
    installation.must("create", "Summer", "--template", "summer")
    cursor = api.get(f"{PEOPLE}?limit=1").json()["next_cursor"]
    assert api.get(f"{PEOPLE}?limit=2&cursor={cursor}").ok
    assert api.get(f"{PEOPLE}?state=pending&cursor={cursor}").status_code == 404
    assert api.get(f"/marketing/campaigns/summer/recipients?cursor={cursor}").status_code == 404
    assert api.get(f"/marketing/campaigns/summer/rejections?cursor={cursor}").status_code == 404
    for form in ("recipients", "recipients.csv", "recipients.ndjson", "rejections", "rejections.csv"):
        assert api.get(f"/marketing/campaigns/nobody/{form}").status_code == 404


def test_a_reader_who_goes_away_leaves_nothing_behind(api: ServedApi, installation: Installation) -> None:
    """A browser tab that is closed, a thousand times, and the disk is full."""
    _many(api)
    ask = {"Authorization": f"Bearer {api.tokens[ApiRole.OPERATOR]}"}

    def held() -> int:
        links: list[str] = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                links.append(str(each.readlink()))
        return sum("uploads" in link for link in links)

    for _ in range(5):
        requests.get(f"{api.url}{PEOPLE}.ndjson", headers=ask, stream=True, timeout=PATIENCE).close()
    wait_until(lambda: held() == 0, "the files to be closed")
    assert list((installation.folder / "data" / "uploads").iterdir()) == []
