"""What was found about drift, and whether that is a reason to retrain.

The limits were chosen once, by ``python -m bench.drift``: on healthy days they hardly ever call for
a retraining, and on a copy of the simulated fleet that has drifted they do.
"""

from collections.abc import Callable
from datetime import date
from typing import ClassVar

from amad.config.number_text import share
from amad.config.wording import count, some
from amad.telemetry.artifact import Artifact, Entry

LEAST_DISTANCE = 0.5  # in train spreads; a channel that moved less is nowhere far from training
LEAST_SHARE = 0.25  # of the rows, for channels with codes
BEYOND_OWN = 2.0  # and less than this many times what its train days differ by is usual
DRIFTED_CHANNELS = 0.25  # of the channels of a class: from this share on, retrain
ABOVE_USUAL = 0.20  # of the scored rows, four times as many as on calibration rows
UNCOVERED = 0.10  # of the rows
UNKNOWN = 0.25  # of the vehicles


class ChannelDrift(Entry):
    """A channel of a class: its distance from training, median over the vehicles, and the limit.

    In train spreads; of codes the share of rows with another code.
    """

    vehicle_class: str
    channel: str
    distance: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Is it further away than days of training are from each other?"""
        return self.distance > self.limit


class VehicleDrift(Entry):
    """A channel on which one vehicle has moved away from its own training, and its class has not.

    distance, limit: as of a channel, of this vehicle alone.
    """

    vehicle: str
    channel: str
    distance: float
    limit: float


class UnlearntChannel(Entry):
    """A channel that the champion has not learnt.

    train_rows: with a value of it in the train part of a new training, median over the vehicles of
    its classes. least: from how many on a training learns it.
    """

    channel: str
    train_rows: int
    least: int

    @property
    def learnable(self) -> bool:
        """Would a new training learn it?"""
        return self.train_rows >= self.least


class Drift(Artifact):
    """How far the last days of a fleet are from those that its champion was trained on.

    newest: date of the fleet's newest row. train, recent: (first, last) date of the days that were
    compared; recent is None where there are none after training. age_days: from the last train day
    to the newest; None without a day before all test parts. unknown: vehicles that the champion
    does not know. channels: the furthest beyond its limit first. strayed: single vehicles, in the
    same order; they are no reason to retrain. uncovered: share of the recent rows with a value
    outside what training covered, median over the vehicles. above_usual, moved_threshold: see
    ``ScoreDrift``; None where the champion has not scored these days.
    unlearnt: channels of the fleet file of which the champion has learnt nothing. reason: why to
    retrain, or why not, as a sentence.
    """

    FILE: ClassVar[str] = "drift.json"
    REMEDY: ClassVar[str] = "run 'amad drift'"

    fleet: str
    model_version: str
    newest: date
    train: tuple[date, date] | None = None
    recent: tuple[date, date] | None = None
    age_days: int | None = None
    vehicles: int = 0
    unknown: list[str] = []
    channels: list[ChannelDrift] = []
    strayed: list[VehicleDrift] = []
    uncovered: float | None = None
    uncovered_limit: float | None = None
    above_usual: float | None = None
    moved_threshold: float | None = None
    unlearnt: list[UnlearntChannel] = []
    retrain: bool
    reason: str

    @property
    def drifted(self) -> list[ChannelDrift]:
        """The channels that drifted."""
        return [item for item in self.channels if item.drifted]


def decide(found: Drift, title_of: Callable[[str], str]) -> tuple[bool, str]:
    """Whether to retrain, and the sentence that says why. title_of: a channel's name for people."""
    reasons = []
    if names := [title_of(item.channel) for item in found.unlearnt if item.learnable]:
        them = "it" if len(names) == 1 else "them"
        reasons.append(
            f"the champion has learnt nothing of {some(names, 3)} and tells nothing about {them}, "
            f"and a new training would learn {them}"
        )
    if found.recent is not None:
        reasons += _since_training(found, title_of)
    if reasons:
        return True, f"yes: {'; '.join(reasons)}"
    not_yet = [
        f"the champion has learnt nothing of {title_of(item.channel)} and tells nothing about it, "
        f"but the train part of a new training would have {count(item.train_rows, 'row')} with a "
        f"value per vehicle, and {item.least} are needed"
        for item in found.unlearnt
    ]
    return False, f"no: {'; '.join([_as_before(found, title_of), *not_yet])}"


def _as_before(found: Drift, title_of: Callable[[str], str]) -> str:
    if found.recent is None:
        return "there is no day after those that the champion was trained on"
    if not found.channels:
        return "too few days or rows to compare"
    if drifted := found.drifted:
        names = some([title_of(item.channel) for item in drifted], 3)
        return (
            f"{count(len(drifted), 'channel')} drifted ({names}), too few of its class, and "
            "the champion's scores are as usual"
        )
    return "the last days differ from training as train days differ from each other"


def _since_training(found: Drift, title_of: Callable[[str], str]) -> list[str]:
    """What the days after training have that calls for another one."""
    reasons = []
    if found.above_usual is not None and found.above_usual > ABOVE_USUAL:
        reasons.append(
            f"in the median vehicle {share(found.above_usual)} of the scores are above its usual "
            "95 % quantile, which 5 % should be"
        )
    for name in sorted({item.vehicle_class for item in found.channels}):
        own = [item for item in found.channels if item.vehicle_class == name]
        drifted = [title_of(item.channel) for item in own if item.drifted]
        if len(drifted) >= max(2.0, DRIFTED_CHANNELS * len(own)):
            reasons.append(
                f"{len(drifted)} of {len(own)} channels of class {name} drifted: {some(drifted, 3)}"
            )
    uncovered, limit = found.uncovered, found.uncovered_limit
    if uncovered is not None and limit is not None and uncovered > limit:
        reasons.append(f"{share(uncovered)} of the rows have a value outside what training covered")
    if len(found.unknown) > UNKNOWN * found.vehicles:
        reasons.append(
            f"{len(found.unknown)} of {count(found.vehicles, 'vehicle')} were not in training"
        )
    return reasons
