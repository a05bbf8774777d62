"""What is judged: the test part of a vehicle with its labels, or copies of it with a fault each.

Values are scaled, and rows count from the start of the unit. Labels are in ``Unit.label_T`` alone:
the series that a detector gets has none.

Shape legend: T rows, C channels.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.metrics import events_of
from amad.simulator.faults import FAULT_TYPES
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.store import WindowStore

CASE_ROWS = 6000  # of an injected case: the test part around the fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event in rows ``first`` to ``last`` (exclusive).

    channels: the culprits; type, strength: of the fault. Empty or None where they are not known.
    """

    first: int
    last: int
    channels: tuple[int, ...] = ()
    type: str | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What gets a figure of its own; intervals are over units.

    series: scaled, without labels. label_T: bool. truth: the events that must be found, as runs of
    the label. events: the events whose channels, type or strength is known, which may differ from
    the runs. has_channel_C: the channels that the vehicle reports, bool.
    """

    name: str
    vehicle: str
    series: Series
    label_T: np.ndarray
    truth: list[Event]
    events: list[Event]
    has_channel_C: np.ndarray


def is_injected(fleet: Fleet) -> bool:
    """Are the labels of this fleet injected faults? They are for a fleet without labels, too."""
    return fleet.labels.kind in ("injected", "none")


def vehicle_of(unit: str, fleet: Fleet) -> str:
    """The vehicle of a unit of the bootstrap: a case is named after its vehicle and a number."""
    is_case = is_injected(fleet) and fleet.evaluation.unit == "case"
    return unit.rpartition("#")[0] if is_case else unit


def unlabelled(series: Series) -> Series:
    """The same rows without the labels."""
    return replace(series, label_T=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A part of a vehicle in the store: read, scaled and without labels, whenever it is asked."""

    store: WindowStore
    vehicle: str
    rows: int
    split: int

    @classmethod
    def of(cls, store: WindowStore, vehicle: str, split: int) -> Self:
        """The part of a vehicle, which may have no rows."""
        rows = store.rows_of(split)[store.vehicles.index(vehicle)]
        return cls(store=store, vehicle=vehicle, rows=rows, split=split)

    @property
    def vehicle_class(self) -> str:
        """As in the store."""
        return self.store.vehicle_class(self.vehicle)

    @property
    def timestamp_T(self) -> np.ndarray:
        """Of all rows, int64, microseconds."""
        return self._stored().part(self.split).timestamp_T.copy()

    @property
    def rows_before(self) -> int:
        """The rows of the earlier parts, and those purged between them."""
        return self._begin(self._stored())

    def rows_between(self, first: int, last: int) -> Series:
        """Rows first (inclusive) to last (exclusive); the rows before have negative numbers."""
        return unlabelled(self.labelled(first, last))

    def labelled(self, first: int, last: int) -> Series:
        """``rows_between`` with the labels, for what judges.

        They are copied: a view of the store's file would keep it mapped as a whole.
        """
        start = self._begin(stored := self._stored())
        series = self.store.scaler.apply(stored.rows_between(start + first, start + last))
        return replace(
            series,
            timestamp_T=series.timestamp_T.copy(),
            valid_TC=series.valid_TC.copy(),
            segment_T=series.segment_T.copy(),
            split_T=series.split_T.copy(),
            label_T=None if series.label_T is None else series.label_T.copy(),
        )

    def _begin(self, stored: Series) -> int:
        return int(np.argmax(stored.split_T == self.split))

    def _stored(self) -> Series:
        return self.store.series(self.vehicle)


def fitting_parts(store: WindowStore) -> tuple[list[StoredPart], list[StoredPart]]:
    """The train parts and the calibration parts of all vehicles; one without rows is left out."""
    train, calibration = (
        [
            StoredPart(store=store, vehicle=vehicle, rows=rows, split=split)
            for vehicle, rows in zip(store.vehicles, store.rows_of(split), strict=True)
            if rows
        ]
        for split in (TRAIN, CALIBRATION)
    )
    return train, calibration


def units_of(
    series: Series, fleet: Fleet, events: pa.Table, has_channel_C: np.ndarray
) -> tuple[list[Unit], str]:
    """The units of one vehicle; where there is none, why it cannot be judged.

    Args:
        series: the vehicle, scaled; its test part is enough.
        fleet: says whether the labels count or faults are injected.
        events: of the EVENTS schema, of all vehicles.
        has_channel_C: the channels that the vehicle reports, bool.
    """
    test = series.part(TEST)
    if test.rows == 0:
        return [], "no rows in the test part"
    if is_injected(fleet):
        least = fleet.missing.min_segment_rows
        if max(last - first for first, last in test.segments()) < least:
            return [], f"no stretch of the test part has {least} rows (missing.min_segment_rows)"
        cases = _injected(test, fleet, has_channel_C)
        reason = "no fault can be put into the test part: too short, flat or unmeasured"
        return cases, "" if cases else reason
    if test.label_T is None or not (test.label_T > 0).any():
        return [], "no event in the test part"
    if (test.label_T > 0).all():
        return [], "nothing but events in the test part"
    runs = zip(*events_of(test.label_T), strict=True)
    unit = Unit(
        name=series.vehicle,
        vehicle=series.vehicle,
        series=unlabelled(test),
        label_T=test.label_T > 0,
        truth=[Event(first=int(first), last=int(last)) for first, last in runs],
        events=_known(test, fleet, events),
        has_channel_C=has_channel_C,
    )
    return [unit], ""


def _known(test: Series, fleet: Fleet, events: pa.Table) -> list[Event]:
    """The known events that have rows in the test part."""
    found = []
    own = events.filter(pa.compute.equal(events["vehicle"], test.vehicle))
    known = own.select(["channels", "type", "strength"]).to_pylist()
    bounds = [own[name].cast(pa.int64()).to_pylist() for name in ("start", "end")]
    for event, start_us, end_us in zip(known, *bounds, strict=True):
        first, last = np.searchsorted(test.timestamp_T, [start_us, end_us])
        if first < last:
            channels = event["channels"] or ()
            found.append(
                Event(
                    first=int(first),
                    last=int(last),
                    channels=tuple(fleet.channel_names.index(name) for name in channels),
                    type=event["type"],
                    strength=event["strength"],
                )
            )
    return found


def _injected(test: Series, fleet: Fleet, has_channel_C: np.ndarray) -> list[Unit]:
    injection, units = fleet.labels.injection, []
    # A vehicle's faults depend on its own name alone, not on which vehicles the fleet has.
    own = zlib.crc32(test.vehicle.encode())
    cases = injected_cases(
        unlabelled(test),
        has_channel_C,
        injection.cases_per_vehicle,
        injection.seed + own,
        types=types_from(own),
    )
    for number, (series, fault) in enumerate(cases):
        series, shift = stretch(series, fault.start, fault.end, CASE_ROWS)
        assert series.label_T is not None, "a case is labelled with its fault"
        event = Event(
            first=fault.start - shift,
            last=fault.end - shift,
            channels=tuple(fault.channels),
            type=fault.type,
            strength=fault.strength,
        )
        units.append(
            Unit(
                name=f"{test.vehicle}#{number:02d}",
                vehicle=test.vehicle,
                series=unlabelled(series),
                label_T=series.label_T > 0,
                truth=[event],
                events=[event],
                has_channel_C=has_channel_C,
            )
        )
    return units


def types_from(first: int) -> tuple[str, ...]:
    """All fault types in their order, beginning with number ``first``."""
    first %= len(FAULT_TYPES)
    return FAULT_TYPES[first:] + FAULT_TYPES[:first]


def stretch(series: Series, first: int, last: int, rows: int) -> tuple[Series, int]:
    """The rows ``first`` to ``last`` of a series with rows around them, and the row they begin at.

    About ``rows`` rows in all, never less than the event. Three quarters of the others lie before
    it, since a detector needs history.
    """
    spare = max(rows - (last - first), 0)
    begin = max(min(first - spare * 3 // 4, series.rows - rows), 0)
    return series.rows_between(begin, max(min(begin + rows, series.rows), last)), begin
