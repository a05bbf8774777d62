"""The detector as one thing: fit, learnt figures, threshold, score, save and load."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detect_kit import (
    CLOSED_FORM,
    LINEAR,
    VEHICLES,
    C,
    broken_relation,
    coupled,
    fleet_of,
    linear,
    parts,
    waves,
    with_values,
)

from amad.config import ConfigError, DataError
from amad.config.params import DetectParams
from amad.detect import learnt_figures
from amad.detect.detector import Detector, build_detector
from amad.detect.detector_folder import detector_digest, load_detector, save_detector
from amad.detect.learnt_figures import (
    OWN_STRETCHES,
    POOL_ROWS,
    POOL_VEHICLES,
    SHORT_ROWS,
    in_stretches,
    pooled,
)
from amad.detect.members.build import build_members
from amad.windows import Scaler


def faulty(vehicle: str = "b-1"):
    rng = np.random.default_rng(3)
    return with_values(waves(vehicle, 1500, seed=4), slice(700, 730), 2, 5 * rng.normal(size=30))


def test_a_fault_raises_an_alarm_and_names_its_channel() -> None:
    scored = linear().score(faulty())
    assert scored.score_T.dtype == np.float32 and scored.contribution_TC.dtype == np.float32
    assert scored.alarm_T[700:730].all()
    assert scored.alarm_T[:600].mean() < 0.02 and scored.alarm_T[830:].mean() < 0.02
    assert (scored.contribution_TC[705:725].argmax(axis=1) == 2).all()
    assert scored.left_out == ()


def test_scoring_is_pure() -> None:
    detector, series = linear(), faulty()
    kept = series.value_TC.copy()
    first = detector.score(series)
    detector.score(waves("a-1", 300))
    second = detector.score(series)
    np.testing.assert_array_equal(series.value_TC, kept)
    np.testing.assert_array_equal(first.score_T, second.score_T)
    np.testing.assert_array_equal(first.contribution_TC, second.contribution_TC)


@pytest.mark.parametrize("budget", [3.0, 20.0, 2000.0])
def test_the_threshold_keeps_the_budget_on_calibration_rows(budget: float) -> None:
    vehicles = [f"b-{i}" for i in range(4)]
    detector = linear(vehicles, alarm_budget=budget, merge_gap_seconds=5)
    assert detector.gap_us == 12_000_000, "12 periods are more than the 5 seconds"
    incidents, rows = 0, 0
    for series in parts(vehicles)[1]:
        scored = detector.score(series)
        incidents += len(detector.runs(scored.alarm_T, series.timestamp_T, scored.open_T))
        rows += series.rows
    point = detector.operating_point
    # every vehicle reports 4,000 rows on its one date, half of them calibration
    assert point.vehicle_days == pytest.approx(2.0)
    assert incidents <= budget * point.vehicle_days


def test_a_lower_budget_gives_a_higher_threshold() -> None:
    thresholds = [linear(alarm_budget=b).threshold for b in (20.0, 5.0, 0.5, 0.01)]
    assert thresholds == sorted(thresholds) and thresholds[0] < thresholds[-1]


def test_levels_serve_vehicles_that_were_never_seen() -> None:
    train, calibration = parts(VEHICLES)
    train.append(waves("b-2", SHORT_ROWS - 1))
    detector = Detector(build_members(LINEAR), LINEAR, fleet_of(), None).fit(train, calibration)
    assert detector.owner_of(waves("a-2", 100)) == "vehicle/a-2"
    assert detector.owner_of(waves("b-2", 100)) == "class/b", "too few train rows of its own"
    assert detector.owner_of(waves("a-9", 100)) == "class/a"
    assert detector.owner_of(waves("c-1", 100)) == "fleet"
    for vehicle in ("b-2", "a-9", "c-1"):
        scored = detector.score(faulty(vehicle))
        assert np.isfinite(scored.score_T).all()
        assert scored.alarm_T[705:725].all()
        assert scored.alarm_T[:600].mean() < 0.05


def test_a_vehicle_without_a_channel_gets_no_blame_for_it() -> None:
    scored = linear().score(with_values(faulty("a-1"), slice(None), 4, 99.0))
    assert (scored.contribution_TC[:, 4] == 0).all() and scored.contribution_TC.sum() > 0


def test_segments_that_are_too_short_are_not_scored() -> None:
    segment_T = np.repeat([0, 1, 2], [300, 19, 181]).astype(np.int32)
    scored = linear().score(waves("b-1", 500, segment_T=segment_T))
    assert np.isnan(scored.score_T[300:319]).all() and not scored.alarm_T[300:319].any()
    assert (scored.contribution_TC[300:319] == 0).all()
    assert np.isfinite(np.delete(scored.score_T, np.s_[300:319])).all()


def test_an_empty_series_scores_to_nothing() -> None:
    scored = linear().score(waves("b-1", 0))
    assert scored.score_T.shape == (0,) and scored.contribution_TC.shape == (0, C)


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
@pytest.mark.parametrize(
    "members",
    [
        ["innovation", "two_sided"],
        ["innovation", "two_sided", "relation"],
        ["innovation", "two_sided", "relation", "window_range"],
        ["window_range"],
    ],
)
def test_a_day_with_its_context_scores_as_the_whole_series_does(
    members: list[str], smoothing: str
) -> None:
    params = LINEAR.model_copy(update={"smoothing": smoothing, "members": members})
    train, calibration = ([coupled(v, seed=seed) for v in VEHICLES] for seed in (1, 2))
    detector = Detector(build_members(params), params, fleet_of(), None).fit(train, calibration)
    first, last = 4500, 5100
    series = broken_relation("stuck", coupled("b-1", 5500, seed=8), slice(4450, 4600), 2)
    whole = detector.score(series)
    assert np.ptp(whole.score_T[first:last]) > 1 or members == ["window_range"]
    if smoothing == "trailing":
        names = [name.replace("two", "one") for name in members if name != "window_range"]
        names += CLOSED_FORM[3:] if "window_range" in members else []
        assert [m.name for m in detector.members] == names
        assert detector.lookahead_rows == 0
    begin = first - detector.context_rows
    day = detector.score(series.rows_between(begin, last + detector.lookahead_rows))
    cut = slice(first - begin, last - begin)
    np.testing.assert_allclose(day.score_T[cut], whole.score_T[first:last], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        day.contribution_TC[cut], whole.contribution_TC[first:last], rtol=1e-4, atol=1e-6
    )


def test_without_normal_rows_the_error_names_the_way_out() -> None:
    train, calibration = parts(["b-1"])
    detector = Detector(build_members(LINEAR), LINEAR, fleet_of(), None)
    with pytest.raises(DataError, match="no train rows"):
        detector.fit([], calibration)
    with pytest.raises(DataError, match="calibration_share"):
        detector.fit(train, [])
    with pytest.raises(DataError, match="min_segment_rows"):
        detector.fit(train, [s.rows_between(0, 10) for s in calibration])


def test_a_class_without_calibration_rows_is_served_all_the_same() -> None:
    train, calibration = parts(VEHICLES)
    members = build_members(LINEAR.model_copy(update={"members": ["innovation", "relation"]}))
    detector = Detector(members, LINEAR, fleet_of(), None).fit(train, calibration[:2])
    assert detector.owner_of(waves("b-9", 100)) == "class/b"
    assert detector.owner_of(waves("b-1", 100)) == "vehicle/b-1"
    for vehicle in ("b-1", "b-9"):
        assert detector.score(faulty(vehicle)).alarm_T[705:725].all()


def test_a_pooled_level_is_bounded_and_spread_over_the_vehicles() -> None:
    train = [waves(f"b-{i:03d}", 60) for i in range(50)]
    chosen = pooled(train)
    assert len(chosen) <= POOL_VEHICLES and chosen[0].vehicle == "b-000"
    assert chosen[-1].vehicle >= "b-040"
    [long] = pooled([waves("b-1", POOL_ROWS + 10)])
    assert long.rows == POOL_ROWS


def test_a_long_history_is_seen_in_stretches_over_all_of_it(monkeypatch) -> None:
    monkeypatch.setattr(learnt_figures, "OWN_ROWS", 2_000)
    whole = waves("b-1", 9_000, segment_T=np.repeat(np.arange(3, dtype=np.int32), 3_000))
    found = in_stretches(whole)
    assert found.rows == 2_000 and np.isin(found.timestamp_T, whole.timestamp_T).all()
    assert found.timestamp_T[0] == whole.timestamp_T[0]
    assert found.timestamp_T[-1] == whole.timestamp_T[-1]
    segments = found.segments()
    assert (
        found.label_T is None
        and len(segments) >= OWN_STRETCHES
        and found.segment_T[-1] == len(segments) - 1
    )
    for first, last in segments:
        assert (np.diff(found.timestamp_T[first:last]) == 1_000_000).all()
    short = whole.rows_between(0, 2_000)
    np.testing.assert_array_equal(in_stretches(short).value_TC, short.value_TC)


def test_a_long_history_learns_much_the_same_from_its_stretches(monkeypatch) -> None:
    train, calibration = parts(["b-1"], 20_000)
    value_TC = train[0].value_TC.copy()
    value_TC[:, 0] = 0.0
    value_TC[[500, 18_123], 0] = 1.0  # one lies in no stretch of what is learnt from
    train = [train[0].with_values(value_TC)]
    whole = Detector(build_members(LINEAR), LINEAR, fleet_of(), None).fit(train, calibration)
    monkeypatch.setattr(learnt_figures, "OWN_ROWS", 5_000)
    some = Detector(build_members(LINEAR), LINEAR, fleet_of(), None).fit(train, calibration)
    ours, theirs = (d.figures["vehicle/b-1"] for d in (some, whole))
    assert ours.constant == theirs.constant == {}, "a channel that moved once is not constant"
    assert ours.nearly_constant == theirs.nearly_constant and 0 in ours.nearly_constant
    assert some.threshold == pytest.approx(whole.threshold, rel=0.1)
    for name, calibrated in ours.calibration.items():
        np.testing.assert_allclose(
            calibrated.scale_C[1:], theirs.calibration[name].scale_C[1:], rtol=0.05
        )


@pytest.fixture
def bundle():
    import torch
    from model_kit import toy_fleet, toy_params, toy_series

    from amad.model import Amad, Bundle

    torch.manual_seed(0)
    params = toy_params(detect={"baseline_rows": 50, "amad_weight": 1.0})
    series = [toy_series(v, seed=i) for i, v in enumerate(["a-1", "b-1"])]
    scaler = Scaler.fit(series, toy_fleet(), "vehicle")
    model = Amad(4, params.model, block=params.mask.block).eval()
    return Bundle(model=model, params=params, fleet=toy_fleet(), scaler=scaler, meta={"seed": 1})


def with_network(bundle, **params: object) -> tuple[Detector, object]:
    from model_kit import toy_series

    from amad.windows import CALIBRATION, TRAIN

    series = [bundle.scaler.apply(toy_series(v, rows=2400, seed=i)) for i, v in
              enumerate(["a-1", "b-1"])]  # fmt: skip
    detector = build_detector(bundle, bundle.params.detect.model_copy(update=params))
    detector.fit([s.part(TRAIN) for s in series], [s.part(CALIBRATION) for s in series])
    return detector, series[1]


def test_the_bundle_travels_inside_the_detector(bundle, tmp_path: Path) -> None:
    detector, series = with_network(bundle)
    assert [m.name for m in detector.members] == [*CLOSED_FORM, "amad"]
    save_detector(detector, tmp_path / "one")
    loaded = load_detector(tmp_path / "one")
    assert detector_digest(loaded) == detector_digest(detector)
    np.testing.assert_array_equal(loaded.score(series).score_T, detector.score(series).score_T)
    assert not [p for p in (tmp_path / "one").rglob("*") if p.suffix in (".pkl", ".pt", ".pth")]
    weights = tmp_path / "one" / "bundle" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match=r"bundle/weights\.safetensors: damaged"):
        load_detector(tmp_path / "one")


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("time", ["amad"]),
        ("channel", ["amad_channel"]),
        ("mixed", ["amad", "amad_channel"]),
    ],
)
def test_the_networks_members_follow_what_its_training_hid(
    bundle, tmp_path: Path, family: str, names: list[str]
) -> None:
    mask = bundle.params.mask.model_copy(update={"family": family})
    bundle = replace(bundle, params=bundle.params.model_copy(update={"mask": mask}))
    detector, series = with_network(bundle, members=["innovation", "amad"])
    assert [m.name for m in detector.members] == ["innovation", *names]
    assert [m.hide for m in detector.members[1:]] == [
        "channel" if name == "amad_channel" else "time" for name in names
    ]
    counted = {"innovation", *names} if "amad_channel" in names else set()
    for figures in detector.figures.values():
        assert (
            set(figures.calibration) == {"innovation", *names}
            and set(figures.excess_threshold) == counted
        )
    scored = detector.score(series)
    assert scored.left_out == () and np.isfinite(scored.score_T).all()
    if family == "mixed":
        save_detector(detector, tmp_path / "d")
        loaded = load_detector(tmp_path / "d")
        assert detector_digest(loaded) == detector_digest(detector)
        np.testing.assert_array_equal(loaded.score(series).score_T, scored.score_T)


def test_how_the_network_is_asked_is_no_name_of_a_member() -> None:
    with pytest.raises(ValueError, match="amad_channel"):
        DetectParams(members=["innovation", "amad_channel"])


def test_a_network_of_weight_nought_has_no_vote_but_stays(
    bundle, tmp_path: Path, monkeypatch
) -> None:
    detector, series = with_network(bundle, amad_weight=0.0)
    assert [m.name for m in detector.members] == CLOSED_FORM
    save_detector(detector, tmp_path / "d")
    loaded = load_detector(tmp_path / "d")
    assert loaded.bundle is not None
    np.testing.assert_array_equal(loaded.score(series).score_T, detector.score(series).score_T)
    (tmp_path / "d" / "bundle").rename(tmp_path / "away")
    monkeypatch.setattr("amad.detect.detector_folder.check_files", lambda _: None)
    scoring = load_detector(tmp_path / "d", to_score=True)  # which does not even look for it
    np.testing.assert_array_equal(scoring.score(series).score_T, detector.score(series).score_T)
    with pytest.raises(DataError, match="bundle"):
        load_detector(tmp_path / "d")


def test_a_network_that_fails_is_left_out_and_named(bundle) -> None:
    import torch

    detector, series = with_network(bundle)
    linear_only, _ = with_network(bundle, amad_weight=0.0)
    with torch.no_grad():
        for weight in bundle.model.parameters():
            weight.fill_(float("nan"))
    scored = detector.score(series)
    assert scored.left_out == ("amad",)
    assert np.isfinite(scored.score_T).all()
    # the same, but for the share of the variance that is explained: there the network still counts
    for owner, figures in detector.figures.items():
        theirs = linear_only.figures[owner]
        detector.figures[owner] = replace(theirs, calibration=figures.calibration)
    linear_only.operating_point = detector.operating_point
    np.testing.assert_array_equal(detector.score(series).score_T, linear_only.score(series).score_T)


@pytest.mark.parametrize(
    ("members", "smoothing"), [([], "centred"), (["amad"], "centred"), (["amad"], "trailing")]
)
def test_a_detector_in_which_nothing_votes_is_refused(bundle, members, smoothing) -> None:
    changes = {"members": members, "smoothing": smoothing, "amad_weight": 0.0}
    with pytest.raises(ConfigError, match=r"detect\.members: none of .* has a vote"):
        build_detector(bundle, bundle.params.detect.model_copy(update=changes))


def test_where_no_member_serves_nothing_is_scored(bundle) -> None:
    detector, series = with_network(bundle)
    detector.members = []
    scored = detector.score(series)
    assert np.isnan(scored.score_T).all() and not scored.alarm_T.any()


@pytest.mark.parametrize("member", ["two_sided", "relation"])
def test_members_between_channels_habituate_and_their_context_says_so(member: str) -> None:
    params = LINEAR.model_copy(update={"members": [member]})
    train, calibration = ([coupled(v, seed=seed) for v in VEHICLES] for seed in (1, 2))
    detector = Detector(build_members(params), params, fleet_of(), None).fit(train, calibration)
    between = member == "relation"
    only = detector.members[0]
    own = detector.chain.reach(only.tail)[0] + only.context_rows
    assert detector.context_rows - own == (3600 if between else 0)
    series = coupled("b-1", 6000, seed=8)
    series.value_TC[500:, 2] += np.where(np.arange(5500) % 2, 30, -30)
    scored = detector.score(series)
    assert scored.contribution_TC[500:600].mean(axis=0).argmax() == 2
    part_C = scored.contribution_TC[5000:5900].sum(axis=0)
    assert (part_C[2] / part_C.sum() < 0.7) == between
