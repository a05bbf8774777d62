"""Runs the units of a scoring job here or over Ray, see ``amad.engines.shared.unit_engines``."""

from collections.abc import Generator
from datetime import date
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from amad.config import ClusterProfile, usable_error
from amad.detect.detector_folder import load_detector
from amad.engines.score.lake_snapshot import Snapshot
from amad.engines.shared import unit_engines
from amad.engines.shared.drivers_disk import reachable
from amad.engines.shared.environment import keep_freed_memory
from amad.scores.daily import ScoredRows, score_vehicle_day
from amad.scores.vehicle_state import VehicleStates
from amad.telemetry.kept_out import Day
from amad.telemetry.lake import Lake

Result = ScoredRows | str  # of one unit; the text says why it cannot be scored
Unit = tuple[str, date, frozenset[date]]  # vehicle, date, the vehicle's quarantined dates
StatesPlace = tuple[str, Path]  # the detector's digest and ``runs/<fleet>``: where states are found


def score_units(
    engine: str,
    snapshot: Snapshot,
    detector: Path,
    units: list[Day],
    profile: ClusterProfile,
    states: StatesPlace,
) -> Generator[Result]:
    """Score the units one after the other in this process, or over Ray (``engine``).

    Over Ray each process of a worker loads the detector once, which is sent through Ray; the lake
    and the states are read where the driver has them. The days of a vehicle are scored one after
    the other: each goes on from the state that the day before left, and no two write it at the same
    time.
    """
    out = snapshot.quarantined
    given = [(vehicle, day, out.get(vehicle, frozenset())) for vehicle, day in units]
    if engine != "ray":
        yield from unit_engines.in_this_process(UnitScorer(detector, snapshot.lake, states), given)
        return
    from amad.engines.shared.ray_cluster import ray_session

    files = {
        str(file.relative_to(detector)): file.read_bytes()
        for file in sorted(detector.rglob("*"))
        if file.is_file()
    }
    scorer = SentUnitScorer(files, snapshot.lake, states)
    _, runs = states
    with ray_session(profile), reachable(profile, [snapshot.lake.path, runs]) as reach:
        yield from unit_engines.over_ray(scorer, given, reach, vehicle_of=itemgetter(0))


class UnitScorer:
    """A detector and a lake, opened once, and the states of the lake's vehicles.

    The folder of the detector may be deleted meanwhile.
    """

    def __init__(self, detector: Path, lake: Lake, states: StatesPlace) -> None:
        keep_freed_memory()
        self.detector, self.lake = load_detector(detector, to_score=True), lake
        digest, runs = states
        self.states = VehicleStates(runs, self.detector, digest, self.lake)

    def __call__(self, unit: Unit) -> Result:
        """Score one unit, or say why it cannot be, so that the other units are still scored."""
        vehicle, day, quarantined = unit
        try:
            states = self.states.read(vehicle, quarantined)
            found = score_vehicle_day(
                self.detector, self.lake.fleet, self.lake, vehicle, day, quarantined, states
            )
            if states:
                self.states.write(vehicle, quarantined, states, day)
            return found
        except Exception as error:
            if (known := usable_error(error)) is None:
                raise
            return str(known)


class SentUnitScorer:
    """``UnitScorer`` in a worker of Ray, which gets the detector as the content of its files."""

    def __init__(self, files: dict[str, bytes], lake: Lake, states: StatesPlace) -> None:
        self._files, self._lake, self._states = files, lake, states

    @cached_property
    def _scorer(self) -> UnitScorer:
        with TemporaryDirectory() as folder:
            for name, content in self._files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._files.clear()  # the detector reads of the open file what it needs
            return UnitScorer(Path(folder), self._lake, self._states)

    def __call__(self, unit: Unit) -> Result:
        """Score one unit, see ``UnitScorer``."""
        return self._scorer(unit)
