"""``params.yaml``: every setting that changes a result, typed."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from amad.config._yaml import Seed, Strict, cut, parse, read_mapping
from amad.config.digest import json_digest
from amad.config.errors import ConfigError
from amad.config.fleet import FleetName
from amad.config.settings import Settings

Kernel = Literal["automask", "gaussian", "none"]
MaskFamily = Literal["time", "channel", "mixed"]
Hide = Literal["time", "channel"]  # what one pass of scoring hides
# Names that stand elsewhere in code; tests/test_config.py compares them.
Metric = Literal[
    "vus_pr", "vus_roc", "auc_pr", "auc_roc", "best_f1", "range_f1", "event_f1", "affiliation_f1",
]  # fmt: skip
BaselineName = Literal[
    "random", "anomaly_transformer", "anomaly_transformer_criterion", "cnn", "kmeans", "knn", "l2",
    "latad", "linear", "linear_kmeans", "mahalanobis", "pca", "relation", "ridge", "sensor_range",
    "untrained",
]  # fmt: skip
MemberName = Literal["ridge", "ridge_long", "two_sided", "relation", "amad"]
Direction = Literal["both", "past"]
T = TypeVar("T")
Choices = Annotated[list[T], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0, lt=1)]


class PrepareParams(Strict):
    """normalise: whose train rows the scaler is fitted on."""

    normalise: Literal["vehicle", "class"] = "vehicle"


class ModelParams(Strict):
    """The AMAD network.

    window: steps of a window (L). width: model width (D). layers: attention layers (N).
    heads: attention heads (H). kernel: the relative-lag kernel of the local branch.
    frequencies: F of the spectral expansion. scales: how many octave-spaced frequency banks the
    heads share out. skip: what the network's output is added to at a hidden value: a ridge
    regression on visible values, or nothing. direction: whether a hidden block is predicted from
    both sides (batch) or from its past alone (online).
    """

    moved: ClassVar = {
        "mixup": "was removed, the gate is the only mixture; delete this line",
        "context": "was removed; delete this line",
    }
    window: int = Field(100, ge=8)
    width: int = Field(64, ge=8)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    kernel: Kernel = "automask"
    frequencies: int = Field(8, ge=1)
    scales: int = Field(4, ge=1)
    skip: Literal["linear", "none"] = "linear"
    direction: Direction = "both"

    @model_validator(mode="after")
    def _divides(self) -> "ModelParams":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class MaskParams(Strict):
    """What is hidden from the network.

    family, ratio: of a training window. block: rows of a hidden block, in training and in scoring.
    """

    family: MaskFamily = "time"
    ratio: Ratio = 0.5
    block: int = Field(5, ge=1)


class LossParams(Strict):
    """Weights of the losses beside the reconstruction; 0 switches one off.

    maxmin: k of the Max-Min association discrepancy. contrast: weight of the Local-Global contrast,
    temperature: its temperature; contrast_form: InfoNCE over time, or LATAD's learned-mask
    negatives (a second pass through the network; no temperature).
    """

    moved: ClassVar = {
        "maxmin_phases": "was removed, each step makes both phases; delete this line"
    }
    maxmin: float = Field(0.0, ge=0)
    contrast: float = Field(0.0, ge=0)
    temperature: float = Field(0.1, gt=0)
    contrast_form: Literal["infonce", "latad"] = "infonce"


class TrainParams(Strict):
    """How the network is trained. batch is the global batch, shared out over the workers."""

    epochs: int = Field(4, ge=1)
    batch: int = Field(64, ge=1)
    stride: int = Field(25, ge=1)  # rows between the starts of neighbouring train windows
    max_windows: int = Field(2500, ge=1)  # an epoch at the most, drawn anew each epoch by seed
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(1.0, gt=0)


class SearchSpace(Strict):
    """What the sweep draws from.

    A list is a choice. [low, high] is a range, drawn in the logarithm unless it begins at 0 (off).
    """

    moved: ClassVar = {
        name: f"is not searched any more; set model.{name} and delete this line"
        for name in ("kernel", "frequencies", "scales")
    }
    mask_family: Choices[MaskFamily] = ["time", "channel", "mixed"]
    mask_ratio: tuple[Ratio, Ratio] = (0.1, 0.5)
    contrast: tuple[Weight, Weight] = (0.0, 0.3)
    temperature: tuple[Positive, Positive] = (0.05, 0.5)
    maxmin: tuple[Weight, Weight] = (0.0, 0.1)

    @field_validator("mask_ratio", "contrast", "temperature", "maxmin")
    @classmethod
    def _ordered(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not ends[0] < ends[1]:
            raise ValueError(f"{list(ends)} must be [low, high] with low < high")
        return ends


class TuneParams(Strict):
    """The sweep. Its objective injects faults into clean hold-out rows; it sees no labels.

    batch: trials that are drawn and judged together, knowing only earlier batches; more of them
    can run side by side and fewer learn from others. What a machine runs at once stands in its
    cluster profile and changes no result.
    """

    trials: int = Field(8, ge=1)
    batch: int = Field(2, ge=1)
    epochs: int = Field(3, ge=1)
    grace_epochs: int = Field(1, ge=1)
    max_windows: int = Field(1200, ge=1)
    cases: int = Field(48, ge=2)  # injected faults that the objective detects
    space: SearchSpace = SearchSpace()


class DetectParams(Strict):
    """From residuals to alarms and incidents.

    members: what the detector joins (docs/explanation/detector.md). amad_weight: of the network's
    members among them; at 0 the network is trained, registered and judged, and has no vote. widths:
    rows of the box means where they are centred; a trailing box is the past half of one.
    baseline_rows and baseline_weight: the slow causal mean that is taken off for drift.
    alarm_budget: promised alarms (incidents) per vehicle-day on normal data. merge_gap_seconds:
    alarms closer than this are one incident.
    """

    moved: ClassVar = {
        "hidden_block": "is mask.block now, for training and scoring; delete this line"
    }
    members: Choices[MemberName] = ["ridge", "two_sided", "relation", "amad"]
    amad_weight: float = Field(0.0, ge=0)
    widths: Choices[Count] = [5, 21, 41]
    smoothing: Literal["centred", "trailing"] = "centred"
    floor: float = Field(0.05, gt=0)  # least residual scale, in scaled units
    folds: int = Field(4, ge=2)
    baseline_rows: int = Field(2000, ge=1)
    baseline_weight: float = Field(0.5, ge=0, le=1)
    alarm_budget: float = Field(0.5, gt=0)
    merge_gap_seconds: float = Field(60.0, ge=0, le=1e9)

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: list[str]) -> list[str]:
        if len(set(members)) < len(members):
            raise ValueError("a member is named twice")
        return members


class EvaluateParams(Strict):
    """baselines: detectors compared in the same harness. bootstrap: resamples of the intervals."""

    baselines: list[BaselineName] = ["random", "l2", "pca", "ridge", "linear"]
    bootstrap: int = Field(1000, ge=10)
    confidence: float = Field(0.95, gt=0, lt=1)


class GateParams(Strict):
    """When the challenger becomes the champion; see docs/explanation/promotion.md.

    metric: a key of the evaluation's per-unit metrics. confidence: of the paired bootstrap
    interval against the champion. require_baseline: refuse a model below the best baseline,
    instead of saying by how much it falls short.
    """

    metric: Metric = "vus_pr"
    confidence: float = Field(0.9, gt=0, lt=1)
    bootstrap: int = Field(2000, ge=10)
    require_baseline: bool = False


class _Results(Strict):
    """Everything in ``params.yaml`` but the fleets."""

    seed: Seed = 7
    prepare: PrepareParams = PrepareParams()
    model: ModelParams = ModelParams()
    mask: MaskParams = MaskParams()
    loss: LossParams = LossParams()
    train: TrainParams = TrainParams()
    tune: TuneParams = TuneParams()
    detect: DetectParams = DetectParams()
    evaluate: EvaluateParams = EvaluateParams()
    gate: GateParams = GateParams()

    @model_validator(mode="after")
    def _a_vote_online_looks_back_alone(self) -> Self:
        votes = "amad" in self.detect.members and self.detect.amad_weight > 0
        if votes and self.detect.smoothing == "trailing" and self.model.direction == "both":
            raise ValueError(
                "detect.smoothing: trailing is for online use, but the network looks at both sides "
                "of a row (model.direction: both); set model.direction: past and train again, or "
                "detect.amad_weight: 0"
            )
        return self


class Params(_Results):
    """``params.yaml`` for a run on one fleet."""

    fleet: str = "demo"

    @property
    def digest(self) -> str:
        """A short hash of every setting."""
        return json_digest(self.model_dump(mode="json"))


class ParamsFile(_Results):
    """All of ``params.yaml``. fleets: those that ``dvc repro`` runs, a stage each."""

    fleets: list[FleetName] = Field(["demo"], min_length=1)

    @field_validator("fleets")
    @classmethod
    def _named_once(cls, fleets: list[str]) -> list[str]:
        twice = sorted({name for name in fleets if fleets.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return fleets

    def of(self, fleet: str) -> Params:
        """The settings of a run on ``fleet``, which need not be one of ``fleets``."""
        return Params(fleet=fleet, **{name: getattr(self, name) for name in _Results.model_fields})


def load_params(path: Path | None = None, fleet: str | None = None) -> Params:
    """Read ``params.yaml`` for a run on ``fleet``; default: the one that the file names.

    Raises:
        ConfigError: the file is missing or a key is wrong (names file, key and accepted values), or
            it names several fleets and ``fleet`` is None.
    """
    path = path or Settings().params_file
    content = read_params(path)
    if fleet is None and len(content.fleets) > 1:
        raise ConfigError(
            f"{path} names several fleets: {', '.join(content.fleets)}; say which one with "
            "--fleet NAME"
        )
    return content.of(fleet or content.fleets[0])


def read_params(path: Path) -> ParamsFile:
    """Read ``params.yaml`` with all the fleets that it names; an older one names one as ``fleet``.

    Raises:
        ConfigError: the file is missing or a key is wrong; names file, key and accepted values.
    """
    content = read_mapping(path)
    if "fleet" in content and "fleets" in content:
        raise ConfigError(
            f"{path}: fleet and fleets are both there; write "
            f"'fleets: [{cut(str(content['fleet']))}]' alone"
        )
    if "fleet" in content:
        content["fleets"] = [content.pop("fleet")]
    return parse(ParamsFile, content, str(path))
