"""Incidents: alarms merged in time, with a severity, the channels to blame and a guessed type.

Severity is a number from 0 to 100, with one definition for every detector and fleet:

    severity = 100 (1 - exp(-x / 2)),  x = (peak score - threshold) + ln(1 + duration / 10 min) / 4

with the threshold of the row of the peak.

The score is a natural logarithm, so with x = 1 the peak is e times as far from the ordinary as the
threshold. Severity grows with height and duration, with height faster, and with nothing else. It is
low below 25, medium below 50, high below 75 and critical from 75 on.

Shape legend: T rows of a vehicle, A alarm rows of an incident, C channels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from amad.config.digest import sha256_of
from amad.detect.alarms import merge_alarms
from amad.detect.detector import Detector
from amad.detect.scorer import Scored
from amad.detect.shapes import guess_type
from amad.windows.scaler import is_unseen
from amad.windows.series import Series

LEVELS = ((75.0, "critical"), (50.0, "high"), (25.0, "medium"), (0.0, "low"))
TOP_CHANNELS = 5
BLAMED_SHARE = 0.25  # a later channel decides the type only with at least this share
HISTORY_ROWS = 200  # rows before the incident that its shape is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. Times are microseconds since the epoch, UTC; ``end`` is exclusive.

    threshold: of the row of the peak.
    channels: at most five, the largest share first. shares: their shares of the evidence of all
    channels in the alarm rows, so they sum to at most 1. continued: it began on an earlier day.
    """

    incident_id: str
    vehicle: str
    vehicle_class: str
    start: int
    end: int
    peak: int
    peak_score: float
    threshold: float
    severity: float
    level: str
    type: str
    alarm_rows: int
    channels: tuple[str, ...]
    shares: tuple[float, ...]
    continued: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The incident in a row of a table or a JSON object, whose other keys are ignored."""
        known = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        return cls(**known | {name: tuple(row[name]) for name in ("channels", "shares")})


def incidents_of(
    scored: Scored, series: Series, detector: Detector, first_row: int = 0
) -> list[Incident]:
    """The incidents of a scored series (scaled, as it was scored), in time order.

    first_row: alarms before this row are ignored; the rows before it only serve as history.
    """
    fleet = detector.fleet
    constant = detector.figures[detector.owner_of(series)].constant
    alarm_T = scored.alarm_T.copy()
    alarm_T[:first_row] = False
    runs = merge_alarms(
        alarm_T, series.timestamp_T, period_us=fleet.period_us, gap_us=detector.gap_us
    )
    out = []
    for first, last in runs:
        rows = first + np.flatnonzero(alarm_T[first:last])
        peak = int(rows[np.argmax(scored.score_T[rows])])
        start = int(series.timestamp_T[first])
        end = int(series.timestamp_T[last - 1]) + fleet.period_us
        peak_score = float(scored.score_T[peak])
        threshold = float(scored.threshold_T[peak])
        grade = severity(peak_score - threshold, (end - start) / 1e6)
        order, share_C = blamed(scored.contribution_TC[rows])
        out.append(
            Incident(
                incident_id=incident_id(fleet.name, series.vehicle, start),
                vehicle=series.vehicle,
                vehicle_class=series.vehicle_class,
                start=start,
                end=end,
                peak=int(series.timestamp_T[peak]),
                peak_score=peak_score,
                threshold=threshold,
                severity=grade,
                level=level_of(grade),
                type="first_move"
                if order[:1] and order[0] in constant
                else "unseen_code"
                if order[:1] and _unseen(series, first, last, order[0], detector)
                else incident_type(series, first, last, order, share_C),
                alarm_rows=len(rows),
                channels=tuple(fleet.channel_names[c] for c in order),
                shares=tuple(float(share_C[c]) for c in order),
            )
        )
    return out


def _unseen(series: Series, first: int, last: int, channel: int, detector: Detector) -> bool:
    """Whether a categorical channel has a code in these rows that no train row had."""
    name, scaler = detector.fleet.channel_names[channel], detector.scaler
    if scaler is None or name not in scaler.codes:
        return False
    measured_T = series.valid_TC[first:last, channel] == 1
    return bool((measured_T & is_unseen(series.value_TC[first:last, channel])).any())


def severity(exceedance: float, seconds: float) -> float:
    """0 to 100 from the peak's height over the threshold (score units) and the duration."""
    x = max(exceedance, 0.0) + 0.25 * math.log1p(seconds / 600.0)
    return round(100.0 * (1.0 - math.exp(-x / 2.0)), 1)


def level_of(grade: float) -> str:
    """low, medium, high or critical."""
    return next(name for least, name in LEVELS if grade >= least)


def incident_id(fleet: str, vehicle: str, start: int) -> str:
    """An id that depends on fleet, vehicle and start (microseconds) only."""
    stamp = datetime.fromtimestamp(start / 1e6, UTC).strftime("%Y%m%dT%H%M%S")
    digest = sha256_of(f"{fleet}\0{vehicle}\0{start}")
    return f"{stamp}-{digest[:10]}"


def blamed(contribution_AC: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The channels to blame, the largest share first, and the share of every channel (C,)."""
    whole_C = contribution_AC.sum(axis=0, dtype=np.float64)
    share_C = whole_C / max(float(whole_C.sum()), 1e-30)
    order = np.argsort(-share_C, kind="stable")[:TOP_CHANNELS]
    return [int(c) for c in order if share_C[c] > 0], share_C


def incident_type(
    series: Series, first: int, last: int, order: Sequence[int], share_C: np.ndarray
) -> str:
    """The guessed type of the first blamed channel whose own curve is unusual.

    ``relation`` if there is none: each channel looks ordinary, but they do not fit together.
    """
    begin = next(a for a, b in series.segments() if a <= first < b)
    begin = max(begin, first - HISTORY_ROWS)
    for c in order:
        if share_C[c] < BLAMED_SHARE and c != order[0]:
            break
        known_T = series.valid_TC[begin:last, c] == 1
        before_B = series.value_TC[begin:first, c][known_T[: first - begin]]
        inside_N = series.value_TC[first:last, c][known_T[first - begin :]]
        if len(inside_N) and (kind := guess_type(before_B, inside_N)) != "relation":
            return kind
    return "relation"


def continue_incident(
    previous: Incident | None, current: Sequence[Incident], *, gap_us: int
) -> list[Incident]:
    """``current``, with its first incident merged into the one that was going on before it.

    previous: the last incident of the day before; None if there was none. If the first incident of
    ``current`` starts at most ``gap_us`` after its end, it takes over the id and the start, and the
    peak if that is higher. Its severity is that of the whole; type and channels are those of the
    new day.
    """
    if previous is None or not current or current[0].start - previous.end > gap_us:
        return list(current)
    head = current[0]
    higher = previous if previous.peak_score > head.peak_score else head
    grade = severity(higher.peak_score - higher.threshold, (head.end - previous.start) / 1e6)
    joined = replace(
        head,
        incident_id=previous.incident_id,
        start=previous.start,
        peak=higher.peak,
        peak_score=higher.peak_score,
        threshold=higher.threshold,
        severity=grade,
        level=level_of(grade),
        continued=True,
    )
    return [joined, *current[1:]]
