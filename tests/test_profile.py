"""The profile against a slow and obvious calculation in pandas, and its definitions by example."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.config import DataError
from amad.telemetry import profile as profiles
from amad.telemetry.profile import REST_FACTOR, profile
from amad.telemetry.schemas import PROFILE
from tests.ingest_kit import Yard, at, raw_fleet

GAP = 5  # missing.max_gap_seconds of the fleet
HEADER = "vehicle,timestamp,speed,level,charge"


def measured(folder, rows, **changes):
    """Profile of rows (seconds, speed, level), by channel."""
    yard = Yard(folder)
    yard.csv("x.csv", [f"a-1,{at(s)},{a},{b}," for s, a, b in rows], HEADER)
    fleet = raw_fleet(**changes)
    table = profile(yard.ingest(fleet)[1], fleet)
    assert table.schema == PROFILE
    return {row["channel"]: row for row in table.to_pylist()}


def obvious(frame, low, high):
    """The figures of one channel; frame: seconds and value, NaN where null."""
    known = frame.dropna()
    flat = 0.0
    for first in range(len(known)):
        for last in range(first, len(known)):
            rows = known.iloc[first : last + 1]
            seconds = frame["s"][
                (frame["s"] >= rows["s"].iloc[0]) & (frame["s"] <= rows["s"].iloc[-1])
            ]
            if rows["v"].nunique() == 1 and not (seconds.diff() > GAP).any():
                flat = max(flat, rows["s"].iloc[-1] - rows["s"].iloc[0])
    value = known["v"]
    return {
        "nulls": len(frame) - len(known),
        "out_of_range": int(((value < low) | (value > high)).sum()),
        "min": value.min() if len(value) else None,
        "max": value.max() if len(value) else None,
        "mean": value.mean() if len(value) else None,
        "std": value.std(ddof=0) if len(value) else None,
        "longest_flat_seconds": flat if len(value) else None,
    }


@pytest.mark.slow
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([1, 2, GAP, GAP + 1, GAP * REST_FACTOR, GAP * REST_FACTOR + 1]),
            st.sampled_from(["", "0", "1", "-3", "250.5"]),
        ),
        min_size=1,
        max_size=14,
    ),
    batch=st.integers(1, 6),
)
@settings(max_examples=40)
def test_the_streamed_figures_are_the_obvious_ones(rows, batch, tmp_path_factory):
    import pandas as pd

    seconds = np.cumsum([step for step, _ in rows]).tolist()
    folder = tmp_path_factory.mktemp("yard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "BATCH_ROWS", batch)  # figures must join over any batches
        lines = [(s, v, "1") for s, (_, v) in zip(seconds, rows, strict=True)]
        found = measured(folder, lines)["speed"]
    frame = pd.DataFrame({"s": seconds, "v": [float(v) if v else math.nan for _, v in rows]})
    for name, value in obvious(frame, 0, 200).items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-6)), name
    steps = frame["s"].diff().dropna()
    rests = steps[steps > GAP * REST_FACTOR]
    gaps = steps[(steps > GAP) & (steps <= GAP * REST_FACTOR)]
    assert (found["rows"], found["gaps"]) == (len(frame), len(gaps))
    assert found["gap_seconds"] == pytest.approx(gaps.sum())
    assert found["span_seconds"] == pytest.approx(seconds[-1] - seconds[0] - rests.sum())


def test_from_one_period_to_the_next_is_no_gap(tmp_path):
    """Also where the period is longer than the limit on gaps, as resampling has it."""
    rows = [(60 * n + n % 2, n, 1) for n in range(9)] + [(780, 9, 1)]
    for number, (period, gaps) in enumerate([(60, 1), (30, 9)]):
        (tmp_path / str(number)).mkdir()
        found = measured(tmp_path / str(number), rows, period_seconds=period)
        assert found["speed"]["gaps"] == gaps


def test_sparse_rows_are_null_only_where_the_last_value_is_old(tmp_path):
    # speed comes at 0 and 8 only: it is unknown (older than 5 s) at 6 and 7.
    rows = [(s, "1" if s in (0, 8) else "", "1") for s in range(10)]
    for number, (form, nulls) in enumerate([("csv", 8), ("csv_sparse", 2)]):
        (tmp_path / str(number)).mkdir()
        found = measured(tmp_path / str(number), rows, source={"format": form})
        assert found["speed"]["nulls"] == nulls and found["level"]["nulls"] == 0


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_sparse_rows_over_batches(batch, tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "BATCH_ROWS", batch)
    rows = [(s, "1" if s in (2, 9) else "", "1") for s in range(14)]
    found = measured(tmp_path, rows, source={"format": "csv_sparse"})["speed"]
    assert found["nulls"] == 2 + 1  # before the first value, and at 8
    assert found["longest_flat_seconds"] == 7


def test_channels_a_class_lacks_are_not_expected_and_counts_come_along(tmp_path):
    yard = Yard(tmp_path)
    lines = [f"{v},{at(s)},1,1,2" for v in ("a-1", "b-1") for s in (0, 1, 3, 2, 2)]
    yard.csv("x.csv", [*lines, "b-1,,1,1,1"], HEADER)
    fleet = raw_fleet()
    lake = yard.ingest(fleet)[1]
    table = {(row["vehicle"], row["channel"]): row for row in profile(lake, fleet).to_pylist()}
    assert not table["a-1", "charge"]["expected"] and table["b-1", "charge"]["expected"]
    assert table["a-1", "charge"]["nulls"] == 4 and table["a-1", "charge"]["mean"] is None
    counted = [table["b-1", "speed"][name] for name in ("rows", "duplicates", "late", "unreadable")]
    assert counted == [4, 1, 1, 1]
    assert len(table) == 6
    day = lake.days()[1][:2]
    assert profile(lake, fleet, days=[day])["vehicle"].to_pylist() == ["b-1"] * 3


def test_a_large_offset_costs_no_accuracy(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "BATCH_ROWS", 7)
    values = 1e6 + np.arange(50) % 3
    found = measured(tmp_path, [(s, v, "1") for s, v in enumerate(values)])["speed"]
    assert found["std"] == pytest.approx(values.std(), rel=1e-9)


def test_a_damaged_part_is_told(tmp_path):
    yard = Yard(tmp_path)
    yard.csv("x.csv", [f"a-1,{at(s)},1,1," for s in range(5)], HEADER)
    lake = yard.ingest(raw_fleet())[1]
    part = lake.part(*lake.days()[0][:2])
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match=r"vehicle=a-1.*is damaged.*amad ingest"):
        profile(lake, raw_fleet())


def test_a_large_counter_that_rises_by_one_is_never_flat(tmp_path):
    rows = [(s, 4_000_000_000 + s, 987_654_321.5 + s / 10) for s in range(40)]
    found = measured(tmp_path, rows)
    assert found["speed"]["longest_flat_seconds"] == found["level"]["longest_flat_seconds"] == 0
    assert (found["speed"]["min"], found["speed"]["max"]) == (4_000_000_000, 4_000_000_039)


def test_days_that_are_as_they_were_are_not_read_again(tmp_path):
    yard, fleet, read = Yard(tmp_path), raw_fleet(), []

    def run(work, units, *, vehicle_days):
        read.append([(unit["vehicle"], str(unit["date"])) for unit in units])
        return map(work, units)

    def measure(known=None, fleet=fleet):
        return profile(yard.ingest(fleet)[1], fleet, run=run, known=known)

    yard.csv("1.csv", [f"{v},{at(s)},{s},1," for s in (0, 1, 90_000) for v in ("a-1", "a-2")])
    before = measure()
    assert measure(before) == before and read.pop() == []
    # A repeated row changes no part, but the count of the day; a late one changes its part.
    yard.csv("2.csv", [f"a-1,{at(1)},1,1,", f"a-2,{at(90_001)},5,1,"])
    now = measure(before)
    assert read.pop() == [("a-1", "2026-01-05"), ("a-2", "2026-01-06")]
    assert now == measure() and len(read.pop()) == 4
    other = raw_fleet(missing={"max_gap_seconds": GAP + 1})
    assert measure(now, other) == measure(fleet=other)
    assert len(read.pop()) == len(read.pop()) == 4, "under another fleet file"
