"""Detectors with a member between channels, fitted on the small fleet of ``detect_kit``."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from detect_kit import VEHICLES, C, coupled, fleet_of, with_values

from amad.config.params import DetectParams
from amad.detect.detector import Detector
from amad.detect.learnt_figures import FLEET
from amad.detect.members.build import build_members
from amad.detect.members.member import Member, RidgeMember
from amad.detect.members.relation import RelationMember
from amad.windows.series import Series

# A score is the combined evidence. Calibration is a day and a half: with the usual budget the
# usual tail would decide, with this one these rows do.
PARAMS = DetectParams(baseline_weight=0.0, alarm_budget=5.0)
PAIRS = [(i, j) for i in range(C) for j in range(i, C)]  # of each product of two channels
FAULT, INSIDE = slice(600, 800), slice(640, 800)


def members_of(*names: str, smoothing: str = "centred") -> list[Member]:
    """The members of these names; ``ridge`` is one that looks at its own last rows alone."""
    members: list[Member] = []
    for name in names:
        if name == "ridge":
            members.append(RidgeMember("ridge", range(1, 6)))
        else:
            changes = {"members": [name], "smoothing": smoothing}
            members += build_members(PARAMS.model_copy(update=changes))
    return members


def fitted(
    members: Sequence[Member],
    train: Sequence[Series] | None = None,
    calibration: Sequence[Series] | None = None,
    smoothing: str = "centred",
) -> Detector:
    train = train or [coupled(v, 4000, seed=1) for v in VEHICLES]
    calibration = calibration or [coupled(v, seed=2, begin=2000) for v in VEHICLES]
    params = PARAMS.model_copy(update={"smoothing": smoothing})
    return Detector(members, params, fleet_of(), None).fit(train, calibration)


@cache
def detector(*names: str, smoothing: str = "centred") -> Detector:
    return fitted(members_of(*names, smoothing=smoothing), smoothing=smoothing)


def combined_of(detector: Detector, series: Series) -> np.ndarray:
    """The combined evidence (T,): the score plus the allowance of pooled figures."""
    return detector.raw_score(series)[0] + detector.figures[detector.owner_of(series)].allowance


def learnt(
    train: Sequence[Series], *, trailing: bool = False, pairs: Sequence[tuple[int, int]] = PAIRS
) -> RelationMember:
    """A member that uses the products of these pairs of channels, whatever they tell."""
    member = RelationMember(trailing=trailing)
    member.pairs_2Q = np.array(pairs, np.int64).reshape(-1, 2).T
    member.fit(FLEET, train, 4)
    return member


def held(series: Series, rows: slice, channel: int) -> Series:
    """The channel is silent, and its last value held."""
    valid_TC = series.valid_TC.copy()
    valid_TC[rows, channel] = 0
    last = series.value_TC[rows.start - 1, channel]
    return replace(with_values(series, rows, channel, last), valid_TC=valid_TC)


def products(value_TC: np.ndarray) -> np.ndarray:
    """(T, P) float64: of each pair of channels, cut and weighed by plain numbers."""
    cut_TC = np.clip(value_TC.astype(np.float64), -3, 3)
    return np.stack([cut_TC[:, i] * cut_TC[:, j] / np.sqrt(20) for i, j in PAIRS], axis=1)
