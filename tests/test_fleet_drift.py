"""``amad drift`` and ``amad retrain``: seldom on healthy days, and surely on days that drifted."""

import json
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scoring_kit
from engine_kit import begin_dvc
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import wasserstein_distance
from scoring_kit import CONTENT, FLEET, NIGHTS, START, VEHICLES, night, refresh, run_job, validated

from amad.cli.__main__ import run
from amad.cli.drifting import SHOWN, lines_of
from amad.config import Fleet, Stage, load_fleet
from amad.detect.alarms import OperatingPoint
from amad.drift.distance import MOST, Sample, distance, share_moved
from amad.drift.findings import ChannelDrift, Drift, decide
from amad.drift.inputs import Periods, VehicleInputs
from amad.drift.measure import assess, measure
from amad.drift.scores import score_drift
from amad.telemetry.lake import Lake
from amad.windows.series import TEST, TRAIN

TEST_START = START + timedelta(days=4)
POINT = OperatingPoint(threshold=5.0, budget=1.0, vehicle_days=9.0, tail_level=3.0, tail_rate=1.0)
FLOATS = arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e3, 1e3))


@given(FLOATS, FLOATS)
def test_the_distance_of_few_values_is_that_of_scipy_in_train_spreads(one, other):
    found = distance(Sample.of(one, coded=False), Sample.of(other, coded=False), 0.0)
    away = wasserstein_distance(one, other)
    if away > 1e-3 and other.std() > 1e-3:
        assert found == pytest.approx(min(away / other.std(), MOST), rel=1e-6)


def test_quantiles_of_many_values_keep_the_distance():
    rng = np.random.default_rng(0)
    train, recent = rng.normal(3, 2, 50_000), rng.normal(4, 2, 50_000)
    found = distance(Sample.of(recent, coded=False), Sample.of(train, coded=False), 0.0)
    assert found == pytest.approx(wasserstein_distance(recent, train) / train.std(), rel=0.02)
    assert found == pytest.approx(0.5, abs=0.03)


def test_a_channel_that_never_moved_has_drifted_as_soon_as_it_moves():
    still = Sample.of(np.full(500, 7.0), coded=False)
    assert distance(still, still, 0.0) == 0.0
    assert distance(Sample.of(np.full(500, 7.5), coded=False), still, 0.0) == MOST
    assert distance(Sample.of(np.full(500, 7.5), coded=False), still, 100.0) == 0.5


def test_codes_have_no_distance_but_a_share_of_rows_that_moved():
    train = Sample.of(np.array([1.0, 1, 1, 9]), coded=True)
    assert share_moved(Sample.of(np.array([9.0, 1, 1, 1]), coded=True), train) == 0.0
    assert share_moved(Sample.of(np.array([9.0, 9, 1, 1]), coded=True), train) == 0.25
    assert share_moved(Sample.of(np.array([4.0]), coded=True), train) == 1.0


def test_the_train_days_are_cut_into_blocks_as_long_as_the_last_days():
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(30)]
    periods = Periods.of(days, days[23], 7)
    assert periods.recent == (days[23], days[29])
    assert periods.blocks == ((days[0], days[6]), (days[7], days[13]), (days[14], days[22]))
    assert len(Periods.of(days[:26], days[23], 7).blocks) == 7  # three nights since
    assert Periods.of(days, days[5], 7).blocks == ((days[0], days[1]), (days[2], days[4]))
    assert Periods.of(days[:3], days[3], 7).recent is None


def test_scores_are_compared_with_the_usual_ones_of_their_vehicle():
    point = OperatingPoint(
        **{f: getattr(POINT, f) for f in ("threshold", "budget", "vehicle_days", "tail_level",
                                          "tail_rate")},
        usual={"": tuple(np.arange(1, 101) / 100), "a": tuple(np.arange(1, 101) / 10)},
    )  # fmt: skip
    score_T = np.linspace(0.0, 2.0, 1000)
    found = score_drift([("a", score_T, np.full(1000, 5.5)), ("b", score_T[:10], score_T)], point)
    assert found is not None
    assert (found.above_usual, found.moved_threshold) == (0.0, 0.5)
    found = score_drift([("new", score_T, np.full(1000, 5.0))], point)
    assert found is not None and found.above_usual == pytest.approx(0.525)
    assert score_drift([], point) is None


@pytest.mark.parametrize(
    ("changes", "retrain", "words"),
    [
        ({}, False, "as train days differ from each other"),
        (
            {"above_usual": 0.5},
            True,
            "in the median vehicle 50 % of the scores are above its usual",
        ),
        ({"uncovered": 0.3}, True, "30 % of the rows have a value outside"),
        ({"unknown": ["x", "y"]}, True, "2 of 4 vehicles were not in training"),
        ({"drift": 1}, False, "1 channel drifted (C0), too few of its class"),
        ({"drift": 2}, True, "2 of 8 channels of class all drifted: C0, C1"),
        ({"recent": None}, False, "no day after those"),
    ],
)
def test_the_recommendation_says_why(changes, retrain, words):
    drifted = changes.pop("drift", 0)
    found = Drift(
        fleet="f", model_version="1", newest=START, retrain=False, reason="", vehicles=4,
        recent=(START, START), uncovered=0.0, uncovered_limit=0.1, above_usual=0.05,
        channels=[
            ChannelDrift(vehicle_class="all", channel=f"c{c}", limit=0.25,
                         distance=1.0 if c < drifted else 0.1)
            for c in range(8)
        ],
    ).model_copy(update=changes)  # fmt: skip
    found_retrain, reason = decide(found, str.upper)
    assert found_retrain == retrain and words in reason


def test_one_vehicle_that_creeps_away_is_named_and_is_no_reason_to_retrain():
    """Predictions and thresholds follow what is slow, so no incident tells it."""
    fleet = Fleet.model_validate(CONTENT)
    channels = len(fleet.channels)

    def vehicle(name: str, away: float, own: float = 0.1) -> VehicleInputs:
        recent_C = np.full(channels, 0.1)
        recent_C[1] = away
        return VehicleInputs(
            vehicle=name, vehicle_class="a", recent_C=recent_C, uncovered=0.0, known=True,
            own_BC=np.full((3, channels), own), uncovered_B=np.zeros(3),
        )  # fmt: skip

    periods = Periods(blocks=((START, START),) * 3, recent=(START, START))

    def of(*inputs: VehicleInputs) -> Drift:
        return assess(fleet, inputs, periods, version="1", newest=START, scores=None)

    usual = [vehicle(f"b-{n}", 0.1) for n in range(3)]
    wild, silent = vehicle("a-2", 1.2, own=0.7), vehicle("a-4", float("nan"))
    found = of(*usual, wild, vehicle("a-3", 1.2), silent)
    assert [(item.vehicle, item.channel, item.limit) for item in found.strayed] == [
        ("a-3", fleet.channels[1].name, 0.5)
    ], "not one whose train days differ as much"
    assert not found.retrain
    told = "  vehicles by themselves    a-3 (torque 1.20, limit 0.50): look at them"
    assert told in lines_of(found)
    assert of(vehicle("a-1", 1.2), vehicle("a-2", 1.2)).strayed == [], "it is the class's"


@pytest.mark.parametrize(
    ("limit", "told"),
    [(0.4, "(limit 40.0%)"), (2.0, "(no limit, since as many of the train days lie outside")],
)
def test_a_limit_that_no_share_of_rows_can_reach_is_told_as_none(limit, told):
    found = Drift(fleet="f", model_version="1", newest=START, retrain=False, reason="no",
                  uncovered=0.8, uncovered_limit=limit)  # fmt: skip
    (line,) = (line for line in lines_of(found) if "rows outside training" in line)
    assert told in line


def test_the_table_says_that_more_channels_drifted_than_it_shows():
    def found(drifted: int) -> Drift:
        channels = [
            ChannelDrift(vehicle_class="all", channel=f"c{c}", limit=0.25, distance=1.0)
            for c in range(drifted)
        ]
        return Drift(fleet="f", model_version="1", newest=START, retrain=True, reason="yes",
                     vehicles=4, channels=channels)  # fmt: skip

    assert not any("more that drifted" in line for line in lines_of(found(SHOWN)))
    told = lines_of(found(SHOWN + 4))
    assert "     and 4 more that drifted; all channels are in runs/f/drift.json" in told


def more_nights(fleet, settings, nights: int, shift: float = 0.0) -> None:
    """Nights after those of the kit, on which speed and torque lie ``shift`` higher."""
    folder = settings.data_dir / FLEET
    for n in range(NIGHTS, NIGHTS + nights):
        for vehicle in VEHICLES:
            table = night(START + timedelta(days=n), vehicle)
            for name in ("speed", "torque"):
                at = table.schema.get_field_index(name)
                table = table.set_column(at, name, pc.add(table[name], pa.scalar(shift)))
            pq.write_table(table, folder / f"more-{n}-{vehicle}.parquet")
    refresh(fleet, settings)
    validated(fleet, settings)


def found_by(fleet, settings, **options) -> Drift:
    stage = Stage(fleet=fleet, settings=settings, params=scoring_kit.kit_params())
    values = {"version": "1", "test_start": TEST_START, "point": POINT, "days": 7}
    values |= {"knows": lambda vehicle, vehicle_class: False} | options
    return measure(stage, **values)


def test_healthy_nights_have_not_drifted_and_shifted_ones_have(tmp_path):
    fleet, settings = scoring_kit.make_lake(tmp_path / "home")
    more_nights(fleet, settings, 2)
    healthy = found_by(fleet, settings)
    assert not healthy.retrain and not healthy.drifted, healthy.reason
    assert healthy.train == (START, TEST_START - timedelta(days=1))
    assert healthy.recent == (TEST_START, START + timedelta(days=NIGHTS + 2))
    assert healthy.age_days == NIGHTS - 1 and healthy.vehicles == 3 and not healthy.unknown
    untrained = found_by(fleet, settings, test_start=START)
    assert untrained.age_days is None and untrained.uncovered is None and not untrained.channels
    assert any("not known, newest row" in line for line in lines_of(untrained))
    assert {(c.vehicle_class, c.channel) for c in healthy.channels} == {
        *(("a", name) for name in ("speed", "torque", "heat")),
        *(("b", name) for name in ("speed", "torque", "heat", "charge")),
    }
    assert healthy == found_by(fleet, settings)

    more_nights(fleet, settings, 6, shift=40.0)
    drifted = found_by(fleet, settings, days=3)
    assert drifted.retrain
    assert "2 of 3 channels of class a drifted" in drifted.reason
    assert {c.channel for c in drifted.drifted} == {"speed", "torque"}
    (speed,) = (c for c in drifted.drifted if (c.channel, c.vehicle_class) == ("speed", "a"))
    assert speed.distance == pytest.approx(40 / 22.4, rel=0.05)  # the spread of the kit's waves

    validated(fleet, settings, tuple((v, d, None) for v in VEHICLES for d in _last(3)))
    assert not found_by(fleet, settings, days=3).retrain  # quarantined days do not count


def test_a_vehicle_that_the_champion_knows_was_in_training(tmp_path):
    """A vehicle with few rows has its test part early, and so ends the days that are compared."""
    fleet, settings = scoring_kit.make_lake(tmp_path / "home")
    validated(fleet, settings)
    assert found_by(fleet, settings, test_start=START).unknown == list(VEHICLES)
    found = found_by(fleet, settings, test_start=START, knows=lambda v, c: (v, c) == ("a-1", "a"))
    assert found.unknown == [vehicle for vehicle in VEHICLES if vehicle != "a-1"]


def _last(days: int) -> list[date]:
    end = START + timedelta(days=NIGHTS + 6)
    return [end - timedelta(days=n) for n in range(days)]


@pytest.mark.slow
def test_drift_and_retrain_on_a_champion(place, monkeypatch, capsys):
    """With a real registry and scored nights; a fleet that has not drifted is not retrained."""
    fleet, settings = place
    monkeypatch.setenv("AMAD_HOME", str(settings.home))
    monkeypatch.setenv("AMAD_DATA_DIR", str(settings.data_dir))
    (settings.home / "params.yaml").write_text(f"fleets: [{FLEET}]\n", encoding="utf-8")
    run_job(fleet, settings)
    capsys.readouterr()
    assert run(["drift"]) == 0
    table = capsys.readouterr().out
    assert "scores above usual 95 %" in table and "  retrain " in table
    assert run(["drift", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = Drift.require(settings.runs_dir(FLEET))
    assert told["retrain"] is kept.retrain is False and told["model_version"] == "1"
    assert 0.0 <= kept.above_usual < 0.2

    sinks = settings.conf_dir / "notify" / f"{FLEET}.yaml"
    sinks.parent.mkdir(exist_ok=True)
    sinks.write_text("prometheus: {textfile: 'metrics/{fleet}.prom'}\n", encoding="utf-8")
    assert run(["drift", "--json"]) == 0 and json.loads(capsys.readouterr().out) == told
    text = (settings.home / "metrics" / f"{FLEET}-drift.prom").read_text()
    assert 'amad_retrain{fleet="nights"} 0.0' in text
    assert f'amad_model_age_days{{fleet="nights"}} {float(kept.age_days)}' in text

    assert run(["retrain"]) == 0
    assert "fleet nights is not retrained: " in capsys.readouterr().out
    with FileLock(settings.runs_dir(FLEET) / "retrain.lock"):
        assert run(["retrain"]) == 4
    assert "is being retrained already" in capsys.readouterr().err
    (settings.home / "params.yaml").write_text("fleets: [demo]\n", encoding="utf-8")
    assert run(["retrain", "-f", FLEET]) == 2
    assert "fleets does not name nights" in capsys.readouterr().err
    assert load_fleet(FLEET, settings).name == FLEET


DVC = """\
stages:
  register:
    matrix: {fleet: "${fleets}"}
    cmd: %s -m pipelines.register --fleet ${item.fleet}
    always_changed: true
"""


@pytest.mark.engine
def test_a_retraining_ends_at_the_gate(place, monkeypatch, capfd):
    """A real `dvc repro` whose stages before register have made another detector."""
    fleet, settings = place
    home = settings.home
    monkeypatch.setenv("AMAD_DATA_DIR", str(settings.data_dir))
    monkeypatch.chdir(home)
    (home / "params.yaml").write_text(f"fleets: [{FLEET}]\n", encoding="utf-8")
    (home / "dvc.yaml").write_text(DVC % sys.executable, encoding="utf-8")
    begin_dvc(home)
    scoring_kit.make_artifacts(fleet, settings, members=["innovation"])
    assert run(["retrain", "--force"]) == 0
    told = capfd.readouterr().out
    assert "fleet nights is retrained: by --force" in told
    assert "version 2 is the challenger; refused: no proven gain on the champion" in told
    assert told.rstrip().endswith("version 1 is the champion")

    (home / "data" / FLEET / "detector" / "detector.json").unlink()
    assert run(["retrain", "--force"]) == 4
    assert "the champion, version 1, goes on scoring" in capfd.readouterr().err


def test_the_benchmark_moves_what_it_says(tmp_path):
    """Its copies differ from the fleet in the test part alone."""
    from bench.drift import later, shifted

    fleet, settings = scoring_kit.make_lake(tmp_path / "home")
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    whole = scoring_kit.series_of(fleet, lake)
    moved = shifted(whole[0], fleet)
    train, test = (whole[0].split_T == part for part in (TRAIN, TEST))
    assert np.array_equal(moved.value_TC[train], whole[0].value_TC[train])
    step = np.nanmean(moved.value_TC[test] - whole[0].value_TC[test], axis=0)
    assert step[0] == pytest.approx(np.std(whole[0].value_TC[train, 0])) and not step[1:].any()

    away = 181 * 86_400_000_000
    summer = [replace(s, timestamp_T=s.timestamp_T + away, value_TC=s.value_TC + 9) for s in whole]
    for cold, warm in zip(whole, later(whole, summer), strict=True):
        known = cold.split_T == TEST
        assert np.array_equal(warm.timestamp_T, cold.timestamp_T)
        np.testing.assert_allclose(warm.value_TC - cold.value_TC, 9.0 * known[:, None] * np.ones(4))
        assert np.array_equal(warm.split_T, cold.split_T)


def test_the_guide_has_the_figures_that_were_measured():
    from bench.drift import lines

    root = Path(__file__).resolve().parent.parent
    rows = json.loads((root / "bench" / "results" / "drift.json").read_text())["rows"]
    assert "\n".join(lines(rows)) in (root / "docs" / "guide" / "drift.md").read_text("utf-8")


def lately(fleet, settings, channel: str, begins: int) -> None:
    """The channel has no value before the night ``begins``; the lake is made anew."""
    for path in (settings.data_dir / FLEET).iterdir():
        table = pq.read_table(path)
        if table["timestamp"][0].as_py().date() < START + timedelta(days=begins):
            at, none = table.schema.get_field_index(channel), pa.nulls(len(table), pa.float64())
            pq.write_table(table.set_column(at, channel, none), path)
    refresh(fleet, settings)
    validated(fleet, settings)


@pytest.mark.parametrize(("begins", "learnable"), [(2, True), (5, False)])
def test_a_channel_that_the_champion_has_not_learnt_is_learnt_once_there_is_enough(
    tmp_path, begins, learnable
):
    """The sensor comes on the last night, in the test part alone, or earlier."""
    fleet, settings = scoring_kit.make_lake(tmp_path / "home")
    lately(fleet, settings, "heat", begins)
    assert not found_by(fleet, settings).unlearnt
    found = found_by(fleet, settings, unlearnt=["heat"])
    (item,) = found.unlearnt
    assert (item.channel, item.least) == ("heat", fleet.missing.min_segment_rows)
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    heat = fleet.channel_names.index("heat")
    trained_on = [
        np.count_nonzero(s.valid_TC[s.split_T == TRAIN, heat])
        for s in scoring_kit.series_of(fleet, lake)
    ]
    assert item.train_rows == np.median(trained_on)
    assert found.retrain is item.learnable is learnable
    told = "the champion has learnt nothing of heat and tells nothing about it, "
    if learnable:
        assert found.reason == f"yes: {told}and a new training would learn it"
    else:
        assert found.reason.startswith("no: ") and found.reason.endswith(
            f"{told}but the train part of a new training would have 0 rows with a value per "
            "vehicle, and 30 are needed"
        )
    assert "  channels not learnt       heat" in lines_of(found)
    nothing_later = found.model_copy(update={"recent": None})
    assert decide(nothing_later, fleet.title_of)[0] is learnable
