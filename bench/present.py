"""Which detector a result was measured with, told by the scores that it gives to made-up rows.

A result of detection quality holds these scores (``origin``). ``bench.tables`` compares them with
those of the present code, so that a page says by itself that it is of an older detector. A change
of the code that changes no score makes no result old. The network is not part of the comparison.

Shape legend: T rows, C channels.
"""

from functools import cache

import numpy as np

from amad.config import Fleet, Settings, load_params
from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.windows.series import Series
from bench.facts import machine_facts
from bench.plain_series import plain_series

CHANNELS = 7  # the last is one of events
TRAIN_ROWS, CALIBRATION_ROWS, ROWS = 3000, 1500, 600
TOLERANCE = 1e-3  # of a score, and of 1: other processors round in other ways
OLDER = "**Measured with an older detector**: compare these figures with each other alone."


def origin() -> dict:
    """What a result of detection quality says of its making: the machine and the detector."""
    return {"machine": machine_facts(), "detector_scores": detector_scores()}


@cache
def detector_scores() -> list[float]:
    """Of made-up rows with faults, by the closed-form detector as shipped, offline and online."""
    detect = load_params(Settings().params_file, "demo").detect
    fleet = Fleet.model_validate({
        "name": "made-up", "channels": [{"name": f"c{c}"} for c in range(CHANNELS)],
        "source": {"format": "simulator"},
    })  # fmt: skip
    train, calibration, series = _series(TRAIN_ROWS), _series(CALIBRATION_ROWS), _faulty(ROWS)
    scores: list[float] = []
    for smoothing in ("centred", "trailing"):
        form = detect.model_copy(update={"amad_weight": 0.0, "smoothing": smoothing})
        detector = Detector(build_members(form), form, fleet, None)
        found = detector.fit([train], [calibration]).score(series)
        scores += [round(float(score), 6) for score in found.score_T[::40]]
    return scores


def is_older(result: dict) -> bool:
    """Was this result measured with a detector that gives other scores than the present one?"""
    then = result.get("detector_scores", [])
    now = detector_scores()
    return len(then) != len(now) or not np.allclose(then, now, rtol=TOLERANCE, atol=TOLERANCE)


def dated(lines: list[str], result: dict) -> list[str]:
    """A page or section of a result; below its title the remark that it is older, if it is."""
    return [*lines[:2], OLDER, "", *lines[2:]] if is_older(result) else lines


def _series(rows: int) -> Series:
    """Six channels of two slow states and noise, three of which follow the others, and events."""
    rng = np.random.default_rng(rows)
    state_T2 = np.zeros((rows, 2))
    for t in range(1, rows):
        state_T2[t] = 0.98 * state_T2[t - 1] + 0.2 * rng.normal(size=2)
    mixing_2C = np.array([[1.0, 0.0, 0.5, 1.0, 0.0, 0.3], [0.0, 1.0, 0.5, -1.0, 0.0, 0.9]])
    value_TC = np.zeros((rows, CHANNELS))
    value_TC[:, :6] = state_T2 @ mixing_2C + 0.2 * rng.normal(size=(rows, 6))
    value_TC[:, 4] = rng.normal(size=rows)
    value_TC[:, 6] = rng.random(rows) < 1 / 200
    return plain_series(value_TC, begin=rows)


def _faulty(rows: int) -> Series:
    """The same with an offset, a spike and a sensor that is stuck."""
    series = _series(rows)
    value_TC = series.value_TC.copy()
    value_TC[100:180, 0] += 1.5
    value_TC[280, 4] += 8.0
    value_TC[400:520, 3] = value_TC[400, 3]
    return series.with_values(value_TC)
