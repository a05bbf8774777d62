"""Baselines by name. A new one is a ``Member`` in a file of its own and a line here."""

from collections.abc import Callable

from amad.baselines.floor import RandomDetector
from amad.baselines.pca import PcaMember
from amad.baselines.raw import RangeMember, RawMember
from amad.config import ConfigError, Fleet
from amad.config.params import DetectParams
from amad.detect.detector import Detector, linear_members
from amad.detect.members import Member
from amad.windows.scaler import Scaler

FLOOR = "random"


def make_baseline(
    name: str, params: DetectParams, seed: int, fleet: Fleet, scaler: Scaler | None = None
) -> Detector:
    """An unfitted baseline; ``fit`` and ``score`` are those of every detector.

    seed: of what is random in it. scaler: that the series were scaled with; it only travels along.

    Raises:
        ConfigError: no baseline of that name; the message lists those there are.
    """
    if name == FLOOR:
        return RandomDetector(params, fleet, scaler, seed)
    builders = _builders()
    if name not in builders:
        raise ConfigError(
            f"evaluate.baselines: there is no baseline {name!r}; "
            f"accepted: {', '.join(baseline_names())}"
        )
    return Detector(builders[name](seed), params, fleet, scaler, name=name)


def baseline_names() -> list[str]:
    """All names that ``make_baseline`` knows."""
    return [FLOOR, *sorted(_builders())]


def _builders() -> dict[str, Callable[[int], list[Member]]]:
    """Members of each baseline, from a seed."""
    return {
        "l2": lambda seed: [RawMember("l2")],
        "linear": lambda seed: linear_members(),
        "pca": lambda seed: [PcaMember("pca")],
        "ridge": lambda seed: linear_members()[:1],
        "sensor_range": lambda seed: [RangeMember("sensor_range")],
    }
