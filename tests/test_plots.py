"""The evaluation's pictures are written, are pictures, and are the same twice."""

import csv

import numpy as np
import pytest
from detect_kit import linear_members
from evaluation_kit import kit_events, kit_fleet, kit_params, kit_store

from amad.detect.detector import Detector
from amad.evaluation.harness import examine
from amad.evaluation.plots import write_plots
from amad.evaluation.units import fitting_parts

pytestmark = pytest.mark.slow

ALL = {
    "precision_recall.csv", "precision_recall.png", "methods.png", "timeline_worst.png",
    "timeline_best.png", "attribution.png",
}  # fmt: skip


@pytest.fixture(scope="module", params=["column", "injected"])
def drawn(request, tmp_path_factory):
    unit = "case" if request.param == "injected" else "vehicle"
    fleet, params = kit_fleet(request.param, unit, cases=2), kit_params()
    folder = tmp_path_factory.mktemp("plots")
    store = kit_store(folder / "store", fleet)
    detector = Detector(linear_members(), params.detect, fleet, store.scaler)
    detector.fit(*fitting_parts(store))
    events = kit_events().slice(0, None if unit == "vehicle" else 0)
    evaluation = examine(store, detector, fleet, params, events)

    def draw(out):
        write_plots(evaluation, detector, store, fleet, events, out)
        return sorted(out.iterdir())

    return evaluation, draw, draw(folder / "one"), folder


def test_every_picture_is_written_whole(drawn):
    _, _, files, _ = drawn
    assert {file.name for file in files} == ALL
    for file in files:
        if file.suffix == ".png":
            data = file.read_bytes()
            assert data.startswith(b"\x89PNG") and data.rstrip().endswith(b"IEND\xaeB`\x82")
            assert len(data) > 5_000


def test_the_same_evaluation_draws_the_same_bytes(drawn):
    _, draw, files, folder = drawn
    for first, second in zip(files, draw(folder / "two"), strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_the_curve_table_holds_every_method(drawn):
    evaluation, _, files, _ = drawn
    with next(f for f in files if f.suffix == ".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"method", "recall", "precision"}
    assert {row["method"] for row in rows} == set(evaluation.metrics.methods)
    ours = [float(row["precision"]) for row in rows if row["method"] == "amad"]
    assert len(ours) == 101 and all(0 <= p <= 1 for p in ours)
    base = np.mean([t.precision_G for t in [evaluation.results["random"]]], axis=(0, 1))[-1]
    assert ours[10] > base
