"""The two engines that run the units of a scoring job, see ``amad.engines.shared.unit_engines``."""

from collections.abc import Collection, Generator
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from amad.config import ClusterProfile, Fleet, usable_error
from amad.detect.daily import ScoredRows, score_vehicle_day
from amad.detect.storage import load_detector
from amad.engines.score.lake_snapshot import Day, Snapshot
from amad.engines.shared import unit_engines
from amad.telemetry.lake import Lake

Result = ScoredRows | str  # of one unit; the text says why it cannot be scored
Unit = tuple[str, date, Collection[date]]  # vehicle, date, the vehicle's quarantined dates


def in_process(
    snapshot: Snapshot, detector: Path, units: list[Day], profile: ClusterProfile
) -> Generator[Result]:
    """Score the units one after the other in this process."""
    scorer = Scorer(detector, snapshot.lake.path, snapshot.lake.fleet)
    yield from unit_engines.in_this_process(scorer, _with_quarantine(snapshot, units))


def over_ray(
    snapshot: Snapshot, detector: Path, units: list[Day], profile: ClusterProfile
) -> Generator[Result]:
    """Score the units over Ray Data: actors that each load the detector once.

    Every node must be able to read the lake; the detector is sent through Ray.
    """
    from amad.engines.shared.ray_cluster import ray_session

    files = {
        str(file.relative_to(detector)): file.read_bytes()
        for file in sorted(detector.rglob("*"))
        if file.is_file()
    }
    scorer = SentScorer(files, snapshot.lake.path, snapshot.lake.fleet)
    with ray_session(profile):
        yield from unit_engines.over_ray(scorer, _with_quarantine(snapshot, units))


def _with_quarantine(snapshot: Snapshot, units: list[Day]) -> list[Unit]:
    return [(vehicle, day, snapshot.quarantined.get(vehicle, ())) for vehicle, day in units]


class Scorer:
    """A detector and a lake, opened once."""

    def __init__(self, detector: Path, lake: Path, fleet: Fleet) -> None:
        self.detector = load_detector(detector, to_score=True)
        self.lake = Lake(lake, fleet)

    def __call__(self, unit: Unit) -> Result:
        """Score one unit, or say why it cannot be, so that the other units are still scored."""
        vehicle, day, quarantined = unit
        try:
            return score_vehicle_day(
                self.detector, self.lake.fleet, self.lake, vehicle, day, quarantined
            )
        except Exception as error:
            if (known := usable_error(error)) is None:
                raise
            return str(known)


class SentScorer:
    """``Scorer`` in an actor, which gets the detector as the content of its files."""

    def __init__(self, files: dict[str, bytes], lake: Path, fleet: Fleet) -> None:
        self._files, self._lake, self._fleet = files, lake, fleet

    @cached_property
    def _scorer(self) -> Scorer:
        with TemporaryDirectory() as folder:
            for name, content in self._files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return Scorer(Path(folder), self._lake, self._fleet)

    def __call__(self, unit: Unit) -> Result:
        """Score one unit, see ``Scorer``."""
        return self._scorer(unit)
