"""The two forms of a detector, with its network and without it, from one fit.

    detector = build_detector(bundle, params.detect)
    other = fit_forms(detector, train, calibration)

The members in closed form learn the same in both, which takes most of the time. So the form with
the network learns; the one without takes from it what the members that it shares have learnt, and
chooses a threshold of its own.
"""

from collections.abc import Sequence

from amad.config.units import RunUnits, in_process
from amad.detect.detector import Detector
from amad.detect.detector_fitting import DetectorLearner
from amad.detect.fitting import fit_together
from amad.detect.members.build import build_members
from amad.windows.series import Part


def fit_forms(
    detector: Detector,
    train: Sequence[Part],
    calibration: Sequence[Part],
    run: RunUnits = in_process,
) -> Detector | None:
    """Fit a detector and its other form at once; None where it has no other form.

    Each is what ``fit`` would make of it. run: what learns the vehicles.

    Raises:
        DataError: as ``fit``.
    """
    other = other_form(detector)
    if other is None:
        learner = detector.learner()
    else:
        whole, part = (detector, other) if detector.params.vote > 0 else (other, detector)
        learner = DetectorLearner(whole, part)
    fit_together([learner], detector.with_rows(train), calibration, run, "fit the detector")
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
