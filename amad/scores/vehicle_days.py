"""The days of one vehicle, judged one by one from their own rows and what earlier ones left.

A day is judged in the same way whether its scores are asked for or a later day needs its state, so
what is kept of earlier days (``amad.detect.day_state``) changes no digit of a score.

Shape legend: T rows of a series' grid.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.detect.alarms import DAY_US
from amad.detect.constant_channels import MEMORY_DAYS
from amad.detect.day_state import (
    DayFigures,
    DayState,
    context_us,
    figure_days,
    figures_us,
    history,
    remember,
)
from amad.detect.detector import Detector
from amad.detect.scorer import Judged
from amad.incidents.deviations import Deviations
from amad.telemetry.lake import Lake
from amad.windows.resample import to_series, without_days
from amad.windows.series import Series

States = dict[date, DayState]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDay:
    """A vehicle-day that was judged.

    table: its lake rows and those of the context before it. series: the same on the grid, in
    engineering units; scaled: in scaled ones. first: the row of the grid where the day begins.
    state: what the days after it need.
    """

    table: pa.Table
    series: Series
    scaled: Series
    first: int
    judged: Judged
    deviations: Deviations
    state: DayState


class VehicleDays:
    """The days of a vehicle that count.

    fleet: the present fleet file, which says which class the vehicle has. quarantined: days that
    are no history.
    """

    def __init__(
        self,
        detector: Detector,
        fleet: Fleet,
        lake: Lake,
        vehicle: str,
        quarantined: Collection[date] = (),
    ) -> None:
        self.detector, self.lake, self.vehicle = detector, lake, vehicle
        self.fleet = detector.fleet.with_classes_of(fleet)
        self.quarantined = quarantined
        self.dates = [day for day in lake.dates(vehicle) if day not in quarantined]

    def judge(self, day: date, states: States) -> JudgedDay:
        """Judge a day that has rows; ``complete`` says which states it needs."""
        detector, (start, end) = self.detector, day_bounds(day)
        table = self._read(day)
        series = to_series(table, self.fleet, self.vehicle)
        first, last = self._rows(series, start, end)
        scaled = detector.scaler.apply(series)
        counted = {d: states[d] for d in self.dates if d < day and d in states}
        past = history(detector, counted, start)
        judged = detector.judge(scaled, first, past.before, past.memory)
        deviations = Deviations.of_day(detector, judged, first, past.usual)
        kept = first + int(
            np.searchsorted(series.timestamp_T[first:last], end - figures_us(detector))
        )
        figures = DayFigures(
            time_T=series.timestamp_T[kept:last],
            predicted_T=judged.predicted_T[kept:last].astype(np.float32),
            excess={n: x_T[kept:last].astype(np.float32) for n, x_T in judged.excess.items()},
            usual=deviations.usual(last, end - deviations.before_us),
        )
        records = remember(detector, scaled, slice(first, last))
        return JudgedDay(
            table=table,
            series=series,
            scaled=scaled,
            first=first,
            judged=judged,
            deviations=deviations,
            state=DayState(records=records, figures=figures),
        )

    def complete(self, states: States, day: date) -> None:
        """Add to ``states`` what judging ``day`` needs and is not there."""
        detector = self.detector
        owner = detector.owner_for(self.vehicle, self.fleet.class_of(self.vehicle))
        settles = bool(detector.figures[owner].nearly_constant)
        for earlier in self._last(figure_days(detector), day):
            if earlier not in states or states[earlier].figures is None:
                if settles:
                    self._remember(states, earlier)
                states[earlier] = self.judge(earlier, states).state
        self._remember(states, day)

    def _remember(self, states: States, day: date) -> None:
        """Add the records of the days before ``day`` that the memory reaches back to."""
        vehicle_class = self.fleet.class_of(self.vehicle)
        channels = self.detector.remembered_channels(self.vehicle, vehicle_class)
        if not channels:
            return
        for earlier in self._last(MEMORY_DAYS, day):
            if earlier not in states:
                start, end = day_bounds(earlier)
                names = [self.fleet.channel_names[c] for c in channels]
                series = self._some_channels(self._read(earlier, names), channels)
                rows = slice(*self._rows(series, start, end))
                states[earlier] = DayState(records=remember(self.detector, series, rows))

    def _some_channels(self, table: pa.Table, channels: list[int]) -> Series:
        """The scaled series of these channels, with all others unknown."""
        fleet = self.fleet.model_copy(
            update={"channels": [self.fleet.channels[c] for c in channels]}
        )
        narrow = to_series(table, fleet, self.vehicle)
        shape = (narrow.rows, len(self.fleet.channels))
        value_TC, valid_TC = np.full(shape, np.nan), np.zeros(shape, np.uint8)
        value_TC[:, channels], valid_TC[:, channels] = narrow.value_TC, narrow.valid_TC
        wide = replace(narrow, value_TC=value_TC, valid_TC=valid_TC)
        return self.detector.scaler.apply(wide)

    def _read(self, day: date, channels: list[str] | None = None) -> pa.Table:
        """The lake rows of a day and of the context before it."""
        start, end = day_bounds(day)
        context = context_us(self.detector)
        columns, kept = (None, context) if channels is None else (["timestamp", *channels], 0)
        table = self.lake.read(self.vehicle, start - context, end, columns, keep_us=kept)
        return without_days(table, self.quarantined)

    def _rows(self, series: Series, start: int, end: int) -> tuple[int, int]:
        """The row of the grid in which a day begins, and the one in which the next day does."""
        period = self.fleet.period_us
        bins = [start // period * period, end // period * period]
        first, last = np.searchsorted(series.timestamp_T, bins)
        return int(first), int(last)

    def _last(self, days: int, day: date) -> Iterator[date]:
        """The days with rows that count among the ``days`` before ``day``, in order."""
        first = day - timedelta(days=days)
        return (d for d in self.dates if first <= d < day)


def day_bounds(day: date) -> tuple[int, int]:
    """First microsecond of a UTC day, and first of the next day."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    return start, start + DAY_US
