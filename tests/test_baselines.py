"""Baselines: the detector's interface, the same chain, and what each one knows."""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import pytest
from detect_kit import LINEAR, VEHICLES, fleet_of, parts, waves, with_values

from amad.baselines import baseline_names, make_baseline
from amad.baselines.pca import PcaMember
from amad.baselines.raw import RangeMember
from amad.config import ConfigError
from amad.config.params import ModelParams
from amad.detect.detector import Detector

SIZE = {"window": 40, "width": 16, "layers": 1, "heads": 2}
SMALL = ModelParams(skip="none", **SIZE)
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name == "latad" else name
    for name in baseline_names()
]
NO_CHAIN = ["random", "anomaly_transformer_criterion"]


@pytest.fixture(scope="module", autouse=True)
def short_training() -> Iterator[None]:
    """Networks that have learnt a little are enough for what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amad.baselines.cnn.STEPS", 40)
        patch.setattr("amad.baselines.transformer.STEPS", 10)
        patch.setattr("amad.baselines.transformer.MODEL", SMALL)
        patch.setattr("amad.baselines.latad.STEPS", 30)
        patch.setattr("amad.baselines.latad_network.BATCH", 16)
        patch.setattr("amad.baselines.latad_network.CLUSTERED", 500)
        patch.setattr("amad.baselines.registry.ModelParams", partial(ModelParams, **SIZE))
        yield
    fitted.cache_clear()


@cache
def fitted(name: str, seed: int = 0, smoothing: str = "centred", /) -> Detector:
    train, calibration = parts(VEHICLES)
    # Calibration is a day and a half long: with a small budget the usual tail would decide.
    params = LINEAR.model_copy(update={"smoothing": smoothing, "alarm_budget": 5.0})
    return make_baseline(name, params, seed, fleet_of()).fit(train, calibration)


@pytest.mark.parametrize("name", NAMES)
def test_every_baseline_fits_and_scores_like_a_detector(name: str) -> None:
    detector = fitted(name)
    for vehicle in ("a-1", "b-1", "b-9"):
        series = waves(vehicle, 700, seed=5)
        scored, again = detector.score(series), detector.score(series)
        assert scored.score_T.shape == (700,) and scored.score_T.dtype == np.float32
        assert np.isfinite(scored.score_T).all() and (scored.contribution_TC >= 0).all()
        np.testing.assert_array_equal(scored.score_T, again.score_T)
        np.testing.assert_array_equal(scored.alarm_T, scored.score_T > scored.threshold_T)
        assert scored.alarm_T.mean() < 0.25
        if vehicle[0] == "a":
            assert (scored.contribution_TC[:, 4] == 0).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in NO_CHAIN])
def test_every_baseline_under_the_chain_finds_a_gross_fault_and_its_channel(name: str) -> None:
    rng = np.random.default_rng(0)
    burst = with_values(waves("b-1", 700, seed=5), slice(300, 340), 2, 8 * rng.normal(size=40))
    scored = fitted(name).score(burst)
    least = 0.4 if name == "latad" else 1  # its windows of 32 rows are soon used to the burst
    assert scored.alarm_T[305:335].mean() >= least
    assert (scored.contribution_TC[305:335].argmax(axis=1) == 2).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n != "random"])
@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_a_score_depends_on_the_rows_that_the_detector_says(name: str, smoothing: str) -> None:
    detector = fitted(name) if smoothing == "centred" else fitted(name, 0, smoothing)
    start, day_rows = 200, 100
    first = start + detector.context_rows
    last = first + day_rows
    end = last + detector.lookahead_rows
    series = waves("b-1", end + 200, seed=5)
    whole = detector.score(series)
    alone = detector.score(series.rows_between(start, end))
    day = slice(first - start, last - start)
    np.testing.assert_allclose(alone.score_T[day], whole.score_T[first:last], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(
        alone.contribution_TC[day], whole.contribution_TC[first:last], atol=1e-4, rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n != "random"])
def test_the_same_seed_gives_the_same_numbers(name: str) -> None:
    series = waves("b-1", 300, seed=5)
    again = fitted.__wrapped__(name)
    assert again is not fitted(name)
    np.testing.assert_array_equal(again.score(series).score_T, fitted(name).score(series).score_T)


@pytest.mark.parametrize("name", ["kmeans", "knn", "cnn", "anomaly_transformer"])
def test_what_is_random_depends_on_the_seed(name: str) -> None:
    series = waves("a-9", 300, seed=5)
    one, other = fitted(name).score(series).score_T, fitted(name, 1).score(series).score_T
    assert not np.array_equal(one, other)


def test_linear_kmeans_is_the_linear_pair_and_kmeans_with_one_vote_each() -> None:
    members = fitted("linear_kmeans").members
    assert [(m.name, m.weight) for m in members] == [("ridge", 1), ("ridge_long", 1), ("kmeans", 1)]


def test_the_floor_knows_nothing_and_differs_by_seed_and_by_copy() -> None:
    series = waves("b-1", 2000)
    scored = fitted("random").score(series).score_T
    assert 0.45 < scored.mean() < 0.55
    assert abs(np.corrcoef(scored[1:], scored[:-1])[0, 1]) < 0.1, "no smoothing"
    other = fitted("random", 1).score(series).score_T
    copy = fitted("random").score(with_values(series, slice(5, 6), 0, 9.0)).score_T
    assert abs(np.corrcoef(scored, other)[0, 1]) < 0.1
    assert abs(np.corrcoef(scored, copy)[0, 1]) < 0.1


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"accepted: random, anomaly_transformer, .*kmeans, knn, .*linear, linear_kmeans",
    ):
        make_baseline("isolation_forest", LINEAR, 0, fleet_of())


def test_pca_agrees_with_an_implementation_of_somebody_else() -> None:
    from sklearn.decomposition import PCA

    train, new = waves("b-1", 1000, seed=1), waves("b-1", 300, seed=2)
    member = PcaMember("pca")
    member.fit("fleet", [train], 4)
    theirs = PCA(n_components=PcaMember.EXPLAINED, svd_solver="full").fit(train.value_TC)
    expected = new.value_TC - theirs.inverse_transform(theirs.transform(new.value_TC))
    np.testing.assert_allclose(member.residual(new, "fleet"), expected, atol=1e-4)


def test_the_range_of_a_channel_is_that_of_its_measured_train_values() -> None:
    train = with_values(waves("b-1", 600), slice(100, 101), 0, 50.0)
    train.valid_TC[100, 0] = 0
    train.valid_TC[:, 3] = 0
    member = RangeMember("sensor_range")
    member.fit("fleet", [train], 4)
    low, high = np.delete(train.value_TC[:, 1], 0).min(), train.value_TC[:, 1].max()
    new = with_values(waves("b-1", 10), slice(0, 1), 1, high + 2)
    new = with_values(with_values(new, slice(1, 2), 1, low - 1), slice(2, 3), 1, (low + high) / 2)
    residual_TC = member.residual(new, "fleet")
    assert residual_TC[:3, 1] == pytest.approx([2, -1, 0], abs=1e-5)
    assert member.coefficients["fleet"]["high"][0] < 50, "an imputed value widens nothing"
    assert np.isnan(residual_TC[:, 3]).all()


@pytest.mark.real_data
def test_on_real_servers_the_chain_lifts_the_linear_pair_far_over_the_floor(data_dir) -> None:
    import pyarrow.parquet as pq

    from amad.config import Fleet
    from amad.metrics import vus
    from amad.windows import Scaler

    fleet = Fleet.model_validate(
        {
            "name": "asd",
            "period_seconds": 300,
            "channels": [{"name": f"c{i}"} for i in range(19)],
            "source": {"format": "simulator"},
        }
    )
    train, test = [], []
    for path in sorted((data_dir / "asd").glob("*_train.parquet"))[:3]:
        table = pq.read_table(path.with_name(path.name.replace("_train", "_test")))
        values = np.stack([table[f"c{i}"].to_numpy() for i in range(19)], axis=1)
        known = np.stack([c.to_numpy() for c in pq.read_table(path).columns], axis=1)
        name = path.name.removesuffix("_train.parquet")
        for table_TC, out, label in ((known, train, None), (values, test, table["label"])):
            rows = len(table_TC)
            stamp_T = np.arange(rows, dtype=np.int64) * fleet.period_us
            fields = dict(
                valid_TC=np.ones((rows, 19), np.uint8),
                timestamp_T=stamp_T,
                segment_T=np.zeros(rows, np.int32),
                split_T=np.zeros(rows, np.uint8),
                label_T=None if label is None else label.to_numpy(),
            )
            out.append(real_series(table_TC, name, fields))
    scaler = Scaler.fit(train, fleet, "vehicle")
    scaled = [scaler.apply(s) for s in train]
    reached = {}
    for name in ("random", "pca", "linear"):
        detector = make_baseline(name, LINEAR.model_copy(update={"baseline_rows": 2000}), 0, fleet)
        detector.fit([s.rows_between(0, 7300) for s in scaled],
                     [s.rows_between(7400, s.rows) for s in scaled])  # fmt: skip
        scores = [detector.score(scaler.apply(s)).score_T for s in test]
        reached[name] = np.mean([vus(s.label_T, x)[0] for s, x in zip(test, scores, strict=True)])
    assert reached["linear"] > reached["pca"] + 0.1 > reached["random"] + 0.2


def real_series(value_TC: np.ndarray, name: str, fields: dict):
    """A series of one real machine."""
    from amad.windows import Series

    return Series(vehicle=name, vehicle_class="all", value_TC=value_TC.astype(np.float32), **fields)
