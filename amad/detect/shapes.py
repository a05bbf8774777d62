"""Guesses the type of a fault from a channel's own curve, by simple rules.

The rules compare the scaled values of one channel inside an incident with the rows before it. They
are tried in the order below, and the first that holds gives the type; docs/explanation/detector.md
describes them.

Shape legend: B rows before the incident, N rows of the incident, E both.
"""

import numpy as np

TYPES = ("stuck", "noise_burst", "spike", "level_shift", "drift", "relation")
RIGHT = {  # by the type of a fault, the guesses that are right
    "spike": ("spike",), "level_shift": ("level_shift",), "drift": ("drift",), "stuck": ("stuck",),
    "noise_burst": ("noise_burst",), "delay": ("relation",), "decoupling": ("relation",),
    "degradation": ("drift",),
}  # fmt: skip
STUCK_ROWS = 10  # the shortest run of one value that is called stuck
NOISE_RATIO = 3.0  # a noise burst has steps this many times as large as before
SPIKE_RATIO = 6.0  # a spike is this many times as high as the usual large step before
SPIKE_REACH = 20  # one extreme row raises alarms this many rows before and after it
CHANGE_SPREADS = 3.0  # a shift or drift is at least this high, in spreads of the rows before
EXPLAINED = 0.5  # a shift or drift explains at least this share of the variance
NEAR_ROWS = 30  # a shift or drift is compared with at least this many rows before
STEP_FLOOR, SPREAD_FLOOR = 0.02, 0.1  # scaled units; smaller steps and spreads count as this


def guess_type(before_B: np.ndarray, inside_N: np.ndarray) -> str:
    """One of ``TYPES`` for a channel's scaled values; ``relation`` if its own curve is ordinary.

    before_B: rows of the same segment before the incident, possibly none. inside_N: at least one.
    """
    if _is_stuck(before_B, inside_N):
        return "stuck"
    if len(before_B) < STUCK_ROWS:
        return "relation"
    whole_E = np.concatenate([before_B, inside_N])
    step_B, step_N = np.abs(np.diff(before_B)), np.abs(np.diff(whole_E[len(before_B) - 1 :]))
    usual = max(float(np.mean(step_B)), STEP_FLOOR)
    if len(inside_N) >= 5 and float(np.median(step_N)) > NOISE_RATIO * usual:
        return "noise_burst"
    high = SPIKE_RATIO * max(float(np.quantile(step_B, 0.95)), STEP_FLOOR)
    if _is_spike(whole_E, len(before_B), high):
        return "spike"
    spread = max(1.4826 * float(np.median(np.abs(before_B - np.median(before_B)))), SPREAD_FLOOR)
    near = max(2 * len(inside_N), NEAR_ROWS)  # a longer history would hide it
    return _change(whole_E[-(len(inside_N) + near) :], CHANGE_SPREADS * spread)


def _is_stuck(before_B: np.ndarray, inside_N: np.ndarray) -> bool:
    run = _longest_run(inside_N)
    return run >= max(STUCK_ROWS, len(inside_N) / 2) and run > 2 * _longest_run(before_B)


def _longest_run(x: np.ndarray) -> int:
    """Length of the longest stretch of equal values."""
    if len(x) == 0:
        return 0
    edges = np.flatnonzero(np.r_[True, np.diff(x) != 0, True])
    return int(np.diff(edges).max())


def _is_spike(whole_E: np.ndarray, start: int, high: float) -> bool:
    """Whether a few rows stand out from the median of their neighbours by more than ``high``.

    At least half of the incident must be near such a row: a long incident with some spikes in it is
    more than its spikes.
    """
    padded = np.pad(whole_E, 3, mode="edge")
    middle_E = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    out_N = np.abs(whole_E - middle_E)[start:] > high
    near_N = np.convolve(out_N, np.ones(2 * SPIKE_REACH + 1))[SPIKE_REACH:-SPIKE_REACH] > 0.5
    return bool(0 < out_N.sum() <= max(3, 0.25 * len(out_N)) and near_N.mean() >= 0.5)


def _change(whole_E: np.ndarray, least: float) -> str:
    """``level_shift`` or ``drift``, whichever fits better, or ``relation`` if neither fits."""
    x = whole_E - whole_E.mean()
    total = float(np.square(x).sum())
    if total <= 0:
        return "relation"
    n = np.arange(1, len(x))
    running = np.cumsum(x)[:-1]
    gain = running**2 * len(x) / (n * (len(x) - n))  # variance explained by a step after row n
    at = int(gain.argmax()) + 1
    step_share, step = float(gain[at - 1]) / total, abs(x[at:].mean() - x[:at].mean())
    best_share, rise = 0.0, 0.0
    for knee in np.unique(np.linspace(0, len(x) - 3, 16).astype(int)):
        ramp = np.maximum(np.arange(len(x)) - knee, 0.0)
        ramp -= ramp.mean()
        slope = float(ramp @ x / (ramp @ ramp))
        share = slope * float(ramp @ x) / total
        if share > best_share:
            best_share, rise = share, abs(slope) * (len(x) - 1 - knee)
    if step_share >= max(best_share, EXPLAINED) and step > least:
        return "level_shift"
    if best_share >= EXPLAINED and rise > least:
        return "drift"
    return "relation"
