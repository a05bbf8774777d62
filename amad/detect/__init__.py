"""Detection: from residuals to scores, alarms and incidents; see docs/explanation/detector.md."""

from amad.detect.alarms import OperatingPoint, merge_alarms
from amad.detect.build_detector import build_detector
from amad.detect.detector import Detector
from amad.detect.incidents import Incident, continue_incident, incidents_of
from amad.detect.scorer import Scored
from amad.detect.severity import severity

__all__ = [
    "Detector", "Incident", "OperatingPoint", "Scored", "build_detector", "continue_incident",
    "incidents_of", "merge_alarms", "severity",
]  # fmt: skip
