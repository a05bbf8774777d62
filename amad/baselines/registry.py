"""Baselines by name. A new one is a ``Member`` in a file of its own, a line here and its name."""

from typing import get_args

from amad.baselines.floor import RandomScorer
from amad.baselines.kmeans import KMeansMember
from amad.baselines.knn import KnnMember
from amad.baselines.mahalanobis import MahalanobisMember
from amad.baselines.pca import PcaMember
from amad.baselines.raw import RangeMember, RawMember
from amad.config import ConfigError, Fleet
from amad.config.params import BaselineName, DetectParams, ModelParams
from amad.detect.detector import Detector
from amad.detect.members.member import Member, RidgeMember
from amad.detect.members.relation import RelationMember
from amad.detect.scorer import Scorer
from amad.windows.scaler import Scaler

FLOOR, CRITERION = "random", "anomaly_transformer_criterion"


def make_baseline(
    name: str, params: DetectParams, seed: int, fleet: Fleet, scaler: Scaler | None = None
) -> Scorer:
    """An unfitted baseline; it is fitted and scores like every detector.

    seed: of the random numbers of the baseline. scaler: with which the series were scaled; it is
    kept with the baseline.

    Raises:
        ConfigError: no baseline of that name; the message lists those there are.
    """
    if name not in baseline_names():
        raise ConfigError(
            f"evaluate.baselines: there is no baseline {name!r}; "
            f"accepted: {', '.join(baseline_names())}"
        )
    if name == FLOOR:
        return RandomScorer(params, fleet, scaler, seed)
    if name == CRITERION:
        from amad.baselines.transformer import TransformerCriterion

        return TransformerCriterion(params, fleet, scaler, name=name, seed=seed)
    return Detector(_members(name, params, seed, fleet, scaler), params, fleet, scaler, name=name)


def baseline_names() -> list[str]:
    """All names that ``make_baseline`` knows: the floor first, the others in alphabetical order."""
    return list(get_args(BaselineName))


def _members(
    name: str, params: DetectParams, seed: int, fleet: Fleet, scaler: Scaler | None
) -> list[Member]:
    """The members of a baseline. Networks are imported on demand, as importing torch is slow."""
    trailing = params.smoothing == "trailing"  # the online form, in which no member may look ahead
    # Two autoregressions that look back: lags 1 to 5, and lags 10 to 29.
    linear: list[Member] = [
        RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))
    ]  # fmt: skip
    match name:
        case "anomaly_transformer":
            from amad.baselines.transformer import TransformerMember

            return [TransformerMember(name, trailing=trailing, seed=seed)]
        case "cnn":
            from amad.baselines.cnn import CnnMember

            return [CnnMember(name, seed=seed)]
        case "latad":
            from amad.baselines.latad import LatadMember

            return [LatadMember(name, trailing=trailing, seed=seed)]
        case "untrained":
            from amad.baselines.untrained import untrained_member

            model = ModelParams(direction="past" if trailing else "both")
            return [untrained_member(model, params, fleet, scaler, seed)]
        case "kmeans" | "linear_kmeans":
            kmeans = KMeansMember("kmeans", trailing=trailing, seed=seed)
            return [*(linear if name == "linear_kmeans" else []), kmeans]
    simple: dict[str, list[Member]] = {
        "knn": [KnnMember(name, seed=seed)],
        "l2": [RawMember(name)],
        "linear": linear,
        "mahalanobis": [MahalanobisMember(name, floor=params.floor)],
        "pca": [PcaMember(name)],
        "ridge": linear[:1],
        "relation": [RelationMember(trailing=trailing)],
        "sensor_range": [RangeMember(name)],
    }
    return simple[name]
