"""Incidents: alarms merged in time, with a severity, the channels to blame and a guessed type.

Severity is a number from 0 to 100, with one definition for every detector and fleet: see
``amad.incidents.severity``. Channels are ranked in ``amad.incidents.blame``.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from amad.config import Channel
from amad.config.digest import sha256_of
from amad.detect.alarms import Run
from amad.detect.detector import Detector
from amad.detect.scorer import Scored, Scorer
from amad.incidents.blame import blame_shares, blamed
from amad.incidents.change_points import SEARCHED, began_and_ended
from amad.incidents.deviations import Deviations
from amad.incidents.root_cause import partner_of
from amad.incidents.severity import FIRST_MOVE, effective_number, level_of, severity, worse
from amad.incidents.shapes import Shape, guess_type
from amad.incidents.wording import Gap
from amad.windows.scaler import is_unseen
from amad.windows.series import Series

# columns with the fields of each channel's Gap
GAPS = ("past_gaps", "past_sizes", "class_gaps", "class_sizes", "peers")
LISTS = ("channels", "shares", "context_channels", "context_values", *GAPS)  # columns with lists
CONTEXT_ROWS = 60  # periods from the start whose middle value is the context
SHARE_DIGITS = 6  # rows read as history change the last digits of a running sum
RELATION = "relation"  # the member whose errors have the shape of a fault
SHAPE_ROWS = 200  # rows before the incident that its shape is compared with


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. Times are microseconds since the epoch, UTC; ``end`` is exclusive.

    start, end: of what is out of the ordinary, which may be shorter than its alarms, see
    ``amad.incidents.change_points``.
    threshold: of the row of the peak. return_days: vehicle-days between two incidents of normal
    rows with such a peak, see ``amad.detect.alarms``; None where nothing is known of it, as for a
    first move. channels: at most five, the largest share first. shares: their shares of the blame
    of all channels, so they sum to at most 1. deviation: how far the first channel strayed at its
    largest, in tolerances. partner: the channel that the first channel no longer fits, or empty,
    see ``amad.incidents.root_cause``. context_channels, context_values: channels that the fleet
    file marks as ``context``, and their values when it began. continued: it began on an earlier
    day. open_from, open_until: around the alarms, while the score was above the release level.

    past_gaps: how far each channel's level was above the vehicle's mean in training, in its unit;
    past_sizes: the same in spreads of its training. class_gaps: above the level of the class's
    other vehicles on its last date; class_sizes: in spreads of these; peers: how many. See
    ``amad.incidents.peers``; None where there is nothing to compare with, and all empty where
    nothing was compared.
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
    open_from: int
    open_until: int
    channels: tuple[str, ...]
    shares: tuple[float, ...]
    deviation: float
    partner: str = ""
    return_days: float | None = None
    context_channels: tuple[str, ...] = ()
    context_values: tuple[float, ...] = ()
    past_gaps: tuple[float | None, ...] = ()
    past_sizes: tuple[float | None, ...] = ()
    class_gaps: tuple[float | None, ...] = ()
    class_sizes: tuple[float | None, ...] = ()
    peers: tuple[int, ...] = ()
    continued: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Its id and its end, because an incident that goes on keeps its id."""
        return self.incident_id, self.end

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The incident in a row of a table or a JSON object, whose other keys are ignored."""
        known = {field.name: row[field.name] for field in fields(cls) if field.name in row}
        return cls(**known | {name: tuple(row[name]) for name in LISTS})


def gaps_of(item: Any) -> list[Gap]:
    """The gaps of each channel of an incident, or of what was told of one."""
    return [Gap(*own) for own in zip(*(getattr(item, name) for name in GAPS), strict=True)]


def incidents_of(
    scored: Scored,
    series: Series,
    scorer: Scorer,
    first_row: int = 0,
    deviations: Deviations | None = None,
) -> list[Incident]:
    """The incidents of a scored series (scaled, as it was scored), in time order.

    first_row: alarms before this row are ignored; the rows before it only serve as history.
    deviations: of rows that include all alarms, where they are known already.
    """
    alarm_T = scored.alarm_T.copy()
    alarm_T[:first_row] = False
    open_T = scored.open_T.copy()
    open_T[:first_row] = False
    runs = scorer.runs(alarm_T, series.timestamp_T, open_T)
    if not runs:
        return []
    if deviations is None:
        deviations = Deviations(scorer, series, runs[0].first, runs[-1].last)
    earliest = [first_row, *(run.last for run in runs)]
    return [
        _incident(run, since, alarm_T, scored, series, scorer, deviations)
        for since, run in zip(earliest, runs, strict=False)
    ]


def _incident(
    run: Run,
    since: int,
    alarm_T: np.ndarray,
    scored: Scored,
    series: Series,
    scorer: Scorer,
    deviations: Deviations,
) -> Incident:
    """The incident of the alarms in these rows, which began in row ``since`` at the earliest."""
    first, last = run.first, run.last
    fleet, names = scorer.fleet, scorer.fleet.channel_names
    rows = first + np.flatnonzero(alarm_T[first:last])
    peak = int(rows[np.argmax(scored.score_T[rows])])
    share_C = blame_shares(scorer, scored, series, deviations, first, last)
    order = blamed(share_C)
    kind = _known_type(series, first, last, order, scorer)
    deviation, partner = FIRST_MOVE, None
    if kind != "first_move" and order:
        deviation = float(deviations.size(first, last)[order[0]])
    if not kind and order:
        partner = partner_of(scorer, deviations, first, last, order[0])
    began, ended = first, last
    if not kind and order:
        began, ended = _change_points(series, deviations, share_C, order, since, run, peak)
    start = int(series.timestamp_T[began])
    end = int(series.timestamp_T[ended - 1]) + fleet.period_us
    score, threshold = float(scored.score_T[peak]), float(scored.threshold_T[peak])
    shares = tuple(round(float(share_C[c]), SHARE_DIGITS) for c in order)
    grade = severity(deviation, (end - start) / 1e6, effective_number(shares))
    return Incident(
        incident_id=incident_id(fleet.name, series.vehicle, int(series.timestamp_T[first])),
        vehicle=series.vehicle,
        vehicle_class=series.vehicle_class,
        start=start,
        end=end,
        peak=int(series.timestamp_T[peak]),
        peak_score=score,
        threshold=threshold,
        return_days=None if kind == "first_move" else scorer.return_days(score, threshold),
        severity=grade,
        level=level_of(grade),
        type=kind or _guessed(series, deviations, first, last, order),
        alarm_rows=len(rows),
        open_from=int(series.timestamp_T[run.open_first]),
        open_until=int(series.timestamp_T[run.open_last - 1]) + fleet.period_us,
        channels=tuple(names[c] for c in order),
        shares=shares,
        deviation=round(deviation, 3),
        partner="" if partner is None else names[partner],
    )


def _change_points(
    series: Series,
    deviations: Deviations,
    share_C: np.ndarray,
    order: Sequence[int],
    since: int,
    run: Run,
    peak: int,
) -> tuple[int, int]:
    """The row in which the incident began, and the one in which it was over."""
    begin = next(a for a, b in series.segments() if a <= run.first < b)
    begin = max(begin, since, run.first - SEARCHED, deviations.begin)
    of_blamed_C = np.zeros(len(share_C))
    of_blamed_C[order] = share_C[order] / share_C[order].sum()
    x_R = deviations.by_row(of_blamed_C, begin, run.last)
    began, ended = began_and_ended(x_R, run.first - begin, peak - begin, run.last - begin)
    return begin + began, begin + ended


def _guessed(
    series: Series, deviations: Deviations, first: int, last: int, order: Sequence[int]
) -> str:
    return incident_type(series, deviations, first, last, order[0]) if order else "relation"


def _known_type(series: Series, first: int, last: int, order: Sequence[int], scorer: Scorer) -> str:
    """``first_move`` or ``unseen_code`` where the first blamed channel did that, else empty."""
    if not order or not isinstance(scorer, Detector):
        return ""
    if order[0] in scorer.figures[scorer.owner_of(series)].constant:
        return "first_move"
    return "unseen_code" if _unseen(series, first, last, order[0], scorer) else ""


def _unseen(series: Series, first: int, last: int, channel: int, detector: Detector) -> bool:
    """Whether a categorical channel has a code in these rows that no train row had."""
    if detector.fleet.channel_names[channel] not in detector.scaler.codes:
        return False
    measured_T = series.valid_TC[first:last, channel] == 1
    return bool((measured_T & is_unseen(series.value_TC[first:last, channel])).any())


def incident_id(fleet: str, vehicle: str, alarm: int) -> str:
    """An id that depends on fleet, vehicle and first alarm (microseconds) only."""
    stamp = datetime.fromtimestamp(alarm / 1e6, UTC).strftime("%Y%m%dT%H%M%S")
    digest = sha256_of(f"{fleet}\0{vehicle}\0{alarm}")
    return f"{stamp}-{digest[:10]}"


def incident_type(
    series: Series,
    deviations: Deviations,
    first: int,
    last: int,
    channel: int,
) -> str:
    """The type guessed for a channel; ``relation`` if it was not measured in these rows."""
    begin = next(a for a, b in series.segments() if a <= first < b)
    begin = max(begin, first - SHAPE_ROWS, deviations.begin)
    known_E = series.valid_TC[begin:last, channel] == 1
    start = int(known_E[: first - begin].sum())
    if known_E.sum() == start:
        return "relation"
    value_E = deviations.series.value_TC[begin:last, channel][known_E].astype(np.float64)
    error_E, tolerance = value_E - np.median(value_E[: start or None]), 1.0
    own_E = np.zeros(len(value_E))
    for name, scale_C in deviations.scale.items():
        residual_E = deviations.rows(name, begin, last)[known_E, channel].astype(np.float64)
        if name == RELATION and np.isfinite(residual_E).mean() >= 0.5:
            error_E, tolerance = np.nan_to_num(residual_E), float(scale_C[channel])
        elif name != RELATION and not own_E.any():
            own_E = np.nan_to_num(residual_E) / scale_C[channel]
    if not own_E.any():
        own_E = error_E / tolerance
    return guess_type(
        Shape(value_E=value_E, error_E=error_E, own_E=own_E, tolerance=tolerance, start=start)
    )


def with_context(incident: Incident, series: Series, channels: Sequence[Channel]) -> Incident:
    """The incident with the values that the channels of ``context`` had when it began.

    Of a categorical channel the code that was measured most often, of the others the median.
    series: in engineering units. channels: its channels, as the present fleet file tells them.
    """
    first, last = np.searchsorted(series.timestamp_T, [incident.start, incident.end])
    rows = slice(first, min(last, first + CONTEXT_ROWS))
    found = {}
    for c, channel in enumerate(channels):
        if not channel.context:
            continue
        value_M = series.value_TC[rows, c][series.valid_TC[rows, c] == 1]
        if len(value_M):
            codes, counts = np.unique(value_M, return_counts=True)
            usual = codes[counts.argmax()] if channel.kind == "categorical" else np.median(value_M)
            found[channel.name] = float(usual)
    return replace(incident, context_channels=tuple(found), context_values=tuple(found.values()))


def continue_incident(
    previous: Incident | None, current: Sequence[Incident], *, gap_us: int
) -> list[Incident]:
    """``current``, with its first incident merged into the one that was going on before it.

    previous: the last incident of the day before; None if there was none. If the first incident of
    ``current`` opens at most ``gap_us`` after it closed, both are one incident, see ``joined``; its
    ``alarm_rows`` stay those of its own day.
    """
    if previous is None or not current or current[0].open_from - previous.open_until > gap_us:
        return list(current)
    head = current[0]
    whole = joined([previous, head])
    return [replace(whole, alarm_rows=head.alarm_rows, continued=True), *current[1:]]


def joined(parts: Sequence[Incident]) -> Incident:
    """The parts of one incident, in time order, as one.

    Id, start, context and whether it is ``continued`` are those of the first part, and the end is
    that of the last one. Peak, threshold and rarity are those of the highest peak. Deviation,
    channels, partner and type are those of the worst part, and the severity is that of such a
    deviation for as long as all last, and no less than that of any part.
    """
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    worst = first
    for part in parts[1:]:
        worst = worst if worse(_size(worst), _size(part)) else part
    peak = max(parts, key=lambda part: part.peak_score)
    whole = severity(worst.deviation, (last.end - first.start) / 1e6, _size(worst)[1])
    grade = max(whole, *(part.severity for part in parts))
    return replace(
        worst,
        incident_id=first.incident_id,
        start=first.start,
        open_from=first.open_from,
        end=last.end,
        open_until=last.open_until,
        peak=peak.peak,
        peak_score=peak.peak_score,
        threshold=peak.threshold,
        return_days=peak.return_days,
        context_channels=first.context_channels,
        context_values=first.context_values,
        alarm_rows=sum(part.alarm_rows for part in parts),
        severity=grade,
        level=level_of(grade),
        continued=first.continued,
    )


def _size(incident: Incident) -> tuple[float, float]:
    return incident.deviation, effective_number(incident.shares)
