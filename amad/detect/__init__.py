"""From residuals to alarms and incidents: the one definition of each.

See docs/explanation/detector.md.
"""

from amad.detect.alarms import OperatingPoint, merge_alarms
from amad.detect.detector import Detector, build_detector
from amad.detect.detector_state import Scored
from amad.detect.incidents import Incident, continue_incident, incidents_of, severity

__all__ = [
    "Detector", "Incident", "OperatingPoint", "Scored", "build_detector", "continue_incident",
    "incidents_of", "merge_alarms", "severity",
]  # fmt: skip
