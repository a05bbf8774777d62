"""How far an incident's channels stand from the vehicle's own past, and from its class that day.

    level      = that of the incident's rows of the date, see ``amad.incidents.channel_levels``
    past gap   = level - the vehicle's mean in its train rows
    past size  = past gap / the vehicle's train spread
    class gap  = level - median of the peers' levels; a peer's level: that of all its rows
    class size = class gap / max(1.4826 MAD of the peers' levels, SPREAD_SHARE of the train spread)

Peers are the other vehicles of the class with rows on the date that are scored. 1.4826 times the
median absolute deviation is a standard deviation where values are normally distributed (Rousseeuw
and Croux, JASA 1993).

The figures follow from the incident and from the lake's rows of its date, whoever scored it.

Shape legend: C channels of the fleet, P peers, R rows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from statistics import median

import numpy as np
import pyarrow as pa

from amad.config import Channel, DataError
from amad.config.console import say
from amad.incidents.channel_levels import NO_LEVELS, Levels
from amad.incidents.incident import GAPS, Incident
from amad.incidents.wording import Gap
from amad.telemetry.lake import Lake
from amad.telemetry.valid_values import measured_values
from amad.windows.scaler import Scaler

LEAST_PEERS, MOST_PEERS = 3, 50  # of a larger class, as many are read, evenly spaced by id
MAD = 1.4826  # of a normal distribution's median absolute deviation is its standard deviation
SPREAD_SHARE = 0.5  # of the train spread: peers that agree by chance are no fine measure
DIGITS = 6  # significant digits of what is kept
WORST = ("incident_id", "deviation", "channels", "shares")  # alike where the worst part was before


def with_peers(
    incidents: Sequence[Incident],
    scaler: Scaler,
    lake: Lake,
    day: date,
    vehicles: Collection[str],
    known: Mapping[str, Levels] | None = None,
    before: Mapping[str, Incident] | None = None,
) -> list[Incident]:
    """The incidents of a date with their gaps, in the order of their channels.

    vehicles: those whose rows of the date are scored. known: the levels of those that were scored
    just now; the others' are found from the lake, which gives the same. before: by vehicle, the
    incident that was open at the end of the date before. Where that had the worst part, of which
    the channels and the type are told, its gaps are kept.
    """
    fleet, known, found = lake.fleet, known or {}, list(incidents)
    for vehicle_class in sorted({item.vehicle_class for item in incidents}):
        own: dict[str, list[int]] = {}
        for n, item in enumerate(incidents):
            if item.vehicle_class == vehicle_class:
                own.setdefault(item.vehicle, []).append(n)
        blamed = {name for of in own.values() for n in of for name in incidents[n].channels}
        channels = [c for c in fleet.channels if c.name in blamed and c.kind == "continuous"]
        if not channels:
            continue
        names, day_levels = [], []
        of_class = [name for name in sorted(vehicles) if fleet.class_of(name) == vehicle_class]
        for name in evenly(of_class):
            levels = known[name] if name in known else _levels(lake, day, name, channels)
            if levels.of_day:
                names.append(name)
                day_levels.append([levels.of_day.get(c.name, np.nan) for c in channels])
        level_PC = np.array(day_levels).reshape(-1, len(channels))
        peers = {c.name: _Peers(names, level_PC[:, n]) for n, c in enumerate(channels)}
        for name, of in own.items():
            items = [incidents[n] for n in of]
            of_incidents = dict(known.get(name, NO_LEVELS).of_incidents)
            if unknown := [item for item in items if item.key not in of_incidents]:
                theirs = {c for item in unknown for c in item.channels}
                wanted = [c for c in channels if c.name in theirs]
                of_incidents |= _levels(lake, day, name, wanted, unknown).of_incidents
            for n, item in zip(of, items, strict=True):
                found[n] = _with_gaps(item, scaler, of_incidents.get(item.key, {}), peers)
    earlier = [(before or {}).get(item.vehicle) for item in found]
    return [
        replace(item, **{name: getattr(was, name) for name in GAPS})
        if was is not None and all(getattr(item, key) == getattr(was, key) for key in WORST)
        else item
        for item, was in zip(found, earlier, strict=True)
    ]


class _Peers:
    """The levels of one channel on one date, by peer."""

    def __init__(self, names: list[str], level_P: np.ndarray) -> None:
        self._names, self._level_P = names, level_P
        self._known_P = np.isfinite(self._level_P)

    def without(self, vehicle: str) -> np.ndarray:
        """Those of the other vehicles that measured it."""
        other_P = np.array([name != vehicle for name in self._names], bool)
        return self._level_P[self._known_P & other_P]


def _with_gaps(
    item: Incident, scaler: Scaler, own: Mapping[str, float], peers: Mapping[str, _Peers]
) -> Incident:
    """own: the levels of the incident's rows of the date; empty where they cannot be read."""
    gaps: dict[str, Gap] = {}
    has_past = item.vehicle in scaler.tables["vehicle"]
    mean_C, scale_C = scaler.figures(item.vehicle, item.vehicle_class)
    for name, level in own.items():
        at = scaler.channels.index(name)
        gaps[name] = _gap(
            level,
            float(mean_C[at]) if has_past else None,
            peers[name].without(item.vehicle),
            float(scale_C[at]),
        )
    found = [gaps.get(name, Gap()) for name in item.channels]
    return replace(
        item,
        past_gaps=tuple(gap.past for gap in found),
        past_sizes=tuple(gap.past_size for gap in found),
        class_gaps=tuple(gap.class_ for gap in found),
        class_sizes=tuple(gap.class_size for gap in found),
        peers=tuple(gap.peers for gap in found),
    )


def _gap(level: float, mean: float | None, peer_P: np.ndarray, train_spread: float) -> Gap:
    """level: NaN where nothing was measured. mean: of the train rows, None without a history."""
    if not np.isfinite(level):
        return Gap()
    past = None if mean is None else _rounded(level - mean)
    past_size = None if mean is None else _rounded((level - mean) / train_spread)
    if len(peer_P) < LEAST_PEERS:
        return Gap(past=past, past_size=past_size, peers=len(peer_P))
    middle = median(peer_P.tolist())
    spread = max(MAD * median(np.abs(peer_P - middle).tolist()), SPREAD_SHARE * train_spread)
    away = level - middle
    return Gap(
        past=past,
        past_size=past_size,
        class_=_rounded(away),
        class_size=_rounded(away / spread),
        peers=len(peer_P),
    )


def evenly(vehicles: list[str]) -> list[str]:
    """At most ``MOST_PEERS`` and one of the vehicles, evenly spaced."""
    most = MOST_PEERS + 1
    if len(vehicles) <= most:
        return vehicles
    return [vehicles[n] for n in np.linspace(0, len(vehicles) - 1, most).round().astype(int)]


def _levels(
    lake: Lake,
    day: date,
    vehicle: str,
    channels: Sequence[Channel],
    incidents: Sequence[Incident] = (),
) -> Levels:
    """The levels of a vehicle's rows of the date; none where it has none that can be read."""
    if not channels:
        return NO_LEVELS
    try:
        table = lake.read_day(vehicle, day, ["timestamp", *(channel.name for channel in channels)])
    except DataError as error:
        say(f"{vehicle} on {day} is compared with no other vehicle: {error}")
        return NO_LEVELS
    if not table.num_rows:
        return NO_LEVELS
    value_CR, _ = measured_values(table, channels)
    return Levels.of(channels, value_CR, table["timestamp"].cast(pa.int64()).to_numpy(), incidents)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
