"""The two engines that run the units of a scoring job; both keep the order of the units.

Each unit runs with one thread. Sums are then added up in the same order everywhere, so that the
bytes depend neither on the engine nor on the machine and its cores.
"""

import logging
import pickle
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from amad.config import ClusterProfile, Fleet, usable_error
from amad.detect.daily import ScoredRows, score_vehicle_day
from amad.detect.storage import load_detector
from amad.engines.score.lake_snapshot import Day, Snapshot
from amad.telemetry.lake import Lake

Result = ScoredRows | str  # of one unit; the text says why it cannot be scored


def in_process(
    snapshot: Snapshot, detector: Path, units: list[Day], profile: ClusterProfile
) -> Generator[Result]:
    """Score the units one after the other in this process."""
    scorer = Scorer(detector, snapshot.lake.path, snapshot.lake.fleet)
    for vehicle, day in units:
        yield scorer.score(vehicle, day, snapshot.quarantined.get(vehicle, ()))


def over_ray(
    snapshot: Snapshot, detector: Path, units: list[Day], profile: ClusterProfile
) -> Generator[Result]:
    """Score the units over Ray Data: actors that each load the detector once.

    Every node must be able to read the lake; the detector is sent through Ray.
    """
    import ray

    from amad.engines.shared.ray_cluster import ray_session

    files = {
        str(file.relative_to(detector)): file.read_bytes()
        for file in sorted(detector.rglob("*"))
        if file.is_file()
    }
    rows = [
        {"unit": pickle.dumps((vehicle, day, snapshot.quarantined.get(vehicle, frozenset())))}
        for vehicle, day in units
    ]
    with ray_session(profile):
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        workers = max(1, min(len(units), int(ray.cluster_resources().get("CPU", 1))))
        scored = ray.data.from_items(rows, override_num_blocks=min(len(units), 8 * workers)).map(
            RayScorer,  # type: ignore[arg-type]  # with a constructor, a class is a mapper too
            fn_constructor_args=(ray.put(files), str(snapshot.lake.path), snapshot.lake.fleet),
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in scored.iter_rows():
            yield pickle.loads(row["result"])


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the body with one thread in numpy's and torch's libraries."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(threads)


class Scorer:
    """A detector and a lake, opened once."""

    def __init__(self, detector: Path, lake: Path, fleet: Fleet) -> None:
        self.detector = load_detector(detector, to_score=True)
        self.lake = Lake(lake, fleet)

    def score(self, vehicle: str, day: date, quarantined: Collection[date]) -> Result:
        """One unit, or why it cannot be scored, so that the other units are still scored."""
        try:
            with one_thread():
                return score_vehicle_day(
                    self.detector, self.lake.fleet, self.lake, vehicle, day, quarantined
                )
        except Exception as error:
            if (known := usable_error(error)) is None:
                raise
            return str(known)


class RayScorer:
    """``Scorer`` as Ray Data calls it; units and results are sent as bytes."""

    def __init__(self, files, lake: str, fleet: Fleet) -> None:
        import ray

        with TemporaryDirectory() as folder:
            for name, content in ray.get(files).items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.scorer = Scorer(Path(folder), Path(lake), fleet)

    def __call__(self, row: dict) -> dict:
        """Score the unit of one row."""
        return {"result": pickle.dumps(self.scorer.score(*pickle.loads(row["unit"])))}
