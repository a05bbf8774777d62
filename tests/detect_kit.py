"""A small fleet of noisy, coupled channels for the tests of the detector and the baselines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from windows_kit import START, series_of

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.combine import add_ranges, predicted
from amad.detect.detector import Detector
from amad.detect.detector_folder import detector_digest, load_detector, save_detector
from amad.detect.members.build import build_members
from amad.detect.members.member import Member, RidgeMember
from amad.detect.predictability import Predictability
from amad.windows import Scaler
from amad.windows.series import Series

CLOSED_FORM = ["innovation", "two_sided", "relation", "window_range_32", "window_range_256"]
C = 5
LINEAR = DetectParams(members=["innovation", "two_sided"], baseline_rows=300)
VEHICLES = ("a-1", "a-2", "b-1")


def linear_members() -> list[Member]:
    """Two members that look back in their own channel alone: the baseline ``linear``."""
    return [RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))]


def fleet_of(**changes: object) -> Fleet:
    """Five channels at 1 Hz, the last one only of class b."""
    channels = [{"name": f"c{i}"} for i in range(C - 1)] + [{"name": "c4", "classes": ["b"]}]
    content = {
        "name": "kit",
        "channels": channels,
        "vehicle_classes": [{"name": "b", "vehicles": ["b-*"]}, {"name": "a"}],
        "source": {"format": "simulator"},
        "missing": {"min_segment_rows": 20},
    }
    return Fleet.model_validate(content | changes)


def waves(vehicle: str, rows: int = 2000, seed: int = 0, begin: int = 0, **changes) -> Series:
    """Autoregressive noise on slow waves, about unit spread; class from the id's first letter."""
    rng = np.random.default_rng([seed, *vehicle.encode()])
    noise_TC = rng.normal(size=(rows, C))
    for t in range(1, rows):
        noise_TC[t] += 0.7 * noise_TC[t - 1]
    phase_C = np.linspace(0, 2, C)
    time_T = np.arange(begin, begin + rows)[:, None]
    value_TC = np.sin(time_T / 40 + phase_C) + 0.5 * noise_TC
    valid_TC = np.ones((rows, C), np.uint8)
    if vehicle[0] == "a":
        value_TC[:, 4], valid_TC[:, 4] = 0, 0
    stamp_T = START + np.arange(begin, begin + rows, dtype=np.int64) * 1_000_000
    fields = {"valid_TC": valid_TC, "timestamp_T": stamp_T}
    return series_of(value_TC, vehicle, vehicle[0], **(fields | changes))


def parts(vehicles: Sequence[str], rows: int = 2000) -> tuple[list[Series], list[Series]]:
    """Train and calibration series of each vehicle."""
    train = [waves(v, rows, seed=1) for v in vehicles]
    calibration = [waves(v, rows, seed=2, begin=rows) for v in vehicles]
    return train, calibration


def linear(vehicles: Sequence[str] = VEHICLES, rows: int = 2000, **params: object) -> Detector:
    """A detector of two members over time, fitted on these vehicles."""
    train, calibration = parts(vehicles, rows)
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    members = build_members(LINEAR)
    detector = Detector(members, LINEAR.model_copy(update=params), fleet_of(), scaler)
    return detector.fit(train, calibration)


def with_values(series: Series, rows: slice, channel: int, value: np.ndarray | float) -> Series:
    """A copy with some values of one channel replaced."""
    value_TC = series.value_TC.copy()
    value_TC[rows, channel] = value
    return series.with_values(value_TC)


def coupled(vehicle: str, rows: int = 2000, seed: int = 0, begin: int = 0, **changes) -> Series:
    """Two slow states in four channels, each of which the others tell; c4 as ``waves`` has it."""
    rng = np.random.default_rng([seed, *vehicle.encode()])
    state_T2 = rng.normal(size=(rows + 200, 2))
    for t in range(1, len(state_T2)):
        state_T2[t] = 0.97 * state_T2[t - 1] + 0.24 * state_T2[t]
    plain = waves(vehicle, rows, seed, begin, **changes)
    value_TC = plain.value_TC.copy()
    mixing_2C = np.array([[1.0, 0.0, 0.7, 0.7], [0.0, 1.0, 0.7, -0.7]])
    value_TC[:, : C - 1] = state_T2[200:] @ mixing_2C + 0.1 * rng.normal(size=(rows, C - 1))
    return plain.with_values(value_TC)


def broken_relation(kind: str, series: Series, rows: slice, channel: int) -> Series:
    """A fault that leaves the channel's own habits alone: stuck, late, or decoupled."""
    value_T = series.value_TC[:, channel]
    if kind == "stuck":
        return with_values(series, rows, channel, value_T[rows.start])
    if kind == "late":
        return with_values(series, rows, channel, value_T[rows.start - 40 : rows.stop - 40])
    other = coupled("somebody else", series.rows, seed=9)
    return with_values(series, rows, channel, other.value_TC[rows, channel])


def saved_and_loaded(detector: Detector, folder: Path) -> Detector:
    """The detector after it was saved and loaded; saved again it has the same bytes and digest."""
    save_detector(detector, folder / "one")
    loaded = load_detector(folder / "one")
    save_detector(loaded, folder / "two")
    for name in ("detector.json", "state.safetensors"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
    assert detector_digest(loaded) == detector_digest(detector)
    return loaded


def combine(
    members, evidence, threshold, explained: float, fade=lambda name, weight, excess_T: excess_T
) -> tuple:
    """The whole score (T,) and each channel's contribution (T, C)."""
    about = members, evidence, threshold, Predictability(explained)
    score_T, contributions = predicted(*about)
    add_ranges(score_T, contributions, *about, fade)
    return score_T, contributions[:]
