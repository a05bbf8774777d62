"""A vehicle with few train rows: its own figures, moved towards those of its class."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import coupled, fleet_of, saved_and_loaded, with_values

from amad.config.params import DetectParams
from amad.detect.detector import Detector
from amad.detect.learnt_figures import ALLOWANCE, SHORT_ROWS, own_share, prior_rows
from amad.detect.members.build import build_members
from amad.windows import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.short_history import (
    LENGTHS,
    LONG_ROWS,
    MOST_VEHICLES,
    Known,
    Stretches,
    shrunk,
    unknown_share,
)
from bench.carry_over_tables import short_histories_table
from bench.short_histories import cut_history

LONG = ["b-1", "b-2", "b-4"]
YOUNG = "b-3"
PARAMS = DetectParams(baseline_rows=300)
OFFSET = {"b-1": 0.0, "b-2": 1.0, "b-3": 4.0, "b-4": -1.0}


def of(vehicle: str, rows: int, **changes: int) -> Series:
    """Vehicles of one class with a level each."""
    series = coupled(vehicle, rows, **changes)
    return series.with_values(series.value_TC + OFFSET[vehicle])


def scaler_with(rows: int, young: Series | None = None) -> Scaler:
    whole = [of(v, LONG_ROWS + 2000, seed=1) for v in LONG]
    return Scaler.fit([*whole, young or of(YOUNG, rows, seed=1)], fleet_of(), "vehicle")


def fitted(rows: int, long: int = LONG_ROWS + 500, members: list[str] | None = None) -> Detector:
    """A detector of three vehicles with ``long`` train rows and one with ``rows``."""
    train = [of(v, long, seed=1) for v in LONG] + [of(YOUNG, rows, seed=1)]
    calibration = [of(v, 1000, seed=2, begin=6000) for v in LONG]
    calibration.append(of(YOUNG, rows // 3, seed=2, begin=6000))
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    scaled = [[scaler.apply(s) for s in part] for part in (train, calibration)]
    params = PARAMS.model_copy(update={"members": members or PARAMS.members})
    return Detector(build_members(params), params, fleet_of(), scaler).fit(*scaled)


def share_of(rows: int, long_rows: int) -> float:
    return own_share(rows, prior_rows(rows, long_rows))


def scores(detector: Detector, series: Series) -> np.ndarray:
    assert detector.scaler is not None
    return detector.raw_score(detector.scaler.apply(series)).score_T


def test_own_figures_count_by_their_rows() -> None:
    long = 3 * LONG_ROWS
    assert share_of(long, long) == share_of(9 * long, long) == 1.0
    assert prior_rows(long, long) == 0.0 < prior_rows(long - 1, long) < prior_rows(60, long)
    shares = [share_of(rows, long) for rows in range(1, long + 100, 10)]
    assert shares == sorted(shares) and max(np.diff(shares)) < 0.03
    assert share_of(240, long) < share_of(240, LONG_ROWS), "a part of the class's long history"
    assert unknown_share(0, long) == 1.0


@pytest.fixture(scope="module")
def healthy() -> Series:
    return of(YOUNG, 1500, seed=3, begin=9000)


@pytest.mark.parametrize(("fewer", "more"), [(499, 501), (LONG_ROWS - 2, LONG_ROWS + 2)])
def test_two_rows_more_change_next_to_nothing(fewer: int, more: int, healthy: Series) -> None:
    """At 500 rows there was a cliff; at LONG_ROWS the figures of the class have faded."""
    before, after = (scores(fitted(rows, members=CLOSED), healthy) for rows in (fewer, more))
    assert np.abs(before - after).mean() < 0.1


CLOSED = ["innovation", "relation"]


@pytest.mark.parametrize(("rows", "in_alarm"), [(SHORT_ROWS, 0.3), (240, 0.05)])
def test_a_short_history_is_served_by_its_own_figures(
    rows: int, in_alarm: float, healthy: Series, tmp_path_factory: pytest.TempPathFactory
) -> None:
    detector = fitted(rows)
    assert detector.scaler is not None
    assert detector.owner_of(healthy) == f"vehicle/{YOUNG}"
    figures = detector.figures[f"vehicle/{YOUNG}"]
    assert figures.allowance == pytest.approx(ALLOWANCE * (1 - share_of(rows, LONG_ROWS)))
    assert 0.0 <= figures.predictability.explained <= 1.0
    assert figures.predictability.firm <= share_of(rows, LONG_ROWS), (
        "relations of others are not its own"
    )
    assert (
        detector.figures["fleet"].predictability.firm
        == 0.0
        < detector.figures["vehicle/b-1"].predictability.firm
    )
    assert not any(owner.startswith("prior/") for owner in detector.figures)
    scored = detector.score(detector.scaler.apply(healthy))
    assert np.isfinite(scored.score_T).all()
    assert set(scored.left_out) <= {"window_range_32", "window_range_256"}, "no whole window"
    assert scored.alarm_T.mean() < in_alarm, "few rows do not put healthy rows in alarm"
    fault = with_values(healthy, slice(700, 760), 2, 12.0)
    found = detector.score(detector.scaler.apply(fault))
    assert found.alarm_T[705:755].all()
    assert (found.contribution_TC[700:760].argmax(axis=1) == 2).mean() > 0.9
    loaded = saved_and_loaded(detector, tmp_path_factory.mktemp("short"))
    np.testing.assert_array_equal(
        loaded.raw_score(loaded.scaler.apply(healthy)).score_T, scores(detector, healthy)
    )


def test_long_histories_are_as_if_no_other_vehicle_were_short(healthy: Series) -> None:
    """Figures of a vehicle with LONG_ROWS rows are all its own."""
    one, other = fitted(60), fitted(240)
    for owner in ("vehicle/b-1", "vehicle/b-2"):
        ours, theirs = (d.figures[owner] for d in (one, other))
        assert ours.allowance == 0.0
        for name, calibration in ours.calibration.items():
            np.testing.assert_allclose(
                calibration.scale_C, theirs.calibration[name].scale_C, rtol=1e-3
            )


def test_where_all_are_short_own_figures_serve() -> None:
    detector = fitted(240, long=240)
    new = of(YOUNG, 900, seed=3, begin=9000)
    assert detector.owner_of(new) == f"vehicle/{YOUNG}"
    assert detector.scaler is not None
    assert detector.score(detector.scaler.apply(new)).alarm_T.mean() < 0.15


def test_a_vehicle_with_hardly_a_row_or_none_takes_the_figures_of_its_class() -> None:
    detector = fitted(SHORT_ROWS - 1)
    assert detector.owner_for(YOUNG, "b") == detector.owner_for("b-9", "b") == "fleet"


def test_the_scale_of_a_short_history_lies_between_its_own_and_that_of_its_class() -> None:
    mean_C = scaler_with(240).figures(YOUNG, "b")[0]
    assert mean_C[0] == pytest.approx(OFFSET[YOUNG], abs=1.0), "vehicles differ more than a stretch"
    flat = of(YOUNG, 240, seed=1)
    flat = flat.with_values(np.where(np.arange(5) == 0, 4.0, flat.value_TC))
    scale_C = scaler_with(240, flat).figures(YOUNG, "b")[1]
    usual_C = scaler_with(240).figures("b-1", "b")[1]
    assert scale_C[0] > 0.3 * usual_C[0], "a channel that stood still moves as in other vehicles"


@pytest.mark.parametrize("rows", [100, 479, 959, 1919, LONG_ROWS - 1])
def test_the_scale_is_continuous_in_the_rows(rows: int) -> None:
    whole = of(YOUNG, LONG_ROWS + 10, seed=1)
    found = [scaler_with(0, whole.rows_between(0, n)).figures(YOUNG, "b") for n in (rows, rows + 1)]
    for before_C, after_C in zip(*found, strict=True):
        np.testing.assert_allclose(before_C, after_C, rtol=0.02, atol=0.02)


def test_the_scale_of_a_long_history_is_its_own() -> None:
    own = of(YOUNG, LONG_ROWS, seed=1)
    mean_C, scale_C = scaler_with(0, own).figures(YOUNG, "b")
    np.testing.assert_allclose(mean_C, own.value_TC.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(scale_C, own.value_TC.std(axis=0), rtol=1e-5)


def wandering(vehicle: str, rows: int, level: float) -> Series:
    """A vehicle whose level changes slowly, by much more than vehicles of its class differ."""
    series = of(vehicle, rows, seed=1)
    slow_T = 20 * np.sin(2 * np.pi * np.arange(rows) / 15_000)
    return series.with_values(series.value_TC + level + slow_T[:, None].astype(np.float32))


def test_a_history_is_long_once_its_stretches_differ_less_than_the_vehicles() -> None:
    """At a row per second 2,000 rows are one drive, and all vehicles of a model drive alike."""
    alike = [wandering(v, 12_000, level) for v, level in zip(LONG, (0.0, 0.1, 0.2), strict=True)]
    unlike = [wandering(v, 12_000, level) for v, level in zip(LONG, (0, 90, 300), strict=True)]
    assert Scaler.fit(alike, fleet_of(), "vehicle").long_rows == {"b": 6000}, "half of the longest"
    assert Scaler.fit(unlike, fleet_of(), "vehicle").long_rows == {"b": LONG_ROWS}
    young = of(YOUNG, 4000, seed=1)
    shown = Scaler.fit([*alike, young], fleet_of(), "vehicle")
    assert Scaler.from_json(shown.to_json()).long_rows == shown.long_rows
    earlier = {key: value for key, value in shown.to_json().items() if key != "long_rows"}
    assert Scaler.from_json(earlier).long_rows == {}, "a model that is in use"
    own_C = young.value_TC.mean(axis=0)
    assert (np.abs(shown.figures(YOUNG, "b")[0] - own_C) > 0.1).all(), "moved towards the class"


@pytest.mark.parametrize("rows", [4000, 9000, 15_360, 20_000, 49_000])
def test_a_history_of_any_length_lies_between_its_own_figures_and_the_class(rows: int) -> None:
    """Also one longer than the longest stretch that is compared."""
    figures = {name: (np.full(1, level), np.ones(1)) for name, level in OFFSET.items()}
    vague = Stretches(*(np.full((len(LENGTHS), 1), error) for error in (9.0, 0.0, 0.1)))
    known = Known(figures, dict.fromkeys(figures, vague), longest=100_000)
    assert known.long_rows == 50_000, "no stretch tells one vehicle from another"
    mean_C, scale_C = shrunk(YOUNG, figures[YOUNG], rows, known, np.zeros(1, bool))
    assert np.mean([OFFSET[name] for name in LONG]) <= mean_C[0] <= OFFSET[YOUNG]
    assert scale_C[0] >= 1.0, "what is unknown of the mean widens the scale"


@pytest.mark.parametrize(("vehicles", "compared"), [(200, 199), (1000, 249)])
def test_a_vehicle_is_compared_with_others_evenly_spread(vehicles: int, compared: int) -> None:
    """With so many at the most that the cost of a fleet grows no faster than its vehicles."""
    figures = {f"v-{n}": (np.full(1, float(n)), np.ones(1)) for n in range(vehicles)}
    known_C = Stretches(*(np.full((len(LENGTHS), 1), error) for error in (1.0, 0.0, 0.1)))
    known = Known(figures, dict.fromkeys(figures, known_C), longest=100_000)
    mean_VC, log_VC, errors_3VC = known.others("v-0", 0)
    assert len(mean_VC) == len(log_VC) == errors_3VC.shape[1] == compared <= MOST_VEHICLES
    assert 0.0 not in mean_VC, "its own figures are not among them"
    steps = np.diff(mean_VC[:, 0])
    assert steps.min() == steps.max() and mean_VC.max() > 0.99 * (vehicles - 5)


def test_the_benchmark_cuts_the_oldest_train_rows() -> None:
    series = of(YOUNG, 1000, seed=1)
    split_T = np.repeat([TRAIN, CALIBRATION, TEST], [600, 200, 200]).astype(np.uint8)
    cut = cut_history(replace(series, split_T=split_T), 150, least=20)
    assert [cut.part(part).rows for part in (TRAIN, CALIBRATION, TEST)] == [150, 50, 200]
    assert cut.part(TRAIN).timestamp_T[-1] == series.timestamp_T[599]
    assert cut_history(replace(series, split_T=split_T), 700, least=20).part(TRAIN).rows == 600


def test_the_table_of_short_histories_has_a_row_for_each_length() -> None:
    found = {"vus_pr": 0.5, "alarm_share": None, "incidents_per_day": 0.25}
    rules = {rule: found for rule in ("shrunk", "own", "pooled")}
    report = {"every": 3, "fleets": {"kit": {"rows": {"1000": rules, "60": rules}}}}
    lines = [line for line in short_histories_table(report) if line.startswith("| kit")]
    assert [line.split("|")[2].strip() for line in lines] == ["60", "1,000"]
