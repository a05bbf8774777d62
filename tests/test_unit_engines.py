"""Which engine runs the units of a stage, and what a small fleet does without Ray."""

import pickle
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import accumulate
from pathlib import Path

import pytest
from engine_kit import engine_params, toy_stage
from ingest_kit import Yard, at, line, raw_fleet, tree
from test_full_disk import content_of

from amad.config import ClusterProfile, DataError
from amad.config.units import in_process
from amad.engines.shared.drivers_disk import PIECE_BYTES, PIECES, Answering, received
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
    with unit_engine(stage, scored_days=2) as run:
        assert list(run(str, [1, 2])) == ["1", "2"]
    with unit_engine(stage, scored_days=3) as run, pytest.raises(ImportError):
        list(run(str, [1]))


def sent(work, units, *, vehicle_days=None):
    """As if each unit were done in another process, to which ``work`` is sent at the start."""
    assert vehicle_days is None or vehicle_days >= len(units)
    sent_work = pickle.dumps(work)
    for unit in units:
        there, its = pickle.loads(sent_work), pickle.loads(pickle.dumps(unit))
        yield pickle.loads(pickle.dumps(there(its)))


class AnotherNode:
    """Runs units as on a node without the driver's disk: meanwhile the driver's folder is away."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._away = folder, folder.with_name("away")
        self.asked: list[int] = []  # stretches of each request

    def __call__(self, work, units, *, vehicle_days=0):
        for unit in units:
            self._folder.rename(self._away)
            disk.read_through(self)
            try:
                result = work(unit)
            finally:
                disk.read_through(None)
                assert not self._folder.exists(), "something was written on the node"
                self._away.rename(self._folder)
            yield result

    def read(self, stretches: Sequence[disk.Stretch]) -> list[bytes]:
        self.asked.append(len(stretches))
        with self._back():
            return received(Answering({}).read(stretches))

    def write(self, path: Path, content: bytes) -> None:
        with self._back():
            Answering({}).write(path, content)

    @contextmanager
    def _back(self) -> Iterator[None]:
        """As the driver answers, which has its folder."""
        self._away.rename(self._folder)
        disk.read_through(None)
        try:
            yield
        finally:
            disk.read_through(self)
            self._folder.rename(self._away)


@pytest.mark.parametrize(
    "sizes", [[], [0], [5, 0, 7], [PIECE_BYTES, 1], [PIECES * PIECE_BYTES * 2]]
)
def test_the_bytes_of_stretches_travel_in_small_pieces(sizes: list[int], tmp_path: Path) -> None:
    content = random.Random(1).randbytes(sum(sizes))
    (tmp_path / "a").write_bytes(content)
    firsts = list(accumulate(sizes, initial=0))
    wanted = [(tmp_path / "a", first, size) for first, size in zip(firsts, sizes, strict=False)]
    answer = Answering({}).read(wanted)
    assert len(answer) == 1 + PIECES
    assert max(len(piece) for piece in answer[1:-1]) <= PIECE_BYTES
    assert [len(found) for found in received(answer)] == sizes
    assert b"".join(received(answer)) == content


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
    far = AnotherNode(tmp_path / "far")
    runs = {"here": in_process, "there": sent, "far": far}
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
        far.asked.clear()
        rows = profile(lake, fleet, run=run).to_pylist()
        if run is far:
            assert far.asked == [1] * len(lake.days())  # a request for each part
        store = tmp_path / name / "store"
        build_store(lake, fleet, "vehicle", store, quarantined, run)
        of_lake = (tree(lake.path), counts, lake.day_table(), yard.rejected(fleet), rows)
        found.append((of_lake, content_of(store)))
    assert found[0] == found[1] == found[2]
    assert counts.rows_rejected == 3 and len(lake.days()) == 4
    assert WindowStore.open(store).meta["empty"] == ["a-2"]
