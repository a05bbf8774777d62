"""The two forms of a detector, with its network and without it, from one fit.

    detector = build_detector(bundle, params.detect)
    other = fit_forms(detector, train, calibration)

The members in closed form learn the same in both, which takes most of the time. So the form with
the network learns; the one without takes from it what the members that it shares have learnt, and
chooses a threshold of its own.
"""

from collections.abc import Sequence
from dataclasses import replace

from amad.detect.build_members import build_members
from amad.detect.combine import excess_shares, range_shares
from amad.detect.detector import Detector
from amad.windows.series import Part


def fit_forms(
    detector: Detector, train: Sequence[Part], calibration: Sequence[Part]
) -> Detector | None:
    """Fit a detector and its other form at once; None where it has no other form.

    Each is what ``fit`` would make of it.

    Raises:
        DataError: as ``fit``.
    """
    other = other_form(detector)
    if other is None:
        detector.fit(train, calibration)
        return None
    whole, part = (detector, other) if detector.params.vote > 0 else (other, detector)
    train = whole.with_rows(train)
    whole.learn(train, calibration)
    _take(part, whole)
    for form in (whole, part):
        form.learn_threshold(calibration, {own.vehicle: own for own in train})
    return other


def other_form(detector: Detector) -> Detector | None:
    """The unfitted detector without its network where that votes, with it where it does not.

    None where it has no network, or nothing else.
    """
    params = detector.params
    closed = build_members(params.model_copy(update={"amad_weight": 0.0}))
    votes = params.vote > 0
    if not closed or "amad" not in params.members or not (votes or detector.bundle):
        return None
    changed = params.model_copy(update={"amad_weight": 0.0 if votes else 1.0})
    members = build_members(changed, detector.bundle)
    return Detector(members, changed, detector.fleet, detector.scaler)


def _take(part: Detector, whole: Detector) -> None:
    """Let a detector share the members of another, and know what they have learnt."""
    names = {member.name for member in part.members}
    part.members = [member for member in whole.members if member.name in names]
    for owner, figures in whole.figures.items():
        serving = part.ensemble.serving(figures.calibration)
        counted = (*excess_shares(serving), *range_shares(serving))
        assert figures.explained is not None, "the figures were learnt, not loaded"
        part.figures[owner] = replace(
            figures,
            predictability=figures.explained.best(part.members),
            excess_threshold={name: figures.excess_threshold[name] for name in counted},
        )
