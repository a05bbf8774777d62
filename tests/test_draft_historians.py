"""Drafts of exports of historians, monitoring and robots: what their columns are."""

import pytest
from draft_kit import ROWS, log, wave


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("speed_mph", "mph"),
        ("v.km_h", "km/h"),
        ("coolant_f", "fahrenheit"),
        ("oil_temp_C", "celsius"),
        ("soc pct", "percent"),
        ("phase_c", ""),
        ("temp_min", ""),
        ("avg(cpu)", ""),
        ("avg(rpm) [1/min]", "rpm"),
    ],
)
def test_a_unit_at_the_end_of_a_name_is_read_where_it_can_be_no_other_word(field, header, unit):
    field.write("a.csv", log(**{header: wave}))
    fleet, _ = field.draft()
    assert (fleet.channels[1].header, fleet.channels[1].unit or "") == (header, unit)
    assert field.ingest(fleet).rows_lake == ROWS


def test_numbers_of_frames_and_types_of_columns_are_no_values_and_no_units(field):
    lines = log(frame_index=lambda n: n)
    lines[1:1] = ["date,F8,I4"]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert "'frame_index' (it numbers the rows)" in told
    assert [channel.unit for channel in fleet.channels] == ["km/h"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_byte_order_mark_is_drafted(field, encoding):
    field.write("a.csv", log(), encoding)
    fleet, _ = field.draft()
    assert fleet.source.encoding == encoding
    assert field.ingest(fleet).rows_lake == ROWS
