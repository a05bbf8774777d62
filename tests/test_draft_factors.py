"""Lines beside the header that tell factors, offsets or tenths of a unit."""

import pytest
from draft_kit import ROWS, stamp, wave

from amad.reading.units import are_different


@pytest.mark.parametrize(
    ("before", "below", "why"),
    [
        ([], ["s,km/h", "factor,0.1"], "'factor,0.1' makes values of the counts"),
        ([], ["Scaling,0.1"], "a line of factors: 'Scaling,0.1'"),
        ([], ["-,km/h", ",0.1"], "without a time under the line of units, ',0.1'"),
        ([], ["s,km/h", "scale,1", "offset,-40"], "a line of factors: 'offset,-40'"),
        (["Gain,0.25"], [], "a line of factors: 'Gain,0.25'"),
    ],
)  # fmt: skip
def test_a_line_of_factors_is_never_left_unapplied(field, before, below, why):
    lines = [*before, "time,speed", *below]
    field.write("van.csv", [*lines, *(f"{stamp(n)},{wave(n)}" for n in range(ROWS))])
    assert why in field.refusal()


def test_factors_that_change_nothing_and_tenths_of_a_unit_are_lines_of_units(field):
    lines = ["time,speed", "s,0.1 km/h", "factor,1", "offset,0"]
    field.write("van.csv", [*lines, *(f"{stamp(n)},{wave(n)}" for n in range(ROWS))])
    fleet, told = field.draft()
    assert fleet.channels[0].unit == "0.1 km/h" and "240 rows of 1 vehicle read, 0 refused" in told
    assert are_different("0.1 km/h", "km/h") and not are_different("[0.1 kph]", "0.1 km/h")


@pytest.mark.parametrize("before", [["Offset,60", "Scale,0.1"], []])
def test_a_setting_above_the_header_and_a_row_without_a_time_are_no_factors(field, before):
    rows = [f"{stamp(n)},{wave(n)},{n}" for n in range(ROWS)]
    field.write("van.csv", [*before, "time,speed,level", ",km/h,", ",12.5,900", *rows])
    fleet, told = field.draft()
    assert len(fleet.channels) == 2 and "240 rows of 1 vehicle read, 1 refused" in told


def test_a_setting_that_reads_like_a_factor_is_refused_with_the_way_out(field):
    field.write("van.csv", ["Offset,60", *("time,speed", f"{stamp(0)},1.5", f"{stamp(1)},2.5")])
    assert "if it is a setting that changes no value, delete the line" in field.refusal()
