"""Ids that are likely spellings of one vehicle, and ids that only look alike."""

import pytest

from amad.reading.vehicle_spellings import likely_doubles


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("WDB-001", "wdb001"), ("truck 7", "Truck_07"), ("7", "7.0"), ("007", "7"),
        ("é-1", "e\u0301-1"),
        ("a–1", "a-1"), ("ＡＢ１", "ab1"), ("\u200bbus-1", "bus-1"), ("STRASSE 1", "straße 1"),
        ("a  b", "a b"), ("12-34", "1234"), ("x_1-2", "x-1-2"), ("7", "Bus 7"), ("bus_07", "7"),
    ],
)  # fmt: skip
def test_spellings_of_one_vehicle(one, other):
    assert likely_doubles([one, "else", other]) == [sorted([one, other])]


@pytest.mark.parametrize(
    "ids", [
        ("car-1", "car-2"), ("machine-1-11", "machine-11-1"), ("a-1", "b-1"), ("70", "7"),
        ("7.5", "75"), ("a1", "a10"), ("a", ""),
    ]
)  # fmt: skip
def test_ids_that_only_look_alike(ids):
    assert likely_doubles(ids) == []


def test_all_spellings_are_named_together():
    assert likely_doubles(["b", "W-1", "w1", "W 01", "B"]) == [["B", "b"], ["W 01", "W-1", "w1"]]


def test_a_number_may_be_the_only_vehicle_of_that_number():
    ids = ["7", "007", "Bus 7", "8", "bus 8", "truck 8", "9", "9b", "Bus 1", "Bus 2"]
    assert likely_doubles(ids) == [["007", "7", "Bus 7"]]
