"""Whether incidents begin in contexts in which the vehicles seldom are.

For each channel of ``context``: the values that it had when the incidents of the newest days began,
beside a sample of all rows of these days. The sample is drawn at random, since rows at equal
distances meet the same moments of a cycle, such as each midnight. Of codes each code is a range; of
numbers the ranges are all runs of up to ``BINS`` bins of equal width, from the 1 % to the 99 %
quantile of the rows, or from the 10 % to the 90 % quantile of the incidents where these lie further
out. The range with the largest likelihood ratio (Kulldorff, "A spatial scan statistic",
Communications in Statistics 1997)

    k log(k / np) + (n - k) log((n - k) / n(1 - p))

is reported, where of n incidents k are in a range with a share p of the rows, k / n > p, and the
ratio is at least ``RATIO``.

Shape legend: N incidents, R sampled rows, B edges of bins.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from amad.config import Channel, DataError, Fleet
from amad.config.console import say
from amad.config.number_text import number, share
from amad.config.wording import count
from amad.incidents.incident import Incident
from amad.incidents.peers import evenly
from amad.notify.published import DAYS, Window, context_of
from amad.telemetry.lake import Lake
from amad.telemetry.valid_values import is_impossible

MOST_ROWS = 1440  # of a vehicle-day that are looked at
LEAST = 5  # incidents; fewer gather anywhere by chance
BINS = 10
RATIO = 6.0  # incidents drawn from the rows themselves reach it in under 5 % of the channels


@dataclass(frozen=True, kw_only=True)
class ContextRange:
    """Where the incidents of a channel gather. low, high: both included; equal for a code.

    rows: share of the rows, as if the next one that is drawn lay there: a sample in which none does
    shows no share of 0.
    """

    channel: Channel
    low: float
    high: float
    inside: int
    incidents: int
    rows: float

    @property
    def where(self) -> str:
        """``Coolant temperature 5 to 20 °C``, ``Mode eco``."""
        low, high = number(self.low), self.channel.value_text(self.high)
        span = high if low == number(self.high) else f"{low} to {high}"
        return f"{self.channel.title} {span}"

    @property
    def sentence(self) -> str:
        """How many incidents began there, beside the share of the rows."""
        return (
            f"{self.inside} of the {self.incidents} incidents of {DAYS} days began at "
            f"{self.where}, where {share(self.rows)} of the rows are"
        )

    @property
    def ratio(self) -> float:
        """The log-likelihood ratio; 0 where the incidents are no denser there than the rows."""
        if self.inside <= self.incidents * self.rows:
            return 0.0
        expected, outside = self.incidents * self.rows, self.incidents - self.inside
        left = outside * math.log(outside / (self.incidents - expected)) if outside else 0.0
        return self.inside * math.log(self.inside / expected) + left

    def holds(self, incident: Incident) -> bool:
        """Did the incident begin there?"""
        value = context_of(incident).get(self.channel.name)
        return value is not None and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class UsualContext:
    """ranges: those to report, the most striking first. quiet: sentences on the other channels."""

    ranges: list[ContextRange]
    quiet: list[str]

    def of(self, incident: Incident) -> list[str]:
        """The sentences on the ranges in which an incident began."""
        return [f"Such a moment is rare: {p.sentence}." for p in self.ranges if p.holds(incident)]


@dataclass(kw_only=True)
class ContextSamples:
    """Sampled values of the channels of ``context``, read once per date."""

    lake: Lake
    known: dict[date, dict[str, np.ndarray]] = field(default_factory=dict)

    def of(self, window: Window, channels: Sequence[Channel]) -> dict[str, np.ndarray]:
        """The values (R,) of each channel on the dates of a window."""
        for day in sorted(set(window.dates) - set(self.known)):
            manifest, vehicles, lake = window.manifest(day), window.dates[day], self.lake
            if manifest is not None:  # what failed its checks says nothing
                vehicles -= frozenset(manifest.quarantined)
                lake = lake.without({(v, day): of for v, of in manifest.withheld.items()})
            self.known[day] = _read(lake, day, sorted(vehicles), channels)
        days = [self.known[day] for day in sorted(window.dates)]
        return {c.name: np.concatenate([day[c.name] for day in days]) for c in channels}


def _read(
    lake: Lake, day: date, vehicles: list[str], channels: Sequence[Channel]
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(day.toordinal())
    found: dict[str, list[np.ndarray]] = {c.name: [np.empty(0)] for c in channels}
    for vehicle in evenly(vehicles):
        try:
            table = lake.read_day(vehicle, day, [c.name for c in channels])
        except DataError as error:
            say(f"{vehicle} on {day} is left out of what is usual: {error}")
            continue
        drawn = rng.choice(len(table), min(len(table), MOST_ROWS), replace=False)
        for channel in channels:
            value_R = table[channel.name].cast(pa.float64()).to_numpy()[drawn]
            kept_R = np.isfinite(value_R) & ~is_impossible(value_R, channel)
            found[channel.name].append(value_R[kept_R])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def usual_context(window: Window, fleet: Fleet, samples: ContextSamples) -> UsualContext | None:
    """Where the incidents of the window gather; None for a fleet without ``context``."""
    channels = [channel for channel in fleet.channels if channel.context]
    if not channels or not window.dates:
        return None
    ranges, quiet = [], []
    rows = samples.of(window, channels)
    contexts = [context_of(item.incident) for item in window.incidents.values()]
    for channel in channels:
        value_N = np.array([own[channel.name] for own in contexts if channel.name in own])
        if len(value_N) < LEAST:
            known = count(len(value_N), "incident")
            quiet.append(f"{channel.title}: {known} of {DAYS} days, too few to say.")
            continue
        found = gathered(channel, value_N, rows[channel.name])
        if found is None:
            quiet.append(f"{channel.title}: incidents begin where the rows are.")
        else:
            ranges.append(found)
    return UsualContext(ranges=sorted(ranges, key=lambda item: -item.ratio), quiet=quiet)


def gathered(channel: Channel, value_N: np.ndarray, value_R: np.ndarray) -> ContextRange | None:
    """The range in which these values gather beyond chance, if there is one."""
    best, most = None, RATIO
    for low, high in _ranges(channel, value_N, value_R):
        candidate = ContextRange(
            channel=channel,
            low=low,
            high=high,
            inside=int(((value_N >= low) & (value_N <= high)).sum()),
            incidents=len(value_N),
            rows=(1 + int(((value_R >= low) & (value_R <= high)).sum())) / (1 + len(value_R)),
        )
        if candidate.ratio >= most and (best is None or candidate.ratio > most):
            best, most = candidate, candidate.ratio
    return best


def _ranges(
    channel: Channel, value_N: np.ndarray, value_R: np.ndarray
) -> list[tuple[float, float]]:
    if channel.has_codes:
        return [(code, code) for code in np.unique(value_N).tolist()]
    middle = [np.quantile(value_N, [0.1, 0.9])]
    middle += [np.quantile(value_R, [0.01, 0.99])] if len(value_R) else []
    low, high = np.min(middle), np.max(middle)
    if low == high:
        return []
    edge_B = np.linspace(low, high, BINS + 1)
    ends = [value_N.min(), value_R.min(initial=np.inf), value_N.max(), value_R.max(initial=-np.inf)]
    edge_B[0], edge_B[-1] = min(ends[:2]), max(ends[2:])
    return [
        (float(edge_B[a]), float(edge_B[b]))
        for a in range(BINS)
        for b in range(a + 1, BINS + 1)
        if b - a < BINS
    ]
