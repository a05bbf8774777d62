"""A threshold that follows the ordinary scores, and no incident."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.detect.moving_threshold import (
    BLOCK_ROWS,
    CONTEXT_ROWS,
    FAR_ROWS,
    NARROWEST,
    NEAR_ROWS,
    thresholds,
    usual_scores,
)

SECOND = 1_000_000
THRESHOLD = 2.0
DRAWN = np.random.default_rng(0).gumbel(0, 0.3, 20_000)
USUAL = usual_scores(DRAWN)
MEDIAN = float(np.median(DRAWN))


def healthy(rows: int, seed: int = 1) -> np.ndarray:
    """Scores as on the calibration rows."""
    return np.random.default_rng(seed).gumbel(0, 0.3, rows)


def followed(score_T: np.ndarray, first: int = 0, stamp_T: np.ndarray | None = None) -> np.ndarray:
    """The thresholds of rows a second apart that begin at second ``first``."""
    stamp_T = np.arange(first, first + len(score_T)) if stamp_T is None else stamp_T
    return thresholds(THRESHOLD, USUAL, stamp_T * SECOND, score_T, period_us=SECOND).threshold_T


def test_ordinary_scores_leave_the_threshold_where_it_was_chosen() -> None:
    found_T = followed(healthy(12_000))
    assert found_T[:BLOCK_ROWS] == pytest.approx(THRESHOLD), "nothing is known yet"
    assert np.abs(found_T - THRESHOLD).max() < 0.25
    assert len(followed(np.zeros(0))) == 0


def test_a_bulk_that_drifts_takes_the_threshold_with_it() -> None:
    score_T = healthy(20_000)
    score_T[6000:] += 3.0
    found_T = followed(score_T)
    assert found_T[6000:7000].max() < THRESHOLD + 0.4, "so far it may be an incident"
    assert found_T[6000 + FAR_ROWS :] == pytest.approx(THRESHOLD + 3.0, abs=0.25)


@settings(max_examples=30)
@given(
    st.integers(5, FAR_ROWS // 2 - BLOCK_ROWS), st.floats(0.5, 20), st.integers(0, FAR_ROWS + 500)
)
def test_an_incident_does_not_raise_its_own_threshold(rows, height, first) -> None:
    """Not above the highest of the usual scores, however high it is and from the first row on."""
    score_T = healthy(first + rows)
    score_T[first:] += height
    found_T = followed(score_T)[first:]
    assert found_T.max() <= THRESHOLD + USUAL[-1] - MEDIAN
    if rows <= FAR_ROWS // 4:
        assert found_T.max() < THRESHOLD + 0.35


def test_scores_that_lie_closer_together_lower_the_threshold_to_half_at_the_most() -> None:
    calm_T = MEDIAN + 0.8 * (healthy(8000) - MEDIAN)
    assert followed(calm_T)[-1] == pytest.approx(MEDIAN + 0.8 * (THRESHOLD - MEDIAN), rel=0.1)
    still_T = np.full(8000, MEDIAN)
    least = MEDIAN + NARROWEST * (THRESHOLD - MEDIAN)
    assert followed(still_T)[-1] == pytest.approx(least, abs=0.01)
    wild_T = MEDIAN + 4 * (healthy(8000) - MEDIAN)
    assert followed(wild_T)[-1] == pytest.approx(THRESHOLD, abs=0.25), "that raises nothing"


@pytest.mark.parametrize("first", [NEAR_ROWS, 7013, 9990])
def test_a_stretch_with_its_context_has_the_thresholds_of_the_whole(first) -> None:
    score_T = healthy(12_000) + np.linspace(0, 2, 12_000)
    begin = max(first - CONTEXT_ROWS, 0)
    whole_T, part_T = followed(score_T), followed(score_T[begin:11_000], begin)
    np.testing.assert_array_equal(part_T[first - begin :], whole_T[first:11_000])
    changed_T = score_T.copy()
    changed_T[first + 1 :] = 50.0
    np.testing.assert_array_equal(followed(changed_T)[: first + 1], whole_T[: first + 1])


def test_what_is_missing_counts_as_usual() -> None:
    """A gap, or rows without a score, let the threshold return to where it was chosen."""
    score_T = np.r_[healthy(9000) + 3.0, healthy(10, 2)]
    stamp_T = np.r_[np.arange(9000), 9000 + 2 * FAR_ROWS + np.arange(10)]
    assert followed(score_T, stamp_T=stamp_T)[-1] == pytest.approx(THRESHOLD)
    unscored_T = healthy(15_000) + 3.0
    unscored_T[6000 : 6000 + FAR_ROWS + BLOCK_ROWS] = np.nan
    assert followed(unscored_T)[6000 + FAR_ROWS + BLOCK_ROWS - 1] == pytest.approx(THRESHOLD)
    assert np.isfinite(followed(np.full(300, np.nan))).all()
