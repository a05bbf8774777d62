"""Baselines by name. A new one is a ``Member`` in a file of its own and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from amad.baselines.floor import RandomScorer
from amad.baselines.kmeans import KMeansMember
from amad.baselines.knn import KnnMember
from amad.baselines.mahalanobis import MahalanobisMember
from amad.baselines.pca import PcaMember
from amad.baselines.raw import RangeMember, RawMember
from amad.config import ConfigError, Fleet
from amad.config.params import DetectParams, ModelParams
from amad.detect.detector import Detector
from amad.detect.members import Member, RidgeMember
from amad.detect.relation import RelationMember
from amad.detect.scorer import Scorer
from amad.windows.scaler import Scaler

FLOOR, CRITERION = "random", "anomaly_transformer_criterion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a baseline is made from; see ``make_baseline``."""

    params: DetectParams
    seed: int
    fleet: Fleet
    scaler: Scaler | None

    @property
    def trailing(self) -> bool:
        """Whether this is the online form, in which no member may look ahead."""
        return self.params.smoothing == "trailing"


def make_baseline(
    name: str, params: DetectParams, seed: int, fleet: Fleet, scaler: Scaler | None = None
) -> Scorer:
    """An unfitted baseline; it is fitted and scores like every detector.

    seed: of the random numbers of the baseline. scaler: with which the series were scaled; it is
    kept with the baseline.

    Raises:
        ConfigError: no baseline of that name; the message lists those there are.
    """
    order = Order(params=params, seed=seed, fleet=fleet, scaler=scaler)
    if (whole := _without_chain().get(name)) is not None:
        return whole(order)
    if (members := _builders().get(name)) is not None:
        return Detector(members(order), params, fleet, scaler, name=name)
    raise ConfigError(
        f"evaluate.baselines: there is no baseline {name!r}; "
        f"accepted: {', '.join(baseline_names())}"
    )


def baseline_names() -> list[str]:
    """All names that ``make_baseline`` knows: the floor first, the others in alphabetical order."""
    return [FLOOR, *sorted({*_without_chain(), *_builders()} - {FLOOR})]


def _without_chain() -> dict[str, Callable[[Order], Scorer]]:
    """The methods that have no members, and so no evidence chain."""
    return {
        FLOOR: lambda o: RandomScorer(o.params, o.fleet, o.scaler, o.seed),
        CRITERION: _criterion,
    }


def _builders() -> dict[str, Callable[[Order], list[Member]]]:
    """The members of each baseline. Networks are imported on demand, as importing torch is slow."""
    return {
        "anomaly_transformer": _transformer,
        "cnn": _cnn,
        "kmeans": lambda o: [_kmeans(o)],
        "knn": lambda o: [KnnMember("knn", seed=o.seed)],
        "l2": lambda o: [RawMember("l2")],
        "latad": _latad,
        "linear": lambda o: _linear(),
        "linear_kmeans": lambda o: [*_linear(), _kmeans(o)],
        "mahalanobis": lambda o: [MahalanobisMember("mahalanobis", floor=o.params.floor)],
        "pca": lambda o: [PcaMember("pca")],
        "ridge": lambda o: _linear()[:1],
        "relation": lambda o: [RelationMember(trailing=o.trailing)],
        "sensor_range": lambda o: [RangeMember("sensor_range")],
        "untrained": _untrained,
    }


def _linear() -> list[Member]:
    """Two autoregressions that look back: lags 1 to 5, and lags 10 to 29."""
    return [RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))]


def _kmeans(order: Order) -> Member:
    return KMeansMember("kmeans", trailing=order.trailing, seed=order.seed)


def _latad(order: Order) -> list[Member]:
    from amad.baselines.latad import LatadMember

    return [LatadMember("latad", trailing=order.trailing, seed=order.seed)]


def _cnn(order: Order) -> list[Member]:
    from amad.baselines.cnn import CnnMember

    return [CnnMember("cnn", seed=order.seed)]


def _transformer(order: Order) -> list[Member]:
    from amad.baselines.transformer import TransformerMember

    return [TransformerMember("anomaly_transformer", trailing=order.trailing, seed=order.seed)]


def _criterion(order: Order) -> Scorer:
    from amad.baselines.transformer import TransformerCriterion

    return TransformerCriterion(
        order.params, order.fleet, order.scaler, name=CRITERION, seed=order.seed
    )


def _untrained(order: Order) -> list[Member]:
    from amad.baselines.untrained import untrained_member

    model = ModelParams(direction="past" if order.trailing else "both")
    return [untrained_member(model, order.params, order.fleet, order.scaler, order.seed)]
