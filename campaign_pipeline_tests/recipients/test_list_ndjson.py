"""Lists as NDJSON: one object a line, as shop systems and jq write them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.recipients.consent import ConsentColumns
from campaign_pipeline.recipients.json_lists import MOST_FIELDS
from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list


def _rows(tmp_path: Path, content: str | bytes, phone_column: str | None = None) -> list[ListRow | BadRow]:
    path = tmp_path / "people.ndjson"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_list(path, phone_column=phone_column) as reader:
        return list(reader)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('" Zoë "', "Zoë"),
        ('"Zo\\u00eb"', "Zoë"),
        ("447911123456", "447911123456"),
        ("447911123456.0", "447911123456"),
        ("4.47911123456E11", "447911123456"),
        ("4.479E+11", "4.479E+11"),
        ("12345678901234567890", "12345678901234567890"),
        ("1.50", "1.5"),
        ("1e5", "100000"),
        ("NaN", ""),
        ("null", ""),
        ("true", "true"),
        ('["a", {"b": 1.5, "c": "é"}]', '["a", {"b": 1.5, "c": "é"}]'),
        ("{}", "{}"),
    ],
)
def test_a_value_reads_as_a_person_would_have_typed_it(tmp_path: Path, value: str, text: str) -> None:
    """A number must not get a point or an exponent on its way, and a nested value stays readable."""
    rows = _rows(tmp_path, f'\ufeff\n{{"phone": "1", "value": {value}}}\n')
    assert rows == [ListRow(2, "1", {"value": text})]


def test_a_field_that_only_later_people_have_counts_for_them(tmp_path: Path) -> None:
    """Databases leave out what is empty: opt_out first appears with the first person who said no."""
    path = tmp_path / "people.ndjson"
    path.write_text('{"phone": "1"}\n{"name": "Bob", "phone": "2"}\n\n{"phone": "3", "opt_out": true}\n{}\n')
    with open_list(path) as reader:
        assert reader.header == ("phone", "name", "opt_out")
        consent = ConsentColumns.from_header(reader.header)
        rows = list(reader)
    assert rows == [
        ListRow(1, "1", {"name": "", "opt_out": ""}),
        ListRow(2, "2", {"name": "Bob", "opt_out": ""}),
        ListRow(4, "3", {"name": "", "opt_out": "true"}),
    ]
    assert [consent.consent(row.columns) for row in rows if isinstance(row, ListRow)] == [None, None, False]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"phone": "1"', "bad_json"),
        ('{"phone": "1"} {"phone": "2"}', "bad_json"),
        ("{'phone': '1'}", "bad_json"),
        ("+447911123456", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"phone": "1", "name": ' + "[" * 50_000 + "]" * 50_000 + "}", "bad_json"),
        ('{"phone": ' + "1" * 5_000 + "}", "bad_json"),
        ('"+447911123456"', "not_an_object"),
        ('["+447911123456"]', "not_an_object"),
        ('{"opt_in": "no", "phone": "1", "opt_in": "yes"}', "duplicate_field"),
        ('{"phone": "1", " phone": "2"}', "duplicate_field"),
        ('{"phone": 4479111234567890.0}', "digits_lost"),
        ('{"phone": 1e999}', "digits_lost"),
        ('{"phone": "1\\u0000"}', "nul_byte"),
        ('{"phone": "1", "name": "\\ud800"}', "not_utf8"),
        (b'{"phone": "1", "name": "Zo\xeb"}', "not_utf8"),
        ('{"phone": "1", "name": "' + "x" * 140_000 + '"}', "field_too_long"),
    ],
)
def test_a_line_that_is_no_person_is_one_bad_row(tmp_path: Path, line: str | bytes, reason: str) -> None:
    """One broken line must not end the reading, nor take its person along unseen."""
    broken = line.encode() if isinstance(line, str) else line
    content = '{"phone": "8", "name": "é"}\n'.encode() + broken + b'\n{"phone": "9"}\n'
    first, bad, last = _rows(tmp_path, content)
    assert isinstance(bad, BadRow)
    assert (bad.line_number, bad.reason) == (2, reason)
    assert bad.value.encode()
    assert (first, last) == (ListRow(1, "8", {"name": "é"}), ListRow(3, "9", {"name": ""}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"name": "Ann"}\n', "No column of people.ndjson is known to hold the phone number"),
        ('{"phone": "1", "Mobile": "2"}\n', "2 columns that could be the phone number, phone and Mobile"),
        ('{"phone": "1", "name": "x"}\n{"phone": "1", "Name": "x"}\n', "more than one column named Name, name"),
        ('{"phone": "1"\n{"phone": "2"\n', "No line of people.ndjson is a JSON object"),
        ("".join(f'{{"+{n:09}": 1}}\n' for n in range(MOST_FIELDS + 1)), "more than 1,000 different fields"),
    ],
)
def test_an_ndjson_file_follows_the_rules_of_every_header(tmp_path: Path, content: str, says: str) -> None:
    """The same list must be refused for the same reason in every format."""
    with pytest.raises(ListFileError) as refusal:
        _rows(tmp_path, content)
    assert says in str(refusal.value)


def test_the_phone_field_can_be_named(tmp_path: Path) -> None:
    """A list with two numbers a person needs to say which one is meant."""
    content = '{"phone": "1", "second_phone": "2"}\n'
    assert _rows(tmp_path, content, "Second Phone") == [ListRow(1, "2", {"phone": "1"})]


@given(
    people=st.lists(
        st.fixed_dictionaries(
            {"phone": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))},
            optional={"name": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))},
        ),
        min_size=1,
    ),
    ascii_only=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_pythons_json_writes_is_read_back(
    tmp_path: Path, people: list[dict[str, str]], ascii_only: bool, encoding: str
) -> None:
    """Line separators of Unicode are text in JSON, and end no line."""
    lines = "".join(json.dumps(person, ensure_ascii=ascii_only) + "\n" for person in people)
    rows = _rows(tmp_path, lines.encode(encoding))
    expected = [(person["phone"].strip(), person.get("name", "").strip()) for person in people]
    read = [(row.phone, row.columns.get("name", "")) for row in rows if isinstance(row, ListRow)]
    assert read == [person for person in expected if any(person)]
    assert not [row for row in rows if isinstance(row, BadRow)]
