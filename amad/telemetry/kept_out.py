"""Which vehicle-days a scoring job leaves out, and which it scores without a channel.

A day that fails a check of the whole day (too few rows, gaps) is left out. A day on which only
single sensors fail theirs (dead, stuck, outside the range) is scored without these channels, as
long as at least half of the channels of the vehicle's class are left. Training, calibration and
evaluation use neither.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from amad.config import Fleet

Day = tuple[str, date]  # vehicle, date
WHOLE: frozenset[str] = frozenset()  # no channel is named: the whole day is left out


def failed_channels(fleet: Fleet, vehicle: str, channels: Collection[str | None]) -> frozenset[str]:
    """The channels without which a day is scored; WHOLE if it is left out.

    channels: those of its failed checks, None for a check of the whole day.
    """
    has = fleet.has_channel(fleet.class_of(vehicle))
    failed = frozenset(name for name in channels if name is not None)
    return WHOLE if None in channels or 2 * len(failed) > sum(has) else failed


def kept_out(fleet: Fleet, quarantine: Iterable[Mapping[str, Any]]) -> dict[Day, frozenset[str]]:
    """By vehicle-day with a row in the quarantine, see ``failed_channels``."""
    channels: dict[Day, set[str | None]] = {}
    for row in quarantine:
        channels.setdefault((row["vehicle"], row["date"]), set()).add(row["channel"])
    return {day: failed_channels(fleet, day[0], names) for day, names in channels.items()}
