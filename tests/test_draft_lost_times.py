"""Times, units and ids that were made up, lost or read wrongly without a word."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from draft_kit import MONDAY, ROWS, Field, log, stamp, wave

from amad.telemetry.lake import times_of


@pytest.fixture
def field(tmp_path):
    return Field(tmp_path)


def times(field, fleet):
    lake = field.lake(fleet)
    told = [us for vehicle in lake.vehicles() for us in times_of(lake.read(vehicle)).tolist()]
    return [datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None) for us in told]


def table(header, cell):
    rows = (f"{cell(MONDAY + timedelta(seconds=n))};{wave(n)}" for n in range(ROWS))
    return [f"{header};speed", *rows]


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("time", lambda t: f"{t:%d/%m/%Y %Hh%M}:{t:%S}"),  # the 08h was taken for a part of all
        ("time", lambda t: f"{int(t.timestamp() * 1000):,}"),
        ("Horodatage", lambda t: f"{t.day} janv. {t:%Y %H:%M:%S}"),
        ("Data", lambda t: f"{t.day} gennaio {t.year}, {t:%H:%M:%S}"),
        ("DOY", lambda t: 5 + (t - MONDAY) / timedelta(days=1)),
        ("LabVIEW time", lambda t: f"{(t - datetime(1904, 1, 1)).total_seconds():.3f}"),
        ("year", lambda t: f"{2026.0137 + (t - MONDAY) / timedelta(days=365):.10f}"),
    ],
)
def test_times_in_no_known_form_are_told_and_none_is_made_up(field, header, cell):
    field.write("a.csv", table(header, cell))
    assert f"a.csv: column {header!r} " in (told := field.refusal())
    assert "in no form that is known: write ISO 8601" in told


@pytest.mark.parametrize(
    "columns", [("GPSWeek", "GPSSeconds"), ("WN", "TOW_ms"), ("gps_week", "SOW")]
)
def test_weeks_and_seconds_of_satellites_are_told_by_any_name(field, columns):
    rows = (f"2400,{115_200 + n},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", [",".join([*columns, "speed"]), *rows])
    assert "as satellite receivers count it" in field.refusal()


def test_the_hours_of_a_date_may_end_with_24(field):
    ends = [MONDAY.replace(hour=0) + timedelta(hours=n + 1) for n in range(ROWS)]
    days = [end - timedelta(hours=1) for end in ends]
    rows = [f"{d:%Y-%m-%d},{d.hour + 1},{wave(n)}" for n, d in enumerate(days)]
    field.write("a.csv", ["date,hour,load", *rows])
    fleet, _ = field.draft()
    field.ingest(fleet)
    assert times(field, fleet) == ends


@pytest.mark.parametrize("form", ["%Y/%m/%d/log.csv", "year=%Y/month=%m/day=%d/log.csv"])
def test_a_date_may_be_spread_over_folders(field, form):
    days = [MONDAY + timedelta(days=n) for n in range(3)]
    for day in days:
        field.write(f"{day:{form}}", log("%H:%M:%S", start=day))
    fleet, _ = field.draft()
    field.ingest(fleet)
    assert times(field, fleet) == [d + timedelta(seconds=n) for d in days for n in range(ROWS)]


def test_a_date_in_the_path_with_a_short_year_is_told(field):
    for day in (5, 6):
        field.write(f"van1/{day:02d}.01.26.csv", log("%H:%M:%S"))
    assert "its date stands in the path with a year of two digits" in field.refusal()


def test_an_id_that_cannot_be_read_does_not_join_vehicles(field):
    """NA is a word for no value, so that a third of the ids is empty."""
    rows = [f"{stamp(n)},{v},{wave(n + 9 * k)}" for n in range(ROWS) for k, v in enumerate(IDS)]
    field.write("a.csv", ["time,vehicle_id,speed", *rows])
    told = field.refusal()
    assert "480 of 720 rows of the sample, as of a.csv, contradict another one" in told
    assert "column 'vehicle_id' has the name of a vehicle's id, but is empty in 33%" in told


IDS = ("NA", "NB", "SA")


def test_letters_with_marks_are_the_same_in_any_form_of_unicode(field):
    for day, form in enumerate(("NFC", "NFD")):
        name = unicodedata.normalize(form, "Müller")
        start = MONDAY + timedelta(days=day)
        rows = [f"{start + timedelta(seconds=n)},{name},{wave(n)}" for n in range(ROWS)]
        rows += [f"{start + timedelta(seconds=n)},Zug,{wave(n)}" for n in range(ROWS)]
        field.write(f"{day}.csv", ["time,vehicle,speed", *rows])
    fleet, told = field.draft()
    assert "spellings" not in told
    field.ingest(fleet)
    assert field.lake(fleet).vehicles() == ["Müller", "Zug"]


@pytest.mark.parametrize(
    ("below", "units"),
    [
        (["UTC,N,T,%"], ["N", "T", "percent"]),
        ([",n,n,"], ["n", "n", ""]),
        (["UTC,°C,,bar", "a time,oil temperature,air 2,boost"], ["celsius", "", "bar"]),
    ],
)
def test_letters_that_are_words_too_may_be_units(field, below, units):
    rows = (f"{stamp(n)},{wave(n)},{wave(n + 3)},{wave(n + 5)}" for n in range(ROWS))
    field.write("a.csv", ["time,A1,A2,A3", *below, *rows])
    fleet, _ = field.draft()
    assert [channel.unit for channel in fleet.channels] == units
    assert field.ingest(fleet).rows_rejected == 0


def test_a_date_in_lines_between_the_rows_is_named_before_times_are_made_up(field):
    days = [
        [f"Date: 0{d}.01.2026,"] + [f"{stamp(n)[11:]},{wave(n)}" for n in range(ROWS)]
        for d in (5, 6)
    ]
    field.write("van.csv", ["time,speed", *days[0], *days[1]])
    assert "its date stands in the lines between the rows" in field.refusal()


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("speed time,speed,rpm time,rpm", lambda n: f"{stamp(n)},{wave(n)},{stamp(n + 3)},{n}"),
        ("speed_X,speed_Y,rpm_X,rpm_Y", lambda n: f"{n}.0,{wave(n)},{n}.5,{wave(n + 5)}"),
    ],
)
def test_times_that_each_belong_to_a_signal_are_not_taken_for_those_of_the_row(
    field, header, cells
):
    field.write("van.csv", [header, *(cells(n) for n in range(ROWS))])
    assert "tell a time for each signal, and a row is of one time" in field.refusal()


def test_a_position_in_x_and_y_is_no_time_of_a_signal(field):
    rows = [f"{stamp(n)},{n / 7:.3f},{wave(n)}" for n in range(ROWS)]
    field.write("van.csv", ["time,pos_x,pos_y", *rows])
    assert field.draft()[0].channel_names == ["pos_x", "pos_y"]


def test_days_since_the_year_0_under_a_short_name_are_named_before_times_are_made_up(field):
    rows = [f"{739_987 + n / 86_400:.8f},{wave(n)}" for n in range(ROWS)]
    field.write("van.csv", ["t,speed", *rows])
    assert "column 't' has the name of a time" in field.refusal()


@pytest.mark.parametrize("header", ["time_ms", "Time [ms]"])
@pytest.mark.parametrize("cell", [lambda n: n * 20_000 % 65_536, lambda n: n % 9 * 1000])
def test_a_time_that_begins_again_too_often_is_named_before_times_are_made_up(field, header, cell):
    rows = [f"{cell(n)},{wave(n)}" for n in range(ROWS)]
    field.write("log_20260105_080000.csv", [f"{header},speed", *rows])
    assert f"column '{header}' has the name of a time" in field.refusal()


@pytest.mark.parametrize(
    ("header", "row", "more"),
    [
        ("time,name,value", "{at},a,{value}", ",b,{value}"),
        ("time,speed,level", "{at},{value},4", ",{value},5"),
    ],
)
def test_a_time_only_in_the_first_row_of_a_group_is_told_with_the_way_out(field, header, row, more):
    rows = (text.format(at=stamp(n), value=wave(n)) for n in range(ROWS) for text in (row, more))
    field.write("van.csv", [header, *rows])
    assert "write it into each row of the group" in field.draft()[1]


def test_single_rows_without_a_time_are_no_groups(field):
    rows = [f"{stamp(n) if n % 40 else ''},{wave(n)}" for n in range(ROWS)]
    field.write("van.csv", ["time,speed", *rows])
    told = field.draft()[1]
    assert "timestamp is missing: 6" in told and "write it into each row" not in told


@pytest.mark.parametrize("hours", [3, 30])
def test_a_date_that_stays_the_same_over_midnight_is_told(field, hours):
    evening = MONDAY.replace(hour=21)
    clock = [evening + timedelta(minutes=5 * n) for n in range(hours * 12)]
    for day in ("2026-01-05", None):
        rows = (f"{day or t.date()},{t:%H:%M:%S},{wave(n)}" for n, t in enumerate(clock))
        field.write("a.csv", ["Date,Time,speed", *rows])
        told = field.draft(force=True)[1]
        goes_on = hours > 3 and day is not None
        assert ("in a.csv the time of day goes on over midnight while the" in told) is goes_on


@pytest.mark.parametrize("start", [21, 12])
def test_newest_rows_before_those_of_the_day_before_are_told(field, start):
    clock = [MONDAY.replace(hour=start) + timedelta(minutes=5 * n) for n in range(100)]
    rows = (f"{t:%H:%M:%S},{wave(n)}" for n, t in reversed([*enumerate(clock)]))
    field.write("log_2026-01-05.csv", ["Time,speed", *rows])
    told = field.draft()[1]
    assert ("the newest rows stand first, and go on over midnight" in told) is (start == 21)


def test_the_days_of_one_signal_after_the_other_do_not_go_on_over_midnight(field):
    clock = [MONDAY.replace(hour=0) + timedelta(minutes=n) for n in range(24 * 60)]
    rows = (f"{t},{name},{wave(n)}" for name in ("speed", "rpm") for n, t in enumerate(clock))
    field.write("a.csv", ["time,signal,value", *rows])
    assert "over midnight" not in field.draft()[1]


@pytest.mark.parametrize("hour", ["H{:02}", "HE {}", "{:02}h"])
def test_hours_beside_each_other_are_named(field, hour):
    rows = (f"{MONDAY.date() - timedelta(days=n)}," + ",".join("5" * 24) for n in range(60, 0, -1))
    field.write("a.csv", [",".join(["Date", *map(hour.format, range(1, 25))]), *rows])
    assert f"the columns '{hour.format(1)}', " in (told := field.refusal())
    assert "seem to be hours of the date in each row" in told
