"""Whether the day or the month comes first in dates such as 03/08/2026, which do not tell it."""

import dataclasses

import numpy as np
import pyarrow as pa

from amad.config.source import TimestampRule
from amad.draft.sample import Sampled
from amad.reading import times
from amad.reading.day_month import OtherWay, following
from amad.reading.timestamp_guess import Guess


def month_first(told: Guess) -> Guess:
    """The guess of dates that are known to begin with the month, where that can be read."""
    forms = [told.settings.get("format", ""), told.other_form]
    first = next((form for form in forms if form.startswith("%m")), None)
    settings = told.settings | ({"format": first} if first else {})
    return dataclasses.replace(told, settings=settings, other_form="")


def with_order(told: Guess, cells: list[list], samples: list[Sampled]) -> Guess:
    """The guess with the order that the files' paths and their times of writing show, if any.

    cells: some of each file's dates, which both forms of the guess read.
    """
    if not told.other_form:
        return told
    against, steps = {}, {}
    for form in (told.settings["format"], told.other_form):
        rule = TimestampRule(format=form)
        read = {s.path: _read(dates, rule) for dates, s in zip(cells, samples, strict=True)}
        against[form] = sum(_shows_other(read[sample.path], sample) for sample in samples)
        steps[form] = following((path, us) for path, us_R in read.items() for us in us_R.tolist())
    first, second = sorted(against, key=lambda form: (against[form], -steps[form]))
    sure = against[second] > len(samples) / 2 > against[first]
    return dataclasses.replace(
        told,
        settings=told.settings | {"format": first},
        other_form="" if sure else second,
    )


def _read(dates: list, rule: TimestampRule) -> np.ndarray:
    """Microseconds of those dates that can be read."""
    read = times.times(pa.array(map(str, dates), pa.string()), rule)
    return read.us_R[read.good_R]


def _shows_other(us_R: np.ndarray, sample: Sampled) -> bool:
    """Does the file show that these times take the day for the month?"""
    bad_R, _ = OtherWay(sample.path, times.written_us(sample.file)).shown(us_R)
    return bool(bad_R.any())
