"""A channel that held still in a short history: one that never moves, or one that paused?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detect_kit import LINEAR, coupled, fleet_of, saved_and_loaded, with_values

from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.detect.pauses import only_paused, runs_of_equal
from amad.windows import Scaler
from amad.windows.series import Series
from amad.windows.short_history import LONG_ROWS

LONG, YOUNG = ["b-1", "b-2", "b-4"], "b-3"
PAUSES, STILL = 2, 3  # of the channels: one that moves now and then, and one that never does
PARAMS = LINEAR.model_copy(update={"members": ["innovation", "relation"], "alarm_budget": 0.01})


def of(vehicle: str, rows: int, seed: int = 1, begin: int = 0, moves: int = 600) -> Series:
    """PAUSES goes from .5 to 1.5 or back after so many rows each; STILL holds .5."""
    series = coupled(vehicle, rows, seed=seed, begin=begin)
    series = with_values(series, slice(None), STILL, 0.5)
    return with_values(series, slice(None), PAUSES, 0.5 + (np.arange(rows) // moves) % 2)


def test_runs_of_equal_values_count_measured_rows() -> None:
    series = with_values(coupled("b-1", 6), slice(None), 0, np.array([1, 1, 2, 2, 2, 1.0]))
    [runs_C] = runs_of_equal([series]).values()
    assert runs_C[0].tolist() == [2, 3, 1]
    valid_TC = series.valid_TC.copy()
    valid_TC[3:, 0], valid_TC[:, 1] = 0, 0
    [runs_C] = runs_of_equal([replace(series, valid_TC=valid_TC)]).values()
    assert runs_C[0].tolist() == [2, 1] and runs_C[1].tolist() == [0]


@pytest.mark.parametrize(
    ("others", "rows", "paused"),
    [
        ([600, 600, 600], 240, True),  # a stretch of 240 rows is still in three of five cases
        ([600, 600, 600], 700, False),  # no pause is so long
        ([600, 9999, 9999], 240, False),  # in two of three it never moves
        ([600, 600, 9999], 240, True),
        ([9999, 9999, 9999], 240, False),
        ([], 240, False),  # nothing is known
    ],
)
def test_pauses_of_the_class_against_vehicles_in_which_it_never_moves(
    others: list[int], rows: int, *, paused: bool
) -> None:
    runs = runs_of_equal(of(v, 3000, moves=m) for v, m in zip(LONG, others, strict=False))
    young = of(YOUNG, rows, moves=9999)
    assert only_paused([PAUSES], young, runs) == ({PAUSES} if paused else set())
    own = runs_of_equal([of(YOUNG, 3000, moves=600)])
    assert only_paused([PAUSES], young, own) == set(), "its own rows tell nothing of the class"


def fitted(train: list[Series]) -> Detector:
    calibration = [of(v, 1000, seed=2, begin=6000) for v in LONG]
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    scaled = [[scaler.apply(s) for s in part] for part in (train, calibration)]
    return Detector(build_members(PARAMS), PARAMS, fleet_of(), scaler).fit(*scaled)


def test_the_end_of_a_pause_is_no_news_and_a_first_move_is(tmp_path: Path) -> None:
    detector = fitted([*(of(v, LONG_ROWS + 500) for v in LONG), of(YOUNG, 240)])
    assert detector.scaler is not None
    figures = detector.figures[f"vehicle/{YOUNG}"]
    assert set(figures.constant) == {PAUSES, STILL}
    assert figures.paused == {PAUSES} and figures.reported == {STILL}
    later = of(YOUNG, 1500, seed=3, begin=9000, moves=800)
    for channel, told in ((PAUSES, False), (STILL, True)):
        moved = later if channel == PAUSES else with_values(later, slice(900, None), STILL, 0.7)
        raised = detector.first_moves(detector.scaler.apply(moved), detector.reported_moves)
        assert (channel in raised) is told
    loaded = saved_and_loaded(detector, tmp_path)
    assert loaded.figures[f"vehicle/{YOUNG}"].paused == {PAUSES}


def test_a_long_history_tells_by_itself_that_a_channel_never_moves() -> None:
    still = of("b-1", LONG_ROWS + 500, moves=9999)
    detector = fitted([still, *(of(v, LONG_ROWS + 500) for v in LONG[1:])])
    assert detector.figures["vehicle/b-1"].reported == {PAUSES, STILL}
