"""The score rows of one vehicle, from a table of many."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from amad.config import DataError
from amad.report.score_rows import COLUMNS, ScoreRows
from amad.telemetry.schemas import SCORES

DAY = date(2026, 1, 9)


def write_table(file: Path, rows: int, group: int) -> pa.Table:
    """So many rows of each of three vehicles."""
    ids = np.repeat(["bev-1", "bev-10", "ice-1"], rows)
    table = pa.table(
        {"vehicle": ids, "timestamp": np.arange(len(ids)), "score": np.arange(len(ids))}
    )
    for name in SCORES.names[3:]:
        table = table.append_column(name, pa.nulls(len(ids), SCORES.field(name).type))
    table = table.cast(SCORES)
    pq.write_table(table, file, row_group_size=group, write_page_checksum=True)
    return table


@pytest.mark.parametrize("group", [4, 3, 100], ids=["own groups", "shared groups", "one group"])
def test_a_vehicles_rows_are_all_of_its_own_and_no_others(tmp_path, group):
    table, rows = write_table(file := tmp_path / "part.parquet", 4, group), ScoreRows()
    for vehicle in ("bev-1", "ice-1", "bev-10"):
        wanted = table.filter(pc.equal(table["vehicle"], vehicle)).select(list(COLUMNS))
        assert rows.of(vehicle, file, DAY).equals(wanted)
    assert rows.of("bev-100", file, DAY).num_rows == 0


def test_a_damaged_table_names_the_way_out(tmp_path):
    write_table(file := tmp_path / "part.parquet", 1000, 1000)
    content = bytearray(file.read_bytes())
    content[200] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"part.parquet is damaged.*amad score --date {DAY}"):
        ScoreRows().of("bev-1", file, DAY)
    with pytest.raises(DataError, match=r"none\.parquet"):
        ScoreRows().of("bev-1", tmp_path / "none.parquet", DAY)


def test_a_table_without_rows_has_none_and_one_of_other_columns_names_the_way_out(tmp_path):
    table = write_table(tmp_path / "full.parquet", 4, 4)
    with pq.ParquetWriter(file := tmp_path / "part.parquet", SCORES) as writer:
        writer.write_table(table.slice(0, 0))
        writer.write_table(table)
    assert ScoreRows().of("ice-1", file, DAY).num_rows == 4
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    assert ScoreRows().of("ice-1", tmp_path / "none.parquet", DAY).num_rows == 0
    pq.write_table(table.drop_columns("vehicle"), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=f"other.parquet.*amad score --date {DAY}"):
        ScoreRows().of("ice-1", tmp_path / "other.parquet", DAY)
