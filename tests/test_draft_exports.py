"""Exports of clouds, historians and spreadsheets, with times as other countries write them."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave

UNIX_TICKS = 621_355_968_000_000_000  # of 100 ns, from the year 1 to 1970


@pytest.mark.parametrize(
    ("morning", "noon"),
    [("πμ", "μμ"), ("π.μ.", "μ.μ."), ("SA", "CH"), ("ص", "م"), ("a. m.", "p. m.")],
)
def test_the_halves_of_the_day_in_other_languages(field, morning, noon):
    """Midnight and noon are both 12, and the day comes first."""
    times = [MONDAY.replace(hour=0) + timedelta(minutes=5 * n) for n in range(ROWS)]
    halves = [(morning, noon)[time.hour >= 12] for time in times]
    told = zip(times, halves, strict=True)
    field.write(
        "a.csv", ["Tid,speed", *(f"{t:%d/%m/%Y %I:%M:%S} {h},{n}" for n, (t, h) in enumerate(told))]
    )
    fleet, _ = field.draft()
    assert field.ingest(fleet).rows_rejected == 0
    lake = field.lake(fleet).read("vans")
    assert lake["timestamp"].to_pylist() == [time.replace(tzinfo=UTC) for time in times]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ticks_are_named_before_times_are_made_up(field, kind):
    ticks = [UNIX_TICKS + 10_000_000 * (1_767_600_000 + n) for n in range(ROWS)]
    if kind == "csv":
        field.write("a.csv", ["Ticks,speed", *(f"{t},{wave(n)}" for n, t in enumerate(ticks))])
    else:
        table = {"Ticks": ticks, "speed": [wave(n) for n in range(ROWS)]}
        pq.write_table(pa.table(table), field.raw / "a.parquet")
    assert "column 'Ticks' has the name of a time, but '6390" in field.refusal()


def test_times_in_no_known_form_are_named_whatever_their_header(field):
    field.write(
        "a.csv", ["Aeg,speed", *(f"05/01/2026 8:{n % 60:02} Ö{n % 3},{n}" for n in range(ROWS))]
    )
    assert "column 'Aeg' looks like a time, but '05/01/2026 8:00 Ö0', " in field.refusal()


def test_times_of_parquet_files_of_which_some_have_no_zone_are_told(field):
    for day, zone in enumerate(("UTC", None)):
        times = [MONDAY + timedelta(days=day, seconds=n) for n in range(ROWS)]
        table = {
            "ts": pa.array(times, pa.timestamp("us", zone)),
            "speed": [wave(n) for n in range(ROWS)],
        }
        pq.write_table(pa.table(table), field.raw / f"{day}.parquet")
    told = field.draft()[1]
    assert "some of the times have an offset and others have none" in told
    assert "times without an offset are taken for UTC" in told


def test_a_time_that_only_the_paths_tell_is_named(field):
    for minute in range(20):
        field.write(
            f"van1_20260105_08{minute:02}00.csv", ["speed,temp", f"{wave(minute)},{minute}"]
        )
    fleet, told = field.draft()
    assert "the path tells a time, as 'van1_20260105_080000.csv' does, which is read only" in told
    assert fleet.source.timestamp.gap_between_files == 3600  # each file is a recording


@pytest.mark.parametrize(
    "header",
    [
        "SystemProperties.connectionDeviceId",
        "iothub-source-device-id",
        "hits._source.vehicle.id",
        "charge_box_id",
        "Station Name",
    ],
)
def test_the_id_of_a_device_at_the_end_of_a_name(field, header):
    rows = (f"{stamp(n)},van{n % 2},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", [f"time,{header},speed", *rows])
    assert field.draft()[0].source.vehicle.column == header


@pytest.mark.parametrize("value", ["[{%s}, {%s}]", '{"pos": {%s}, "all": [{%s}]}'])
def test_json_in_the_only_column_that_moves_is_named(field, value):
    for name, number in (("a", "1.5"), ("b", '"1.5"')):
        within = value.replace("%s", f'"value": {number}').replace('"', '""')
        rows = (f'{stamp(n)},127488,"{within}"' for n in range(ROWS))
        field.write(f"{name}.csv", ["time,pgn,values", *rows])
        assert "holds most of what is told ('values': it holds JSON such as" in field.refusal()
        (field.raw / f"{name}.csv").unlink()


def test_an_id_with_the_plain_name_comes_before_one_with_a_longer_name(field):
    rows = (f"{stamp(n)},gw{n % 3 % 2},D{n % 2},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["time,source_gateway_device_id,device_id,speed", *rows])
    assert field.draft()[0].source.vehicle.column == "device_id"


def test_columns_of_quality_with_one_name_are_told(field):
    rows = (f"{stamp(n)},{wave(n)},Good,{wave(n + 9)},Bad" for n in range(ROWS))
    field.write("a.csv", ["time,speed,Quality,oil,Quality", *rows])
    assert "column 'Quality' seems to tell which values are good" in field.draft()[1]


@pytest.mark.parametrize("label", ["vehicle", "device_id"])
def test_series_with_the_label_of_a_vehicle_are_told(field, label):
    headers = [f'"speed {{{label}=""{name}""}}"' for name in ("X-1", "Y-2")]
    rows = (f"{stamp(n)},{wave(n)},{wave(n + 40)}" for n in range(ROWS))
    field.write("a.csv", [",".join(["Time", *headers]), *rows])
    told = field.draft()[1]
    assert "the same columns stand beside each other for X-1, Y-2: if these are vehicles" in told


def test_sentences_of_nmea_behind_a_time_are_named(field):
    field.write(
        "a.log", [f"{stamp(n)} $GPRMC,080000,A,4807.038,N,01131.000,E" for n in range(ROWS)]
    )
    assert "a log of NMEA sentences" in field.refusal()


def test_each_vehicle_may_have_a_number_of_its_own_for_none(field):
    absent = {1: -999, 2: 65535, 3: -32768, 4: 32768}
    for van in range(6):

        def speed(n, v=van):
            return absent[v] if v in absent and n % 25 == 3 else wave(n + v)

        field.write(
            f"{van}.csv", log(**{"Speed [km/h]": speed, "vehicle": lambda n, v=van: f"v{v}"})
        )
    channel = field.draft()[0].channels[0]
    assert sorted(channel.nulls) == sorted(absent.values()) and channel.range == (0, 170)


def test_the_period_of_many_files_of_one_row(field):
    for n in range(300):
        time, van = datetime(2026, 1, 5) + timedelta(minutes=n), f"v{n % 3}"
        field.write(f"{time:%d_%H%M}.csv", ["time,vehicle,speed", f"{time},{van},{wave(n)}"])
    assert field.draft()[0].period_seconds == 180


def test_a_period_that_many_files_of_one_row_do_not_show_is_a_guess(field):
    for n in range(3000):
        time, van = datetime(2026, 1, 5) + timedelta(seconds=n // 50 * 10), f"v{n % 50:02}"
        field.write(
            f"{time:%d_%H%M%S}_{van}.csv", ["time,vehicle,speed", f"{time},{van},{wave(n)}"]
        )
    assert "how far apart rows are is a guess: set period_seconds" in field.draft()[1]


def test_a_date_and_a_time_of_day_are_known_by_their_types(field):
    times = [MONDAY + timedelta(seconds=n) for n in range(ROWS)]
    days, clocks = ([getattr(time, part)() for time in times] for part in ("date", "time"))
    table = {"d": days, "tod": clocks, "speed": [wave(n) for n in range(ROWS)]}
    pq.write_table(pa.table(table), field.raw / "a.parquet")
    fleet, _ = field.draft()
    assert fleet.source.timestamp.columns == ["d", "tod"]
    assert field.ingest(fleet).rows_lake == ROWS


def test_the_time_of_the_measurement_comes_before_that_of_its_reception(field):
    rows = (f"{stamp(n + 300.4)}Z,{stamp(n)}Z,{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["received_at,event_time,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.column == "event_time"
    assert "'received_at' can be read as the time as well" in told


@pytest.mark.parametrize("repeated", [False, True])
def test_annotated_tables_of_influxdb_are_read(field, repeated):
    head = [
        "#group,false,false,false,false,true,true",
        "#datatype,string,long,dateTime:RFC3339,{},string,string",
        "#default,_result,,,,,",
        ",result,table,_time,_value,_field,vehicle",
    ]
    lines = []
    for at, (name, kind) in enumerate((("speed", "double"), ("rpm", "long"))):
        lines += [line.format(kind) for line in head] if repeated or not at else []
        lines += [f",,{at},{stamp(n)}Z,{wave(n) + 100 * at},{name},van1" for n in range(ROWS)]
        lines += [""] * repeated
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert field.ingest(fleet).rows_rejected == 0
    rows = field.lake(fleet).read("van1").to_pylist()
    assert [(r["speed"], r["rpm"]) for r in rows] == [(wave(n), wave(n) + 100) for n in range(ROWS)]
