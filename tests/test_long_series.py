"""A long series is judged in pieces, and gives what it gives in one."""

from dataclasses import replace

import numpy as np
import pytest
from scoring_kit import fit_detector, make_lake, series_of

from amad.detect import long_series
from amad.detect.detector import Detector
from amad.detect.member_scorer import MemberScorer
from amad.telemetry.lake import Lake
from amad.windows.series import Series

CHARGE, HEAT = 3, 2  # channels that hold one value in all train rows, or in nearly all
USUAL = 80.0
PLACES = ("score_T", "threshold_T", "contribution_TC")


@pytest.fixture(scope="module", params=["centred", "trailing"])
def judged(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, Series]:
    """A detector with members of all kinds and remembered channels, and a scaled series."""
    fleet, settings = make_lake(tmp_path_factory.mktemp("long"))
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    members = ["innovation", "two_sided", "relation", "window_range"]
    detector = fit_detector(fleet, lake, members=members, smoothing=request.param)
    whole = next(series for series in series_of(fleet, lake) if series.vehicle == "b-1")
    series = detector.scaler.apply(whole)
    figures = detector.figures["vehicle/b-1"]
    figures.constant[CHARGE] = (0.0,)
    figures.nearly_constant[HEAT] = (USUAL, 60)
    value_TC = series.value_TC.copy()
    value_TC[:, CHARGE] = 0.0
    value_TC[2_000:2_010, CHARGE] = 1.0  # told once; the later ones are remembered
    value_TC[5_500:, CHARGE] = 1.0
    value_TC[:, HEAT] = USUAL
    value_TC[3_000:3_300, HEAT] = 3.0  # becomes ordinary, and is so again in a later piece
    value_TC[9_000:9_300, HEAT] = 3.0
    return detector, series.with_values(value_TC)


def in_pieces(monkeypatch, detector: Detector, series: Series, *, whole: bool):
    """The scores, judged in pieces of at least 1,000 rows; and how many pieces there were."""
    monkeypatch.setattr(long_series, "PIECE_CELLS", 4_000)
    monkeypatch.setattr(long_series, "LEAST_PIECE", 1)
    pieces, judge = [], MemberScorer.judge

    def counted(*given, **named):
        pieces.append(given[1].rows)
        return judge(*given, **named)

    monkeypatch.setattr(MemberScorer, "judge", counted)
    found = detector.score(series) if whole else detector.find_alarms(series)
    monkeypatch.undo()
    return found, pieces


@pytest.mark.parametrize("whole", [True, False])
def test_pieces_give_the_scores_of_the_whole_series(judged, monkeypatch, whole):
    detector, series = judged
    theirs = detector.judge(series, whole=whole, residuals=False).scored
    ours, pieces = in_pieces(monkeypatch, detector, series, whole=whole)
    assert len(pieces) >= 5 and max(pieces) < series.rows / 2
    assert theirs.alarm_T[2_000:2_005].all(), "the first move is told"
    for name in PLACES:
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-4, atol=1e-4, err_msg=name
        )
    assert (ours.alarm_T == theirs.alarm_T).mean() > 0.9999
    assert (ours.open_T == theirs.open_T).mean() > 0.9999
    assert ours.left_out == theirs.left_out == ()


def test_a_series_that_is_not_long_is_judged_at_once(judged):
    detector, series = judged
    ours, theirs = detector.score(series), detector.judge(series, whole=True).scored
    np.testing.assert_array_equal(ours.score_T, theirs.score_T)
    np.testing.assert_array_equal(ours.contribution_TC, theirs.contribution_TC)


def test_pieces_say_where_rows_have_no_score(judged, monkeypatch):
    """Segments that are too short have none, wherever a piece begins."""
    detector, series = judged
    segment_T = series.segment_T.copy()
    for first in range(700, series.rows - 40, 333):
        segment_T[first : first + 20] += 1
        segment_T[first + 20 :] += 2
    cut = replace(series, segment_T=segment_T)
    theirs = detector.judge(cut, residuals=False).scored
    ours, _ = in_pieces(monkeypatch, detector, cut, whole=False)
    assert np.isnan(theirs.score_T).sum() > 500
    np.testing.assert_array_equal(np.isnan(ours.score_T), np.isnan(theirs.score_T))
