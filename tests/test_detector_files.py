"""The detector on disk: saved and loaded it is the same, and what is damaged is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from detect_kit import (
    LINEAR,
    VEHICLES,
    broken_relation,
    coupled,
    fleet_of,
    linear,
    saved_and_loaded,
)

from amad.config import DataError
from amad.detect.detector import Detector
from amad.detect.detector_folder import (
    FORMAT,
    detector_digest,
    folder_digest,
    load_detector,
    save_detector,
)
from amad.detect.members.build import build_members
from amad.windows import Scaler


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_saved_and_loaded_it_is_the_same_detector(tmp_path: Path, smoothing: str) -> None:
    members = ["innovation", "two_sided", "relation", "window_range"]
    params = LINEAR.model_copy(update={"members": members, "smoothing": smoothing})
    train = [coupled(v, seed=1) for v in VEHICLES] + [coupled("b-2", 500, seed=1)]
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    ours = Detector(build_members(params), params, fleet_of(), scaler)
    ours.fit(train, [coupled(v, seed=2, begin=2000) for v in VEHICLES])
    loaded = saved_and_loaded(ours, tmp_path)
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == ["checksums.json", "detector.json", "state.safetensors"]
    for owner, figures in ours.figures.items():
        assert loaded.figures[owner].predictability == figures.predictability
        assert loaded.figures[owner].excess_threshold == figures.excess_threshold
        assert set(figures.excess_threshold) == set(figures.calibration)
    assert (loaded.context_rows, loaded.lookahead_rows) == (ours.context_rows, ours.lookahead_rows)
    for one, two in zip(ours.members, loaded.members, strict=True):
        assert one.name == two.name and one.coefficients.keys() == two.coefficients.keys()
        for owner, arrays in one.coefficients.items():
            assert arrays.keys() == two.coefficients[owner].keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, two.coefficients[owner][name])
    for vehicle in ("b-1", "b-2", "b-9", "c-1"):
        series = broken_relation("late", coupled(vehicle, 1200, seed=3), slice(600, 900), 2)
        found, again = ours.score(series), loaded.score(series)
        for name in ("score_T", "contribution_TC", "alarm_T", "threshold_T"):
            np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    ours.figures["vehicle/b-1"].excess_threshold["relation"] += 0.1
    assert detector_digest(ours) != detector_digest(loaded)


def test_the_digest_follows_the_content_alone() -> None:
    assert detector_digest(linear()) == detector_digest(linear())
    assert detector_digest(linear()) != detector_digest(linear(alarm_budget=3.0))


def test_what_is_no_detector_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no detector"):
        load_detector(tmp_path)
    save_detector(linear(), tmp_path / "d")
    file = tmp_path / "d" / "detector.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": FORMAT - 1}))
    expected = f"detector of format {FORMAT - 1}, this version reads {FORMAT}; run the evaluate"
    with pytest.raises(DataError, match=expected):
        load_detector(tmp_path / "d")


def test_a_detector_with_a_member_that_is_gone_is_refused_in_a_sentence(tmp_path: Path) -> None:
    detector = linear()
    detector.params = detector.params.model_copy(update={"members": ["relation", "ridge"]})
    save_detector(detector, tmp_path / "d")
    with pytest.raises(DataError, match=r"setting detect\.members\.1 of this detector \('ridge'\)"):
        load_detector(tmp_path / "d")


@pytest.mark.parametrize("name", ["detector.json", "state.safetensors", "checksums.json"])
@pytest.mark.parametrize("where", [0.3, 0.9])
def test_a_flipped_byte_is_told_with_file_and_way_out(
    tmp_path: Path, name: str, where: float
) -> None:
    save_detector(linear(["b-1"]), tmp_path / "d")
    assert folder_digest(tmp_path / "d") == detector_digest(load_detector(tmp_path / "d"))
    file = tmp_path / "d" / name
    content = bytearray(file.read_bytes())
    digits = [i for i, byte in enumerate(content) if byte in b"0123456789"]
    content[digits[int(where * len(digits))]] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*take an intact copy") as told:
        load_detector(tmp_path / "d")
    assert str(tmp_path / "d") in str(told.value)
    if name != "checksums.json":
        assert str(file) in str(told.value)


def test_a_file_that_lacks_is_told(tmp_path: Path) -> None:
    for name in ("state.safetensors", "checksums.json"):
        save_detector(linear(["b-1"]), tmp_path / "d")
        (tmp_path / "d" / name).unlink()
        with pytest.raises(DataError, match=name):
            load_detector(tmp_path / "d")
