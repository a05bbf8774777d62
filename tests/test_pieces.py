"""A series that is made, written and learnt from in pieces is the one that is made at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_kit import Yard, at, raw_fleet
from windows_kit import SECOND, START, lake_table, outline_of, series_of, small_fleet

from amad.config import Fleet
from amad.telemetry.counter_events import RECENT
from amad.windows import build, vehicle_file
from amad.windows.build import build_store
from amad.windows.codes import MOST_CODES, CodeTally
from amad.windows.learning import Learnt, TrainRows
from amad.windows.resample import Resampler, to_series
from amad.windows.series import TRAIN, Series
from amad.windows.short_history import LEAST_SPREAD, stretch_rows
from amad.windows.split import RowSplit, SplitBounds, outline
from amad.windows.vehicle_file import VehicleFile, read_series

FIELDS = ("timestamp_T", "value_TC", "valid_TC", "segment_T", "split_T", "label_T")
STRETCH_FIELDS = ("square_NC", "bias_NC", "vary_NC")
DAY = 86_400


def kinds_fleet() -> Fleet:
    """The small fleet with a counter and an angle."""
    channels = small_fleet().model_dump()["channels"]
    channels[0] |= {"kind": "counter", "range": None}
    channels[1] |= {"kind": "angle"}
    return small_fleet(channels=channels)


def assert_same(one: Series, two: Series) -> None:
    for name in FIELDS:
        left, right = getattr(one, name), getattr(two, name)
        assert (left is None) == (right is None)
        if left is not None:
            np.testing.assert_array_equal(left, right, name)
            assert left.dtype == right.dtype


def joined(pieces: list[Series]) -> Series:
    columns = {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in FIELDS
        if getattr(pieces[0], name) is not None
    }
    return replace(pieces[0], **columns)


def in_pieces(table: pa.Table, fleet: Fleet, cuts: list[int], bounds: SplitBounds) -> Series:
    """The series of a table that is cut before these rows, moved to the beginning of their bins."""
    bin_R = table["timestamp"].cast(pa.int64()).to_numpy() // fleet.period_us
    edges = sorted({int(np.searchsorted(bin_R, bin_R[cut])) for cut in cuts} - {0})
    grid = Resampler(fleet, "a-1", bounds)
    ends = [*edges, table.num_rows]
    return joined([
        grid.add(table.slice(first, end - first), last=end == table.num_rows)
        for first, end in zip([0, *edges], ends, strict=True)
    ])  # fmt: skip


cells = st.one_of(st.none(), st.none(), st.floats(0, 100, width=16))


@st.composite
def cut_tables(draw: st.DrawFn) -> tuple[pa.Table, list[int]]:
    """Lake rows with gaps, repeats and nulls, and rows to cut them at."""
    steps = draw(st.lists(st.sampled_from([0.25, 1, 1, 1, 3, 6, 9]), min_size=2, max_size=60))
    count = len(steps)
    columns = {
        name: draw(st.lists(cells, min_size=count, max_size=count))
        for name in ("speed", "level", "gear")
    }
    columns["label"] = draw(st.lists(st.sampled_from([0, 1]), min_size=count, max_size=count))
    cuts = draw(st.lists(st.integers(0, count - 1), max_size=8))
    return lake_table(np.cumsum(steps).tolist(), **columns), cuts


@settings(max_examples=300)
@given(cut_tables(), st.integers(0, 60), st.integers(0, 20))
def test_a_series_in_pieces_is_the_whole_series(
    data: tuple[pa.Table, list[int]], calibration: int, length: int
) -> None:
    table, cuts = data
    bounds = SplitBounds(
        calibration_us=START + calibration * SECOND,
        test_us=START + (calibration + length) * SECOND,
    )
    for fleet in (small_fleet(), kinds_fleet()):
        whole = Resampler(fleet, "a-1", bounds).add(table, last=True)
        assert_same(in_pieces(table, fleet, cuts, bounds), whole)


def test_a_counter_in_pieces_keeps_its_pace_over_thousands_of_rows() -> None:
    rng = np.random.default_rng(5)
    rise_R = (rng.random(6000) < 0.06) * rng.integers(1, 10, 6000)
    rise_R[2000:3200] = 0  # it stands for longer than any pace is held
    value_R = (np.cumsum(rise_R) % 256).astype(float)
    hidden_R = rng.random(6000) < 0.2
    speed = [None if hidden else value for value, hidden in zip(value_R, hidden_R, strict=True)]
    heading = (np.cumsum(rng.normal(size=6000)) % 360).tolist()
    table = lake_table(list(range(6000)), speed=speed, level=heading)
    bounds = SplitBounds(calibration_us=START, test_us=START)
    for size in (7, 100, 1999):
        found = in_pieces(table, kinds_fleet(), list(range(0, 6000, size)), bounds)
        np.testing.assert_array_equal(
            found.value_TC, to_series(table, kinds_fleet(), "a-1").value_TC
        )
    assert (np.diff(value_R) < 0).sum() > 3 and (rise_R > 0).sum() > RECENT


@given(
    st.lists(st.sampled_from([0.5, 1, 1, 3, 9, DAY / 3]), min_size=1, max_size=60),
    st.sampled_from([None, *range(-3, 90, 7)]),
    st.sampled_from([1, 7]),
)
def test_the_outline_by_days_is_that_of_the_whole(
    steps: list[float], test_second: int | None, period: int
) -> None:
    fleet = small_fleet(period_seconds=period)
    table = lake_table(np.cumsum(steps).tolist())
    time_R = table["timestamp"].cast(pa.int64()).to_numpy()
    test_us = None if test_second is None else START + test_second * SECOND
    day_R = time_R // (DAY * SECOND)
    days = [time_R[day_R == day] for day in range(day_R[0], day_R[-1] + 1)]
    found = outline(len(days), days.__getitem__, fleet, test_us)
    whole = to_series(table, fleet, "a-1")
    assert found == outline_of(time_R, fleet, test_us) and found.rows == whole.rows
    borders = [found.bounds.calibration_us, found.bounds.test_us]
    calibration, test = np.searchsorted(whole.timestamp_T, borders).tolist()
    assert found.split == RowSplit(
        calibration=calibration, test=test, purge_rows=fleet.split.purge_rows
    )
    split_T, middle = found.split.parts(0, whole.rows), whole.rows // 2
    parts = [found.split.parts(0, middle), found.split.parts(middle, whole.rows)]
    np.testing.assert_array_equal(np.concatenate(parts), split_T)
    assert found.split.train_rows == (split_T == TRAIN).sum()


def train_series() -> Series:
    rows = 5000
    rng = np.random.default_rng(8)
    value_TC = np.cumsum(rng.normal(size=(rows, 4)), axis=0)
    value_TC[:, 1] = np.where(np.arange(rows) > rows // 2, 3.0, 4e8)
    value_TC[:, 2] = rng.integers(0, 6, rows)
    valid_TC = (rng.random((rows, 4)) > 0.3).astype(np.uint8)
    valid_TC[:, 0], valid_TC[:, 3] = 1, 0
    series = series_of(value_TC, valid_TC=valid_TC)
    return series.with_values(value_TC)


def learnt_in(series: Series, size: int) -> Learnt:
    found = TrainRows(small_fleet(), series.rows)
    for first in range(0, series.rows, size):
        rows = slice(first, first + size)
        found.add(series.value_TC[rows], series.valid_TC[rows])
    return found.learnt("a-1", "a")


def test_what_is_learnt_does_not_depend_on_the_pieces() -> None:
    series = train_series()
    found = [Learnt.of(series, small_fleet()), *(learnt_in(series, size) for size in (999, 64))]
    for one in found[1:]:
        for name in ("count_C", "mean_C", "square_C"):
            values = (getattr(item.moments, name) for item in (found[0], one))
            np.testing.assert_array_equal(*values)
        for name in STRETCH_FIELDS:
            values = (getattr(item.stretches, name) for item in (found[0], one))
            np.testing.assert_array_equal(*values)
        for name in ("code_K", "count_K", "total_KC", "known_KC"):
            values = (getattr(item.counts[2], name) for item in (found[0], one))
            np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("offset", [0.0, 4e8])
def test_moments_and_stretches_are_those_of_the_measured_cells(offset: float) -> None:
    series = train_series()
    series = series.with_values(series.value_TC + offset)
    learnt = Learnt.of(series, small_fleet())
    moments, stretches = learnt.moments, learnt.stretches
    assert moments.count_C[3] == moments.mean_C[3] == moments.square_C[3] == 0
    assert np.isnan(stretches.square_NC[:, 3]).all()
    for c in range(3):
        known_T = series.valid_TC[:, c] == 1
        value_T = series.value_TC[:, c]
        mean, spread = value_T[known_T].mean(), value_T[known_T].std()
        np.testing.assert_allclose(moments.mean_C[c], mean, rtol=1e-13)
        np.testing.assert_allclose(moments.spread_C[c], spread, rtol=1e-9)
        first_NS, last_NS = stretch_rows(series.rows)
        for n in (0, len(first_NS) - 1):
            parts = [
                value_T[first:last][known_T[first:last]]
                for first, last in zip(first_NS[n], last_NS[n], strict=True)
            ]
            away = np.array([part.mean() - mean for part in parts])
            log = np.array([np.log(max(part.std() / spread, LEAST_SPREAD)) for part in parts])
            wanted = ((away**2).mean(), log.mean(), log.var())
            found = (getattr(stretches, name)[n, c] for name in STRETCH_FIELDS)
            np.testing.assert_allclose([*found], wanted, rtol=1e-6, atol=1e-9)


def test_a_channel_that_never_moves_has_no_spread_whatever_its_digits() -> None:
    value_TC = np.full((5000, 4), 0.1) * [1, 1e9, 3, -7e-9]
    valid_TC = (np.random.default_rng(1).random(value_TC.shape) > 0.3).astype(np.uint8)
    moments = Learnt.of(
        series_of(value_TC, valid_TC=valid_TC).with_values(value_TC), small_fleet()
    ).moments
    np.testing.assert_array_equal(moments.square_C, 0)
    np.testing.assert_array_equal(moments.mean_C, value_TC[0])


def test_a_tally_of_too_many_codes_is_empty_whichever_piece_has_them() -> None:
    value_TC = np.arange(2.0 * (MOST_CODES + 1)).reshape(-1, 2)
    valid_TC = np.ones(value_TC.shape, np.uint8)
    tally, whole = CodeTally(0, 2), CodeTally(0, 2)
    for rows in (slice(0, 100), slice(100, None), slice(0, 5)):
        tally.add(value_TC[rows], valid_TC[rows])
    whole.add(value_TC, valid_TC)
    for counts in (tally.counts(), whole.counts()):
        assert counts.has_many and len(counts.code_K) == len(counts.total_KC) == 0


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 13])
def test_a_file_in_pieces_is_what_arrow_writes(tmp_path: Path, rows: int, labels: bool) -> None:
    rng = np.random.default_rng(rows)
    series = series_of(
        rng.normal(size=(rows, 4)), label_T=np.arange(rows, dtype=np.int8) if labels else None
    )
    series = series.with_values(series.value_TC.astype(float))
    with VehicleFile.create(tmp_path / "a", rows=rows, channels=4, labels=labels) as file:
        for first in range(0, rows, 5):
            file.write(first, series.rows_between(first, min(first + 5, rows)))
        for first in range(0, rows, 3):
            value_TC = file.values(first, min(first + 3, rows))
            np.testing.assert_array_equal(value_TC, series.value_TC[first : first + 3])
    assert_same(read_series(tmp_path / "a", "a-1", "a", 4), series)
    with pa.memory_map(str(tmp_path / "a")) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
        batch.validate(full=True)
        with pa.OSFile(str(tmp_path / "b"), "wb") as out, pa.ipc.new_file(out, batch.schema) as two:
            two.write_batch(batch)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def drives(days: int, rows: int) -> Iterator[str]:
    """Days of vehicle a-1 that drives over midnight, and one short day of a-2."""
    for n in range(days * rows):
        second = DAY - rows // 2 + n // rows * DAY + n % rows
        level = "" if n % 5 else f"{n % 11}"
        if n % 9:
            yield f"a-1,{at(second)},{50 + 40 * np.sin(n / 7):.4f},{level}"
    for n in range(40):
        yield f"a-2,{at(n)},{n},"


def test_the_store_has_the_same_bytes_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = Yard(tmp_path)
    yard.csv("a.csv", list(drives(5, 300)))
    fleet = raw_fleet(split={"calibration_share": 0.2, "test_share": 0.3, "purge_rows": 5})
    _, lake = yard.ingest(fleet)
    found = []
    for size in (1 << 14, 100, 16):
        monkeypatch.setattr(build, "PIECE_ROWS", size)
        monkeypatch.setattr(vehicle_file, "PIECE_ROWS", size)
        folder = tmp_path / f"store-{size}"
        build_store(lake, fleet, "vehicle", folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert len(found[0]) == 3 and found[0] == found[1] == found[2]
