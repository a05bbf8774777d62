"""What the columns measure: unit, kind, range and numbers for "no value" of each channel.

Shape legend: N values of a channel, recording after recording (a vehicle's rows of a file).
"""

import math
import re
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from amad.config.channel import RESERVED, Channel
from amad.reading.headers import name_and_unit, repaired
from amad.reading.units import spellings
from amad.telemetry.counter_events import count_of

UNITS = {"celsius", "fahrenheit", "percent", "km/h", "rpm", "degrees"}  # of all their spellings
COUNTS = re.compile(
    r"count|odo|mileage|distance|total|energy|hours|runtime|run_time|since|cycles"
    r"|kilom(eterstand|[ée]trage|etraje)|laufleistung|betriebsstunden",
    re.I,
)
ANGLE = re.compile(r"heading|course|bearing|azimuth|direction|compass", re.I)
CATEGORY = re.compile(
    r"gear|mode|state|status|level_code|position_code|\bcode\b|phase|\bgang\b", re.I
)
# Names of quantities that are never below zero.
POSITIVE = re.compile(r"speed|rpm|pressure|throttle|voltage|load|flow|level|count|fuel(?!.*trim)",
                      re.I)  # fmt: skip
POSITIVE_UNITS = {"percent", "km/h", "rpm", "kPa", "bar", "g/s", "V", "Hz", "kg", "l", "mph", "km"}
TEMPERATURE, COLDEST = re.compile("temp", re.I), -40.0
CIRCLES = ((0.0, 360.0), (-180.0, 180.0))  # degrees
FEWEST_WRAPS = 2  # jumps of more than half a turn; a name that says angle needs none
LARGEST_TURN = 45.0  # degrees; of an angle, nearly all turns from row to row are smaller
FEWEST_RISES = 20  # per reset of a counter
FEW = 12  # most values of a categorical channel
# What vehicle buses and loggers write for "not available": all bits set, or only nines.
ABSENT = (
    255, 65535, 65534, 65533, 32767, -32768, 16777215, 4294967295, 2147483647, -2147483648, 8191,
    32768, 4095, 1023, 127, -1, -99, -999, -9999, -99999, -999999, 999, 9999, 99999, 999999, 85,
    -273.15, -273, 215, 8191.875, 6553.5, 655.35, 3276.7, 127.5, 25.5, 102.3,  # scaled by the bus
    1e20, -1e20, 1e30, 9.96921e36, 3.4028235e38, -3.4028235e38, 18446744073709551615,
)  # fmt: skip
FEWEST_REPEATS = 3
MOST_ABSENT = 8  # such values of a channel
FAR = 0.5  # least distance of such a value from the others, in spans of the others
VERY_FAR = 5.0  # the same for a value that is not in the list, or stands there once or twice
LARGE = 999  # such a value in the list is hardly ever measured
STRAY = 20.0  # a span so many times that of nearly all values comes from values never measured


@dataclass(slots=True, kw_only=True)
class Drafted:
    """One channel of the draft."""

    header: str
    name: str
    label: str
    unit: str
    kind: str = "continuous"
    range: tuple[float, float] | None = None
    nulls: list[float | str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)  # of the words of a column of text
    since: date | None = None  # the first date of a column that older files lack
    classes: list[str] = field(default_factory=list)  # that have it; empty: all
    notes: list[str] = field(default_factory=list)


def named(headers: list[str], units: dict[str, str]) -> list[Drafted]:
    """One channel per header, with a name that no other has and the unit from the header.

    units: header -> unit, where the values or a column of units tell it.
    """
    channels, taken = [], set(RESERVED)
    for header in headers:
        base, unit = name_and_unit(header)
        base = re.sub(r"\s*[\[(]\s*[\])]$", "", base).strip()
        name = re.sub(r"[^\w.-]+", "_", base).strip("_.") or "channel"
        for option in (name, f"{name}_{re.sub(r'[^0-9a-zA-Z]+', '', unit)}"):
            if option not in taken and not option.endswith("_"):
                name = option
                break
        number = 2
        while name in taken:
            name, number = f"{name.rstrip('0123456789_')}_{number}", number + 1
        taken.add(name)
        unit = unit or units.get(header, "")
        told = next((name for name in spellings(unit) if name in UNITS), unit)
        label = base if base != name else ""
        channels.append(Drafted(header=repaired(header.strip()), name=name, label=label, unit=told))
    return channels


def describe(channel: Drafted, value_N: np.ndarray, recording_N: np.ndarray) -> None:
    """Fill in kind, range and nulls from values (N,), NaN where there is none; not of words.

    recording_N: the number of each value's recording, rising; in time order within each.
    """
    if channel.codes:
        return
    known_N = ~np.isnan(value_N)
    value_N, recording_N = value_N[known_N], recording_N[known_N]
    if len(value_N) == 0:
        channel.notes.append("no value in the sample")
        return
    words = [null for null in channel.nulls if isinstance(null, str)]
    absent = sorted({n for n in channel.nulls if not isinstance(n, str)} | {*_absent(value_N)})
    channel.nulls = [*absent, *words]
    kept_N = ~np.isin(value_N, absent)
    value_N, recording_N = value_N[kept_N], recording_N[kept_N]
    if channel.nulls:
        channel.notes.append("is that a word for 'not available'?")
    distinct = np.unique(value_N)
    whole = bool(np.all(value_N == np.round(value_N)))
    if len(distinct) == 1:
        channel.notes.append("did not move in the sample")
        return
    if set(distinct) == {0.0, 1.0}:
        channel.kind, channel.range = "binary", None
        return
    if whole and 1 < len(distinct) <= FEW and CATEGORY.search(channel.name):
        channel.kind = "categorical"
        return
    if len(distinct) > FEW and (whole or COUNTS.search(channel.name)):
        resets = _resets(channel, value_N, recording_N)
        if resets is not None:
            channel.kind = "counter"
            if resets:
                told = f"reset {resets} time{'s' * (resets != 1)} in the sample"
                channel.notes.append(f"a guess: a counter, {told}")
            return
    circle = _circle(channel, value_N, recording_N)
    if circle is not None:
        channel.kind, channel.range = "angle", circle
        channel.notes.append("a guess: an angle, which goes on at the other end of its range")
        return
    channel.range = _range(channel, value_N, distinct)


def _absent(value_N: np.ndarray) -> list[float]:
    """Lowest or highest values, far from all others, that may stand for "no value".

    They are repeated, or large ones of the list. Vehicles may have different ones, so that large
    ones of the list count for nothing beside others; of values that are not listed there are two.
    """
    found: list[float] = []
    large = [value for value in ABSENT if abs(value) >= LARGE]
    for number in range(MOST_ABSENT):
        distinct, count = np.unique(value_N[~np.isin(value_N, found)], return_counts=True)
        if len(distinct) < 8:
            break
        for end, rest in ((-1, distinct[:-1]), (0, distinct[1:])):
            value, rest = float(distinct[end]), rest[~np.isin(rest, large)]
            if len(rest) < FEWEST_REPEATS:
                continue
            span = float(np.quantile(rest, 0.999) - np.quantile(rest, 0.001)) or 1.0
            gap = min(abs(value - float(rest[0])), abs(value - float(rest[-1])))
            often = count[end] >= FEWEST_REPEATS and count[end] < 0.6 * len(value_N)
            listed = any(math.isclose(value, absent, rel_tol=1e-6) for absent in ABSENT)
            once = listed and abs(value) >= LARGE and count[end] < FEWEST_REPEATS
            far = FAR if listed and often else VERY_FAR
            if (often or once) and (listed or number < 2) and gap > far * span:
                found.append(value)
                break
        else:
            break
    return sorted(found)


def _resets(channel: Drafted, value_N: np.ndarray, recording_N: np.ndarray) -> int | None:
    """How often it is reset if it is a counter; None if it is none.

    A counter rises in each recording in which it changes. It falls only where it is reset or wraps.
    """
    moving = rising = resets = 0
    counter = Channel(name=channel.name, kind="counter")
    for number in np.unique(recording_N):
        own_N = value_N[recording_N == number]
        if not np.diff(own_N).any():
            continue
        count = count_of(own_N, np.arange(len(own_N)), np.zeros(len(own_N), bool), counter)
        rises = int((count.step_K > 0).sum())
        moving += 1
        resets += count.resets
        enough = rises >= FEWEST_RISES * count.resets
        rising += enough and count.decreases <= 0.001 * len(own_N)
    enough = moving >= (1 if COUNTS.search(channel.name) else 4)
    return resets if rising == moving and enough else None


def _circle(
    channel: Drafted, value_N: np.ndarray, recording_N: np.ndarray
) -> tuple[float, float] | None:
    """The range of an angle in degrees; None if it is no angle."""
    low, high = float(value_N.min()), float(value_N.max())
    step_N = np.diff(value_N)[np.diff(recording_N) == 0]
    turn_N = np.abs(np.mod(step_N + 180, 360) - 180)
    wraps = int((np.abs(step_N) > 180).sum())
    for bottom, top in CIRCLES:
        inside = bottom <= low and high <= top
        named = bool(ANGLE.search(channel.name)) and high - low > 180
        goes_around = wraps >= FEWEST_WRAPS and low < bottom + 30 and high > top - 30
        steady = len(turn_N) > 0 and float(np.quantile(turn_N, 0.95)) < LARGEST_TURN
        if inside and steady and (named or goes_around):
            return bottom, top
    return None


def _range(channel: Drafted, value_N: np.ndarray, distinct: np.ndarray) -> tuple[float, float]:
    """The range seen, wider by its span or half its size, but never below what can be."""
    low, high = float(distinct[0]), float(distinct[-1])
    if channel.unit == "percent" and low >= 0 and high <= 100:
        return 0.0, 100.0
    q_low, q_high = (float(q) for q in np.quantile(value_N, (0.0005, 0.9995)))
    if channel.unit and high - low > STRAY * (q_high - q_low) > 0:
        low, high = max(low, 2 * q_low - q_high), min(high, 2 * q_high - q_low)
    positive = channel.unit in POSITIVE_UNITS or bool(POSITIVE.search(channel.name))
    margin = max(high - low, 0.5 * max(abs(low), abs(high)), 1e-3)
    bottom, top = low - margin, high + margin
    warm = channel.unit == "celsius" or (not channel.unit and TEMPERATURE.search(channel.name))
    if warm and low >= COLDEST:
        bottom = COLDEST
    elif positive and low >= 0:
        bottom = 0.0
    return _outward(bottom, up=False), _outward(top, up=True)


def _outward(value: float, *, up: bool) -> float:
    """The value with two digits, rounded up or down."""
    if value == 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    told = (np.ceil if up else np.floor)(value / step) * step
    return float(f"{told:.6g}")
