"""From how many train rows on a vehicle has figures of its own."""

import numpy as np
import pytest
from detect_kit import CLOSED_FORM, coupled, fleet_of, with_values

from amad.config.params import DetectParams
from amad.detect.build_members import build_members
from amad.detect.detector import Detector
from amad.detect.learnt_figures import OWN_ROWS, SHORT_ROWS

VEHICLES = ["a-1", "a-2", "b-1"]


@pytest.mark.parametrize("rows", [SHORT_ROWS, 100])
def test_a_short_history_gives_figures_of_its_own_where_all_are_short(rows: int) -> None:
    params = DetectParams(baseline_rows=300)
    train = [coupled(v, rows, seed=1) for v in VEHICLES]
    calibration = [coupled(v, seed=2, begin=4000) for v in VEHICLES]
    young = coupled("b-2", rows, seed=1)
    train.append(young.with_values(young.value_TC + 4))
    detector = Detector(build_members(params), params, fleet_of(), None).fit(train, calibration)
    figures = detector.figures["vehicle/b-2"]
    assert detector.owner_of(young) == "vehicle/b-2"
    # Each of the four folds must hold half a window.
    serving = [name for name in CLOSED_FORM[:4] if name != "window_range_32" or rows >= 4 * 16]
    assert set(figures.calibration) == set(serving)
    assert 0.0 <= figures.explained <= 1.0
    assert set(figures.excess_threshold) == set(serving)
    new = coupled("b-2", 600, seed=3)
    scored = detector.score(new.with_values(new.value_TC + 4))
    assert np.isfinite(scored.score_T).all()
    assert scored.left_out == tuple(name for name in CLOSED_FORM if name not in serving)
    fault = with_values(new, slice(300, 360), 2, 9.0)
    fault = detector.score(fault.with_values(fault.value_TC + 4))
    assert (fault.contribution_TC[300:360].argmax(axis=1) == 2).mean() > 0.9
    assert fault.score_T[300:360].mean() > scored.score_T[300:360].mean() + 1
    # Among long histories, whose threshold is lower, it takes the figures of its class.
    train[0] = coupled(train[0].vehicle, OWN_ROWS, seed=1)
    detector = Detector(build_members(params), params, fleet_of(), None).fit(train, calibration)
    assert detector.owner_of(young) == "class/b"
