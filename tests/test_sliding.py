"""Sliding windows: they agree with a slow loop, and depend on their own rows alone."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.detect import sliding as module
from amad.detect.sliding import pieces, sliding

WIDTHS = (1, 2, 5, 21, 32, 41)


@pytest.mark.parametrize("combine", [np.add, np.minimum, np.maximum])
def test_windows_agree_with_a_slow_loop(combine: np.ufunc) -> None:
    x_P = np.random.default_rng(0).normal(size=(60, 3))
    for width, found_P in zip(WIDTHS, sliding(x_P, WIDTHS, combine), strict=True):
        rows = [combine.reduce(x_P[t : t + width]) for t in range(60 - width + 1)]
        np.testing.assert_allclose(found_P, rows, atol=1e-12)


def test_a_wild_value_leaves_other_windows_as_they_are_to_the_last_bit() -> None:
    x_P = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    wild_P = x_P.copy()
    wild_P[40, 1] = 1e30
    for width, calm, wild in zip(
        WIDTHS, sliding(x_P, WIDTHS, np.add), sliding(wild_P, WIDTHS, np.add), strict=True
    ):
        others = np.delete(np.arange(len(calm)), np.arange(max(40 - width + 1, 0), 41))
        np.testing.assert_array_equal(calm[others], wild[others])
        assert (wild[40 - width + 1 : 41, 1] > 1e29).all()


@given(
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12),
    before=st.integers(0, 12),
    after=st.integers(0, 12),
    chunk=st.integers(1, 90),
)
def test_pieces_hold_each_row_once_and_no_row_of_another_segment(
    lengths: list[int], before: int, after: int, chunk: int
) -> None:
    segments = list(pairwise(np.cumsum([0, *lengths]).tolist()))
    x_T = np.random.default_rng(1).integers(-99, 99, sum(lengths)).astype(float)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        found = pieces(segments, before, after)
    width, seen = before + after + 1, []
    for piece in found:
        [sum_P] = sliding(piece.take(x_T, 1000.0), [width], np.add)
        [low_P] = sliding(piece.take(x_T), [width], np.minimum)
        rows = range(piece.rows.start, piece.rows.stop)
        sums, lows = (piece.of_rows(x_P, before) for x_P in (sum_P, low_P))
        at = piece.places(np.arange(len(rows)))
        np.testing.assert_array_equal(piece.take(x_T)[at], x_T[piece.rows])
        for row, total, low in zip(rows, sums, lows, strict=True):
            first, last = next(one for one in segments if one[0] <= row < one[1])
            inside = x_T[max(row - before, first) : min(row + after + 1, last)]
            assert total == inside.sum() + 1000.0 * (width - len(inside))
            assert low == inside.min()
        seen += rows
    assert seen == list(range(sum(lengths)))
