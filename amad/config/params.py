"""``params.yaml``: every setting that changes a result, typed."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from amad.config.digest import json_digest
from amad.config.errors import ConfigError
from amad.config.fleet import FleetName
from amad.config.settings import Settings
from amad.config.yaml_file import EachOnce, Ordered, Seed, Strict, cut, parse, read_mapping

MaskFamily = Literal["time", "channel", "mixed"]
Hide = Literal["time", "channel"]  # what one pass of scoring hides
# Names that stand elsewhere in code; tests compare them, or make what they name.
Metric = Literal[
    "vus_pr", "vus_roc", "auc_pr", "auc_roc", "best_f1", "range_f1", "event_f1", "affiliation_f1",
]  # fmt: skip
BaselineName = Literal[
    "random", "anomaly_transformer", "anomaly_transformer_criterion", "cnn", "kmeans", "knn", "l2",
    "latad", "linear", "linear_kmeans", "mahalanobis", "pca", "relation", "ridge", "sensor_range",
    "untrained",
]  # fmt: skip
VEHICLE_WINDOWS = 200  # per epoch; with fewer the network's share of a larger fleet's score halves
LEAST_WINDOWS, MOST_WINDOWS = 2_400, 20_000  # per epoch: those of 12 vehicles, and of 100
MERGED_PERIODS = 12  # alarms of one incident are at least allowed to be this far apart
MemberName = Literal[
    "innovation", "two_sided", "relation", "window_range", "amad"
]  # fmt: skip
Direction = Literal["both", "past"]
Auto = Literal["auto"]
T = TypeVar("T")
Choices = Annotated[list[T], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0, lt=1)]


class PrepareParams(Strict):
    """How the window store is made."""

    normalise: Literal["vehicle", "class"] = "vehicle"
    """Whose train rows the scaler is fitted on: each vehicle's own, or all of its class"""


class ModelParams(Strict):
    """The AMAD network."""

    moved: ClassVar = {
        "mixup": "was removed, the gate is the only mixture; delete this line",
        "context": "was removed; delete this line",
        "frequencies": "was removed, a kernel always has 8; delete this line",
        "scales": "was removed, the heads always share out 4; delete this line",
        "kernel": "was removed, it is always AutoMask; delete this line",
    }
    window: int = Field(100, ge=8)
    """Rows in a window (L)"""
    width: int = Field(64, ge=8)
    """Model width (D); a multiple of `heads`"""
    layers: int = Field(2, ge=1)
    """Number of attention layers (N)"""
    heads: int = Field(4, ge=1)
    """Attention heads in each layer (H)"""
    skip: Literal["linear", "none"] = "linear"
    """What the network's output is added to at a hidden value: a ridge regression, or nothing"""
    direction: Direction = "both"
    """Whether a hidden block is predicted from both sides (batch) or from its past (online)"""

    @model_validator(mode="after")
    def _divides(self) -> "ModelParams":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        return self


class MaskParams(Strict):
    """What is hidden from the network."""

    family: MaskFamily = "time"
    """What training hides: blocks of time, whole channels, or either"""
    ratio: Ratio = 0.5
    """Share of a training window that is hidden"""
    block: int = Field(5, ge=1)
    """Rows of a hidden block, in training and in scoring; at most half of `model.window`"""


class LossParams(Strict):
    """Losses that are added to the reconstruction loss. A weight of 0 switches one off."""

    moved: ClassVar = {
        "maxmin_phases": "was removed, each step makes both phases; delete this line",
        "contrast_form": "was removed, it is always InfoNCE; delete this line",
    }
    maxmin: float = Field(0.0, ge=0)
    """Weight of the Max-Min association discrepancy (k)"""
    contrast: float = Field(0.0, ge=0)
    """Weight of the Local-Global contrast"""
    temperature: float = Field(0.1, gt=0)
    """Temperature of the contrast"""


class TrainParams(Strict):
    """How the network is trained."""

    epochs: int = Field(4, ge=1)
    """Number of epochs"""
    batch: int = Field(64, ge=1)
    """Windows per step, divided among the workers"""
    stride: int = Field(25, ge=1)
    """Rows between the starts of neighbouring training windows"""
    max_windows: Auto | Count = "auto"
    """Largest number of windows per epoch; where there are more, each epoch draws its own. `auto`:
    200 per vehicle, at least 2,400 and at most 20,000"""
    learning_rate: float = Field(3e-3, gt=0)
    """Largest learning rate of the schedule"""
    weight_decay: float = Field(1e-4, ge=0)
    """Weight decay of the optimiser"""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient; a longer one is shortened to it"""

    def windows_per_epoch(self, vehicles: int) -> int:
        """The largest number of windows per epoch in a fleet of so many vehicles."""
        if self.max_windows != "auto":
            return self.max_windows
        return min(max(VEHICLE_WINDOWS * vehicles, LEAST_WINDOWS), MOST_WINDOWS)


class SearchSpace(Strict):
    """What the sweep draws from.

    A list is a choice. [low, high] is a range, drawn in the logarithm unless it begins at 0 (off).
    """

    moved: ClassVar = {
        "kernel": "was removed, it is always AutoMask; delete this line",
        "frequencies": "was removed; delete this line",
        "scales": "was removed; delete this line",
    }
    mask_family: Choices[MaskFamily] = ["time", "channel", "mixed"]
    """Values of `mask.family`"""
    mask_ratio: Annotated[tuple[Ratio, Ratio], Ordered] = (0.1, 0.5)
    """Range of `mask.ratio`"""
    contrast: Annotated[tuple[Weight, Weight], Ordered] = (0.0, 0.3)
    """Range of `loss.contrast`"""
    temperature: Annotated[tuple[Positive, Positive], Ordered] = (0.05, 0.5)
    """Range of `loss.temperature`"""
    maxmin: Annotated[tuple[Weight, Weight], Ordered] = (0.0, 0.1)
    """Range of `loss.maxmin`"""


class TuneParams(Strict):
    """The sweep. Its objective injects faults into clean hold-out rows; it sees no labels.

    An epoch of a trial draws half as many windows as one of the training. How many trials a machine
    runs at once is set in its cluster profile and changes no result.
    """

    moved: ClassVar = {
        "max_windows": "was removed, half of train.max_windows now; delete this line"
    }
    trials: int = Field(8, ge=1)
    """Number of trials"""
    batch: int = Field(2, ge=1)
    """Trials that are drawn together and learn only from earlier batches"""
    epochs: int = Field(3, ge=1)
    """Epochs of a trial that is not stopped early"""
    grace_epochs: int = Field(1, ge=1)
    """Epochs before a trial can be stopped early"""
    cases: int = Field(48, ge=2)
    """Injected faults that the objective looks for"""
    space: SearchSpace = SearchSpace()


class DetectParams(Strict):
    """From residuals to alarms and incidents."""

    moved: ClassVar = {
        "hidden_block": "is mask.block now, for training and scoring; delete this line"
    }
    members: Annotated[Choices[MemberName], EachOnce] = [
        "innovation", "two_sided", "relation", "window_range", "amad",
    ]  # fmt: skip
    """Members of the detector; docs/explanation/detector.md describes each"""
    amad_weight: Auto | Weight = "auto"
    """Vote of the network; `auto` is 1 where a rule without labels finds that it adds something,
    and 0 elsewhere. At 0 it is trained, registered and judged, but has no vote"""
    widths: Choices[Count] = [5, 21, 41]
    """Rows over which squared residuals are averaged; a trailing average takes the past half"""
    smoothing: Literal["centred", "trailing"] = "centred"
    """Whether boxes take rows on both sides (batch) or past rows only (online)"""
    floor: float = Field(0.05, gt=0)
    """Smallest scale of a residual, in scaled units"""
    folds: int = Field(4, ge=2)
    """Parts of the train rows; each is predicted by members that were fitted on the others"""
    baseline_rows: int = Field(1000, ge=1)
    """Periods over which the excess of a `window_range` member is averaged, to follow slow drift"""
    baseline_weight: float = Field(0.75, ge=0, le=1)
    """Share of this average that is subtracted from the excess"""
    alarm_budget: float = Field(0.5, gt=0)
    """Promised number of incidents per vehicle-day on normal rows"""
    merge_gap_seconds: float = Field(60.0, ge=0, le=1e9)
    """An incident closes after so long, at least 12 periods, below its release level"""

    @property
    def vote(self) -> float:
        """The vote of the network; 0 while ``auto`` is undecided, see ``amad.evaluation.vote``."""
        return 0.0 if self.amad_weight == "auto" else self.amad_weight

    def merge_gap_us(self, period_us: int) -> int:
        """How long an incident may be below its release level, microseconds; 12 periods or more."""
        return max(round(self.merge_gap_seconds * 1e6), MERGED_PERIODS * period_us)


class EvaluateParams(Strict):
    """How the detector is evaluated."""

    baselines: list[BaselineName] = ["random", "l2", "pca", "ridge", "linear"]
    """Baselines that are evaluated in the same way"""
    bootstrap: int = Field(1000, ge=10)
    """Resamples for each interval"""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Confidence of the intervals"""


class GateParams(Strict):
    """When the challenger becomes the champion; see docs/explanation/promotion.md."""

    metric: Metric = "vus_pr"
    """Metric that the gate compares, per unit"""
    confidence: float = Field(0.9, gt=0, lt=1)
    """Confidence of the paired bootstrap intervals"""
    bootstrap: int = Field(2000, ge=10)
    """Resamples for each interval"""
    require_baseline: bool = False
    """Refuse a model below the best baseline, instead of saying by how much it falls short"""


class _Results(Strict):
    """Everything in ``params.yaml`` but the fleets."""

    seed: Seed = 7
    """Seed of the training, the sweep, the baselines and the bootstrap"""
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
    def _a_window_shows_as_much_as_it_hides(self) -> Self:
        block, window = self.mask.block, self.model.window
        if 2 * block > window + 1:
            raise ValueError(
                f"mask.block {block} is above half of model.window {window}, so that a hidden "
                f"block would have too little around it; set model.window: {2 * block} or more, "
                f"or mask.block: {(window + 1) // 2} or less"
            )
        return self

    @model_validator(mode="after")
    def _a_vote_online_looks_back_alone(self) -> Self:
        votes = "amad" in self.detect.members and self.detect.vote > 0
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
    """Name of the fleet, or the path of its file"""

    @property
    def digest(self) -> str:
        """A short hash of every setting."""
        return json_digest(self.model_dump(mode="json"))


class ParamsFile(_Results):
    """All of ``params.yaml``."""

    fleets: Annotated[Choices[FleetName], EachOnce] = ["demo"]
    """Names of the fleets that `dvc repro` runs"""

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
