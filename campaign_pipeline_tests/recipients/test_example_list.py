"""The list that the README shows has exactly the people that the README promises."""

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

import campaign_pipeline
from campaign_pipeline.recipients.consent import ConsentColumns
from campaign_pipeline.recipients.list_files import BadRow, open_list
from campaign_pipeline.recipients.phone_numbers import InvalidPhone, parse_phone

_FOLDER = Path(campaign_pipeline.__file__).parents[1] / "examples" / "spring_sale"


@pytest.fixture(scope="module")
def make_recipients() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_recipients", _FOLDER / "make_recipients.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_list_holds_ten_thousand_people_and_the_mess_it_promises() -> None:
    """A first run that sends 9,998 messages instead of 10,000 looks like a fault of the pipeline."""
    willing: Counter[str] = Counter()
    unwilling: Counter[str] = Counter()
    invalid: Counter[str] = Counter()
    with open_list(_FOLDER / "recipients.csv") as reader:
        consent = ConsentColumns.from_header(reader.header)
        for row in reader:
            assert not isinstance(row, BadRow), row
            try:
                person = parse_phone(row.phone, "GB").person_key
            except InvalidPhone as refusal:
                invalid[refusal.code] += 1
            else:
                (unwilling if consent.consent(row.columns) is False else willing)[person] += 1
    assert len(willing) == 10_000
    assert Counter(willing.values()) == {1: 9_650, 2: 350}
    assert len(unwilling) == unwilling.total() == 25
    assert not willing.keys() & unwilling.keys()
    assert invalid.total() == 120
    assert {"empty", "not_a_number", "letters", "extension", "scientific_notation", "too_short", "too_long"} < set(
        invalid
    )


def test_the_shipped_list_is_what_the_script_makes(make_recipients: ModuleType) -> None:
    """A list that nobody can make again cannot be changed, and a changed one makes the README wrong."""
    made = make_recipients.make_list()
    assert made == (_FOLDER / "recipients.csv").read_bytes()
    assert made == make_recipients.make_list()
    assert made.startswith(b"\xef\xbb\xbfphone,")
    assert len(made) < 1_000_000
