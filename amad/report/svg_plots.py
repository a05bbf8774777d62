"""From rows to the parts of an inline SVG: paths, bands and ticks, all in a 1000 x 100 box.

The box is stretched to the width of the screen. The positions of ticks are percentages, so that
their text keeps its size on a phone. Legend: T rows of one channel or score.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amad.config.number_text import DAY, HOUR, MINUTE, SECOND, number, short_day, utc

WIDTH, HEIGHT = 1000, 100
MOST_TICKS = 6
BUCKETS = 350  # columns; a long line keeps the first, least, greatest and last row of each
STEPS = [
    *(s * SECOND for s in (1, 2, 5, 10, 15, 30)),
    *(m * MINUTE for m in (1, 2, 5, 10, 15, 30)),
    *(h * HOUR for h in (1, 2, 3, 6, 12)),
    *(d * DAY for d in (1, 2, 7, 14, 28, 91, 364)),
]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A label at ``at`` percent of an axis; ``minor`` ones are hidden on a phone."""

    at: float
    text: str
    minor: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The stretch of time that every plot of one incident shows, in microseconds."""

    start: int
    end: int

    def x(self, us: int) -> float:
        """Horizontal position of a time (microseconds) in the box, kept inside it."""
        return round(WIDTH * min(1.0, max(0.0, (us - self.start) / (self.end - self.start))), 1)

    def block(self, start: int, end: int) -> tuple[float, float]:
        """(x, width) of a stretch of time (microseconds), wide enough to be seen."""
        left, right = self.x(start), self.x(end)
        return left, round(max(right - left, 2.0), 1)

    def ticks(self) -> list[Tick]:
        """Ticks at round times of day, with the date at the first tick of each day."""
        wide = self.end - self.start
        step = next((s for s in STEPS if wide / s <= MOST_TICKS), STEPS[-1])
        found, last_day = [], None
        for n, us in enumerate(range(-(-self.start // step) * step, self.end + 1, step)):
            at = utc(us)
            if step >= DAY:
                text = short_day(at)
            else:
                text = at.strftime("%H:%M:%S" if step < MINUTE else "%H:%M")
                if last_day not in (None, at.date()):
                    text = f"{short_day(at)} {text}"
            last_day = at.date()
            found.append(Tick(at=round(self.x(us) / WIDTH * 100, 2), text=text, minor=n % 2 == 1))
        return found


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Values between ``low`` and ``high`` on the box's height, upwards."""

    low: float
    high: float

    @classmethod
    def over(cls, value_T: np.ndarray, also: tuple[float, float] | None = None) -> "Scale":
        """A scale over the values and, as far as it leaves them readable, over ``also``."""
        low, high = float(np.min(value_T)), float(np.max(value_T))
        if also is not None:
            room = 1.5 * max(high - low, 0.2 * (also[1] - also[0]))
            low, high = min(low, max(also[0], low - room)), max(high, min(also[1], high + room))
        margin = 0.06 * (high - low) or max(abs(high) * 0.05, 0.5)
        return cls(low=low - margin, high=high + margin)

    def y(self, value: float) -> float:
        """Vertical position of a value in the box, kept inside it (and 20 % around)."""
        at = HEIGHT * (1 - (value - self.low) / (self.high - self.low))
        return round(min(1.2 * HEIGHT, max(-0.2 * HEIGHT, at)), 1)

    def ticks(self, about: int = 3) -> list[Tick]:
        """Round values, from low to high: two or more, since one alone is no scale."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        steps = [m * power for m in (1, 2, 2.5, 5, 10)]
        while len(steps) > 1 and (
            steps[-2] >= rough * 0.999
            or math.floor(self.high / steps[-1]) <= math.ceil(self.low / steps[-1])
        ):
            steps.pop()
        step = steps[-1]
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(3, math.ceil(math.log10(max(abs(self.low), abs(self.high)) / step)) + 1)
        return [
            Tick(at=self.y(n * step), text=number(n * step, digits)) for n in range(first, last + 1)
        ]


def line(us_T: np.ndarray, value_T: np.ndarray, frame: Frame, scale: Scale, max_gap_us: int) -> str:
    """The SVG path of a line through the finite values; gaps above ``max_gap_us`` stay open.

    us_T: int64 microseconds, ascending. A row alone between gaps becomes a dot.
    """
    known = np.isfinite(value_T) & (us_T >= frame.start) & (us_T <= frame.end)
    us_T, value_T = us_T[known], value_T[known]
    if len(us_T) == 0:
        return ""
    parts, few = [], len(us_T) <= 2 * BUCKETS
    for piece in np.split(np.arange(len(us_T)), np.flatnonzero(np.diff(us_T) > max_gap_us) + 1):
        kept = piece if few else piece[_thinned(us_T[piece], value_T[piece], frame)]
        points = [f"{frame.x(int(us_T[i]))} {scale.y(float(value_T[i]))}" for i in kept]
        parts.append(f"M{'L'.join(points)}" if len(points) > 1 else f"M{points[0]}h0")
    return "".join(parts)


def _thinned(us_T: np.ndarray, value_T: np.ndarray, frame: Frame) -> np.ndarray:
    """Indices of the rows to draw: at most four per column, so that no peak is lost."""
    bucket_T = (us_T - frame.start) * BUCKETS // (frame.end - frame.start)
    kept: set[int] = set()
    edges = [0, *(np.flatnonzero(np.diff(bucket_T)) + 1).tolist(), len(us_T)]
    for first, last in pairwise(edges):
        value = value_T[first:last]
        kept.update((first, first + int(value.argmin()), first + int(value.argmax()), last - 1))
    return np.array(sorted(kept))
