"""Lists as Parquet tables, and files that grow as no list does."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from pyarrow import parquet

from campaign_pipeline.recipients import list_unpacking, parquet_lists
from campaign_pipeline.recipients.list_files import BadRow, ListFileError, ListRow, open_list


def _table(path: Path, **columns: Any) -> Path:  # noqa: ANN401 - whatever a table holds
    parquet.write_table(pyarrow.table(columns), path)
    return path


def _rows(path: Path) -> list[ListRow | BadRow]:
    with open_list(path) as reader:
        return list(reader)


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (447911123456, pyarrow.int64(), "447911123456"),
        (2**63, pyarrow.uint64(), "9223372036854775808"),
        (447911123456.0, pyarrow.float64(), "447911123456"),
        (float("nan"), pyarrow.float64(), ""),
        (19.99, pyarrow.float32(), "19.99"),
        (Decimal("447911123456.00"), pyarrow.decimal128(20, 2), "447911123456"),
        (Decimal("12.50"), pyarrow.decimal128(20, 2), "12.50"),
        (True, pyarrow.bool_(), "true"),
        (date(2024, 5, 1), pyarrow.date32(), "2024-05-01"),
        (datetime(2024, 5, 1), pyarrow.timestamp("ns"), "2024-05-01"),  # noqa: DTZ001 - a table without time zones
        (datetime(2024, 5, 1, 9, 30, tzinfo=UTC), pyarrow.timestamp("us", "UTC"), "2024-05-01T09:30:00+00:00"),
        (" Zoë ", pyarrow.string(), "Zoë"),
        ("Zoë".encode(), pyarrow.binary(), "Zoë"),
        ("Zoë", pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), "Zoë"),
        (["a", "é"], pyarrow.list_(pyarrow.string()), '["a", "é"]'),
        ({"a": date(2024, 5, 1)}, pyarrow.struct({"a": pyarrow.date32()}), '{"a": "2024-05-01"}'),
        (None, pyarrow.null(), ""),
    ],
)
def test_a_value_of_a_table_reads_as_a_person_would_have_typed_it(
    tmp_path: Path, value: object, type_: pyarrow.DataType, text: str
) -> None:
    """A phone column with one gap becomes floats in pandas; nobody has the number 447911123456.0."""
    path = _table(tmp_path / "a.parquet", phone=["1"], value=pyarrow.array([value], type_))
    assert _rows(path) == [ListRow(1, "1", {"value": text})]


@pytest.mark.parametrize(
    ("value", "type_"),
    [(4479111234567890.0, pyarrow.float64()), (447911123456.0, pyarrow.float32()), (float("inf"), pyarrow.float64())],
)
def test_a_number_with_more_digits_than_its_type_keeps_is_rejected(
    tmp_path: Path, value: float, type_: pyarrow.DataType
) -> None:
    """A phone number in 32 bits is another one: 447911123456 reads back as 447911133184."""
    path = _table(tmp_path / "a.parquet", phone=pyarrow.array([value, 7.0], type_))
    bad, good = _rows(path)
    assert isinstance(bad, BadRow)
    assert (bad.line_number, bad.reason) == (1, "digits_lost")
    assert good == ListRow(2, "7", {})


def test_the_row_numbers_of_a_data_frame_are_no_column(tmp_path: Path) -> None:
    """A data frame writes them along unless it is told not to."""
    path = tmp_path / "a.parquet"
    pandas.DataFrame({"phone": ["1", "2"]}, index=pandas.Index([5, 6])).to_parquet(path)
    assert _rows(path) == [ListRow(1, "1", {}), ListRow(2, "2", {})]


def test_one_text_that_is_not_utf8_is_one_bad_row(tmp_path: Path) -> None:
    """Arrow refuses the whole column, and with it a million people."""
    broken = pyarrow.array([b"Ann", b"Zo\xeb", b"Bob"]).view(pyarrow.string())
    rows = _rows(_table(tmp_path / "a.parquet", phone=["1", "2", "3"], name=broken))
    assert [row.reason if isinstance(row, BadRow) else row.phone for row in rows] == ["1", "not_utf8", "3"]


def test_a_table_follows_the_rules_of_every_header(tmp_path: Path) -> None:
    """The same list must be refused for the same reason in every format."""
    with pytest.raises(ListFileError, match=r"2 columns that could be the phone number, phone and Mobile"):
        _rows(_table(tmp_path / "a.parquet", phone=["1"], Mobile=["2"]))
    with pytest.raises(ListFileError, match=r"more than one column named Name, name"):
        _rows(_table(tmp_path / "a.parquet", phone=["1"], name=["2"], Name=["3"]))


def test_a_table_is_read_through_all_its_groups_of_rows(tmp_path: Path) -> None:
    """Row numbers go on from group to group, and the progress reaches the end."""
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"phone": [str(n) for n in range(5_000)]}), path, row_group_size=1_700)
    with open_list(path) as reader:
        rows, seen = zip(*((row, reader.bytes_read) for row in reader), strict=True)
        assert reader.bytes_read == reader.size
    assert rows == tuple(ListRow(n + 1, str(n), {}) for n in range(5_000))
    assert list(seen) == sorted(seen)
    assert seen[0] < path.stat().st_size / 2


def test_a_damaged_table_is_a_sentence(tmp_path: Path) -> None:
    """A disk that flips a byte must not end in a traceback, nor in wrong numbers."""
    path = _table(tmp_path / "a.parquet", phone=[str(number * 7919) for number in range(10_000)])
    content = bytearray(path.read_bytes())
    content[8:2_000] = bytes(1_992)
    path.write_bytes(content)
    with pytest.raises(ListFileError, match=r"is a Parquet file that cannot be read .*: write it again"):
        _rows(path)


def test_a_table_that_claims_more_rows_than_there_are_people_to_send_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value, repeated by a count, is billions of rows in a kilobyte."""
    monkeypatch.setattr(parquet_lists, "MOST_ROWS", 99)
    with pytest.raises(ListFileError, match="more than 99 rows: divide the list"):
        _rows(_table(tmp_path / "a.parquet", phone=["1"] * 100))


@pytest.mark.parametrize(
    ("unpacked", "packed", "says"),
    [
        (list_unpacking.LARGEST_UNPACKED + 1, list_unpacking.LARGEST_UNPACKED, "more than 4 GiB: divide the list"),
        (list_unpacking.ALWAYS_ALLOWED + 1, 1_000, "more than 200 times its size"),
        (list_unpacking.ALWAYS_ALLOWED + 1, 0, "more than 200 times its size"),
    ],
)
def test_a_file_that_grows_as_no_list_does_is_refused(unpacked: int, packed: int, says: str) -> None:
    """A few kilobytes can hold a terabyte, and would keep a worker busy for a week."""
    with pytest.raises(ListFileError, match=says):
        list_unpacking.refuse_a_bomb("people.gz", unpacked, packed)


@pytest.mark.parametrize(
    ("unpacked", "packed"),
    [(list_unpacking.ALWAYS_ALLOWED, 1), (30 * 1024**3 // 8, 1024**3 // 8), (0, 0)],
)
def test_a_list_that_packs_well_is_not_refused(unpacked: int, packed: int) -> None:
    """A million people of one town pack well, and are no attack."""
    list_unpacking.refuse_a_bomb("people.gz", unpacked, packed)


def test_a_packed_list_that_grows_without_end_is_stopped_while_it_is_read(tmp_path: Path) -> None:
    """A gzip file does not say how large it will be; the limit must hold while it grows, and within bounded memory."""
    path = tmp_path / "people.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"phone\n1\n")
        for _ in range(1_000):
            file.write(b"x" * 1024**2)
    read: list[ListRow | BadRow] = []
    with open_list(path) as reader, pytest.raises(ListFileError, match="200 times its size"):
        read.extend(reader)
