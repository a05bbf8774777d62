"""Severity: how bad an incident is, from 0 to 100, in physical terms; one formula for all fleets.

    M = deviation x (1 + duration / 10 min)^0.1 x channels^0.25
    severity = 100 M / (M + 40)

- deviation: how far the channel that is blamed most strayed from what the members expect of it, at
  its largest, in tolerances. A tolerance is the error that is usual for the member, the channel and
  the row, and at least a tenth of the channel's spread (``amad.incidents.deviations``).
- duration: from the start of the incident to its end. An incident of a day weighs as much as a
  short one whose deviation is 1.6 times as large.
- channels: the effective number of channels to blame, 1 / (sum of squared shares), see Hill,
  "Diversity and evenness", Ecology 1973. Two channels that share the blame evenly count as 2.

So a short deviation of one channel by 40 tolerances has a severity of 50. It is low below 25,
medium below 50, high below 75 and critical from 75 on.
"""

from collections.abc import Sequence

LEVELS = ((75.0, "critical"), (50.0, "high"), (25.0, "medium"), (0.0, "low"))
HALFWAY = 40.0  # tolerances; the magnitude with a severity of 50
DURATION_SECONDS, DURATION_POWER = 600.0, 0.1
CHANNELS_POWER = 0.25
FIRST_MOVE = 25.0  # what a first move counts as: a channel that never moved has no tolerance


def severity(deviation: float, seconds: float, channels: float = 1.0) -> float:
    """0 to 100; it grows with the deviation, the duration and the number of channels.

    deviation: in tolerances, >= 0. channels: see ``effective_number``, >= 1.
    """
    magnitude = _size(deviation, channels) * (1 + seconds / DURATION_SECONDS) ** DURATION_POWER
    return round(100.0 * magnitude / (magnitude + HALFWAY), 1)


def worse(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether (deviation, channels) of one part of an incident is worse than of another."""
    return _size(*one) > _size(*other)


def effective_number(shares: Sequence[float]) -> float:
    """How many channels share the blame, 1 to the number of shares; 1 if there is none."""
    whole = sum(shares)
    if whole <= 0:
        return 1.0
    return 1.0 / sum((share / whole) ** 2 for share in shares)


def level_of(grade: float) -> str:
    """low, medium, high or critical."""
    return next(name for least, name in LEVELS if grade >= least)


def _size(deviation: float, channels: float) -> float:
    return max(deviation, 0.0) * channels**CHANNELS_POWER
