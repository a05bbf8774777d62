"""What the detector is blind to: known faults that it misses, and what this run could not score."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from amad.config import Fleet
from amad.config import number_text as text
from amad.config.wording import count, some
from amad.evaluation.evaluation_metrics import EvaluationMetrics, FaultFigures
from amad.scores.job_log import why_unscored
from amad.scores.partition_manifest import PartitionManifest

# By field of the manifests, what became of a channel on a vehicle.
WITHOUT = {
    "withheld": "failed its checks on at least one date",
    "unmeasured": "had no usable value on at least one date",
    "unlearnt": "had no value in the training of this version",
}
# The injected faults of several channels, which no type of an incident is called after.
MEANING = {
    "decoupling": "a channel no longer follows the others",
    "degradation": "channels that go together lose amplitude and shift slowly",
}


@dataclass(frozen=True, kw_only=True)
class BlindSpots:
    """What is missed. faults: figures by type, those found least first. lines: on this run."""

    faults: dict[str, FaultFigures]
    why_no_faults: str
    lines: list[str]


def blind_spots(
    metrics: EvaluationMetrics | None,
    manifests: Iterable[PartitionManifest],
    fleet: Fleet,
    version: str = "",
) -> BlindSpots:
    """What the evaluation found of each type of fault, and what these partitions left out.

    metrics: of the version that scored; None where there are none of it. version: the one that
    scored, where the last evaluation was of another one.
    """
    found = metrics.by_fault if metrics is not None else {}
    order = sorted(found, key=lambda kind: (found[kind].events_found / found[kind].events, kind))
    return BlindSpots(
        faults={kind: found[kind] for kind in order},
        why_no_faults="" if found else _without_types(metrics, version),
        lines=[*_left_out(list(manifests), fleet), *_by_design(metrics, fleet)],
    )


def _without_types(metrics: EvaluationMetrics | None, version: str) -> str:
    if version:  # to evaluate again would measure the newest version, not this one
        return (
            "The last evaluation was of another version; what was measured of version "
            f"{version}, which scored, is shown by 'amad review {version}'."
        )
    if metrics is None:
        return "Which faults this version misses was not measured; run 'amad evaluate'."
    point = metrics.operating_point
    if not point.events:
        return "The test part holds no known fault, so which ones it misses is not known."
    missed, known = point.events - point.events_found, count(point.events, "known fault")
    series = ", scored as one series" if point.lookahead_seconds else ""
    if not missed:
        return f"It misses none of the {known} of the test part{series}. The labels name no types."
    return (
        f"It misses {missed} of the {known} of the test part{series}. The labels name no types, so "
        "which kinds it misses is not known."
    )


def _left_out(manifests: list[PartitionManifest], fleet: Fleet) -> list[str]:
    """What had no score in this run, and which channels failed or had no value."""
    statuses: Counter[str] = Counter()
    without: dict[str, dict[str, set[str]]] = {field: {} for field in WITHOUT}
    for manifest in manifests:
        statuses.update(manifest.unscored)
        for field, into in without.items():
            for vehicle, names in getattr(manifest, field).items():
                for name in names:
                    into.setdefault(name, set()).add(vehicle)
    found = []
    rows = sum(manifest.rows for manifest in manifests)
    if statuses.total():
        share = text.share(statuses.total() / rows)
        found.append(
            f"{count(statuses.total(), 'row')} of this page ({share}) have no score: "
            f"{why_unscored(statuses)}."
        )
    for field, channels in without.items():
        for name, vehicles in sorted(channels.items()):
            found.append(
                f"{fleet.title_of(name)} {WITHOUT[field]} on {some(sorted(vehicles))}: "
                "nothing that shows in it alone is seen there."
            )
    return found


def _by_design(metrics: EvaluationMetrics | None, fleet: Fleet) -> list[str]:
    """What no figure shows: the limits that the model card states."""
    found = [
        f"Stretches of fewer than {fleet.missing.min_segment_rows} rows between gaps get no score.",
        "What was usual in the train part is normal to it, faults included.",
    ]
    if metrics is not None and fleet.labels.kind == "injected":
        found.append("The known faults are injected ones; real ones may look different.")
    return found
