"""Windows and the order of an epoch: nothing crosses a segment, nothing is seen twice."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows_kit import series_of, small_fleet

from amad.config import DataError
from amad.windows.sampler import WindowIndex, epoch_batches
from amad.windows.scaler import Scaler
from amad.windows.series import TEST, TRAIN
from amad.windows.store import WindowStore, write_store


def numbered(lengths: list[int], parts: list[int]):
    """A series whose first channel counts the rows; one segment a length."""
    rows = sum(lengths)
    value_TC = np.zeros((rows, 4), np.float32)
    value_TC[:, 0] = np.arange(rows)
    return series_of(
        value_TC,
        "a-1",
        segment_T=np.repeat(np.arange(len(lengths)), lengths).astype(np.int32),
        split_T=np.repeat(parts, lengths).astype(np.uint8),
    )


@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from([TRAIN, TEST])), min_size=1, max_size=6),
    st.integers(2, 12),
    st.integers(1, 12),
)
def test_windows_lie_in_one_segment_and_one_part_and_cover_it(
    pieces: list[tuple[int, int]], window: int, stride: int
) -> None:
    lengths, parts = [p[0] for p in pieces], [p[1] for p in pieces]
    series = numbered(lengths, parts)
    long_enough = [n >= window and p == TRAIN for n, p in pieces]
    if not any(long_enough):
        with pytest.raises(DataError, match="no window"):
            WindowIndex([series], window, stride)
        return
    index = WindowIndex([series], window, stride)
    rows_WL = index.gather(np.arange(len(index)))[:, :, 0].astype(int)
    assert (np.diff(rows_WL, axis=1) == 1).all()
    assert (series.segment_T[rows_WL[:, 0]] == series.segment_T[rows_WL[:, -1]]).all()
    assert (series.split_T[rows_WL] == TRAIN).all()
    assert len(np.unique(rows_WL[:, 0])) == len(index)
    if stride <= window:
        edges = np.cumsum([0, *lengths])
        wanted = [
            np.arange(edges[i], edges[i + 1]) for i, inside in enumerate(long_enough) if inside
        ]
        assert set(np.concatenate(wanted).tolist()) == set(rows_WL.ravel().tolist())


@given(
    rows=st.integers(10, 200),
    batch=st.integers(1, 32),
    epoch=st.integers(0, 3),
    most=st.one_of(st.none(), st.integers(1, 100)),
)
def test_an_epoch_draws_windows_without_repeat_in_full_batches_and_a_rest(
    rows: int, batch: int, epoch: int, most: int | None
) -> None:
    index = WindowIndex([numbered([rows], [TRAIN])], 5, 1)
    steps = epoch_batches(index, batch, 7, epoch, most)
    seen = np.concatenate(steps)
    assert len(np.unique(seen)) == len(seen) == min(len(index), most or len(index))
    assert all(len(ids) == batch for ids in steps[:-1]) and 0 < len(steps[-1]) <= batch
    again = epoch_batches(index, batch, 7, epoch, most)
    assert all((a == b).all() for a, b in zip(steps, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    index = WindowIndex([numbered([300], [TRAIN])], 10, 1)
    draws = [
        np.concatenate(epoch_batches(index, 16, seed, epoch, max_windows=100)).tolist()
        for seed, epoch in ((1, 0), (1, 1), (2, 0))
    ]
    assert len({tuple(draw) for draw in draws}) == 3


def test_a_store_gathers_what_the_scaled_series_hold(tmp_path: Path) -> None:
    fleet = small_fleet()
    rng = np.random.default_rng(0)
    series = [
        series_of(rng.normal(5, 3, (60, 4)), "a-1"),
        series_of(rng.normal(9, 2, (60, 4)), "b-1", "b"),
    ]
    scaler = Scaler.fit(series, fleet, "vehicle")
    write_store(tmp_path / "store", series, fleet, scaler, {})
    store = WindowStore.open(tmp_path / "store")
    mapped = WindowIndex(store, 10, 5)
    held = WindowIndex([store.scaled(v) for v in store.vehicles], 10, 5)
    ids = np.arange(len(mapped))
    x_BLC = mapped.gather(ids)
    np.testing.assert_array_equal(x_BLC, held.gather(ids))
    assert x_BLC.flags.writeable and x_BLC.dtype == np.float32
    assert mapped.vehicles == ["a-1", "b-1"]
