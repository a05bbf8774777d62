"""The harness on a small fleet with the real detectors: units, results, and what is written."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from detect_kit import linear_members
from evaluation_kit import FAULTS, kit_events, kit_fleet, kit_params, kit_store

from amad import metrics
from amad.config.params import ModelParams
from amad.detect.detector import Detector, build_detector
from amad.detect.forms import fit_forms
from amad.evaluation.chance import poisson_interval
from amad.evaluation.harness import (
    RANDOM_SEEDS,
    examine,
    judge,
    per_unit_metrics,
)
from amad.evaluation.headline import headline, write_curve
from amad.evaluation.method_result import Rate
from amad.evaluation.summary import _point_adjusted, summarise
from amad.evaluation.units import fitting_parts, units_of
from amad.model import Amad, Bundle
from amad.windows.series import TEST

pytestmark = pytest.mark.slow

NAMES = ["vus_pr", "vus_roc", "auc_pr", "auc_roc", "best_f1", "range_f1", "event_f1"]


def evaluate(*given) -> dict:
    """The content of ``metrics.json``."""
    return examine(*given).metrics.content()


def fitted(store, fleet, params) -> Detector:
    detector = Detector(linear_members(), params.detect, fleet, store.scaler)
    return detector.fit(*fitting_parts(store))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    fleet, params = kit_fleet(), kit_params()
    store = kit_store(tmp_path_factory.mktemp("kit") / "store", fleet)
    detector = fitted(store, fleet, params)
    return store, detector, fleet, params, examine(store, detector, fleet, params, kit_events())


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    fleet, params = kit_fleet("injected", "case", cases=8), kit_params()
    store = kit_store(tmp_path_factory.mktemp("kit") / "store", fleet)
    detector = fitted(store, fleet, params)
    none = kit_events().slice(0, 0)
    return store, detector, fleet, params, examine(store, detector, fleet, params, none)


def test_no_method_ever_sees_a_label(labelled):
    store, detector, fleet, params, _ = labelled
    seen = []

    class Watched(Detector):
        def score(self, series):
            seen.append(series.label_T)
            return detector.score(series)

        find_alarms = score

    watched = Watched([], params.detect, fleet, store.scaler)
    watched.operating_point, watched.figures = detector.operating_point, detector.figures
    judge({"watched": watched}, store, fleet, params, kit_events(), {})
    assert len(seen) == 2 * len(FAULTS) and all(label is None for label in seen)


def test_without_grades_findings_have_no_severity_and_the_rest_is_the_same(labelled):
    store, detector, fleet, params, evaluation = labelled
    given = ({"amad": detector}, store, fleet, params, kit_events(), {})
    plain = judge(*given, graded=[])[0]["amad"]
    whole = judge(*given)[0]["amad"]
    assert any(f.severity > 0 and f.guessed for f in whole.known)
    for one, other in zip([*plain.truth, *plain.known], [*whole.truth, *whole.known], strict=True):
        assert (one.severity, one.guessed) == (0.0, "")
        assert np.array_equal(one.blame_C, other.blame_C, equal_nan=True)
        expected = replace(other, severity=0.0, guessed="", blame_C=one.blame_C)
        np.testing.assert_equal(asdict(one), asdict(expected))
    assert plain.per_unit == whole.per_unit and plain.normal == whole.normal
    floor = evaluation.results["random"].known
    assert any(f.found for f in floor) and not any(f.severity for f in floor)


def test_labels_change_no_score_but_the_figures(labelled):
    store, detector, fleet, _, evaluation = labelled
    series = store.scaled("car-1")
    flipped = replace(series, label_T=1 - series.label_T)
    kept, other = (
        units_of(s, fleet, kit_events(), store.has_channel("car-1"))[0][0]
        for s in (series, flipped)
    )
    assert np.array_equal(detector.score(kept.series).score_T, detector.score(other.series).score_T)
    found = per_unit_metrics(store, detector, fleet, kit_events())
    assert found == evaluation.metrics.content()["methods"]["amad"]["per_unit"]


def test_figures_are_those_of_the_metrics(labelled):
    store, detector, fleet, _, evaluation = labelled
    content = evaluation.metrics.content()
    for vehicle in ("car-1", "car-2"):
        test = store.scaled(vehicle).part(TEST)
        score_T = detector.score(test).score_T
        figures = content["methods"]["amad"]["per_unit"][vehicle]
        buffer = fleet.evaluation.buffer_rows
        assert figures["vus_pr"] == pytest.approx(
            metrics.vus(test.label_T, score_T, buffer)[0], abs=1e-6
        )
        assert figures["event_f1"] == pytest.approx(
            metrics.event_f1(test.label_T, score_T), abs=1e-6
        )
    for method in content["methods"].values():
        for name in NAMES:
            low, high = method["interval"][name]
            values = [unit[name] for unit in method["per_unit"].values()]
            assert method["mean"][name] == pytest.approx(np.mean(values), abs=1e-5)
            assert 0 <= low <= method["mean"][name] <= high <= 1


def test_every_method_is_judged_on_the_same_units(labelled, injected):
    for content in (labelled[-1].metrics.content(), injected[-1].metrics.content()):
        assert list(content["methods"])[:2] == ["amad", "random"]
        assert {"l2", "pca", "ridge", "linear"} < set(content["methods"])
        units = [set(method["per_unit"]) for method in content["methods"].values()]
        assert all(unit == units[0] for unit in units) and content["units"] == len(units[0])
        rows = {method["rows"] for method in content["methods"].values()}
        assert len(rows) == 1


def test_an_unscorable_vehicle_is_named_with_the_reason(labelled):
    assert labelled[-1].metrics.content()["unscorable"] == {"car-3": "no event in the test part"}


def test_the_detector_beats_the_floor_and_the_lift_says_so(labelled, injected):
    for content, sure in (labelled[-1].metrics.content(), -1), (injected[-1].metrics.content(), 0):
        ours, floor = content["methods"]["amad"], content["methods"]["random"]
        lift, low, high = ours["lift"]["vus_pr"]
        assert lift == pytest.approx(ours["mean"]["vus_pr"] - floor["mean"]["vus_pr"], abs=1e-5)
        assert lift > 0.2 and sure < low < lift < high  # two vehicles prove little
    assert floor["lift"]["vus_pr"] == [0, 0, 0]
    assert content["best_baseline"] in {"l2", "pca", "ridge", "linear"}


def test_the_floor_is_a_mean_over_seeds(labelled):
    store, _, fleet, params, evaluation = labelled
    from amad.baselines import make_baseline

    train, calibration = fitting_parts(store)
    values = []
    for seed in range(params.seed, params.seed + RANDOM_SEEDS):
        one = make_baseline("random", params.detect, seed, fleet, store.scaler)
        one.fit(train, calibration)
        values.append(per_unit_metrics(store, one, fleet, kit_events())["car-1"]["auc_pr"])
    floor = evaluation.metrics.content()["methods"]["random"]["per_unit"]["car-1"]["auc_pr"]
    assert np.std(values) > 0 and floor == pytest.approx(np.mean(values), abs=1e-5)


def test_metrics_are_reproducible_json_without_a_clock(labelled):
    store, _, fleet, params, evaluation = labelled
    again = evaluate(store, fitted(store, fleet, params), fleet, params, kit_events())
    text = json.dumps(evaluation.metrics.content(), allow_nan=False, sort_keys=True)
    assert text == json.dumps(again, sort_keys=True)
    assert "score_seconds" not in text and "rows_per_second" not in text
    assert evaluation.timings["amad"]["rows_per_second"] > 0


def test_ten_figures_and_one_curve_are_for_dvc(labelled, tmp_path):
    evaluation = labelled[4]
    methods = evaluation.metrics.content()["methods"]
    figures = headline(evaluation.metrics)
    assert len(figures) == 10 and None not in figures.values()
    assert figures["vus_pr_low"] <= figures["vus_pr"] <= figures["vus_pr_high"]
    best = methods[evaluation.metrics.content()["best_baseline"]]["mean"]["vus_pr"]
    assert figures["vus_pr_of_best_baseline"] == round(best, 4)
    write_curve(evaluation, tmp_path / "curve.csv")
    header, *points = (tmp_path / "curve.csv").read_text().splitlines()
    assert header == "recall,precision" and len(points) == 101
    assert points[-1].startswith("1.00,")


def test_operating_point_is_counted_on_normal_rows(labelled):
    store, detector, _, params, evaluation = labelled
    point = evaluation.metrics.content()["operating_point"]
    assert point["alarm_budget"] == params.detect.alarm_budget
    assert (point["events"], point["events_found"], point["event_recall"]) == (3, 3, 1.0)
    assert point["calibration"]["incidents_per_vehicle_day"] <= 2 * params.detect.alarm_budget
    alarms = 0
    for vehicle in FAULTS:
        test = store.scaled(vehicle).part(TEST)
        alarms += (detector.score(test).alarm_T & (test.label_T == 0)).any()
    assert (point["normal_test"]["incidents"] > 0) == (alarms > 0)
    assert point["methods"]["amad"]["event_recall"] == 1.0


def test_localisation_finds_the_shifted_channel(labelled):
    found = labelled[-1].metrics.content()["localisation"]
    assert found["amad"]["events"] == 3
    assert found["amad"]["hit_rate_100"] == found["amad"]["ndcg_150"] == 1.0
    assert found["chance"] == {"hit_rate_100": 0.25, "hit_rate_150": 0.5}


def test_point_adjusted_stands_apart_with_random_untrained_and_pca(labelled):
    found = labelled[-1]
    content = found.metrics.content()
    assert content["point_adjusted"] == {}, "no untrained network was run beside it"
    results = {**found.results, "untrained": found.results["pca"]}
    table = _point_adjusted(results).mean_f1
    assert {"amad", "random", "untrained", "pca"} <= set(table)
    assert all("point_adjusted_f1" not in m["mean"] for m in content["methods"].values())
    assert table["random"] > content["methods"]["random"]["mean"]["best_f1"] + 0.1


def beside_ridge(params):
    """Only one baseline is judged beside the detector."""
    few = params.evaluate.model_copy(update={"baselines": ["ridge"]})
    return params.model_copy(update={"evaluate": few})


def test_without_pca_there_is_no_point_adjusted_table(labelled):
    store, detector, fleet, params, _ = labelled
    content = evaluate(store, detector, fleet, beside_ridge(params), kit_events())
    assert content["point_adjusted"] == {} and set(content["methods"]) == {
        "amad",
        "random",
        "ridge",
    }


def test_injected_cases_are_judged_by_type_and_strength(injected):
    content = injected[-1].metrics.content()
    assert content["unit"] == "case" and content["units"] == 24 and not content["unscorable"]
    assert sum(fault["events"] for fault in content["by_fault"].values()) == 24
    assert {"spike", "level_shift", "drift", "decoupling"} <= set(content["by_fault"])
    for fault in content["by_fault"].values():
        lows = [s["strength"][0] for s in fault["strengths"].values()]
        assert lows == sorted(lows)
        assert 0 <= fault["methods"]["amad"]["vus_pr"] <= 1
    assert -1 <= content["severity_order"]["tau_b"] <= 1


def with_a_network(store, fleet, params) -> Detector:
    """Around an untrained network; whether that votes is for ``params`` to say."""
    small = ModelParams(window=20, width=8, layers=1, heads=2)
    params = params.model_copy(update={"model": small})
    model = Amad(4, small, block=params.mask.block).eval()
    bundle = Bundle(model=model, params=params, fleet=fleet, scaler=store.scaler, meta={})
    return build_detector(bundle, params.detect)


@pytest.mark.parametrize(
    ("members", "weight", "other"),
    [
        (["innovation", "relation", "amad"], 1.0, "amad_without_network"),
        (["innovation", "relation", "amad"], 0.0, "amad_with_network"),
        (["innovation"], 1.0, None),
        (["amad"], 1.0, None),
    ],
)
def test_the_networks_share_is_that_of_the_same_members(labelled, members, weight, other):
    store, _, fleet, _, _ = labelled
    params = kit_params(members=members, amad_weight=weight)
    params = params.model_copy(
        update={"evaluate": params.evaluate.model_copy(update={"baselines": ["pca"]})}
    )
    detector = with_a_network(store, fleet, params)
    beside = fit_forms(detector, *fitting_parts(store))
    content = evaluate(store, detector, fleet, params, kit_events(), beside)
    assert list(content["methods"]) == ["amad", "random", *([other] if other else []), "pca"]
    assert content["best_baseline"] == "pca", "neither form is a baseline"
    forms = {"with": content["with_network"], "without": content["without_network"]}
    if other is None:
        assert forms == {"with": None, "without": None} and content["share_of_amad"] is None
        return
    assert set(forms.values()) == {"amad", other} and forms["with" if weight else "without"] == (
        "amad"
    )
    rest = [m.name for m in (beside if weight else detector).members]
    both = [m.name for m in (detector if weight else beside).members]
    assert rest == ["innovation", "relation"] and both == members
    assert content["methods"][other]["per_unit"] == per_unit_metrics(
        store, beside, fleet, kit_events()
    )
    mean = {form: content["methods"][n]["mean"]["vus_pr"] for form, n in forms.items()}
    share = content["share_of_amad"]["vus_pr"][0]
    assert share == pytest.approx(mean["with"] - mean["without"], abs=1e-5) and share != 0


def test_a_detector_without_a_bundle_is_judged_without_a_share(labelled):
    store, detector, fleet, _, _ = labelled
    params = beside_ridge(kit_params(members=["innovation", "amad"], amad_weight=0.0))
    content = evaluate(store, detector, fleet, params, kit_events())
    assert content["share_of_amad"] is None and "amad_with_network" not in content["methods"]


@pytest.mark.parametrize(("forms", "best"), [(("amad", "rest"), "l2"), (("rest", "amad"), "l2"),
                                             ((None, None), "rest")])  # fmt: skip
def test_the_other_form_of_the_detector_is_never_the_best_baseline(labelled, forms, best):
    _, _, fleet, params, evaluation = labelled
    whole = evaluation.results
    results = {"amad": whole["amad"], "random": whole["random"], "rest": whole["ridge"],
               "l2": whole["l2"]}  # fmt: skip
    content = summarise(
        results, {}, fleet, params, detector="amad", floor="random", with_network=forms[0],
        without_network=forms[1],
    ).content()  # fmt: skip
    means = {name: method["mean"]["vus_pr"] for name, method in content["methods"].items()}
    assert means["rest"] > means["l2"] and content["best_baseline"] == best


def test_cases_averaged_by_vehicle_where_the_fleet_says_so(injected):
    store, detector, _, params, evaluation = injected
    fleet = kit_fleet("injected", "vehicle", cases=8)
    none = kit_events().slice(0, 0)
    content = evaluate(store, detector, fleet, beside_ridge(params), none)
    assert content["units"] == 3
    cases = evaluation.metrics.content()["methods"]["amad"]["per_unit"]
    mean = np.mean([v["vus_pr"] for k, v in cases.items() if k.startswith("car-2#")])
    averaged = content["methods"]["amad"]["per_unit"]["car-2"]["vus_pr"]
    assert averaged == pytest.approx(mean, abs=1e-5)


def test_chance_is_that_of_fewer_alarms_where_fewer_are_proven(labelled):
    """Of faults longer than the days between two promised alarms, chance would find every one."""
    _, _, fleet, params, evaluation = labelled
    amad, random = (evaluation.results[name] for name in ("amad", "random"))
    truth = [replace(finding, days=0.1, chance=0.0) for finding in amad.truth]
    least, promised = poisson_interval(2, 0.95)[1] / 10.0, params.detect.alarm_budget
    for days, rate in ((10.0, least), (0.1, promised)):
        quiet = replace(
            amad, truth=truth, normal=Rate(incidents=2, days=days, rows=1, alarm_rows=0)
        )
        found = summarise(
            {"amad": quiet, "random": random}, {}, fleet, params, detector="amad", floor="random"
        )
        chance = found.operating_point.methods["amad"].chance_recall
        assert chance == pytest.approx(1 - np.exp(-rate * 0.1), abs=1e-6)


def test_chance_is_never_below_that_of_alarms_at_the_rate_that_there_may_be(labelled):
    evaluation = labelled[-1]
    point = evaluation.metrics.content()["operating_point"]
    days = [f.days for f in evaluation.results["amad"].truth]
    assert days == pytest.approx([length / 1600 for length in (60, 100, 40)])
    rate = min(point["alarm_budget"], point["normal_test"]["interval"][1])
    least = np.mean([1 - np.exp(-rate * d) for d in days])
    assert least <= point["chance_recall"] + 1e-6 < point["event_recall"] == 1


def test_a_fleet_without_events_is_still_reported(labelled, tmp_path):
    _, detector, fleet, params, _ = labelled
    quiet = kit_store(tmp_path / "store", fleet)
    quiet.content["vehicles"] = {"car-3": quiet.content["vehicles"]["car-3"]}
    evaluation = examine(quiet, detector, fleet, params, kit_events())
    content = evaluation.metrics.content()
    assert content["units"] == 0 and content["best_baseline"] is None
    figures = headline(evaluation.metrics)
    assert figures["vus_pr"] is figures["event_recall"] is None
    assert figures["incidents_per_vehicle_day"] is not None
    write_curve(evaluation, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == "recall,precision\n"
    assert content["unscorable"] == {"car-3": "no event in the test part"}
    assert content["operating_point"]["normal_test"]["vehicle_days"] > 0
    assert content["operating_point"]["event_recall"] is None
    assert content["operating_point"]["chance_recall"] is None


def test_the_stage_says_which_stage_has_not_run(home):
    import yaml

    from amad.config import DataError, Settings
    from pipelines.evaluate import run

    fleet, settings = kit_fleet(), Settings()
    text = yaml.safe_dump(fleet.model_dump(mode="json", exclude_none=True))
    (home / "conf/fleet/kit.yaml").write_text(text)
    with pytest.raises(DataError, match="prepare"):
        run(kit_params(), settings)
    kit_store(settings.fleet_dir("kit") / "store", fleet)
    with pytest.raises(DataError, match=r"run 'amad train'"):
        run(kit_params(), settings)
