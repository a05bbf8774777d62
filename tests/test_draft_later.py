"""A column that begins with a date is drafted as a channel with ``since``, and ingest reads all."""

from datetime import date, timedelta

import pytest
from draft_kit import MONDAY, ROWS, Field, log, wave


@pytest.fixture
def field(tmp_path):
    return Field(tmp_path)


def days(field, begins, *, vehicles=("",), first=0, last=5, header="Oil [kPa]", **older):
    """A file per vehicle and day of Monday to Friday; from the day ``begins`` on with the oil."""
    for vehicle in vehicles:
        for day in range(first, last):
            own = {header: lambda n: wave(n, 200, 400)} if day >= begins else older
            columns = {"Temp [C]": wave, "Volt": wave, "Rpm": wave} | own
            start = MONDAY + timedelta(days=day)
            field.write(f"{vehicle}/{start:%Y-%m-%d}.csv".lstrip("/"), log(start=start, **columns))


def test_a_column_that_begins_with_a_date_is_a_channel_since_then(field):
    days(field, 3)
    fleet, told = field.draft()
    (oil,) = (channel for channel in fleet.channels if channel.since)
    assert (oil.name, oil.unit, oil.since) == ("Oil", "kPa", date(2026, 1, 8))
    assert oil.range[0] >= 0 and 400 < oil.range[1] < 700
    assert (
        "guess: 'Oil [kPa]' is not in 3 of the 5 files looked at, such as 2026-01-05.csv, and "
        in told
    )
    assert "none of these has rows after 2026-01-08: it is a channel with that date" in told
    assert "columns left out" not in told and "left out: 2026" not in told
    text = (field.settings.conf_dir / "fleet" / "vans.yaml").read_text()
    assert "# A guess: 'Oil [kPa]' is not in 3" in text and "since: 2026-01-08" in text
    assert "max_null_share" not in text, "the days before are no nulls"
    counts = field.ingest(fleet)
    assert counts.rows_lake == 5 * ROWS and not counts.files_refused and not counts.rows_rejected


def test_of_several_vehicles_it_is_the_date_of_the_last_one(field):
    days(field, 1, vehicles=["van-1"])
    days(field, 3, vehicles=["van-2"])
    days(field, 0, vehicles=["van-3"], first=4)
    fleet, _ = field.draft()
    assert [str(c.since) for c in fleet.channels if c.since] == ["2026-01-08"]
    assert field.ingest(fleet).rows_lake == 11 * ROWS


@pytest.mark.parametrize("why", ["one vehicle never gets it", "it is gone again"])
def test_a_column_that_does_not_begin_with_a_date_stays_left_out(field, why):
    if why == "one vehicle never gets it":
        days(field, 2, vehicles=["van-1"])
        days(field, 9, vehicles=["van-2"])
    else:
        days(field, 2, last=4)
        days(field, 9, first=4)
    fleet, told = field.draft()
    assert not any(channel.since for channel in fleet.channels)
    assert "'Oil [kPa]' (not in " in told
    assert not field.ingest(fleet).files_refused


def test_a_column_that_may_have_had_another_name_is_told(field):
    days(field, 2, **{"Oil pressure": lambda n: wave(n, 200, 400)})
    fleet, told = field.draft()
    assert [c.name for c in fleet.channels if c.since] == ["Oil"]
    assert "if it is 'Oil pressure' under another name, list both as its column" in told
    assert field.ingest(fleet).rows_lake == 5 * ROWS


def test_a_column_in_another_unit_did_not_come_later(field):
    days(field, 2, **{"Oil [psi]": lambda n: wave(n, 29, 58)})
    fleet, _ = field.draft()
    assert not any(channel.since for channel in fleet.channels)


@pytest.mark.parametrize("labels", [{}, {"anomaly": lambda n: int(n > 200)}])
@pytest.mark.parametrize("sizes", [(2, 3), (3, 2)])
def test_in_files_of_few_columns_as_well(field, sizes, labels):
    """Two of four columns come later: the older files lack more than a fifth of all."""
    first, rest = sizes
    for day in range(first + rest):
        columns = labels | ({"Oil": wave, "Volt": wave} if day >= first else {})
        start = MONDAY + timedelta(days=day)
        field.write(f"{day}.csv", log(start=start, **columns))
    fleet, told = field.draft()
    begins = f"{MONDAY + timedelta(days=first):%Y-%m-%d}"
    assert {c.name: str(c.since) for c in fleet.channels if c.since} == {
        "Oil": begins,
        "Volt": begins,
    }
    assert "left out" not in told
    counts = field.ingest(fleet)
    assert counts.rows_lake == 5 * ROWS and not counts.files_refused


def test_files_that_do_not_tell_the_vehicle_are_no_older_ones(field):
    """Older files do not tell the vehicle: it cannot be known whose rows they are."""
    for day in range(4):
        columns = {"vehicle_id": lambda n: 7 + n % 2} if day >= 1 else {}
        start = MONDAY + timedelta(days=day)
        field.write(f"{day}.csv", log(start=start, **columns))
    fleet, told = field.draft()
    assert fleet.source.vehicle.take == "column"
    assert [c.name for c in fleet.channels] == ["Speed"]
    assert "left out: 0.csv: it lacks columns of the files drafted here (vehicle id)" in told


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("vehicle_id", lambda n: 7 + n % 2),
        ("ts_received", lambda n: 1_767_600_000 + n),
        ("engine_off_time", lambda n: f"00:{n // 60:02d}:{n % 60:02d}"),
    ],
)
def test_a_column_of_vehicles_or_times_is_no_sensor_that_came_later(field, header, cell):
    """Where the older files lack so few columns that they are drafted with the others."""
    for day in range(4):
        columns = {"Temp": wave, "Volt": wave, "Rpm": wave} | ({header: cell} if day else {})
        start = MONDAY + timedelta(days=day)
        field.write(f"{day}.csv", log(start=start, **columns))
    fleet, told = field.draft()
    assert fleet.channel_names == ["Speed", "Temp", "Volt", "Rpm"]
    assert f"'{header}' (it tells the vehicle or the time, and other files" in told


@pytest.mark.parametrize(
    ("header", "cell", "why"),
    [
        ("changepoint", lambda n: int(n == 200), "it tells anomalies, as 'anomaly' does"),
        ("note", lambda n: f"text {n}", "of its values 'text 0' is no number"),
        ("seq", lambda n: n, "it numbers the rows"),
    ],
)
def test_what_came_later_and_is_no_sensor_is_left_out_with_its_reason(field, header, cell, why):
    for day in range(4):
        columns = {"Temp": wave, "Volt": wave, "Rpm": wave, "anomaly": lambda n: int(n > 200)}
        columns |= {header: cell} if day else {}
        start = MONDAY + timedelta(days=day)
        field.write(f"{day}.csv", log(start=start, **columns))
    fleet, told = field.draft()
    assert fleet.labels.column == "anomaly" and why in told
    assert field.ingest(fleet).rows_lake == 4 * ROWS
