"""Times whose form is a guess: the draft takes the likelier one, and says what it took it for."""

import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import ROWS, log, stamp, times_of, wave

from amad.config import DataError


@pytest.mark.parametrize("form", ["%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m-%d-%y %H:%M:%S"])
def test_days_in_a_row_tell_the_day_from_the_month(field, form):
    start = datetime(2026, 3, 4, 23, 58)
    field.write("a.csv", log(form, start=start))
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == form
    assert "which is the day and which the month" in told
    last = start + timedelta(seconds=ROWS - 1)
    assert times_of(field, fleet) == (start.replace(tzinfo=UTC), last.replace(tzinfo=UTC))


def test_a_date_in_a_column_of_its_own_may_be_the_other_way_round(field):
    lines = ["Date,Time,speed"]
    lines += [f"04/03/26,08:{n // 60:02d}:{n % 60:02d},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == "%d/%m/%y %H:%M:%S"
    assert "set the format to '%m/%d/%y %H:%M:%S'" in told


def test_of_epochs_in_two_units_the_commoner_unit_is_taken(field):
    for day in range(4):
        start = int(datetime(2026, 3, 4 + day, tzinfo=UTC).timestamp())
        factor = 1000 if day == 2 else 1
        rows = [f"{(start + n) * factor},{wave(n)}" for n in range(ROWS)]
        field.write(f"{day}.csv", ["timestamp,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.unit == "s" and "a number in s in 75% of the rows" in told
    counts = field.ingest(fleet)
    assert (counts.rows_lake, counts.rows_rejected) == (3 * ROWS, ROWS)


def test_a_column_named_as_a_unit_of_time_is_the_time_since_the_start(field):
    lines = ["Start: 2026-03-04 08:15:00", "Device: X", "", "ms,speed"]
    field.write("a.csv", lines + [f"{n * 100},{wave(n)}" for n in range(ROWS)])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.take, fleet.source.timestamp.unit) == ("elapsed", "ms")
    assert [channel.name for channel in fleet.channels] == ["speed"]
    first, last = times_of(field, fleet)
    assert str(first) == "2026-03-04 08:15:00+00:00" and (last - first).total_seconds() == 23.9


def test_a_temperature_named_t_is_no_time(field):
    rows = [f"{stamp(n)},{20 + n / 8},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["when,t [°C],speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.column == "when"
    assert [channel.name for channel in fleet.channels] == ["t", "speed"]


def test_a_start_in_the_preambles_of_several_files_tells_the_day_from_the_month(field):
    for day in (4, 20):
        lines = [f"Start: 03/{day:02d}/2026 08:15:00", "Time (s),speed"]
        field.write(f"{day}.csv", lines + [f"{n},{wave(n)}" for n in range(ROWS)])
    fleet, told = field.draft()
    assert fleet.source.timestamp.start_format == "%m/%d/%Y %H:%M:%S"
    assert "which is the day" not in told
    assert str(times_of(field, fleet)[0]) == "2026-03-04 08:15:00+00:00"


def test_the_time_of_satellite_receivers_is_named_before_times_are_made_up(field):
    rows = [f"2408,{288000 + n},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["GPS week,GPS TOW,speed", *rows])
    assert "the columns 'GPS TOW', 'GPS week' tell the time as satellite" in field.refusal()


def test_of_a_local_time_and_utc_the_utc_is_taken(field):
    lines = ["local_time,utc_time,speed"]
    lines += [f"{stamp(n + 7200)},{stamp(n)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert fleet.source.timestamp.column == "utc_time" and "taken for UTC" not in told


@pytest.mark.parametrize(
    ("date", "form"), [("040326", "%d%m%y %H%M%S"), ("140326", "%d%m%y %H%M%S"), ("20260304", None)]
)
def test_dates_and_times_of_day_in_digits_are_no_numbers(field, date, form):
    rows = [f"{date},{datetime(2026, 1, 1, 8) + timedelta(seconds=n):%H%M%S}" for n in range(ROWS)]
    field.write("a.csv", ["DATE,TIME,speed", *(f"{row},{wave(n)}" for n, row in enumerate(rows))])
    fleet, _ = field.draft()
    rule = fleet.source.timestamp
    assert (rule.columns, rule.format) == (["DATE", "TIME"], form)
    first, last = times_of(field, fleet)
    assert first.isoformat()[-17:] == f"{'14' if date[0] == '1' else '04'}T08:00:00+00:00"
    assert (last - first).total_seconds() == ROWS - 1


def test_a_time_of_day_in_digits_is_no_number_of_seconds(field):
    start = datetime(2026, 1, 1, 8)
    rows = [f"{start + timedelta(seconds=n):%H%M%S}.00,{wave(n)}" for n in range(ROWS)]
    field.write("2026-03-04.csv", ["time,speed", *rows])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.take, fleet.period_seconds) == ("time_of_day", 1)
    first, last = times_of(field, fleet)
    assert str(first) == "2026-03-04 08:00:00+00:00"
    assert (last - first).total_seconds() == ROWS - 1


def test_a_date_gives_way_to_the_time_since_the_start(field):
    rows = [f"2026-03-04,{n}.5,{wave(n)}" for n in range(ROWS)]
    field.write("2026-03-04.csv", ["Date,Elapsed,speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.take == "elapsed" and field.ingest(fleet).rows_lake == ROWS


def test_a_date_may_be_all_that_is_told(field):
    rows = [f"van-{v},{datetime(2026, 1, 1) + timedelta(n):%Y-%m-%d},{wave(n)}"
            for n in range(60) for v in range(9)]  # fmt: skip
    field.write("a.csv", ["vehicle,date,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.column == "date" and "tells only the day" in told
    assert field.ingest(fleet).rows_lake == 540


def test_the_seconds_of_a_minute_are_no_time_since_the_start(field):
    rows = [f"8,{n // 60},{n % 60},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["hour,minute,second,speed", *rows])
    assert field.draft()[0].source.timestamp.take == "index"


@pytest.mark.parametrize("form", ["%I:%M:%S", "%H:%M:%S", "%I:%M:%S %p"])
def test_a_clock_of_twelve_hours_without_am_and_pm_is_told(field, form):
    start = datetime(2026, 1, 14, 9)
    rows = [f"{start + timedelta(minutes=n):%d.%m.%Y {form}};{n}" for n in range(5 * 60)]
    field.write("a.csv", ["time;level", *rows])
    assert ("the clock goes from 12 back to 1" in field.draft()[1]) is (form == "%I:%M:%S")


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.timestamp("ns")])
@pytest.mark.parametrize("of_day", [pa.time64("us"), pa.time32("s")])
def test_a_date_and_a_time_of_day_in_arrow_types(field, kind, of_day):
    start = datetime(2026, 3, 4, 8)
    told = [start + timedelta(seconds=n) for n in range(ROWS)]
    table = {
        "date": pa.array([datetime(2026, 3, 4)] * ROWS, pa.timestamp("ns")).cast(kind),
        "time": pa.array([t.time() for t in told], of_day),
        "speed": [wave(n) for n in range(ROWS)],
    }
    pq.write_table(pa.table(table), field.raw / "a.parquet")
    fleet, _ = field.draft()
    assert fleet.source.timestamp.columns == ["date", "time"]
    assert times_of(field, fleet) == (start.replace(tzinfo=UTC), told[-1].replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("before", "form"),
    [
        (["Start of measurement,14.03.2026,08:00:00", "Operator,X"], "%d.%m.%Y,%H:%M:%S"),
        (["Date: 14.03.2026", "Time: 08:00:00"], "%d.%m.%Y Time: %H:%M:%S"),
        (["Exported: 20.03.2026", "Start: 14.03.2026 08:00:00"], "%d.%m.%Y %H:%M:%S"),
    ],
)
def test_a_start_is_a_date_and_a_time_of_day_wherever_they_stand(field, before, form):
    field.write("a.csv", [*before, "t [s],speed", *(f"{n},{wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.start_format == form
    assert times_of(field, fleet)[0] == datetime(2026, 3, 14, 8, tzinfo=UTC)


def test_a_start_without_a_time_of_day_is_a_guess(field):
    rows = [f"{n},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["Date: 14.03.2026", "t [s],speed", *rows])
    fleet, told = field.draft()
    assert "guess: the lines before the header tell the start's date and no time of day" in told
    assert times_of(field, fleet)[0] == datetime(2026, 3, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "first", "step"),
    [
        ("timestamp", 177_347_520_000, 1),
        ("time_mjd", 61_045.3, 0.5),
        ("JD", 2_461_045.5, 2**-10),
        ("Time  1 - default sample rate [s]", 0.0, 0.5),
    ],
)
def test_a_time_in_an_unknown_unit_is_named_before_times_are_made_up(field, header, first, step):
    rows = (f"{first + n * step},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", [f"{header},speed", *rows])
    told = field.refusal()
    assert f"a.csv: column {header!r} has the name of a time, but '{first}', '" in told


def test_a_time_before_a_trigger_is_below_zero(field):
    rows = [f"{n - 60},{wave(n)}" for n in range(ROWS)]
    field.write("rec_20260314_080000.csv", ["Time [s],speed", *rows])
    fleet, _ = field.draft()
    assert times_of(field, fleet)[0] == datetime(2026, 3, 14, 7, 59, tzinfo=UTC)


def test_columns_of_several_clocks_are_told_and_not_watched(field):
    rows = (f"{stamp(n)},{wave(n)},{stamp(2 * n)},{n % 7}" for n in range(ROWS))
    field.write("a.csv", ["Time_1,speed,Time_2,rpm", *rows])
    fleet, told = field.draft()
    assert fleet.channel_names == ["speed", "rpm"]
    assert "'Time_2' can be read as the time as well" in told


def test_several_columns_of_seconds_are_all_named_before_times_are_made_up(field):
    rows = (f"{n / 10},{wave(n)},{n / 4},{n % 7}" for n in range(ROWS))
    field.write("a.csv", ["Time_1,speed,Time_2,rpm", *rows])
    told = field.refusal()
    assert "'Time_1' has the name of a time" in told and "'Time_2' has the name of a time" in told


def test_a_zone_that_no_zone_has_then_is_told_with_the_setting(field):
    field.write("a.csv", log("%Y-%m-%d %H:%M:%S BRT"))
    with pytest.raises(DataError, match=r"name of a zone that source\.timestamp\.timezone"):
        field.draft()


def test_a_date_with_the_signs_of_east_asia_is_read(field):
    field.write("a.csv", ["日時,車速", *log("%Y年%m月%d日 %H時%M分%S秒")[1:]])
    fleet, _ = field.draft()
    assert times_of(field, fleet)[0] == datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_of_two_years_that_a_date_may_have_the_later_one_is_taken(field):
    field.write("a.csv", log("%y-%m-%d %H:%M:%S", start=datetime(2026, 3, 14)))
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == "%y-%m-%d %H:%M:%S" and "'%d-%m-%y %H:%M:%S'" in told


def test_an_hour_of_24_is_a_time_of_day_and_no_vehicle(field):
    rows = [f"{5 + n // 24:02d}.01.2026,{n % 24 + 1:02d}:00,{wave(n)}" for n in range(120)]
    field.write("a.csv", ["Date,Hour,speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.vehicle.take == "constant" and fleet.period_seconds == 3600
    assert times_of(field, fleet)[1] == datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "hour"),
    [
        ("%Y-%m-%d-%H.%M.%S.000000", 8), ("%Y_%m_%d_%H_%M_%S", 8), ("%Y-%m-%d-%H-%M-%S", 8),
        ("%Y-%m-%dT%H_%M_%S", 8), ("%Y:%m:%d %H:%M:%S", 8), ("%Y-%m-%d_%H-%M-%S", 8),
    ],
)  # fmt: skip
def test_times_with_any_marks_between_their_digits(field, form, hour):
    field.write("a.csv", log(form))
    first, last = times_of(field, field.draft()[0])
    assert first.hour == hour and (last - first).total_seconds() == ROWS - 1


def test_a_form_that_holds_digits_of_one_time_is_none(field):
    """Else one row would be read, and its time of day be lost."""
    field.write("a.csv", log("%Y-%m-%d %Hh%Mm%Ss"))
    assert "are in no form that is known" in field.refusal()


def test_seconds_that_may_count_from_1980_are_told(field):
    rows = [f"{1451635218 + n},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["gps_time,speed", *rows])
    assert "guess: 'gps_time' may count from 1980-01-06" in field.draft()[1]


def test_seconds_that_end_ten_years_before_their_file_was_written_may_count_from_1980(field):
    field.write("a.csv", ["time,speed", *(f"{1451635218 + n},{wave(n)}" for n in range(ROWS))])
    os.utime(field.raw / "a.csv", (1451635218 + 86_400,) * 2)
    assert "1980" not in field.draft()[1]
    os.utime(field.raw / "a.csv", (1451635218 + 315_964_800 + 86_400,) * 2)
    assert "guess: 'time' may count from 1980-01-06" in field.draft(force=True)[1]


def test_other_columns_of_times_in_digits_are_no_channels(field):
    rows = [f"{1741075200 + n},{1741075201.25 + n},{n},{n * 200_000}" for n in range(ROWS)]
    rows = [f"{row},2400,{115_200_000 + n},{wave(n)}" for n, row in enumerate(rows)]
    field.write("a.csv", ["timestamp,server.timestamp,header.seq,TimeUS,GWk,GMS,speed", *rows])
    fleet, told = field.draft()
    assert [channel.name for channel in fleet.channels] == ["speed"]
    assert "'server.timestamp' can be read as the time as well" in told
    assert "'TimeUS' runs as the time since a start does, and is no channel" in told


def test_text_without_a_digit_under_the_name_of_a_time_is_no_time(field):
    field.write("a.csv", ["time_status,speed", *(f"OK,{wave(n)}" for n in range(ROWS))])
    assert field.draft()[0].source.timestamp.take == "index"
