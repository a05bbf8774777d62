"""Names that a draft meets: odd files, columns that look like ids and are none, a lone clock."""

import os

from draft_kit import ROWS, Field, log, stamp, wave


def test_a_unit_column_of_a_long_log_is_no_vehicle(tmp_path):
    field = Field(tmp_path)
    rows = [
        f"{stamp(n)},{signal},{wave(n)},{unit}"
        for n in range(ROWS)
        for signal, unit in (("speed", "km/h"), ("rpm", "1/min"), ("level", "%"))
    ]
    field.write("a.csv", ["time,signal,value,unit", *rows])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and fleet.source.vehicle.take == "constant"
    assert field.ingest(fleet)["rows_lake"] == ROWS


def test_a_time_of_day_without_a_date_is_told(tmp_path):
    field = Field(tmp_path)
    field.write("a.csv", log("%H:%M:%S"))
    fleet, told = field.draft()
    assert fleet.source.timestamp.take == "index" and "no path tells the date" in told


def test_a_name_that_is_no_text_and_an_empty_file_are_told_and_left_out(tmp_path):
    field = Field(tmp_path)
    field.write("good.csv", log())
    field.write("none.csv", [])
    (field.raw / "none.csv").write_bytes(b"")
    with open(os.fsencode(field.raw) + b"/caf\xe9.csv", "w") as file:  # noqa: PTH123
        file.write("\n".join(log()) + "\n")
    fleet, told = field.draft()
    assert "none.csv" in told and "caf" in told
    assert field.ingest(fleet)["vehicles"] == {"vans": ROWS}


def test_names_that_yaml_would_take_for_something_else(tmp_path):
    field = Field(tmp_path)
    columns = {
        "yes": wave,
        "1e5": wave,
        "a: b": wave,
        "it's #1": wave,
        'say "hi"': wave,
        "on": wave,
    }
    lines = log(**columns)
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    headers = {channel.header for channel in fleet.channels}
    assert {"yes", "a: b", "it's #1", "on"} <= headers
    assert field.ingest(fleet)["rows_lake"] == ROWS


def test_several_recordings_of_each_vehicle_are_set_apart(tmp_path):
    field = Field(tmp_path)
    for vehicle in ("v1", "v2"):
        for name in ("run1.csv", "run2.csv"):
            field.write(f"{vehicle}/{name}", ["rpm,load", *(f"{n},{wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.gap_between_files
    assert field.ingest(fleet)["vehicles"] == {"v1": 2 * ROWS, "v2": 2 * ROWS}
