"""`amad init` guesses counters with resets and angles, and says so in the drafted file."""

import numpy as np
import pytest
from draft_kit import ROWS, Field, log, stamp, wave

from amad.draft.channels import Drafted, describe


def drafted(values, name: str = "x") -> Drafted:
    channel = Drafted(header=name, name=name, label="", unit="")
    value_N = np.array(values, float)
    describe(channel, value_N, np.arange(len(value_N)) * 4 // len(value_N))  # four files
    return channel


@pytest.mark.parametrize("name", ["packets", "x"])
def test_a_count_with_resets_is_a_counter(name):
    counted = drafted([n % 130 for n in range(800)], name)
    assert counted.kind == "counter" and counted.range is None
    assert counted.notes == ["a guess: a counter, reset 6 times in the sample"]


def test_a_register_that_wraps_is_a_counter_without_resets():
    counted = drafted([7 * n % 256 for n in range(800)])
    assert counted.kind == "counter" and counted.notes == []


def test_an_odometer_with_decimals_is_a_counter_by_its_name():
    values = [8123.4 + 0.1 * (n // 3) for n in range(300)]
    assert drafted(values, "odometer").kind == "counter"
    assert drafted(values, "Kilometerstand").kind == "counter"
    assert drafted(values, "x").kind == "continuous"


def test_what_rises_and_falls_is_no_counter():
    saw = [abs(n % 60 - 30) for n in range(600)]
    assert drafted(saw, "distance").kind == "continuous"
    assert drafted([n % 15 for n in range(600)], "total").kind == "continuous"


@pytest.mark.parametrize(("shift", "limits"), [(0, (0, 360)), (-180, (-180, 180))])
def test_what_goes_around_is_an_angle(shift, limits):
    angle = drafted([(7 * n) % 360 + shift + 0.5 for n in range(400)])
    assert (angle.kind, angle.range) == ("angle", limits)
    assert angle.notes == ["a guess: an angle, which goes on at the other end of its range"]


def test_a_heading_that_crossed_no_border_is_an_angle_by_its_name():
    values = [150 + 100 * np.sin(n / 40) for n in range(600)]
    assert drafted(values, "Heading").kind == "angle"
    assert drafted(values, "x").kind == "continuous"
    noise = np.random.default_rng(1).uniform(0, 360, 600)
    assert drafted(noise, "direction").kind == "continuous"


def test_the_drafted_file_says_what_is_a_guess(tmp_path):
    field = Field(tmp_path)
    field.write("a.csv", log(heading=lambda n: (5 * n) % 360, packet_count=lambda n: n % 70))
    fleet, _ = field.draft()
    kinds = {channel.name: channel.kind for channel in fleet.channels}
    assert (kinds["heading"], kinds["packet_count"]) == ("angle", "counter")
    text = next(tmp_path.rglob("conf/fleet/*.yaml")).read_text()
    assert "range: [0, 360]}  # a guess: an angle" in text
    assert "kind: counter}  # a guess: a counter, reset 3 times in the sample" in text


def test_vehicles_that_take_turns_in_a_file_hide_neither_counter_nor_angle(field):
    rows = [f"{v},{stamp(n)},{wave(n)},{5 * n + more},{(7 * n + more) % 360}"
            for n in range(ROWS) for v, more in (("A", 0), ("B", 900))]  # fmt: skip
    field.write("a.csv", ["vin,time,speed,distance,heading", *rows])
    kinds = {channel.name: channel.kind for channel in field.draft()[0].channels}
    assert kinds == {"speed": "continuous", "distance": "counter", "heading": "angle"}


def test_rows_that_come_late_hide_no_counter(field):
    lines = log(distance=lambda n: 8000 + 2 * n)
    late = lines[20:-20:20]
    field.write("a.csv", [*[line for line in lines if line not in late], *late])
    assert {c.name: c.kind for c in field.draft()[0].channels}["distance"] == "counter"
