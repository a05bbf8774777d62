"""The detector: members, the evidence chain that combines them, and a threshold.

``fit`` learns from normal rows only; ``score`` changes nothing. Evaluation, the registry and the
scheduled scoring job use the same object. ``amad.detect.detector_folder`` saves and loads it.

Learnt figures: a vehicle with ``SHORT_ROWS`` train rows has coefficients and a calibration of its
own; the fewer its rows, the more they are moved towards those of its class. An unknown vehicle
takes the figures pooled over its class, or those of the fleet where the class is unknown too. They
serve vehicles without history, so they are learnt from vehicles that are scaled as if without.

Shape legend: T rows of a vehicle, C channels.
"""

from typing import TYPE_CHECKING

from amad.config import ConfigError
from amad.config.params import DetectParams
from amad.detect.detector_fitting import DetectorLearner
from amad.detect.long_series import judged_in_pieces
from amad.detect.member_scorer import MemberScorer
from amad.detect.members.build import build_members
from amad.detect.scorer import Scored
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


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

    def score(self, series: Series) -> Scored:
        """Score, alarm and contributions of every row of a scaled series; nothing is learnt."""
        return judged_in_pieces(self, series, whole=True)

    def find_alarms(self, series: Series) -> Scored:
        """As of every scorer; the others have contributions of 0."""
        return judged_in_pieces(self, series, whole=False)


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector with the bundle's network, fleet and scaler.

    Raises:
        ConfigError: none of ``params.members`` has a vote.
    """
    members = build_members(params, bundle)
    if not members:
        raise ConfigError(
            f"detect.members: none of {', '.join(params.members) or '(nothing)'} has a vote; name "
            "one in closed form such as innovation, or set detect.amad_weight above 0"
        )
    return Detector(members, params, bundle.fleet, bundle.scaler, bundle=bundle)
