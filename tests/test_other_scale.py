"""Files and days in which a channel has another scale, as a draft and Fleet health tell them."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from draft_kit import MONDAY, log, wave

from amad.telemetry.other_scale import lasting_jump, of_factor, of_other_scale, scale_findings


def found(levels, *, spread=0.2, out_of_range=(), still=(), kind="continuous"):
    """What is found for a vehicle with these means by day."""
    rows = [
        {"vehicle": "v1", "channel": "volt", "date": MONDAY.date() + timedelta(n), "mean": mean,
         "std": mean and spread * mean * (n not in still), "max": mean and 3 * mean,
         "out_of_range": int(n in out_of_range)}
        for n, mean in enumerate(levels)
    ]  # fmt: skip
    channel = SimpleNamespace(name="volt", kind=kind)
    profile = pa.Table.from_pylist([*rows, rows[0] | {"channel": "other", "mean": 1e9}])
    findings = scale_findings(profile, SimpleNamespace(channels=[channel]))
    return [(f"{item.vehicle} {item.channel}", item.text) for item in findings]


def test_days_of_another_scale_are_told_with_their_factor():
    told = [("v1 volt", "is about 1,000 times the size of its other days on 2026-01-07")]
    assert found([12, 13, 12500, 11, 14, 12]) == told
    assert found([12, 13, 0.0125, 11, 14, None]) == [
        ("v1 volt", "is about a 1,000th of its other days on 2026-01-07")
    ]


def test_a_factor_of_a_million_has_its_digits():
    assert of_factor(1e6) == "1,000,000 times the size"
    assert of_factor(1e-6) == "a 1,000,000th" and of_factor(1 / 6.895) == "a 6.895th"


def test_days_from_a_change_of_the_unit_on_are_told():
    kmh = [31, 40, 36, 44, 38, 33]
    told = ("v1 volt", "is about 3.6 times the size of its other days on 2026-01-05, 2026-01-06, ")
    ((subject, text),) = found([*kmh, *(level / 3.6 for level in kmh), 11])
    assert (subject, text[: len(told[1])]) == told
    ((_, text),) = found([*(level / 3.6 for level in kmh), 11, *kmh])
    assert text.startswith("is about 3.6 times the size of its other days on 2026-01-12")
    ((_, still),) = found([*(level / 3.6 for level in kmh), 11, *kmh], still=[2, 9])
    assert still == (
        "is about 3.6 times the size of its other days on 2026-01-12, 2026-01-13, 2026-01-15, "
        "2026-01-16, 2026-01-17"
    ), "a day on which it stands still hides nothing"
    assert found([*kmh, *(level / 2.7 for level in kmh)]) == []  # no factor between units
    assert found([*kmh, *(level / 3.6 for level in kmh[:3])]) == []  # too few days


def test_a_vehicle_that_is_driven_otherwise_is_in_no_other_unit():
    day = np.array([[40.0, 30, 130], [38, 28, 120], [45, 33, 140], [41, 30, 128], [39, 31, 125]])
    assert lasting_jump(np.concatenate([day, day / 3.6])) == (5, 1 / 3.6)
    assert lasting_jump(np.concatenate([day, day / [3.6, 3.6, 2.6]])) is None


def test_files_from_a_change_of_the_unit_on_are_told(field):
    for day in range(12):
        factor, start = (3.6 if day < 6 else 1), MONDAY + timedelta(days=day)
        field.write(
            f"{start:%Y-%m-%d}.csv", log(start=start, s=lambda n, f=factor: f * wave(n, 0, 25))
        )
    told = field.draft()[1]
    assert "guess: in 2026-01-11.csv, 2026-01-12.csv, " in told
    assert "the values of 's' are about a 3.6th of those in the other files" in told


def test_other_days_are_no_days_of_another_scale():
    assert found([12, 13, 12500, 11, 14, 12], out_of_range=[2]) == []  # told by its range
    assert found([12, 13, 12500, 11, 14, 12], kind="counter") == []
    assert found([12, 13, 12500, 300, 14, 12]) == []  # it has levels between
    assert found([12, 13, 43, 11, 14, 12]) == []
    assert found([12, 13, 0.0125, 11, 14, 12], spread=0.0) == []  # does not move


def test_a_file_whose_values_are_a_thousand_times_those_of_the_others_is_told(field):
    for day in range(6):
        factor = 1000 if day == 2 else 1
        start = MONDAY + timedelta(days=day)
        field.write(f"d{day}.csv", log(start=start, volt=lambda n, f=factor: wave(n) * f))
    fleet, told = field.draft()
    assert "guess: in d2.csv the values of 'volt' are about 1,000 times the size of" in told
    assert fleet.channels[1].range[1] < 1000


@pytest.mark.parametrize(
    ("levels", "odd"),
    [
        ((1, 1, 1, 1, 1e3), {4: 1e3}),
        ((1, 2, 1, 1.5, 1e-3, 1.1e-3), {4: 1e-3, 5: 1e-3}),
        ((1, 1, 1, 1, 1e6), {4: 1e6}),
        ((1, 1, 1, 1, 3.6), {}),  # as slow as in a town
        ((1, 1, 1, 1, 300), {}),  # no factor of units
        ((1, 1, 1, 1, 30, 1e3), {}),  # the quantity has levels between
        ((1, 1, 1, 1e3), {}),  # too few files
        ((1, 1, 1, 1, 1e3, 1e3, 1e3), {}),  # too many odd ones
        ((1, 1, 1, 1, 0), {}),
    ],
)
def test_only_a_factor_of_units_away_from_all_other_files_is_another_scale(levels, odd):
    level_F = np.array(levels, float)
    assert of_other_scale(level_F, level_F / 3) == odd
    assert of_other_scale(level_F, np.array([1 / 3] * 4 + [0] * (len(levels) - 4))) == {}  # dead
