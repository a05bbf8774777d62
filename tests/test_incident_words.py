"""What to check: from the type, the channels and the hints of the fleet file, and nothing else."""

import re
from pathlib import Path

import pytest

from amad.config import Channel, Fleet
from amad.incidents.wording import (
    CHECKS,
    MEANING,
    context_words,
    looks_like_a_sensor,
    main_channels,
    meaning,
    named_partner,
    rarity,
    strayed,
    type_name,
    what_to_check,
)

KNOWN = {
    "Vehicle.Coolant": Channel(name="Vehicle.Coolant", label="Coolant", hint="Look for leaks."),
    "Vehicle.Speed": Channel(name="Vehicle.Speed"),
}


def checks(kind: str, shares=(0.7, 0.2), partner: str = "") -> list[str]:
    return what_to_check(kind, list(KNOWN), shares, partner, KNOWN)


@pytest.mark.parametrize("kind", MEANING)
def test_each_type_names_its_channel_and_the_hint_comes_last(kind: str) -> None:
    found = checks(kind)
    assert found[-1] == "Coolant: Look for leaks."
    assert found[-2] == CHECKS[kind].format(first="Coolant")
    assert all(sentence.endswith(".") for sentence in found)


@pytest.mark.parametrize(
    ("kind", "least"), [("stuck", 0.25), ("noise_burst", 0.25), ("spike", 0.5), ("delay", 0.5)]
)
def test_a_sensor_is_suspected_where_its_channel_has_enough_of_the_blame(kind, least) -> None:
    assert looks_like_a_sensor(kind, (least, 0.1))
    assert not looks_like_a_sensor(kind, (least - 0.01, 0.1))
    assert checks(kind)[0].startswith("This looks like a fault of the sensor of Coolant")


@pytest.mark.parametrize(
    ("deviation", "words"), [(0.115, "rare, but small."), (1.0, "up to 1 times its usual")]
)
def test_what_lies_within_the_tolerance_is_not_counted_in_usual_errors(deviation, words) -> None:
    said = strayed("level_shift", "Coolant", deviation)
    assert words in said and ("times" in said) == (deviation >= 1)


def test_no_sensor_is_suspected_of_what_a_vehicle_does_too() -> None:
    assert not looks_like_a_sensor("level_shift", (0.9,))
    assert not looks_like_a_sensor("stuck", ())


def test_a_broken_relation_names_both_channels() -> None:
    (words, _) = checks("relation", partner="Vehicle.Speed")
    assert words.startswith("Compare Coolant with Speed:")


@pytest.mark.parametrize(
    ("kind", "share", "named"),
    [("level_shift", 0.05, False), ("level_shift", 0.1, True), ("relation", 0.05, True)],
)
def test_a_step_has_a_partner_only_where_that_is_blamed_too(kind, share, named) -> None:
    """A pressure in another unit is far away, and what is left of its error goes with anything."""
    sentences = checks(kind, shares=(0.7, share), partner="Vehicle.Speed")
    assert any(words.startswith("Compare Coolant with Speed:") for words in sentences) == named
    assert named_partner(kind, list(KNOWN), (0.7, share), "gone") == (
        "" if kind == "level_shift" else "gone"
    )


def test_without_a_channel_nothing_is_said() -> None:
    assert what_to_check("stuck", [], [], "", KNOWN) == []
    assert what_to_check("new_type", ["gone"], [1.0], "", KNOWN) == []


def test_the_context_is_told_in_the_units_of_the_fleet_file() -> None:
    known = KNOWN | {"Vehicle.Speed": Channel(name="Vehicle.Speed", unit="km/h", context=True)}
    assert context_words({"Vehicle.Speed": 83.04}, known) == ["When it began: Speed 83 km/h."]
    assert context_words({}, known) == context_words({"gone": 1.0}, known) == []


def test_a_counter_is_no_context() -> None:
    with pytest.raises(ValueError, match="counter, whose value says nothing about the moment"):
        Channel(name="Vehicle.Odometer", kind="counter", context=True)


def test_hints_are_those_of_the_channels_that_it_is_mostly_about() -> None:
    known = KNOWN | {"Vehicle.Speed": Channel(name="Vehicle.Speed", hint="Look at the ring.")}
    names, hints = list(known), ["Coolant: Look for leaks.", "Speed: Look at the ring."]
    for shares, told in (((0.7, 0.24), 1), ((0.7, 0.25), 2), ((0.2, 0.1), 1)):
        assert main_channels(names, shares) == names[:told]
        assert what_to_check("drift", names, shares, "", known)[-told:] == hints[:told]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (41.2, "about once in 41 vehicle-days."),
        (989.0, "about once in 989 vehicle-days."),
        (990.0, "less than once in 1,000 vehicle-days."),
        (1000.0, "less than once in 1,000 vehicle-days."),
    ],
)
def test_a_return_at_the_cap_is_less_than_once(days: float, words: str) -> None:
    """The exponential of a logarithm of the cap may lie a little below it."""
    assert rarity(days).endswith(words)


def test_a_spike_in_what_lasts_is_not_told_as_a_spike_alone() -> None:
    """Of the parts of an incident over days, the worst gives the type, and may be a few rows."""
    source = {"format": "parquet", "files": [{"glob": "*"}]}
    fleet = Fleet(name="kit", channels=list(KNOWN.values()), source=source, period_seconds=10)
    few, many = 50 * fleet.period_us, 51 * fleet.period_us
    assert type_name("spike", few, fleet) == "spike"
    assert type_name("spike", many, fleet) == "spike in a longer incident"
    assert meaning("spike", many, fleet) == f"{MEANING['spike']}, and more around them"
    for kind in MEANING:
        assert meaning(kind, few, fleet) == MEANING[kind]
        if kind != "spike":
            assert type_name(kind, many, fleet) == kind.replace("_", " ")
            assert meaning(kind, many, fleet) == MEANING[kind]


def test_units_are_told_by_their_symbols() -> None:
    known = {
        name: Channel(name=name, unit=name, context=True) for name in ("celsius", "percent", "rpm")
    }
    told = context_words(dict.fromkeys(known, 3.0), known)
    assert told == ["When it began: celsius 3 °C, percent 3 %, rpm 3 rpm."]


def test_every_type_of_the_guide_has_a_meaning():
    guide = Path(__file__).parents[1] / "docs" / "guide" / "report.md"
    types = set(re.findall(r"^\| `(\w+)` \|", guide.read_text(), re.M))
    assert types == set(MEANING) and "unseen_code" in types
