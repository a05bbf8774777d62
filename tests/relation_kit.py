"""Detectors with a member between channels, fitted on the small fleet of ``detect_kit``."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from detect_kit import coupled, fleet_of

from amad.config.params import DetectParams
from amad.detect.build_members import build_members
from amad.detect.detector import Detector
from amad.detect.members import Member
from amad.windows.series import Series

VEHICLES = ("a-1", "a-2", "b-1")
PARAMS = DetectParams(baseline_weight=0.0)  # a score is then the combined evidence
FAULT, INSIDE = slice(600, 800), slice(640, 800)


def members_of(*names: str, smoothing: str = "centred") -> list[Member]:
    return build_members(PARAMS.model_copy(update={"members": list(names), "smoothing": smoothing}))


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
