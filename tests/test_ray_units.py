"""Units of work as tasks of Ray: their order, what two of one vehicle do, and workers that die."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import engine_kit
import pyarrow.fs as pafs
import pytest
from engine_kit import PROFILE, wait_until

from amad.config import DataError, ServiceError
from amad.engines.shared.drivers_disk import Reach
from amad.engines.shared.ray_checkpoint import own_copy
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.unit_engines import over_ray

pytestmark = pytest.mark.engine

HERE = Reach(marks=(), actor=None, fetchers={})  # every worker is on this machine
WIDE = PROFILE.model_copy(update={"cpus": 3, "workers": 1})
Unit = tuple[str, int]


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One Ray for the tests of this file, whose workers need not have it."""
    from ray import cloudpickle

    for module in (sys.modules[__name__], engine_kit):
        cloudpickle.register_pickle_by_value(module)
    with ray_session(WIDE):
        yield


class Days:
    """Adds each day to the file of its vehicle, as two processes must not do at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, unit: Unit) -> Unit:
        vehicle, day = unit
        file = self.folder / vehicle
        before = file.read_text() if file.exists() else ""
        time.sleep(0.02 * (3 - day % 3))
        file.write_text(f"{before}{day} ")
        return unit


def test_the_days_of_a_vehicle_are_done_in_turn_and_results_keep_their_order(
    tmp_path: Path,
) -> None:
    units = [(vehicle, day) for day in range(8) for vehicle in ("a", "b", "c")]
    assert [*over_ray(Days(tmp_path), units, HERE, vehicle_of=itemgetter(0))] == units
    assert {file.read_text() for file in tmp_path.iterdir()} == {"0 1 2 3 4 5 6 7 "}


class Together:
    """Ends when all three units have begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, unit: Unit) -> int:
        (self.folder / unit[0]).touch()
        wait_until(lambda: len(list(self.folder.iterdir())) == 3, "they are not done at once")
        return os.getpid()


def test_different_vehicles_are_done_at_once(tmp_path: Path) -> None:
    units = [(vehicle, 0) for vehicle in "abc"]
    assert len({*over_ray(Together(tmp_path), units, HERE, vehicle_of=itemgetter(0))}) == 3


class Failing:
    """Fails at ``damaged``, dies at ``deadly``, and where ``once`` is set only the first time."""

    def __init__(self, folder: Path, *, damaged: int = -1, deadly: int = -1, once: bool = False):
        self.folder, self.damaged, self.deadly, self.once = folder, damaged, deadly, once

    def __call__(self, unit: Unit) -> int:
        _, day = unit
        tried = self.folder / f"{day}-{time.time_ns()}"
        again = any(self.folder.glob(f"{day}-*"))
        tried.touch()
        if day == self.damaged:
            raise DataError(f"day {day} is damaged")
        if day == self.deadly and not (self.once and again):
            os.kill(os.getpid(), signal.SIGKILL)
        return day


def test_an_error_is_told_in_its_place_and_what_waits_is_not_begun(tmp_path: Path) -> None:
    units = [("a", day) for day in range(30)]
    for _ in range(10):  # to cancel what waits ended the whole process, once in a few times
        results = over_ray(Failing(tmp_path, damaged=2), units, HERE, vehicle_of=itemgetter(0))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(DataError, match="day 2 is damaged"):
            next(results)
    time.sleep(0.5)
    assert {file.name.split("-")[0] for file in tmp_path.iterdir()} == {"0", "1", "2"}


def test_a_unit_whose_worker_dies_runs_again(tmp_path: Path) -> None:
    units = [("a", day) for day in range(4)]
    work = Failing(tmp_path, deadly=1, once=True)
    assert [*over_ray(work, units, HERE, vehicle_of=itemgetter(0))] == [0, 1, 2, 3]


def test_a_unit_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    work = Failing(tmp_path, deadly=0)
    with pytest.raises(ServiceError, match=r"gave up the rows of vehicle b-7 .*memory"):
        [*over_ray(work, [("b-7", 0)], HERE, vehicle_of=itemgetter(0))]


def test_each_reader_of_a_checkpoint_has_its_own_copy(tmp_path: Path) -> None:
    """In a storage that is not this disk; else the second one writes where the first one reads."""
    from ray.train import Checkpoint

    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "state.pt").write_bytes(b"weights")
    storage = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    kept = Checkpoint("kept", filesystem=storage)
    with own_copy(kept) as first:
        with own_copy(kept) as second:
            assert first != second
            assert (second / "state.pt").read_bytes() == b"weights"
        assert (first / "state.pt").read_bytes() == b"weights"
    assert not first.exists() and not second.exists()
