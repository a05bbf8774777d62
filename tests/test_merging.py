"""Rows of one time: what is merged, what is refused, and that it is what one by one would give."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.ingest.merging import CONTRADICTS, FIRST, MERGED, REPEATS, merge
from amad.ingest.spill import DayRows

NAN = float("nan")


def rows(times, values, labels=None) -> DayRows:
    count = len(times)
    return DayRows(
        timestamp_T=np.array(times, np.int64),
        value_TC=np.array(values, float).reshape(count, -1),
        label_T=np.array(labels if labels is not None else [0] * count, np.int8),
        file_T=np.zeros(count, np.int64),
        row_T=np.arange(count),
    )


def one_by_one(times, values, labels):
    """The rule, told for one row after the other."""
    made, fates = {}, []
    for moment, value, label in zip(times, values, labels, strict=True):
        told = {c: v for c, v in enumerate([*value, label or NAN]) if not np.isnan(v)}
        if moment not in made:
            made[moment] = told
            fates.append(FIRST)
        elif any(made[moment].get(c, v) != v for c, v in told.items()):
            fates.append(CONTRADICTS)
        elif told and set(told) <= set(made[moment]):
            fates.append(REPEATS)
        else:
            made[moment] |= told
            fates.append(MERGED)
    return made, fates


cell = st.sampled_from([NAN, NAN, 1.0, 2.0])
row = st.tuples(st.integers(0, 3), st.tuples(cell, cell, cell), st.sampled_from([0, 0, 1]))


@given(st.lists(row, min_size=1, max_size=40))
@settings(max_examples=150)
def test_all_at_once_is_as_one_by_one(lines):
    times, values, labels = zip(*lines, strict=True)
    made, fates = one_by_one(times, values, labels)
    result = merge(rows(times, values, labels))
    assert result.fate_T.tolist() == fates
    assert result.timestamp_K.tolist() == sorted(made)
    for k, moment in enumerate(sorted(made)):
        told = {c: v for c, v in enumerate(result.value_KC[k].tolist()) if not np.isnan(v)}
        assert told | ({3: 1.0} if result.label_K[k] else {}) == made[moment]
    assert (result.timestamp_K[result.at_T] == np.array(times)).all()
    refused = [t for t, fate in enumerate(fates) if fate == CONTRADICTS]
    assert sorted(result.contradicting_X) == refused and result.clash_XC.any(axis=1).all()


def test_a_contradiction_names_its_channels_alone():
    result = merge(rows([5, 5, 5], [[1, NAN, 3], [1, 2, 4], [NAN, 2, NAN]]))
    assert result.fate_T.tolist() == [FIRST, CONTRADICTS, MERGED]
    assert result.contradicting_X.tolist() == [1]
    assert result.clash_XC.tolist() == [[False, False, True]]
    assert result.value_KC.tolist() == [[1, 2, 3]]


def test_rows_of_the_lake_are_never_refused():
    """Two files gave the same value: each keeps its share in the row."""
    result = merge(rows([5, 5, 5], [[1, NAN], [1, NAN], [1, NAN]]), known=2)
    assert result.fate_T.tolist() == [FIRST, MERGED, REPEATS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"), [("signal per row", 1_000_000), ("clock stands still", 300_000)]
)
def test_a_million_rows_take_seconds(kind, count):
    random, channels = np.random.default_rng(3), 8
    value_TC = np.full((count, channels), NAN)
    value_TC[np.arange(count), np.arange(count) % channels] = random.normal(size=count)
    times = np.arange(count) // channels if kind == "signal per row" else np.zeros(count, int)
    started = time.process_time()  # of this process alone, however busy the machine is
    result = merge(rows(times, value_TC))
    assert time.process_time() - started < 10
    assert len(result.timestamp_K) == len(np.unique(times))
    assert not np.isnan(result.value_KC).any()
