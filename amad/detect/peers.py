"""How far an incident's channels stand from the vehicle's own past, and from its class that day.

    level      = median of the values measured in the incident's rows of the date
    past gap   = level - the vehicle's mean in its train rows
    class gap  = level - median of the peers' levels; a peer's level: its median on that date
    class size = class gap / max(1.4826 MAD of the peers' levels, SPREAD_SHARE of the train spread)

Peers are the other vehicles of the class with rows on the date that are scored. 1.4826 times the
median absolute deviation is a standard deviation where values are normally distributed (Rousseeuw
and Croux, JASA 1993). Only continuous channels have such levels: codes have no distances, and where
a counter or an angle stands says nothing.

The figures follow from the incident and from the lake's rows of its date, whoever scored it.

Shape legend: C channels of the fleet, P peers, R rows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa

from amad.config import Channel, DataError
from amad.config.console import say
from amad.detect.daily import day_bounds
from amad.detect.incident_words import Gap
from amad.detect.incidents import Incident
from amad.telemetry.lake import Lake
from amad.telemetry.valid_values import is_impossible
from amad.windows.scaler import Scaler, serving

LEAST_PEERS, MOST_PEERS = 3, 50  # of a larger class, as many are read, evenly spaced by id
MAD = 1.4826  # of a normal distribution's median absolute deviation is its standard deviation
SPREAD_SHARE = 0.5  # of the train spread: peers that agree by chance are no fine measure
DIGITS = 6  # significant digits of what is kept


def with_peers(
    incidents: Sequence[Incident],
    scaler: Scaler,
    lake: Lake,
    day: date,
    vehicles: Collection[str],
) -> list[Incident]:
    """The incidents of a date with their gaps, in the order of their channels.

    vehicles: those whose rows of the date are scored.
    """
    fleet, found = lake.fleet, list(incidents)
    for kind in sorted({item.vehicle_class for item in incidents}):
        own: dict[str, list[int]] = {}
        for n, item in enumerate(incidents):
            if item.vehicle_class == kind:
                own.setdefault(item.vehicle, []).append(n)
        blamed = {name for of in own.values() for n in of for name in incidents[n].channels}
        channels = [c for c in fleet.channels if c.name in blamed and c.kind == "continuous"]
        alike = [name for name in sorted(vehicles) if fleet.class_of(name) == kind]
        peers = set(evenly(alike))
        wanted = {*peers, *own} & set(vehicles)
        of_day: dict[str, dict[str, float]] = {}
        of_incident: dict[int, dict[str, float]] = {}
        for name, table in _read(lake, day, sorted(wanted), channels):  # one vehicle at a time
            if name in peers:
                of_day[name] = {c.name: _level(table, c) for c in channels}
            for n in own.get(name, ()):
                rows = _rows_of(incidents[n], table, day)
                theirs = [c for c in channels if c.name in incidents[n].channels]
                of_incident[n] = {c.name: _level(rows, c) for c in theirs}
        names = list(of_day)
        levels = {c.name: _Levels(names, [of_day[n][c.name] for n in names]) for c in channels}
        for of in own.values():
            for n in of:
                found[n] = _with_gaps(incidents[n], scaler, of_incident.get(n, {}), levels)
    return found


class _Levels:
    """The levels of one channel on one date, by peer."""

    def __init__(self, names: list[str], levels: list[float]) -> None:
        self._names, self._level_P = names, np.array(levels)
        self._known_P = np.isfinite(self._level_P)

    def without(self, vehicle: str) -> np.ndarray:
        """Those of the other vehicles that measured it."""
        other_P = np.array([name != vehicle for name in self._names], bool)
        return self._level_P[self._known_P & other_P]


def _with_gaps(
    item: Incident, scaler: Scaler, own: Mapping[str, float], levels: Mapping[str, _Levels]
) -> Incident:
    """own: the levels of the incident's rows of the date; empty where they cannot be read."""
    gaps: dict[str, Gap] = {}
    served, _ = serving(item.vehicle, item.vehicle_class, lambda k, n: n in scaler.tables[k])
    mean_C, scale_C = scaler.figures(item.vehicle, item.vehicle_class)
    for name, level in own.items():
        at = scaler.channels.index(name)
        gaps[name] = _gap(
            level,
            float(mean_C[at]) if served == "vehicle" else None,
            levels[name].without(item.vehicle),
            SPREAD_SHARE * float(scale_C[at]),
        )
    found = [gaps.get(name, Gap()) for name in item.channels]
    return replace(
        item,
        past_gaps=tuple(gap.past for gap in found),
        class_gaps=tuple(gap.class_ for gap in found),
        class_sizes=tuple(gap.size for gap in found),
        peers=tuple(gap.peers for gap in found),
    )


def _rows_of(item: Incident, table: pa.Table, day: date) -> pa.Table:
    """The rows of an incident. table: the vehicle's rows of the date."""
    start, end = day_bounds(day)
    edges = [max(item.start, start), min(item.end, end)]
    first, last = np.searchsorted(table["timestamp"].cast(pa.int64()).to_numpy(), edges)
    return table.slice(first, last - first)


def _gap(level: float, mean: float | None, peer_P: np.ndarray, least_spread: float) -> Gap:
    """level: NaN where nothing was measured. mean: of the train rows, None without a history."""
    if not np.isfinite(level):
        return Gap()
    past = None if mean is None else _rounded(level - mean)
    if len(peer_P) < LEAST_PEERS:
        return Gap(past=past, peers=len(peer_P))
    middle = float(np.median(peer_P))
    spread = max(MAD * float(np.median(np.abs(peer_P - middle))), least_spread)
    away = level - middle
    size = _rounded(away / spread)
    return Gap(past=past, class_=_rounded(away), size=size, peers=len(peer_P))


def evenly(vehicles: list[str]) -> list[str]:
    """At most ``MOST_PEERS`` and one of the vehicles, evenly spaced."""
    most = MOST_PEERS + 1
    if len(vehicles) <= most:
        return vehicles
    return [vehicles[n] for n in np.linspace(0, len(vehicles) - 1, most).round().astype(int)]


def _read(
    lake: Lake, day: date, vehicles: Sequence[str], channels: Sequence[Channel]
) -> Iterator[tuple[str, pa.Table]]:
    """The rows of the date of each vehicle that has any and that can be read."""
    columns = ["timestamp", *(channel.name for channel in channels)]
    for name in vehicles if channels else []:
        try:
            table = lake.read_day(name, day, columns)
        except DataError as error:
            say(f"{name} on {day} is compared with no other vehicle: {error}")
            continue
        if table.num_rows:
            yield name, table


def _level(table: pa.Table, channel: Channel) -> float:
    """The median of the values of a channel that were measured; NaN where none was."""
    value_R = table[channel.name].cast(pa.float64()).to_numpy()
    value_R = value_R[np.isfinite(value_R) & ~is_impossible(value_R, channel)]
    return float(np.median(value_R)) if len(value_R) else np.nan


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
