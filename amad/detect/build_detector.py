"""Builds the detector of a trained network from its bundle."""

from typing import TYPE_CHECKING

from amad.config import ConfigError
from amad.config.params import DetectParams
from amad.detect.detector import Detector
from amad.detect.members.build import build_members

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


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
