"""What the present champion does on the challenger's test data, and what has changed since.

The store's series, injected faults included, have the challenger's channels and are scaled with its
scaler. The champion has its own, so each series is converted to engineering units, and the channels
that the champion knows are scaled again for it, as in scoring.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import DataError, Fleet
from amad.config.number_text import number
from amad.config.wording import some
from amad.config.yaml_file import cut
from amad.detect.detector import Detector
from amad.detect.detector_folder import load_detector
from amad.detect.scorer import Scored
from amad.engines.register.gate import PerUnit
from amad.engines.shared.model_registry import DATA_HASH, LostError, fetched, version_title
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.harness import per_unit_metrics
from amad.evaluation.units import Unit
from amad.scores.daily import new_channels
from amad.windows.scaler import Scaler
from amad.windows.series import Series
from amad.windows.store import WindowStore

SETTINGS = {"seed", "prepare", "model", "mask", "loss", "train"}  # sections that make a network
DATA, VERSION, COMMIT = "data", "amad_version", "git_commit"  # tags of a version


@dataclass(frozen=True, kw_only=True)
class Defence:
    """The champion on the challenger's test data.

    per_unit: its metrics. found: how many of the known events it finds with its own threshold, by
    type, and of all of them under ''. unknown: channels that the challenger has learnt and it not.
    """

    detector: Detector
    per_unit: PerUnit
    found: Mapping[str, int]
    unknown: Sequence[str] = ()

    def events_found(self, metrics: EvaluationMetrics) -> list[str]:
        """What it finds beside the challenger, whose metrics are given, as sentences."""
        point = metrics.operating_point
        if not point.events:
            return []
        told = (
            f"known events found, each with its own threshold: challenger {point.events_found}, "
            f"champion {self.found['']} of {point.events}"
        )
        differ = [
            f"{fault} {own.events_found} and {self.found[fault]} of {own.events}"
            for fault, own in sorted(metrics.by_fault.items())
            if own.events_found != self.found[fault]
        ]
        return [told + (f"; they differ in {', '.join(differ)}" if differ else "")]


def defend(
    client: MlflowClient,
    champion: ModelVersion,
    store: WindowStore,
    fleet: Fleet,
    events: pa.Table,
) -> tuple[Defence | None, str | None]:
    """(what the champion does, None), or (None, why it cannot be scored on this data).

    Raises:
        ServiceError: the store does not answer. It must not be mistaken for a champion that cannot
            be scored, or the challenger would be promoted.
    """
    try:
        with fetched(client, champion) as folder:
            try:
                detector = load_detector(folder, called=version_title(champion))
            except DataError as error:  # not of ``fetched``, such as a full disk
                return None, str(error)
    except LostError as error:
        return None, str(error)
    present = {*store.scaler.channels} & {*fleet.channel_names}
    if gone := [name for name in detector.fleet.channel_names if name not in present]:
        return None, f"it has learnt {some(gone)}, which the present data lacks"
    if detector.fleet.period_us != fleet.period_us:
        return None, (
            f"it was made for a row every {detector.fleet.period_seconds:g} s, the fleet file now "
            f"says {fleet.period_seconds:g} s"
        )
    found: Counter[str] = Counter()

    def count(unit: Unit, scored: Scored) -> None:
        typed = [(event, event.type) for event in unit.events if event.type]
        for event, fault in [*((event, "") for event in unit.truth), *typed]:
            found[fault] += bool(scored.alarm_T[event.first : event.last].any())

    per_unit = per_unit_metrics(store, Defender(detector, store.scaler), fleet, events, count)
    unknown = [c for c in new_channels(detector, fleet) if c not in store.scaler.unlearnt]
    return Defence(detector=detector, per_unit=per_unit, found=found, unknown=unknown), None


def changes(
    champion: ModelVersion, theirs: Detector, ours: Detector, lineage: Mapping[str, str]
) -> str:
    """What differs between the champion and a challenger with these tags, in one sentence."""
    told = _differences(_origin(theirs), _origin(ours))
    tags = {key: champion.tags.get(key, "unknown") for key in (DATA, DATA_HASH, COMMIT)}
    if tags[DATA_HASH] != lineage[DATA_HASH]:
        as_many = f"other values or events in {lineage[DATA]}, as before"
        moved = f"{tags[DATA]} -> {lineage[DATA]}"
        told.append(f"data: {as_many if tags[DATA] == lineage[DATA] else moved}")
    if (release := champion.tags.get(VERSION, lineage[VERSION])) != lineage[VERSION]:
        told.append(f"amad {release} -> {lineage[VERSION]}")
    if tags[COMMIT] != lineage[COMMIT]:
        told.append(f"commit {tags[COMMIT][:8]} -> {lineage[COMMIT][:8]}")
    since = f"since version {champion.version}"
    if not told:
        return f"settings, data, fleet file and code are as they were {since}"
    return f"changed {since}: {'; '.join(told)}"


def unlike(theirs: Fleet, ours: Fleet) -> list[str]:
    """Of which channels the store holds something else than the champion learnt from."""
    pairs = [(old, ours.channel_by_name[old.name]) for old in theirs.channels]
    return [
        f"no fair comparison: {new.name} is {new.kind} now and was {old.kind} for the champion"
        for old, new in pairs
        if old.kind != new.kind
    ]


def _origin(detector: Detector) -> dict:
    """Settings of a detector and its network, and its fleet file, with items by their names."""
    bundle, fleet = detector.bundle, detector.fleet.model_dump(mode="json")
    trained = bundle.params.model_dump(mode="json", include=SETTINGS) if bundle else {}
    fleet["order of classes"] = [item["name"] for item in fleet["vehicle_classes"]]
    for named in ("channels", "vehicle_classes"):
        fleet[named] = {item.pop("name"): item for item in fleet[named]}
    return trained | {"detect": detector.params.model_dump(mode="json"), "fleet file": fleet}


def _differences(before: dict, after: dict, prefix: str = "") -> list[str]:
    """``detect.floor 0.05 -> 0.1``; of a section, channel or class, that it is new or gone."""
    told = []
    for key in sorted(before.keys() | after.keys()):
        name, old, new = f"{prefix}{key}", before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            told += _differences(old, new, f"{name}.")
        elif isinstance(old, dict) or isinstance(new, dict):
            told.append(f"{name} is {'new' if old is None else 'gone'}")
        elif old != new:
            told.append(f"{name} {_text(old)} -> {_text(new)}")
    return told


def _text(value: object) -> str:
    return number(value) if isinstance(value, float) else cut(str(value))


class Defender:
    """A fitted detector that scores series scaled by another scaler, which has all its channels."""

    def __init__(self, detector: Detector, theirs: Scaler) -> None:
        self.detector, self.own, self.theirs = detector, detector.scaler, theirs
        self.place_C = [theirs.channels.index(name) for name in self.own.channels]

    def score(self, series: Series) -> Scored:
        """Score a series that ``theirs`` has scaled."""
        # In float64: on a channel far from zero, float32 would add noise to this detector's input
        # and not to the challenger's.
        value_TC = self.theirs.unscaled(series, self.place_C)
        valid_TC = series.valid_TC[:, self.place_C]
        return self.detector.score(
            self.own.apply(replace(series, value_TC=value_TC, valid_TC=valid_TC))
        )
