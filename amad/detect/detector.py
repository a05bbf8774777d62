"""The detector: members, the evidence chain that combines them, and a threshold.

``fit`` learns from normal rows only; ``score`` changes nothing. Evaluation, the registry and the
scheduled scoring job use the same object. ``amad.detect.detector_folder`` saves and loads it.

Learnt figures: a vehicle with ``SHORT_ROWS`` train rows has coefficients and a calibration of its
own; the fewer its rows, the more they are moved towards those of its class. An unknown vehicle
takes the figures pooled over its class, or those of the fleet where the class is unknown too. They
serve vehicles without history, so they are learnt from vehicles that are scaled as if without.

Shape legend: T rows of a vehicle, C channels.
"""

from amad.detect.detector_fitting import DetectorLearner
from amad.detect.member_scorer import MemberScorer


class Detector(MemberScorer):
    """Members combined by the evidence chain, with a threshold that keeps the alarm budget.

    All series are scaled (``scaler.apply``). Example::

        detector = build_detector(bundle, params.detect).fit(train, calibration)
        scored = detector.score(series)      # score_T, threshold_T, alarm_T, contribution_TC
        save_detector(detector, path); detector = load_detector(path)
    """

    def learner(self) -> DetectorLearner:
        """As of every scorer."""
        return DetectorLearner(self)
