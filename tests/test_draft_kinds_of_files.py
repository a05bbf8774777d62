"""Shapes of files that loggers write, and what a draft must say of those that it cannot read."""

import gzip
import json
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, Field, log, stamp, wave

from amad.config import DataError
from amad.draft.listing import list_files
from tests.closed_folders import close_folders


def test_a_line_of_groups_above_the_header_is_no_header(field):
    rows = [f"van-{n % 2},{stamp(n)},{wave(n)},{n * 7 % 100}" for n in range(ROWS)]
    field.write("a.csv", ["meta,,engine,", "vehicle,time,speed,rpm", *rows])
    fleet, _ = field.draft()
    assert fleet.channel_names == ["speed", "rpm"] and fleet.source.vehicle.column == "vehicle"
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize(
    ("before", "header", "below"),
    [
        (["ETASAsciiItemFile,record,ascii", "", "sampleCount,240"], "time,nmot,vfzg", ["f8,f8,f8"]),
        (["Operator,X,Y"], "t [s],speed [km/h],level", []),
        (["Logger,X7", "Firmware,1.2"], "Zeit,speed,level", ["s,km/h,%", "CCP,CCP,XCP"]),
        ([], "IMEI,Timestamp,239,66,24", []),
    ],
)
def test_the_header_is_the_line_that_names_the_columns(field, before, header, below):
    names = header.split(",")
    more = names.index("Timestamp") if "Timestamp" in names else 0
    rows = [
        ",".join(
            ["356307042441013"] * more + [f"{stamp(n)}", *[f"{wave(n)}"] * (len(names) - 1 - more)]
        )
        for n in range(ROWS)
    ]
    field.write("a.csv", [*before, header, *below, *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.column == names[more]
    assert [c.header for c in fleet.channels] == names[more + 1 :]
    counts = field.ingest(fleet)
    assert counts.rows_lake == counts.rows_in == ROWS


def test_a_column_with_stray_quotes_is_left_out_and_the_others_are_read(field):
    rows = [f"{stamp(n)};48\u00b008'{n % 60:02d}\"N;{n}" for n in range(ROWS)]
    field.write("a.csv", ["time;lat;speed", *rows])
    fleet, told = field.draft()
    assert fleet.channel_names == ["speed"] and "it tells degrees and minutes" in told
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_line_of_units_below_the_header_is_no_header(field):
    lines = log(rpm=wave)
    field.write("a.csv", [lines[0], ",km/h,1/min", *lines[1:]])
    fleet, _ = field.draft()
    assert fleet.channel_names == ["Speed", "rpm"]
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize("long", [False, True])
def test_a_word_among_the_numbers_of_a_column_is_no_value(field, long):
    """A fault of the sensor as the logger writes it: without the word, the whole row is refused."""
    lines = log(press=lambda n: "ERR" if n % 50 == 7 else wave(n, high=40))
    if long:
        rows = [line.split(",") for line in lines[1:]]
        told = [(time, ("speed", speed), ("press", press)) for time, speed, press in rows]
        lines = ["time,signal,value"]
        lines += [f"{time},{name},{value}" for time, *cells in told for name, value in cells]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert {c.name: c.nulls for c in fleet.channels if c.nulls} == {"press": ["ERR"]}
    assert "values taken for 'not available': press ERR" in told
    done = field.ingest(fleet)
    assert (done.rows_lake, done.rows_rejected) == (ROWS, 0)


def test_many_words_among_the_numbers_of_a_column_are_values_of_something_else(field):
    field.write("a.csv", log(gear=lambda n: "abcdefghij"[n % 10] if n % 24 == 0 else n % 6))
    fleet, told = field.draft()
    assert not any(channel.nulls for channel in fleet.channels) and "is a word" in told


def test_a_column_that_only_a_later_header_has_is_told(field):
    more = log(start=MONDAY + timedelta(hours=1), coolant=wave)
    field.write("a.csv", [*log(), *more])
    fleet, told = field.draft()
    assert fleet.channel_names == ["Speed"]
    assert "'coolant' (only below a later line of headers, as in a.csv)" in told
    assert field.ingest(fleet).rows_lake == 2 * ROWS


def test_days_of_a_spreadsheet_may_count_from_1904(field):
    field.write(
        "a.csv", ["time,speed", *(f"{44268 + n / 86400:.8f},{wave(n)}" for n in range(ROWS))]
    )
    fleet, told = field.draft()
    assert fleet.source.timestamp.unit == "days_1900" and "set unit: days_1904" in told


def test_times_in_two_forms_are_never_made_up(field):
    german = log("%d.%m.%Y %H:%M:%S", start=MONDAY + timedelta(hours=1), rows=ROWS // 4)
    field.write("a.csv", log() + german[1:])
    fleet, told = field.draft()
    assert fleet.source.timestamp.take == "column" and "times in several forms" in told
    done = field.ingest(fleet)
    assert (done.rows_lake, done.rows_rejected) == (ROWS, ROWS // 4)


def test_another_form_that_only_the_first_rows_have_is_told(tmp_path):
    """Which cells are looked at closely must not decide whether the draft ends."""
    field, rows = Field(tmp_path), 2000
    lines = log(rows=rows)
    other = log("%d.%m.%Y %H:%M:%S", start=MONDAY - timedelta(hours=1), rows=21)
    field.write("a.csv", [*lines[:2], *other[1:], *lines[2:]])
    fleet, told = field.draft()
    assert fleet.source.timestamp.take == "column"
    assert "times in several forms: rows such as '05.01.2026" in told
    done = field.ingest(fleet)
    assert (done.rows_lake, done.rows_rejected) == (rows, 21)


def test_a_time_that_no_form_reads_is_named_before_times_are_made_up(field):
    field.write("a.csv", ["time,speed", *(f"lap {n} of 9,{wave(n)}" for n in range(ROWS))])
    told = field.refusal()
    assert "a.csv: column 'time' has the name of a time, but 'lap 0 of 9', 'lap 4 of 9', " in told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("year,month,day,hour,minute", "'year', 'month', 'day', 'hour', 'minute'"),
        ("YYYY,MM,DD,hh,mm", "'YYYY', 'DD', 'hh', 'mm'"),
        ("#YY,Mo,dy,hr,mn", "'#YY', 'Mo', 'dy', 'hr', 'mn'"),
        ("Jahr,Monat,Tag,Stunde,Minute", "'Jahr', 'Monat', 'Tag', 'Stunde', 'Minute'"),
    ],
)
def test_a_date_in_three_columns_is_named_before_times_are_made_up(field, names, told):
    rows = [f"2026,1,5,{8 + n // 60},{n % 60},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", [f"{names},speed", *rows])
    assert f"a.csv: the columns {told} tell the time" in field.refusal()


@pytest.mark.parametrize(
    ("name", "zone", "hour"), [("CET", "Europe/Berlin", 7), ("EST", "America/New_York", 13)]
)
def test_the_short_name_of_a_zone_is_read(field, name, zone, hour):
    field.write("a.csv", log(f"%Y-%m-%d %H:%M:%S {name}"))
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == zone and "short name" in told
    assert field.ingest(fleet).rows_lake == ROWS
    part = next(field.settings.home.glob("data/vans/lake/vehicle=*/date=*/part.parquet"))
    assert pq.ParquetFile(part).read().column("timestamp")[0].as_py().hour == hour


def test_the_zone_before_the_header_is_taken_for_that_of_local_times(field):
    field.write("a.csv", ["Logger;Type A/B", "Zeitzone;Europe/Berlin", *log()])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == "Europe/Berlin"
    assert "taken for Europe/Berlin, as a line before the header names that zone" in told


def test_milliseconds_since_a_start_in_the_name(field):
    rows = [f"{n * 1000},{wave(n)}" for n in range(ROWS)]
    field.write("log_20260105_080000.csv", ["t_ms,speed", *rows])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.take, fleet.source.timestamp.unit) == ("elapsed", "ms")
    assert fleet.channel_names == ["speed"] and field.ingest(fleet).rows_lake == ROWS


def test_partitioned_folders_name_the_vehicle_without_their_key(field):
    for name in ("van-1", "van-2"):
        field.write(f"vehicle={name}/date=2026-01-05/part-0.csv", log())
    fleet, _ = field.draft()
    field.ingest(fleet)
    lake = field.settings.home / "data/vans/lake"
    assert sorted(p.name for p in lake.glob("vehicle=*")) == ["vehicle=van-1", "vehicle=van-2"]


def test_a_header_behind_a_comment_mark_still_names_the_vehicle(field):
    rows = [f"van-{n % 2},{stamp(n // 2)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["#vehicle,time,speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.vehicle.column == "#vehicle"
    assert field.ingest(fleet).rows_lake == ROWS


def test_rows_that_ingest_will_refuse_as_repeats_are_told(field):
    rows = [f"{stamp(n // 3)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["time,speed", *rows])
    fleet, told = field.draft()
    done = field.ingest(fleet)
    assert done.rows_rejected > 0
    assert f"of these, {done.rows_rejected} contradict another row" in told


@pytest.mark.parametrize("hours", [1, 3])
def test_slow_rows_pass_the_limits_of_their_draft(field, hours):
    field.write("a.csv", log(step=3600 * hours, start=datetime(2025, 1, 5)))
    fleet, _ = field.draft()
    assert fleet.quality.min_rows <= 24 // hours // 4
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([f"(1741075200.{n:06d}) can0 123#00{n:02X}" for n in range(60)], "raw CAN frames"),
        ([f"   0.{n:06d} 1  123x       Rx   d 8 00 11" for n in range(60)], "raw CAN frames"),
        ([f"  can0  123   [2]  {n:02X} 00" for n in range(60)], "raw CAN frames"),
        (
            ["timestamp,arbitration_id,dlc,data", *(f"{n},0x1,8,AAEC" for n in range(60))],
            "raw CAN frames",
        ),
        (["Time;ID;DLC;Data0", *(f"{n};1;1;{n}" for n in range(60))], "raw CAN frames"),
        ([f"{n:6d})  {n}0.1  Rx  0100  2  00 11" for n in range(60)], "raw CAN frames"),
        ([f'ts={stamp(n)} speed={n} msg="all good"' for n in range(60)], "a log of key=value"),
        (
            ["TS        SPEED", "--------- -----", *(f"{n:3d} 08:00 {n:5d}" for n in range(60))],
            "SQL",
        ),
        (["# HELP speed x", *(f'speed{{a="b"}} {n}' for n in range(60))], "Prometheus reads"),
        ([f"/van1/speed,DOUBLE,{n},0,GOOD,{n}.5" for n in range(60)], "put a line with the col"),
        (["time,sp\0eed", *(f"{stamp(n)},{n}" for n in range(60))], "its header holds zeros"),
        (["a   b     c", *(f"{n:<4d}{n:<6d}{n}" for n in range(60))], "runs of spaces"),
        ([f"van-1,{stamp(n)},{n}" for n in range(60)], "put a line with the columns' names"),
        (["[", *(f"[{n}, 1]," for n in range(60)), "]"], "it is JSON without objects"),
        ([f"$GPRMC,08{n:04d},A,4807.0,N,01131.0,E,1*6A" for n in range(60)], "NMEA"),
        ([f"can,van=a speed={n},temp=20i" for n in range(60)], "line protocol without times"),
        (['VERSION ""', "NS_ :", "BO_ 100 Engine: 8 ECU"], "describes signals"),
        (['"time,speed', *(f"{stamp(n)},{n}" for n in range(60))], "on one line"),
        (["time,speed"], "one line only"),
        (["<kml xmlns='x'>", "</kml>"], "it is XML or HTML: export"),
        (["LOGG\0\0"], "BLF .* DBC"),
        (["MDF     4.10"], "MDF recording: export its signals"),
        (["#ROSBAG V2.0"], "ROS bag"),
        (
            ["FMT, 128, 89, FMT, BBnNZ, Type,Length", *(f"GPS, {n}, 3" for n in range(60))],
            "ArduPilot",
        ),
        ([f"REG;{1768464000 + n};27.5;53.9;{n};135;" for n in range(60)], "a log of Wialon"),
        ([f"time,{stamp(1)},{stamp(2)},{stamp(3)}", "speed,1,2,3"], "first line holds times"),
        (["\x80\x02\0\0\x07\x08" * 50], "neither text nor of a known format; it begins with"),
        (["\0" * 500], "it holds zeros, as a crash or a failed copy leaves"),
        (["version https://git-lfs.github.com/spec/v1", "size 9"], "git lfs pull"),
    ],
)
def test_what_is_no_table_is_named_with_the_way_out(field, lines, told):
    field.write("a.log", lines)
    with pytest.raises(DataError, match=told):
        field.draft()


@pytest.mark.parametrize(("mark", "encoding"), [("\x01", "utf-8"), (",", "shift_jis")])
def test_files_of_hive_and_of_japan_are_read(field, mark, encoding):
    rows = (mark.join([stamp(n), str(wave(n))]) for n in range(ROWS))
    field.write("000000_0", [mark.join(["日時", "水温"]), *rows], encoding)
    fleet, _ = field.draft()
    assert fleet.channels[0].header == "水温"
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_folder_without_raw_data_names_what_is_there(field):
    field.write("a.yaml", ["[]"])
    with pytest.raises(DataError, match=r"a\.yaml.*CSV .*, Parquet and Arrow are read"):
        field.draft()


def test_half_downloads_and_links_to_folders_are_left_out_and_named(tmp_path):
    field = Field(tmp_path)
    field.write("a.csv", log())
    field.write("b.csv.part", log(start=MONDAY + timedelta(days=1))[:9])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.csv.gz").write_bytes(gzip.compress(b"x"))
    (field.raw / "linked").symlink_to(tmp_path / "other")
    fleet, told = field.draft()
    assert "no raw data by their ending: b.csv.part" in told
    assert "links to folders are not followed: linked" in told
    assert field.ingest(fleet).rows_in == ROWS


def test_folders_that_cannot_be_opened_are_named(field, monkeypatch):
    field.write("a.csv", log())
    for name in ("bus", "lost+found"):
        field.write(f"{name}/b.csv", log())
    close_folders(monkeypatch, "bus", "lost+found")
    _, told = field.draft()
    assert "folders that cannot be opened, so that nothing in them counts here: bus; give" in told
    (field.raw / "a.csv").unlink()
    with pytest.raises(DataError, match="not to be opened: bus"):
        list_files(field.raw)
    close_folders(monkeypatch, field.raw.name)
    with pytest.raises(DataError, match=r"cannot be opened .permission denied.: give the user"):
        list_files(field.raw)


def test_the_reason_of_a_column_of_text_shows_a_cell(field):
    field.write("a.csv", log(place=lambda n: "street " + "abcdefghijklmnopqrst"[n // 9 % 20]))
    _, told = field.draft()
    assert "'place' (it holds text such as 'street a', of 20 different ones: to have it" in told


def test_a_line_before_the_header_that_looks_like_a_field_is_no_line_protocol(field):
    field.write("a.csv", ["Sample rate=10", "Device name=X", *log()])
    assert field.ingest(field.draft()[0]).rows_lake == ROWS


def test_serial_numbers_above_the_header_are_no_rows(field):
    """A preamble of an inverter: serial numbers, types, serial numbers, and then the header."""
    before = ["sep=;", "", ";SN: 17;SN: 17", ";SB 3000;SB 3000", ";17;17", "TimeStamp;speed;power"]
    rows = [f"{stamp(300 * n)};{wave(n)};{wave(n + 9)}".replace(".", ",") for n in range(ROWS)]
    field.write("a.csv", [*before, "dd.MM.yyyy;km/h;W", *rows])
    fleet, _ = field.draft()
    assert [channel.name for channel in fleet.channels] == ["speed", "power"]
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_header_of_one_name_alone_is_told(field):
    field.write("a.csv", ["x;x;x", *(f"{n};{wave(n)};5" for n in range(ROWS))])
    with pytest.raises(DataError, match="'x, x, x', no column has a name of its own"):
        field.draft()


def test_another_table_below_is_not_read_as_more_rows(field):
    events = [f"{stamp(ROWS + n)},{100 + n},fault" for n in range(20)]
    field.write("a.csv", [*log(load=wave), "", "event_time,code,text", *events])
    fleet, told = field.draft()
    assert "there is another header after row 240" in told and len(fleet.channels) == 2
    assert field.ingest(fleet).rows_lake == ROWS


def test_the_same_content_under_two_names_is_told(field):
    for name in ("car1.csv", "old/export.csv"):
        field.write(name, log())
    assert "the same content under two names: car1.csv = old/export.csv" in field.draft()[1]


@pytest.mark.parametrize(
    ("line", "encoding", "differs"),
    [
        (";", "utf-8", "its delimiter is ';', and not ','"),
        (",", "cp1252", "its encoding is 'cp1252', and not 'utf-8'"),
    ],
)
def test_a_file_that_is_left_out_is_told_by_how_it_differs(field, line, encoding, differs):
    for day in range(2):
        field.write(f"{day}.csv", log(start=MONDAY + timedelta(days=day), **{"Öl": wave}))
    field.write("2.csv", log(mark=line, **{"Öl": wave}), encoding)
    assert f"left out: 2.csv: it is written otherwise than most: {differs};" in field.draft()[1]


def test_json_that_holds_columns_or_times_as_keys_is_refused_also_in_several_files(field):
    """As pandas and time series databases write it, without an object per row."""
    ways = {
        "columns": {
            "speed": {str(n): wave(n) for n in range(ROWS)},
            "rpm": {str(n): n for n in range(ROWS)},
        },
        "times": {"speed": {str(1_767_600_000 + n): wave(n) for n in range(ROWS)}},
        "dates": {stamp(n): {"speed": wave(n)} for n in range(ROWS)},
    }
    for name, what in ways.items():
        for number in range(3):
            field.write(f"{number}.json", [json.dumps(what)])
        told = "it holds one object of JSON" if name == "columns" else "long numbers are keys"
        assert told in field.refusal()


@pytest.mark.parametrize(
    "cell", [json.dumps({"speed": 50.5, "rpm": 900, "temp": 80}), "[50.5, 51, 52.5]"]
)
def test_a_file_whose_values_stand_in_cells_of_json_is_refused(field, cell):
    rows = [json.dumps({"time": stamp(n), "qos": n % 3, "payload": cell}) for n in range(ROWS)]
    field.write("mqtt.json", rows)
    assert "holds most of what is told ('payload': it holds JSON such as" in field.refusal()
