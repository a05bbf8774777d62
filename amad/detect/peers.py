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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa

from amad.config import Channel, DataError, Fleet
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
        own = [item for item in incidents if item.vehicle_class == kind]
        blamed = {name for item in own for name in item.channels}
        channels = [c for c in fleet.channels if c.name in blamed and c.kind == "continuous"]
        alike = [name for name in sorted(vehicles) if fleet.class_of(name) == kind]
        peers = evenly(alike)
        wanted = {*peers, *(item.vehicle for item in own)} & set(vehicles)
        tables = _read(lake, day, sorted(wanted), channels)
        names = [name for name in sorted(peers) if name in tables]
        levels = {c.name: _Levels(names, [_level(tables[n], c) for n in names]) for c in channels}
        for n, item in enumerate(incidents):
            if item.vehicle_class == kind:
                found[n] = _with_gaps(item, scaler, fleet, tables.get(item.vehicle), levels, day)
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
    item: Incident,
    scaler: Scaler,
    fleet: Fleet,
    table: pa.Table | None,
    levels: Mapping[str, _Levels],
    day: date,
) -> Incident:
    """table: the vehicle's rows of the date. levels: of each channel that is compared."""
    gaps: dict[str, Gap] = {}
    if table is not None:
        start, end = day_bounds(day)
        edges = [max(item.start, start), min(item.end, end)]
        first, last = np.searchsorted(table["timestamp"].cast(pa.int64()).to_numpy(), edges)
        rows = table.slice(first, last - first)
        served, _ = serving(item.vehicle, item.vehicle_class, lambda k, n: n in scaler.tables[k])
        mean_C, scale_C = scaler.figures(item.vehicle, item.vehicle_class)
        for name in levels.keys() & set(item.channels):
            at = scaler.channels.index(name)
            gaps[name] = _gap(
                _level(rows, fleet.channel_by_name[name]),
                float(mean_C[at]) if served == "vehicle" else None,
                levels[name].without(item.vehicle),
                SPREAD_SHARE * float(scale_C[at]),
            )
    own = [gaps.get(name, Gap()) for name in item.channels]
    return replace(
        item,
        past_gaps=tuple(gap.past for gap in own),
        class_gaps=tuple(gap.class_ for gap in own),
        class_sizes=tuple(gap.size for gap in own),
        peers=tuple(gap.peers for gap in own),
    )


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
) -> dict[str, pa.Table]:
    """The rows of the date of each vehicle that has any and that can be read."""
    found = {}
    columns = ["timestamp", *(channel.name for channel in channels)]
    for name in vehicles if channels else []:
        try:
            table = lake.read_day(name, day, columns)
        except DataError as error:
            say(f"{name} on {day} is compared with no other vehicle: {error}")
            continue
        if table.num_rows:
            found[name] = table
    return found


def _level(table: pa.Table, channel: Channel) -> float:
    """The median of the values of a channel that were measured; NaN where none was."""
    value_R = table[channel.name].cast(pa.float64()).to_numpy()
    value_R = value_R[np.isfinite(value_R) & ~is_impossible(value_R, channel)]
    return float(np.median(value_R)) if len(value_R) else np.nan


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
