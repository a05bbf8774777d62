"""Rows that are known by their position, and labels that are given as intervals."""

import pyarrow as pa
import pytest

from amad.config import ConfigError, DataError
from tests.ingest_kit import (
    SECOND,
    START_US,
    at,
    line,
    raw_fleet,
    seconds_of,
)

INDEX = {"timestamp": {"take": "index", "start": "2026-01-05T00:00:00Z"}}
BY_PATH = {"vehicle": {"take": "path", "pattern": r"([ab]-\d)"}}
TRAIN_TEST = {"files": [{"glob": f"*_{part}.csv", "part": part} for part in ("train", "test")]}


def test_rows_told_by_position(yard):
    fleet = raw_fleet(
        source=TRAIN_TEST | INDEX | BY_PATH,
        labels={"kind": "column", "culprits": "culprits.csv"},
    )
    header = "speed,level,label"
    yard.csv("a-1_train.csv", ["1,1", "bad,1", "2,1"], header="speed,level")
    yard.csv("a-1_test.csv", ["x,1,0", "3,1,1", "4,1,0"], header=header)
    yard.csv("a-2_test.csv", ["5,1,", "6,1,2"], header=header)
    yard.csv("culprits.csv", ["a-1,1,2,speed level", "c-7,0,1,speed"], "entity,start,end,channels")
    counts, lake = yard.ingest(fleet)
    assert seconds_of(lake.read("a-1")) == [0, 2, 4, 5]  # refused rows take their place in time
    assert lake.read("a-1")["label"].to_pylist() == [0, 0, 1, 0]
    assert lake.test_start() == {"a-1": START_US + 3 * SECOND, "a-2": START_US}
    (event,) = lake.events().to_pylist()
    assert (event["vehicle"], event["channels"]) == ("a-1", ["speed", "level"])
    assert seconds_of(pa.table({"timestamp": lake.events()["start"]})) == [4]
    assert seconds_of(pa.table({"timestamp": lake.events()["end"]})) == [5]
    assert counts.rejected_by_reason == {
        "label is neither 0 nor 1": 1, "speed is not a finite number": 2,
    }  # fmt: skip


def test_a_lost_file_leaves_no_place_for_the_next_of_its_vehicle(yard):
    fleet = raw_fleet(source=TRAIN_TEST | INDEX | BY_PATH)
    for vehicle in ("a-1", "a-2"):
        yard.csv(f"{vehicle}_train.csv", ["1,1"], header="speed,level")
        yard.csv(f"{vehicle}_test.csv", ["1,1"], header="speed,level")
    (yard.raw / "a-1_train.csv").write_bytes(b"")
    counts, lake = yard.ingest(fleet)
    assert lake.vehicles() == ["a-2"] and len(counts.files_refused) == 2
    assert lake.test_start() == {"a-2": START_US + SECOND}


def test_culprits_by_row_of_a_fleet_with_times(yard):
    fleet = raw_fleet(
        source=TRAIN_TEST, labels={"kind": "column", "culprits": "culprits.csv"}
    )  # fmt: skip
    header = "vehicle,timestamp,speed,level,label"
    yard.csv("x_train.csv", [line(seconds=s) for s in (0, 7)])
    yard.csv("x_test.csv", [f"{line(seconds=s)},0" for s in (10, 13, 19)], header=header)
    yard.csv("culprits.csv", ["a-1,1,2,speed", "a-1,2,3,speed"], "vehicle,start,end,channels")
    _, lake = yard.ingest(fleet)
    events = lake.events()
    assert lake.test_start() == {"a-1": START_US + 10 * SECOND}
    assert seconds_of(pa.table({"timestamp": events["start"]})) == [13, 19]
    assert seconds_of(pa.table({"timestamp": events["end"]})) == [19, 19.000001]
    yard.csv("culprits.csv", ["a-1,1,9,speed"], "vehicle,start,end,channels")
    with pytest.raises(DataError, match=r"culprits\.csv, line 2: rows 1 to 9 are not in a-1"):
        yard.ingest(fleet)
    yard.csv("culprits.csv", ["a-1,2,1,speed"], "vehicle,start,end,channels")
    with pytest.raises(DataError, match="start 2 is not before end 1"):
        yard.ingest(fleet)


def test_intervals_become_labels(yard):
    labels = {"kind": "intervals", "culprits": "faults.csv", "culprits_by": "timestamp"}
    fleet = raw_fleet(labels=labels, source={"files": [{"glob": "x*.csv"}]})
    header = "vehicle,start,end,channels,type,strength"
    yard.csv("faults.csv", [f"a-1,{at(1)},{at(3)},Speed,drift,0.5"], header)
    yard.csv("x.csv", [line(seconds=s) for s in range(5)] + [line("a-2", 2)])
    _, lake = yard.ingest(fleet)
    assert lake.read("a-1")["label"].to_pylist() == [0, 1, 1, 0, 0]
    assert lake.read("a-2")["label"].to_pylist() == [0]
    assert lake.events().to_pylist()[0]["channels"] == ["speed"]
    before = lake.hash()
    yard.csv("faults.csv", [f"a-1,{at(4)},{at(9)},speed,drift,"], header)
    _, lake = yard.ingest(fleet)
    assert lake.read("a-1")["label"].to_pylist() == [0, 0, 0, 0, 1] and lake.hash() != before
    by_row = raw_fleet(labels=labels | {"culprits_by": "row"})
    with pytest.raises(ConfigError, match="culprits_by: timestamp"):
        yard.ingest(by_row)


def test_events_on_days_without_rows_are_told(yard, capsys):
    labels = {"kind": "intervals", "culprits": "faults.csv", "culprits_by": "timestamp"}
    fleet = raw_fleet(labels=labels, source={"files": [{"glob": "x*.csv"}]})
    events = [f"a-1,{at(1)},{at(3)},speed", "a-1,2027-01-01,2027-01-02,speed"]
    yard.csv("faults.csv", events, "vehicle,start,end,channels")
    yard.csv("x.csv", [line(seconds=s) for s in range(5)])
    yard.ingest(fleet)
    told = "faults.csv: 1 known event on days without a row of the vehicle, such as a-1 2027-01-01"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a-1,1,3,speed", "line 2: start '1' and end '3' are not two ISO 8601 times"),
        (f"a-1,{at(3)},{at(1)},speed", "in order"),
        (f"a-1,{at(1)},{at(3)},depth", "'depth' is no channel of fleet tiny"),
    ],
)
def test_wrong_intervals_are_told_with_their_line(row, said, yard):
    labels = {"kind": "intervals", "culprits": "f.csv", "culprits_by": "timestamp"}
    yard.csv("f.csv", [row], "vehicle,start,end,channels")
    yard.csv("x.csv", [line()])
    with pytest.raises(DataError, match=said):
        yard.ingest(raw_fleet(labels=labels, source={"files": [{"glob": "x.csv"}]}))
