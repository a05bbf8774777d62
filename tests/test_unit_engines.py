"""Which engine runs the units of a stage, and what a small fleet does without Ray."""

import pickle
import sys
from datetime import date
from pathlib import Path

import pytest
from engine_kit import engine_params, toy_stage
from ingest_kit import Yard, at, line, raw_fleet, tree
from test_full_disk import content_of

from amad.config import ClusterProfile, DataError
from amad.config.units import in_process
from amad.engines.shared.drivers_disk import Answering
from amad.engines.shared.unit_engines import LIGHT, chosen_engine, unit_engine
from amad.ingest.ingestion import ingest
from amad.telemetry import disk
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.windows import WindowStore
from amad.windows.build import build_store

PROFILE = {"ray_min_vehicle_days": 3}


@pytest.mark.parametrize(
    ("wanted", "vehicle_days", "engine"),
    [("auto", 2, "process"), ("auto", 3, "ray"), ("process", 9, "process"), ("ray", 0, "ray")],
)
def test_the_engine_follows_the_profile_and_the_size(wanted, vehicle_days, engine) -> None:
    assert chosen_engine(wanted, vehicle_days, 3) == engine


def test_a_small_fleet_is_done_in_this_process_in_order_one_unit_after_the_other(
    tmp_path: Path,
) -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 7:
            raise DataError("unit 7 is damaged")
        done.append(number)
        return 2 * number

    with unit_engine(toy_stage(tmp_path, engine_params(), ClusterProfile(**PROFILE))) as run:
        results = run(work, [3, 1, 7, 2], vehicle_days=3 * LIGHT - 1)
        assert done == []
        assert next(results) == 6 and done == [3], "nothing is done before it is asked for"
        assert next(results) == 2
        with pytest.raises(DataError, match="unit 7"):
            next(results)
    assert done == [3, 1]


def test_without_ray_no_ray_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = toy_stage(tmp_path, engine_params(), ClusterProfile(**PROFILE))
    monkeypatch.setitem(sys.modules, "ray", None)  # an import would fail
    with unit_engine(stage) as run:
        assert list(run(str, [1, 2], vehicle_days=2)) == ["1", "2"]
    with unit_engine(stage) as run, pytest.raises(ImportError):
        list(run(str, [1], vehicle_days=3 * LIGHT))


def sent(work, units, *, vehicle_days):
    """As if each unit were done in another process."""
    assert vehicle_days >= len(units)
    for unit in units:
        there, its = pickle.loads(pickle.dumps((work, unit)))
        yield pickle.loads(pickle.dumps(there(its)))


class AnotherNode:
    """Runs units as on a node without the driver's disk: meanwhile the driver's folder is away."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._away = folder, folder.with_name("away")

    def __call__(self, work, units, *, vehicle_days):
        for unit in units:
            self._folder.rename(self._away)
            disk.take_from(self)
            try:
                result = work(unit)
            finally:
                disk.take_from(None)
                assert not self._folder.exists(), "something was written on the node"
                self._away.rename(self._folder)
            yield result

    def __getattr__(self, name: str):
        """As the driver answers, which has its folder."""

        def answer(path: Path, *rest):
            self._away.rename(self._folder)
            try:
                return getattr(Answering({}), name)(path, *rest)
            finally:
                self._folder.rename(self._away)

        return answer


def test_ingest_profile_and_prepare_give_the_same_bytes_wherever_their_units_run(
    tmp_path: Path,
) -> None:
    """Two ingests, the second with rows that repeat, contradict and complement the first."""
    fleet = raw_fleet(
        labels={"kind": "intervals", "culprits": "faults.csv", "culprits_by": "timestamp"},
        source={"files": [{"glob": "x*.csv"}]},
    )
    quarantined = {"a-2": {date(2026, 1, 5)}}
    found = []
    runs = {"here": in_process, "there": sent, "far": AnotherNode(tmp_path / "far")}
    for name, run in runs.items():
        (tmp_path / name).mkdir()
        yard = Yard(tmp_path / name)
        (yard.raw / "faults.csv").write_text(
            "vehicle,start,end,channels\n" + f"a-1,{at(2)},{at(4)},speed\n"
        )
        vehicles = ("a-1", "a-2", "a-3")
        yard.csv("x1.csv", [line(vehicle, s) for s in range(999) for vehicle in vehicles])
        ingest(fleet, yard.settings, run=run)
        later = [line("a-1", 3), line("a-1", 5, 7.0), line("a-1", 90_000)]
        yard.csv("x2.csv", [*later, line("a-2", 4, "", 2.0)])
        counts = ingest(fleet, yard.settings, run=run)
        lake = Lake(yard.settings.fleet_dir(fleet.name) / "lake", fleet)
        rows = profile(lake, fleet, run=run).to_pylist()
        store = tmp_path / name / "store"
        build_store(lake, fleet, "vehicle", store, quarantined, run)
        of_lake = (tree(lake.path), counts, lake.day_table(), yard.rejected(fleet), rows)
        found.append((of_lake, content_of(store)))
    assert found[0] == found[1] == found[2]
    assert counts.rows_rejected == 3 and len(lake.days()) == 4
    assert WindowStore.open(store).meta["empty"] == ["a-2"]
