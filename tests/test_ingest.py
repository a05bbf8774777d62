"""Raw files into the lake: everything is counted, sorted, kept once, and survives a kill."""

import json
import math
import shutil
import textwrap
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.config import DataError, Fleet, ServiceError, Settings, load_fleet
from amad.ingest import spill
from amad.ingest.ingestion import ingest
from amad.ingest.part_writer import CONTRADICTS
from amad.ingest.refused_rows import CHUNK_ROWS, RejectedLog
from amad.reading import parquet_file
from amad.telemetry.lake import Lake
from tests.ingest_kit import (
    DAY,
    SECOND,
    START,
    START_US,
    Yard,
    at,
    line,
    of_lake,
    raw_fleet,
    said,
    seconds_of,
    tree,
)

ROOT = Path(__file__).resolve().parent.parent
VEHICLES = ["a-1", "a-2", "b-1", "c-1", ""]


def test_rows_are_sorted_typed_and_in_their_day(yard):
    yard.csv("x.csv", [line(seconds=DAY + 1, speed=3), line(seconds=5), line(seconds=2, level="")])
    counts, lake = yard.ingest(raw_fleet())
    assert counts.content() == {
        "rows_in": 3, "rows_lake": 3, "rows_rejected": 0, "rejected_by_reason": {},
        "ignored": {}, "rows_short": 0,
        "vehicles": {"a-1": 3}, "files": 1, "files_refused": [], "days": 2, "rows_merged": 0,
        "files_gone": [], "files_twice": [], "vehicles_unknown": {}, "likely_doubles": [],
        "outside_class": [],
        "nulls_by_channel": {},
        "newest": {"a-1": at(DAY + 1)}, "files_read": 1, "rows_added": 3, "days_changed": 2,
        "first_rejected": {},
    }  # fmt: skip
    assert seconds_of(lake.read("a-1")) == [2, 5, DAY + 1]
    assert lake.read("a-1")["level"].to_pylist() == [None, 2, 2]
    assert lake.read("a-1")["charge"].null_count == 3


def test_what_cannot_be_read_is_rejected_with_file_row_and_reason(yard):
    yard.csv(
        "x.csv",
        [
            line(seconds=0),
            "a-1,2026-01-05,1,2,3",
            line(seconds=1, speed="fast"),
            "a-1,yesterday,1,2",
            "a-1,,1,2",
            line("c-9", 2),
            line("", 3),
            line(seconds=4, level="inf"),
            line(seconds=5),
        ],
    )
    counts, lake = yard.ingest(raw_fleet())
    assert seconds_of(lake.read("a-1")) == [0, 5]
    assert counts.rows_in == 9 and counts.rows_rejected == 7
    rejected = yard.rejected(raw_fleet())
    assert [(row["row"], row["reason"].split(":")[0].split(",")[0]) for row in rejected] == [
        (2, "wrong number of fields"),
        (3, "speed is not a finite number"),
        (4, "timestamp is not readable"),
        (5, "timestamp is missing"),
        (6, "vehicle is in no vehicle class of the fleet file"),
        (7, "vehicle id is missing"),
        (8, "level is not a finite number"),
    ]
    assert {row["file"] for row in rejected} == {"x.csv"}
    assert json.loads(rejected[0]["content"]) == {"line": "a-1,2026-01-05,1,2,3"}
    assert json.loads(rejected[1]["content"])["speed"] == "fast"
    # Of the rows whose vehicle is known: speed, two timestamps, level.
    assert lake.day_table()["unreadable"].to_pylist() == [4]


cell = st.sampled_from(["1", "2.5", "", "x"])
raw_line = st.one_of(
    st.tuples(
        st.sampled_from(VEHICLES), st.integers(0, 3 * DAY // 3600), cell, cell
    ).map(lambda t: f"{t[0]},{at(3600 * t[1])},{t[2]},{t[3]}"),
    st.sampled_from(["a-1,,1,2", "a-1", "a,b,c,d,e", ""]),
)  # fmt: skip


@pytest.mark.slow
@given(files=st.lists(st.lists(raw_line, max_size=25), min_size=1, max_size=3))
@settings(max_examples=40)
def test_rows_in_are_rows_in_the_lake_or_rejected(files, tmp_path_factory):
    yard, fleet = Yard(tmp_path_factory.mktemp("yard")), raw_fleet()
    yard.csv("0.csv", [line()])  # there is always one good row
    for number, lines in enumerate(files, 1):
        yard.csv(f"{number}.csv", lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "BUFFER_BYTES", 200)  # many spills
        counts, lake = yard.ingest(fleet)
    told = sum(counts.ignored.values())  # a line without any number right under a header
    rows_in = 1 + sum(bool(text) for lines in files for text in lines) - told
    assert told <= len(files) and counts.rows_in == rows_in
    assert rows_in == counts.rows_lake + counts.rows_rejected + counts.rows_merged
    assert counts.rows_rejected == len(yard.rejected(fleet))
    assert counts.rows_lake == sum(pq.read_metadata(p).num_rows for p in lake.path.rglob("part*"))
    for vehicle in lake.vehicles():
        times = seconds_of(lake.read(vehicle))
        assert times == sorted(set(times))


def test_of_repeated_timestamps_the_first_stays(yard):
    yard.csv("1.csv", [line(speed=1), line(speed=2, level=9), line("a-2", speed=5)])
    yard.csv("2.csv", [line(speed=1), line(seconds=1)])
    counts, lake = yard.ingest(raw_fleet())
    assert lake.read("a-1")["speed"].to_pylist() == [1, 1]
    rejected = [(row["file"], row["row"], row["reason"]) for row in yard.rejected(raw_fleet())]
    assert rejected == [
        ("1.csv", 2, CONTRADICTS.format("speed, level")),
        ("2.csv", 1, "duplicate timestamp: it repeats an earlier row"),
    ]
    assert lake.day_table()["duplicates"].to_pylist() == [2, 0]
    kinds = {"duplicate timestamp", "duplicate timestamp with other values"}
    assert counts.rejected_by_reason == dict.fromkeys(kinds, 1)
    assert "such as row 2 of 1.csv: it contradicts an earlier row in speed" in said(yard, counts)


def test_late_rows_are_counted_and_a_backfill_is_not_late(yard):
    # In its file: 2 after 3. Of an earlier file's time: 1 (its file also brings newer rows).
    yard.csv("1.csv", [line(seconds=s) for s in (0, 3, 2, 4)])
    yard.csv("2.csv", [line(seconds=s) for s in (1, 5, 6)])
    yard.csv("3.csv", [line(seconds=s) for s in (3.5, 3.6)])
    _, lake = yard.ingest(raw_fleet())
    assert lake.day_table()["late"].to_pylist() == [2]
    assert seconds_of(lake.read("a-1")) == [0, 1, 2, 3, 3.5, 3.6, 4, 5, 6]


def test_an_unreadable_file_does_not_stop_the_others(yard):
    yard.csv("1.csv", [line()])
    (yard.raw / "2.csv").write_bytes(b"")
    yard.csv("3.csv", [line(seconds=1)], header="vehicle,timestamp,speed,depth")
    counts, lake = yard.ingest(raw_fleet())
    assert lake.rows() == 1 and counts.rows_in == 3 and counts.rows_rejected == 2
    reasons = {file.path: file.reason for file in counts.files_refused}
    assert "empty" in reasons["2.csv"]
    assert "'level'" in reasons["3.csv"] and "'depth'" in reasons["3.csv"]
    assert [row["row"] for row in yard.rejected(raw_fleet())] == [None, None]


def test_of_a_file_that_breaks_off_the_beginning_stays(yard, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_CELLS", 1)
    fleet = raw_fleet(source={"format": "parquet", "files": [{"glob": "*.parquet"}]})
    rows = 40_000
    stamp = pa.array([START_US + n * SECOND for n in range(rows)], pa.timestamp("us", tz="UTC"))
    table = pa.table({"vehicle": ["a-1"] * rows, "timestamp": stamp, "speed": [1.0] * rows,
                      "level": list(range(rows))})  # fmt: skip
    path = yard.raw / "x.parquet"
    pq.write_table(table, path, row_group_size=10_000, compression="zstd")
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    torn = metadata.row_group(2).column(3).data_page_offset
    content[torn : torn + 2000] = bytes(2000)
    path.write_bytes(content)
    counts, lake = yard.ingest(fleet)
    assert 0 < lake.rows() <= 20_000 and counts.rows_in == lake.rows() + 1
    assert yard.rejected(fleet)[0]["row"] == lake.rows() + 1


def test_nothing_readable_at_all_is_an_error_that_shows_a_row(yard):
    yard.csv("x.csv", ["a-1,1767607200,1,2"])
    with pytest.raises(DataError, match=r"not one row of 1 raw files.*x\.csv, row 1.*1767607200"):
        yard.ingest(raw_fleet())
    assert not list((yard.settings.fleet_dir("tiny")).rglob("*.parquet"))
    (yard.raw / "x.csv").write_text("")
    with pytest.raises(DataError, match=r"First: x\.csv: unreadable file"):
        yard.ingest(raw_fleet())


def test_a_byte_order_mark_is_no_part_of_a_header(yard):
    header = '\ufeff"speed, km/h",timestamp,level,vehicle'
    yard.csv("x.csv", [f"1,{at(0)},2,a-1", f"bad,{at(1)},2,a-1"], header)
    channels = [{"name": "speed", "column": "speed, km/h"}, {"name": "level"}]
    fleet = raw_fleet(channels=channels)
    assert yard.ingest(fleet)[1].rows() == 1
    assert json.loads(yard.rejected(fleet)[0]["content"])["speed, km/h"] == "bad"


def test_decimal_commas_are_read_where_the_fleet_file_says_so(yard):
    yard.csv("a.csv", [f"a-1;{at(0)};12,5;-0,25"], "vehicle;timestamp;speed;level")
    table = yard.ingest(raw_fleet(source={"delimiter": ";", "decimal": ","}))[1].read("a-1")
    assert table["speed"].to_pylist() == [12.5] and table["level"].to_pylist() == [-0.25]


def test_classes_differ_in_channels(yard):
    fleet = raw_fleet()
    yard.csv("1.csv", [line("a-1"), line("b-1")])  # has no column charge: b-1 needs it
    header = "vehicle,timestamp,speed,level,charge"
    yard.csv("2.csv", [f"{line('a-1', 1)},7", f"{line('b-1', 1)},7"], header=header)
    _, lake = yard.ingest(fleet)
    assert lake.read("a-1")["charge"].to_pylist() == [None, None]
    assert lake.read("b-1")["charge"].to_pylist() == [7]
    assert [row["reason"] for row in yard.rejected(fleet)] == ["the file has no column for charge"]


def test_ids_that_no_path_can_hold(yard):
    fleet = raw_fleet(vehicle_classes=[{"name": "a"}, {"name": "b", "vehicles": []}])
    names = ["A/B 1", "50%=x", "..", "Ünal"]
    yard.csv("x.csv", [line(name) for name in names])
    _, lake = yard.ingest(fleet)
    assert lake.vehicles() == sorted(names)
    assert all(lake.read(name).num_rows == 1 for name in names)
    assert all(path.parent == lake.path for path in lake.path.glob("vehicle=*"))


def test_ids_that_are_numbers_or_words_for_nothing(yard):
    """A column of whole numbers with a gap is one of decimals, as pandas writes it."""
    files = {"format": "parquet", "files": [{"glob": "*.parquet"}]}
    fleet = raw_fleet(vehicle_classes=[{"name": "a"}, {"name": "b", "vehicles": []}], source=files)
    ids = ([12, 12], [12.0, None], [12.0, math.nan], [12.5, 12.0], ["12", " None "], ["nan", "12 "])
    for n, vehicle in enumerate(ids):
        times = [START + timedelta(seconds=2 * n + i) for i in range(2)]
        yard.parquet(f"{n}.parquet", vehicle=vehicle, timestamp=times, speed=[1.0] * 2,
                     level=[2.0] * 2)  # fmt: skip
    counts, _ = yard.ingest(fleet)
    assert counts.vehicles == {"12": 7, "12.5": 1}
    assert counts.rejected_by_reason == {"vehicle id is missing": 4}


def test_sparse_rows_by_time_of_day_over_midnight(yard):
    source = {
        "format": "csv_sparse",
        "vehicle": {"take": "constant", "value": "a-1"},
        "timestamp": {"take": "time_of_day", "column": "Time", "date_pattern": r"(\d{4}-\d\d-\d\d)",
                      "timezone": "Europe/Berlin"},
    }  # fmt: skip
    fleet = raw_fleet(source=source)
    lines = ["23:59:58.5,1,", "23:59:59,,2", "00:00:01,3,", "00:00:00.5,,4", "00:00:02,,"]
    yard.csv("trip_2026-01-05_x.csv", lines, header="Time,Speed [km/h],Level")
    _, lake = yard.ingest(fleet)
    midnight = DAY - 3600  # Berlin is an hour ahead
    assert seconds_of(lake.read("a-1")) == [midnight + s for s in (-1.5, -1, 0.5, 1, 2)]
    assert lake.read("a-1")["speed"].to_pylist() == [1, None, None, 3, None]
    assert lake.day_table()["late"].to_pylist() == [1]


def test_new_files_are_added_and_the_result_is_as_if_read_at_once(yard, tmp_path, capsys):
    fleet = raw_fleet()
    yard.csv("1.csv", [line(seconds=s) for s in (0, 2, DAY)])
    counts, lake = yard.ingest(fleet)
    untouched = lake.part("a-1", lake.dates()[1])
    before = untouched.stat().st_mtime_ns
    yard.csv("2.csv", [line(seconds=1), line(seconds=2), line("a-2")])
    counts, lake = yard.ingest(fleet)
    assert counts.rows_in == 6 and counts.rows_rejected == 1
    assert untouched.stat().st_mtime_ns == before, "a part without new rows is not written again"
    assert "read raw files: 1 done" in capsys.readouterr().err.splitlines()[-2]

    other = Yard(tmp_path / "other") if (tmp_path / "other").mkdir() is None else None
    shutil.copytree(yard.raw, other.raw, dirs_exist_ok=True)
    at_once, lake_at_once = other.ingest(fleet)
    assert of_lake(at_once) == of_lake(counts) and lake_at_once.hash() == lake.hash()
    assert tree(lake_at_once.path) == tree(lake.path)
    assert lake_at_once.day_table().equals(lake.day_table())


def test_a_second_run_without_news_writes_nothing(yard):
    yard.csv("1.csv", [line()])
    counts, lake = yard.ingest(raw_fleet())
    written = {path: path.stat().st_mtime_ns for path in lake.path.rglob("*")}
    again = yard.ingest(raw_fleet())[0]
    assert of_lake(again) == of_lake(counts)
    assert (again.files_read, again.rows_added, again.days_changed) == (0, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in lake.path.rglob("*")} == written


def test_the_fleet_file_of_the_docs_is_read_as_told(yard):
    text = (ROOT / "docs/explanation/data.md").read_text()
    block = text.split("```yaml\n")[1].split("```")[0]
    fleet = Fleet.model_validate(yaml.safe_load(textwrap.dedent(block)))
    folder = yard.settings.data_dir / "vans/2026"
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text("vin,Time,Speed,Coolant [°C]\nW1,2026-01-05 11:00,50,80\n")
    _, lake = yard.ingest(fleet)
    assert lake.read("W1")["Vehicle.Speed"].to_pylist() == [50]
    assert seconds_of(lake.read("W1")) == [10 * 3600]


def test_two_ingests_of_a_fleet_at_once_are_refused(yard):
    import fcntl

    yard.csv("1.csv", [line()])
    lock = yard.settings.runs_dir("tiny") / "ingest.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ServiceError, match="another ingest"):  # night.sh tries again
            yard.ingest(raw_fleet())


def test_a_long_list_of_rejected_rows_is_written_in_chunks(tmp_path):
    log = RejectedLog(tmp_path / "r.parquet")
    for row in range(2 * CHUNK_ROWS + 1):
        log.add("x", row, "bad: detail", "{}")
    log.close()
    assert pq.read_metadata(tmp_path / "r.parquet").num_rows == 2 * CHUNK_ROWS + 1
    assert log.counts["x"] == {"bad": 2 * CHUNK_ROWS + 1}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "vehicles", "days", "events"),
    [
        ("smd", 473_895, 10, 330, 145),
        ("asd", 77_760, 6, 270, 38),
        ("kit_obd", 1_039_629, 1, 23, 0),
        ("js2", 194_400, 15, 675, 0),
        ("smap", 290_926, 27, 210, 0),
        ("msl", 70_667, 14, 58, 0),
    ],
)
def test_the_real_fleets(name, rows, vehicles, days, events, home, data_dir):
    settings = Settings(home=home, data_dir=data_dir)
    fleet = load_fleet(name, settings)
    folder = settings.fleet_dir(name)
    counts = ingest(fleet, settings)
    assert counts.rows_in == counts.rows_lake == rows and counts.rows_rejected == 0
    assert (len(counts.vehicles), counts.days) == (vehicles, days)
    lake = Lake(folder / "lake", fleet)
    assert lake.events().num_rows == events
    if name == "kit_obd":  # one line of a file is one row
        lines = sum(
            path.read_bytes().count(b"\n") - 1 for path in (data_dir / "kit_obd/raw").glob("*.csv")
        )
        assert lines == rows
