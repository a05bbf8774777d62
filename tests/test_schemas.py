"""The contracts between the stages say what is wrong."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amad.config import DataError
from amad.telemetry.files import write_parquet
from amad.telemetry.schemas import EVENTS, QUARANTINE, REJECTED, check, lake_schema
from tests.ingest_kit import raw_fleet


def test_a_matching_table_passes_unchanged():
    table = QUARANTINE.empty_table()
    assert check(table, QUARANTINE, "quarantine") is table


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (REJECTED.empty_table().drop_columns(["row"]), r"x\.parquet.*missing: \['row'\]"),
        (
            REJECTED.empty_table().append_column("more", pa.array([], pa.int8())),
            r"unexpected: \['more'\]",
        ),
        (REJECTED.empty_table().select(["row", "file", "reason", "content"]), "another order"),
        (
            REJECTED.empty_table().set_column(1, "row", pa.array([], pa.int32())),
            "column row is int32, the contract says int64",
        ),
    ],
)
def test_what_does_not_match_is_told(table, said):
    with pytest.raises(DataError, match=said):
        check(table, REJECTED, "x.parquet")


def test_no_file_is_written_against_its_contract(tmp_path):
    with pytest.raises(DataError):
        write_parquet(REJECTED.empty_table(), tmp_path / "x.parquet", EVENTS)
    assert list(tmp_path.iterdir()) == []
    write_parquet(EVENTS.empty_table(), tmp_path / "x.parquet", EVENTS)
    assert pq.read_schema(tmp_path / "x.parquet") == EVENTS


def test_the_lake_has_a_label_only_where_raw_data_tells_it():
    channels = ["timestamp", "speed", "level", "charge"]
    for kind, names in [
        ("none", channels),
        ("injected", channels),
        ("column", [*channels, "label"]),
    ]:
        assert lake_schema(raw_fleet(labels={"kind": kind})).names == names
    assert {lake_schema(raw_fleet()).field(n).type for n in channels[1:]} == {pa.float64()}
