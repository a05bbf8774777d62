"""What is judged: the test part of a vehicle with its labels, or copies of it with a fault each.

Everything here is in scaled units and rows of the test part. Labels stay in ``Unit.label_T``; the
series that detectors get carries none.

Shape legend: T rows, C channels.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.simulator.faults import FAULT_TYPES
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.store import WindowStore

CASE_ROWS = 6000  # of an injected case: a stretch of the test part around the fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: rows first to last (exclusive) and, where known, what is to blame and how much."""

    first: int
    last: int
    channels: tuple[int, ...] = ()
    type: str | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One thing that gets a figure of its own; intervals are over these.

    series: scaled, without labels. label_T: bool. truth: runs of the label, the events that must
    be found. events: those with known channels, type or strength; may differ from the runs.
    """

    name: str
    vehicle: str
    series: Series
    label_T: np.ndarray
    truth: list[Event]
    events: list[Event]
    has_channel_C: np.ndarray


def is_injected(fleet: Fleet) -> bool:
    """Are this fleet's labels made by injection? So for fleets without any."""
    return fleet.labels.kind in ("injected", "none")


def unlabelled(series: Series) -> Series:
    """The same rows without the labels."""
    return replace(series, label_T=None)


def fitting_parts(store: WindowStore) -> tuple[list[Series], list[Series]]:
    """Train parts and calibration parts of all vehicles that have any: scaled, without labels."""
    train: list[Series] = []
    calibration: list[Series] = []
    for vehicle in store.vehicles:
        series = unlabelled(store.scaled(vehicle))
        for part, parts in ((TRAIN, train), (CALIBRATION, calibration)):
            cut = series.part(part)
            if cut.rows:
                parts.append(cut)
    return train, calibration


def units_of(
    series: Series, fleet: Fleet, events: pa.Table, has_channel_C: np.ndarray
) -> Iterator[Unit | tuple[str, str]]:
    """The units of one vehicle, or (name, reason) for one that cannot be judged.

    series: the whole vehicle, scaled. events: of the EVENTS schema, of all vehicles.
    """
    test = series.part(TEST)
    name = series.vehicle
    if test.rows == 0:
        yield name, "no rows in the test part"
    elif is_injected(fleet):
        yield from _injected(test, fleet, has_channel_C)
    elif test.label_T is None or not (test.label_T > 0).any():
        yield name, "no event in the test part"
    elif (test.label_T > 0).all():
        yield name, "nothing but events in the test part"
    else:
        yield Unit(
            name=name,
            vehicle=name,
            series=unlabelled(test),
            label_T=test.label_T > 0,
            truth=_runs(test.label_T),
            events=_known(test, fleet, events),
            has_channel_C=has_channel_C,
        )


def _runs(label_T: np.ndarray) -> list[Event]:
    from amad.metrics import events_of

    return [Event(first=int(a), last=int(b)) for a, b in zip(*events_of(label_T), strict=True)]


def _known(test: Series, fleet: Fleet, events: pa.Table) -> list[Event]:
    """The known events that have rows in the test part."""
    found = []
    position = {name: c for c, name in enumerate(fleet.channel_names)}
    own = events.filter(pa.compute.equal(events["vehicle"], test.vehicle))
    start = own["start"].cast(pa.int64()).to_numpy()
    end = own["end"].cast(pa.int64()).to_numpy()
    for row, (a, b) in enumerate(zip(start, end, strict=True)):
        first, last = np.searchsorted(test.timestamp_T, [a, b])
        if first < last:
            found.append(
                Event(
                    first=int(first),
                    last=int(last),
                    channels=tuple(position[c] for c in own["channels"][row].as_py() or ()),
                    type=own["type"][row].as_py(),
                    strength=own["strength"][row].as_py(),
                )
            )
    return found


def _injected(
    test: Series, fleet: Fleet, has_channel_C: np.ndarray
) -> Iterator[Unit | tuple[str, str]]:
    injection = fleet.labels.injection
    # Vehicles differ in strengths and in the type they begin with, whoever else is in the fleet.
    own = zlib.crc32(test.vehicle.encode())
    cases = injected_cases(
        unlabelled(test),
        has_channel_C,
        injection.cases_per_vehicle,
        injection.seed + own,
        types=types_from(own),
    )
    if not cases:
        yield test.vehicle, "no fault can be put into the test part: too short, flat or unmeasured"
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
        yield Unit(
            name=f"{test.vehicle}#{number:02d}",
            vehicle=test.vehicle,
            series=unlabelled(series),
            label_T=series.label_T > 0,
            truth=[event],
            events=[event],
            has_channel_C=has_channel_C,
        )


def types_from(first: int) -> tuple[str, ...]:
    """All fault types in turn, beginning with number ``first``."""
    first %= len(FAULT_TYPES)
    return FAULT_TYPES[first:] + FAULT_TYPES[:first]


def stretch(series: Series, first: int, last: int, rows: int) -> tuple[Series, int]:
    """About ``rows`` rows of the series around rows first to last, and where they begin.

    Three quarters of what is added lies before, as history; the event stays whole.
    """
    spare = max(rows - (last - first), 0)
    begin = max(min(first - spare * 3 // 4, series.rows - rows), 0)
    return series.rows_between(begin, max(min(begin + rows, series.rows), last)), begin
