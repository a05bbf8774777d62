"""Guesses the type of a fault from the shape of what a channel does beside what is expected of it.

The error of the ``relation`` member shows the fault itself: a step is a step in it, whatever the
vehicle does meanwhile. Where there is none, the values less their median before the incident serve.
The rules are tried in the order of ``TYPES``, and the first that holds gives the type.

The limits were chosen on injected faults of six fleets, without labels of real ones.

Shape legend: E rows before and in the incident, N rows of the incident, S stretches of them.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

TYPES = ("stuck", "spike", "noise_burst", "delay", "relation", "drift", "level_shift")
RIGHT = {  # by the type of a fault, the guesses that are right
    "spike": ("spike",), "level_shift": ("level_shift",), "drift": ("drift",), "stuck": ("stuck",),
    "noise_burst": ("noise_burst",), "delay": ("delay", "relation"), "decoupling": ("relation",),
    "degradation": ("drift",),
}  # fmt: skip
STUCK_ROWS, STUCK_SHARE = 10, 0.5  # a value that stands for so many rows, and share of the rows
STUCK_ERROR = 2.0  # tolerances: what is expected moves away from it meanwhile
SPIKE_ROWS, SPIKE_SHARE = 3, 0.75  # a spike: so few rows hold so much of the error's energy
LASTING_ROWS, REACHED = 100, 0.9  # in a longer incident, errors count up to this quantile
OWN_ERROR = 3.0  # tolerances: in a spike or noise burst, most rows surprise their own past so much
NOISE_MEMORY = 0.6  # and in noise the errors of neighbouring rows are correlated by no more
LAGS, LATE = range(1, 25), 0.15  # late: of what was expected so many rows ago, so little error
EXPLAINED = 0.7  # a step or a ramp explains at least this share of the error's energy
GRID = 30  # a step or a ramp begins and ends at one of so many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one channel does in its measured rows before and in an incident.

    value_E: scaled values. error_E: what they are beside what is expected, in spreads. own_E: how
    far they surprise a member over time, in tolerances; zeros where there is none. tolerance: of
    the error, in spreads. start: the first row of the incident.
    """

    value_E: np.ndarray
    error_E: np.ndarray
    own_E: np.ndarray
    tolerance: float
    start: int


def guess_type(shape: Shape) -> str:
    """One of ``TYPES``; there is at least one row of the incident."""
    before_E = shape.error_E[: shape.start]
    error_N = shape.error_E[shape.start :] - (np.median(before_E) if len(before_E) else 0.0)
    if len(error_N) > LASTING_ROWS:  # a few rows do not name what lasts
        bound = float(np.quantile(np.abs(error_N), REACHED))
        error_N = np.clip(error_N, -bound, bound)
    energy = float(np.square(error_N).sum())
    if energy <= 0:
        return "relation"
    if _is_stuck(shape.value_E[shape.start :], error_N, shape.tolerance):
        return "stuck"
    step, first, last = _best_fit(error_N, np.ones_like)
    own_N = np.abs(shape.own_E[shape.start :])
    if float(np.median(own_N[first:last])) >= OWN_ERROR:
        largest = np.sort(np.square(error_N))[-SPIKE_ROWS:]
        if float(largest.sum()) > SPIKE_SHARE * energy:
            return "spike"
        if _memory(error_N) <= NOISE_MEMORY:
            return "noise_burst"
    if _is_late(shape, first, last):
        return "delay"
    ramp = max(_best_fit(error_N, template)[0] for template in (_ramp, _rise_and_hold))
    if max(step, ramp) < EXPLAINED * energy:
        return "relation"
    return "drift" if ramp > step else "level_shift"


def _is_stuck(value_N: np.ndarray, error_N: np.ndarray, tolerance: float) -> bool:
    edges = np.flatnonzero(np.r_[True, np.diff(value_N) != 0, True])
    runs = np.diff(edges)
    longest = int(runs.argmax())
    rows = slice(edges[longest], edges[longest + 1])
    error = float(np.median(np.abs(error_N[rows])))
    return bool(
        runs[longest] >= max(STUCK_ROWS, STUCK_SHARE * len(value_N))
        and error >= STUCK_ERROR * tolerance
    )


def _memory(error_N: np.ndarray) -> float:
    """Correlation of the errors of neighbouring rows; 0 where there is none."""
    if len(error_N) < STUCK_ROWS:
        return 0.0
    one, other = error_N[1:] - error_N[1:].mean(), error_N[:-1] - error_N[:-1].mean()
    return float(one @ other) / max(float(np.sqrt((one @ one) * (other @ other))), 1e-30)


def _is_late(shape: Shape, first: int, last: int) -> bool:
    """Whether the values agree with what was expected of them some rows ago."""
    first, last = shape.start + first, shape.start + last
    expected_E = shape.value_E - shape.error_E
    value_N = shape.value_E[first:last]
    now = float(np.square(value_N - expected_E[first:last]).sum())
    ago = [
        float(np.square(value_N - expected_E[first - lag : last - lag]).sum())
        for lag in LAGS
        if lag <= first
    ]
    return min(ago, default=now) < LATE * now


def _ramp(row_N: np.ndarray) -> np.ndarray:
    return (row_N + 1) / len(row_N)


def _rise_and_hold(row_N: np.ndarray) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(_ramp(row_N) / 0.7, 1.0))


def _best_fit(error_N: np.ndarray, template) -> tuple[float, int, int]:
    """The energy that a template explains in the rows where it explains most, and these rows."""
    edges = np.linspace(0, len(error_N), min(len(error_N), GRID) + 1).astype(int)
    stretch_S2 = np.array(list(combinations(edges, 2)))
    sum_N = np.append(0.0, np.cumsum(np.square(error_N)))
    energy_S = sum_N[stretch_S2[:, 1]] - sum_N[stretch_S2[:, 0]]
    order = np.argsort(-energy_S, kind="stable")
    best = (0.0, 0, len(error_N))

    @cache  # the stretches have few different lengths
    def curve_of(rows: int) -> tuple[np.ndarray, float]:
        curve = template(np.arange(rows, dtype=np.float64))
        return curve, float(curve @ curve)

    for (first, last), most in zip(stretch_S2[order].tolist(), energy_S[order], strict=True):
        if most <= best[0]:  # a template explains no more than there is
            break
        curve, energy = curve_of(last - first)
        found = float(curve @ error_N[first:last]) ** 2 / energy
        if found > best[0]:
            best = (found, first, last)
    return best
