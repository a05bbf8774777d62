"""Whether the scores of the last days lie where those of the calibration rows lay.

A twentieth of a vehicle's calibration rows is above the 95 % quantile of its usual scores
(``OperatingPoint.usual``). Where many more rows of the last days are, the model no longer expects
what it sees; its threshold has then moved along (``amad.detect.moving_threshold``), so there may be
no alarm.

Shape legend: T rows of a vehicle.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.detect.alarms import OperatingPoint
from amad.detect.moving_threshold import TOP, USUAL_SCORES
from amad.scores import partitions

LEAST_ROWS = 60  # scored rows of a vehicle; fewer say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDrift:
    """Medians over the vehicles.

    above_usual: share of the scored rows above the vehicle's usual 95 % quantile; 0.05 is usual.
    moved_threshold: by how much the thresholds moved, in score units.
    """

    above_usual: float
    moved_threshold: float


def score_drift(
    scores: Iterable[tuple[str, np.ndarray, np.ndarray]], point: OperatingPoint
) -> ScoreDrift | None:
    """Compare the scores with the usual ones; None where no vehicle has enough.

    scores: of each vehicle, the scores (T,) of its scored rows and their thresholds (T,).
    """
    above, moved = [], []
    for vehicle, score_T, threshold_T in scores:
        usual = point.usual.get(vehicle, point.usual.get(""))
        if usual is None or len(score_T) < LEAST_ROWS:
            continue
        above.append(float(np.mean(score_T > usual[round(TOP * USUAL_SCORES) - 1])))
        moved.append(float(np.mean(threshold_T)) - point.threshold)
    if not above:
        return None
    return ScoreDrift(above_usual=float(np.median(above)), moved_threshold=float(np.median(moved)))


def published_scores(
    runs: Path, version: str, dates: Sequence[date]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Vehicle, scores (T,) and thresholds (T,) of the rows that this version scored on these dates.

    One vehicle is in memory at a time: a file has its row groups by vehicle.
    """
    manifests = [partitions.read_manifest(runs, version, day) for day in dates]
    known = [manifest for manifest in manifests if manifest is not None]
    for vehicle in sorted({name for manifest in known for name in manifest.vehicles}):
        rows = (pc.field("vehicle") == vehicle) & (pc.field("status") == "scored")
        days = [manifest.date for manifest in known if vehicle in manifest.vehicles]
        columns = ["score", "threshold"]
        table = pa.concat_tables(
            partitions.read_scores(runs, version, day, columns, rows) for day in days
        )
        yield vehicle, table["score"].to_numpy(), table["threshold"].to_numpy()
