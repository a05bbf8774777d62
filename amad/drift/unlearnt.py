"""Channels of which the champion has learnt nothing, and whether a new training would learn them.

A new training splits the lake anew, so a sensor that came lately is first in the test part alone:
a detector that is trained then has learnt nothing of it either.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np

from amad.config import Channel, Fleet
from amad.drift.findings import UnlearntChannel
from amad.telemetry.lake import Lake, times_of
from amad.telemetry.valid_values import measured_values
from amad.windows.split import outline


def unlearnt_channels(
    lake: Lake, fleet: Fleet, names: Sequence[str], quarantined: Mapping[str, Collection[date]]
) -> list[UnlearntChannel]:
    """What a training on the lake as it is would have of these channels.

    quarantined: the dates of each vehicle that are not trained on.

    Raises:
        DataError: the lake is damaged.
    """
    rows: dict[str, list[int]] = {name: [] for name in names}
    for vehicle in lake.vehicles() if names else ():
        has_C = fleet.has_channel(fleet.class_of(vehicle))
        own = [c for c, has in zip(fleet.channels, has_C, strict=True) if has and c.name in names]
        if not own:
            continue
        dates = [day for day in lake.dates(vehicle) if day not in quarantined.get(vehicle, ())]
        for channel, many in zip(own, _train_rows(lake, fleet, vehicle, dates, own), strict=True):
            rows[channel.name].append(many)
    least = fleet.missing.min_segment_rows
    return [
        UnlearntChannel(channel=name, train_rows=int(np.median(many or [0])), least=least)
        for name, many in rows.items()
    ]


def _train_rows(
    lake: Lake, fleet: Fleet, vehicle: str, dates: Sequence[date], channels: Sequence[Channel]
) -> np.ndarray:
    """How many rows of the train part have a value of each channel, int (C,)."""

    def times(day: int) -> np.ndarray:
        return times_of(lake.read_day(vehicle, dates[day], ["timestamp"]))

    bounds = outline(len(dates), times, fleet, lake.test_start().get(vehicle)).bounds
    end_us = bounds.calibration_us - fleet.split.purge_rows * fleet.period_us
    columns = ["timestamp", *(channel.name for channel in channels)]
    found_C = np.zeros(len(channels), int)
    for day in dates:
        table = lake.read_day(vehicle, day, columns)
        table = table.slice(0, int(np.searchsorted(times_of(table), end_us)))
        if not table.num_rows:
            break
        value_CR, _ = measured_values(table, channels)
        found_C += np.count_nonzero(~np.isnan(value_CR), axis=1)
    return found_C
