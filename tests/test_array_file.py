"""Arrays by owner in a file: the library's bytes, read back one owner at a time."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from detect_kit import coupled, fleet_of
from safetensors.numpy import load_file, save_file

from amad.config import DataError
from amad.config.params import DetectParams
from amad.detect.array_file import HELD, TYPES, ArrayFile, write_arrays
from amad.detect.detector import Detector
from amad.detect.detector_folder import detector_digest
from amad.detect.figure_file import Coefficients, SavedCalibration
from amad.detect.members.build import build_members
from amad.windows.scaler import Scaler


def arrays_of(owner: int) -> dict[str, dict[str, np.ndarray]]:
    """Of every type and several shapes; the names are neither sorted nor plain ASCII."""
    rng = np.random.default_rng(owner)
    kinds = {name: rng.integers(0, 2, (2, owner % 3)).astype(kind) for name, kind in TYPES.items()}
    return {
        "ridge/coefficient": {"lag": rng.normal(size=(3, 2)), "count": np.array([owner])},
        "müon/calibration": {"scale_C": rng.normal(size=4).astype(np.float32)} | kinds,
        "empty/coefficient": {},
    }


def flat(owners: int) -> dict[str, np.ndarray]:
    return {
        f"{k}/{group}/{name}": array
        for k in range(owners)
        for group, arrays in arrays_of(k).items()
        for name, array in arrays.items()
    }


@pytest.mark.parametrize("owners", [0, 1, 12])
def test_the_bytes_are_those_of_the_library(owners: int, tmp_path: Path) -> None:
    save_file(flat(owners), tmp_path / "theirs")
    write_arrays(tmp_path / "ours", [str(k) for k in range(owners)], lambda k: arrays_of(int(k)))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    for name, array in load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(array, flat(owners)[name])


def assert_holds(file: ArrayFile, owner: str, k: int) -> None:
    wanted = {group: arrays for group, arrays in arrays_of(k).items() if arrays}
    found = file.read(owner)
    assert found.keys() == wanted.keys()
    for group, arrays in wanted.items():
        assert found[group].keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[group][name].dtype == array.dtype
            np.testing.assert_array_equal(found[group][name], array)


def test_each_owner_is_read_by_itself(tmp_path: Path) -> None:
    save_file(flat(12), tmp_path / "state")
    file = ArrayFile.open(tmp_path / "state")
    (tmp_path / "state").unlink()  # what is open stays readable
    file.rename([f"vehicle/{k}" for k in range(12)])
    assert list(file) == [f"vehicle/{k}" for k in range(12)]
    for k in (7, 0, 11, 7):
        assert_holds(file, f"vehicle/{k}", k)


def test_memory_holds_the_arrays_of_a_few_owners() -> None:
    file = ArrayFile.temporary()
    for k in range(3 * HELD):
        file.add(f"vehicle/{k}", {"ridge/coefficient": {"lag": np.full(1000, float(k))}})
    for k in range(3 * HELD):
        assert file.read(f"vehicle/{k}")["ridge/coefficient"]["lag"][0] == k
    gc.collect()
    held = [x for x in gc.get_objects() if type(x) is dict and list(x) == ["ridge/coefficient"]]
    assert len(held) <= HELD
    file.add("vehicle/1", {"ridge/coefficient": {"lag": np.zeros(2)}})
    assert file.read("vehicle/1")["ridge/coefficient"]["lag"].tolist() == [0.0, 0.0]


def opened() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_file_is_closed_with_the_object() -> None:
    before = opened()
    file = ArrayFile.temporary()
    file.add("vehicle/b-1", arrays_of(3))
    assert_holds(file, "vehicle/b-1", 3)
    assert opened() == before + 1
    del file
    assert opened() == before


def test_a_file_that_is_cut_while_it_is_open_is_said(tmp_path: Path) -> None:
    write_arrays(tmp_path / "state", ["0"], lambda k: arrays_of(int(k)))
    file = ArrayFile.open(tmp_path / "state")
    os.truncate(tmp_path / "state", (tmp_path / "state").stat().st_size - 3)
    with pytest.raises(DataError, match=r"state: became shorter"):
        file.read("0")


def test_what_is_learnt_anew_counts_before_what_the_file_holds() -> None:
    file = ArrayFile.temporary()
    file.add("vehicle/b-1", {"ridge/coefficient": {"lag": np.zeros(2)}})
    found = Coefficients("ridge", {"fleet": {"lag": np.ones(1)}}, file)
    assert sorted(found) == ["fleet", "vehicle/b-1"] and len(found) == 2
    assert found["vehicle/b-1"]["lag"].tolist() == [0.0, 0.0] and found.get("vehicle/b-2") is None
    found["vehicle/b-1"] = {"lag": np.ones(2)}
    assert found["vehicle/b-1"]["lag"].tolist() == [1.0, 1.0] and len(found) == 2
    del found["vehicle/b-1"]
    assert found["vehicle/b-1"]["lag"].tolist() == [0.0, 0.0]


def test_a_detector_learnt_through_a_file_is_the_one_learnt_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With short and long histories, so that what they are moved towards is put away as well."""
    lengths, found = (("b-1", 2500), ("b-2", 900), ("c-1", 300)), []
    train = [coupled(vehicle, rows, seed=1) for vehicle, rows in lengths]
    calibration = [coupled(vehicle, seed=2, begin=3000) for vehicle, _ in lengths]
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    params = DetectParams(amad_weight=0.0)
    for held in (HELD, 1):
        monkeypatch.setattr("amad.detect.figure_file.HELD", held)
        detector = Detector(build_members(params), params, fleet_of(), scaler)
        detector.fit(train, calibration)
        put_away = [isinstance(f.calibration, SavedCalibration) for f in detector.figures.values()]
        assert sum(put_away) == (0 if held == HELD else 2)
        found.append((detector_digest(detector), detector.score(coupled("b-2", 600)).score_T))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
