"""Levels that lie away from all others by a factor between units, as those of mV beside V.

Shape legend: F levels, each of a file or a day; K statistics of a day.
"""

import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.config.number_text import number
from amad.config.wording import some

FACTORS = (1e3, 1e6)  # between units that differ by their prefix
NEAR = 1.4  # a level is near another one up to this factor
# Between units of speed (m/s and km/h) and of pressure (psi, kPa and bar), and tens.
JUMPS = (3.6, 6.895, 14.5, 10.0, 100.0, *FACTORS)
EXACT = 1.12  # a jump is one of these up to this factor, in each statistic
LASTING = 5  # days before a jump and after it
USUAL = 3.0  # the other levels lie within this factor of their median
LEAST_USUAL = 4  # usual levels
SPREAD_RATIO = 10.0  # up to this factor, spreads are the same for their levels


class ScaleFinding(NamedTuple):
    """Days of a vehicle on which a channel is about ``factor`` times as large as on all others."""

    vehicle: str
    channel: str
    dates: list[datetime.date]
    factor: float

    @property
    def text(self) -> str:
        """The rest of a sentence about them."""
        return f"is about {of_factor(self.factor)} of its other days on {some(self.dates)}"


def of_other_scale(level_F: np.ndarray, spread_F: np.ndarray) -> dict[int, float]:
    """Position of a level -> the factor by which it is larger than most; zeros count for nothing.

    Empty unless every level is either near most others or away from them by such a factor: where
    some lie between, the quantity itself has so many levels. Values of another scale also spread
    so much the more; a sensor that is dead at a low value does not. spread_F: of the values.
    """
    at_F = np.flatnonzero(level_F > 0)
    if len(at_F) <= LEAST_USUAL:
        return {}
    ratio_F = level_F[at_F] / np.median(level_F[at_F])
    usual_F = (ratio_F < USUAL) & (ratio_F > 1 / USUAL)
    ratio_F /= np.median(ratio_F[usual_F])
    found: dict[int, float] = {}
    for factor in (scale for prefix in FACTORS for scale in (prefix, 1 / prefix)):
        near_F = (ratio_F < factor * NEAR) & (ratio_F > factor / NEAR)
        found |= dict.fromkeys(at_F[near_F].tolist(), factor)
    all_placed = usual_F.sum() + len(found) == len(at_F)
    if not all_placed or usual_F.sum() < max(LEAST_USUAL, 2 * len(found)):
        return {}
    own_F = spread_F[at_F] / level_F[at_F]
    odd_F = np.isin(at_F, [*found])
    usual = float(np.median(own_F[usual_F]))
    low, high = usual / SPREAD_RATIO, usual * SPREAD_RATIO
    same_spread = np.all((own_F[odd_F] > low) & (own_F[odd_F] < high))
    return found if same_spread else {}


def lasting_jump(size_FK: np.ndarray) -> tuple[int, float] | None:
    """The level from which on all are larger by a factor between units, and the factor.

    size_FK: statistics of each day that are all multiplied by it, such as mean and maximum. A
    vehicle that is driven otherwise multiplies each of them by another factor.
    """
    if len(size_FK) < 2 * LASTING or np.any(size_FK <= 0):
        return None
    log_FK = np.log(size_FK)
    at = int(np.abs(np.diff(log_FK[:, 0])).argmax()) + 1
    before_FK, after_FK = log_FK[:at], log_FK[at:]
    step_K = np.median(after_FK, axis=0) - np.median(before_FK, axis=0)
    low_FK, high_FK = sorted((before_FK, after_FK), key=lambda log_FK: float(np.median(log_FK)))
    if min(at, len(log_FK) - at) < LASTING or np.any(low_FK.max(axis=0) >= high_FK.min(axis=0)):
        return None
    exact = (f for f in JUMPS if np.all(np.abs(np.abs(step_K) - np.log(f)) < np.log(EXACT)))
    factor = next(exact, None)
    return None if factor is None else (at, factor if step_K[0] > 0 else 1 / factor)


def of_factor(factor: float) -> str:
    """The factor in words: ``1,000 times the size``."""
    if factor > 1:
        return f"{number(factor, 4)} times the size"
    return f"a {number(1 / factor, 4)}th"


def scale_findings(profile: pa.Table, fleet: Fleet) -> list[ScaleFinding]:
    """Days of another scale, of each vehicle and continuous channel by itself.

    The level of a day is the root mean square of its values. A day with values out of their range,
    which is told anyway, counts for nothing. profile: of the schema PROFILE.
    """
    channels = [channel.name for channel in fleet.channels if channel.kind == "continuous"]
    wanted = pc.and_(
        pc.is_in(profile["channel"], pa.array(channels, pa.string())),
        pc.equal(pc.fill_null(profile["out_of_range"], 0), 0),
    )
    names = ["vehicle", "channel", "date", "mean", "std", "max"]
    days = profile.filter(wanted).select(names).to_pandas().sort_values("date")
    days["level"] = np.hypot(days["mean"].astype(float), days["std"].astype(float))
    days = days[days["level"] > 0]
    own = days.groupby(["vehicle", "channel"], sort=True)
    ends = own["level"].agg(["min", "max", "size"])
    ratio, long = ends["max"] / ends["min"], ends["size"] >= 2 * LASTING
    found = []
    for key in ends.index[
        (ratio > FACTORS[0] / NEAR / USUAL) | (long & (ratio > JUMPS[0] / EXACT))
    ]:
        rows = own.get_group(key)
        odd = of_other_scale(rows["level"].to_numpy(), rows["std"].to_numpy(float))
        moving = rows[rows["std"] > 0]  # a day on which it stood still tells no spread
        if not odd and (jump := lasting_jump(moving[["level", "std", "max"]].to_numpy(float))):
            rows, (at, factor) = moving, jump
            rest = range(at, len(rows)) if 2 * at >= len(rows) else range(at)
            odd = dict.fromkeys(rest, factor if rest.start else 1 / factor)
        for factor in sorted(set(odd.values())):
            dates = [rows["date"].iloc[at] for at, of in odd.items() if of == factor]
            found.append(ScaleFinding(str(key[0]), str(key[1]), sorted(dates), factor))
    return found
