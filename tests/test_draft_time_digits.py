"""Times whose digits have zeros too few or too many, and clocks that stand still."""

from datetime import UTC, datetime, timedelta

import pytest
from draft_kit import MONDAY, ROWS, stamp, wave


@pytest.mark.parametrize(
    ("fraction", "refused"),
    [
        (lambda n: n * 50, "2026-01-05T08:00:00.50' beside '2026-01-05T08:00:00.100'"),
        (lambda n: n * 50_000, "08:00:00.50000' beside"),
        (lambda n: f"{n * 50:03d}", None),
        (lambda n: f"{n / 20:.3f}".rstrip("0")[2:] or "0", None),
        (lambda n: f"{n * 50:03d}" + "001" * (n % 2), None),  # Java
    ],
)
def test_milliseconds_without_the_zeros_before_them_are_refused(field, fraction, refused):
    rows = (f"{stamp(n // 20)}.{fraction(n % 20)},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["time,speed", *rows])
    if refused is None:
        assert field.ingest(field.draft()[0]).rows_lake == ROWS
    else:
        assert refused in field.refusal()


def test_a_clock_that_stands_still_is_not_taken(field):
    """A receiver without a fix repeats its last time, and tells its offset."""
    rows = (f"2026-01-05T07:00:00Z,{stamp(n)},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["GPS Time,Device Time,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.column == "Device Time"
    assert "their times: 2026-01-05 08:00:00 to 2026-01-05 08:03:59 UTC" in told


@pytest.mark.parametrize("name", ["a.csv", "2026-01-05_a.csv"])
def test_a_time_of_day_in_digits_is_known_by_the_zero_before_it(field, name):
    """Of half a minute, in which no minute shows that 080059 is followed by 080100."""
    field.write(name, ["time,speed", *(f"0800{n / 10:05.2f},{wave(n)}" for n in range(ROWS))])
    if name == "a.csv":
        assert "tells the time of day, but no path tells the date" in field.draft()[1]
    else:
        fleet, _ = field.draft()
        field.ingest(fleet)
        lake = field.lake(fleet)
        first = lake.read(*lake.vehicles())["timestamp"][0].as_py()
        assert first == datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "form", ["%Y. %m. %d. %H:%M:%S", "%Y/%m/%d {0}%I:%M:%S", "%Y. %m. %d. {0} %I:%M:%S"]
)
@pytest.mark.parametrize("halves", [("上午", "下午"), ("오전", "오후")])
def test_dates_that_begin_with_the_year_and_times_with_the_half_of_the_day(field, form, halves):
    times = [MONDAY + timedelta(minutes=2 * n) for n in range(ROWS)]
    told = [time.strftime(form.format(halves[time.hour >= 12])) for time in times]
    field.write("a.csv", ["time,speed", *(f"{time},{wave(n)}" for n, time in enumerate(told))])
    fleet, _ = field.draft()
    assert field.ingest(fleet).rows_rejected == 0
    rows = field.lake(fleet).read("vans")
    found = [time.replace(tzinfo=None) for time in rows["timestamp"].to_pylist()]
    assert found == times


@pytest.mark.parametrize(
    ("headers", "step", "fraction"),
    [
        ("time,Millis", 100, "ms"), ("time,time_ms", 100, "ms"), ("time,Millitm", 100, "ms"),
        ("secs,nsecs", 100_000_000, "ns"), ("time,usec", 100_000, "us"),
        ("tv_sec,tv_usec", 100_000, "us"), ("date,time,ms", 100, "ms"),
    ],
)  # fmt: skip
def test_a_column_of_parts_of_a_second_is_added_to_the_time_beside_it(
    field, headers, step, fraction
):
    first = [stamp(n // 10) for n in range(ROWS)]
    if headers.startswith("date"):
        first = [time.replace("T", ",") for time in first]
    if "sec," in headers or "secs," in headers:
        first = [f"{1_767_600_000 + n // 10}" for n in range(ROWS)]
    rows = [f"{time},{n % 10 * step},{wave(n)}" for n, time in enumerate(first)]
    # Of a receiver that told whole seconds at first.
    before = [
        line.rsplit(",", 2)[0].replace("08:", "07:").replace("17676", "17675") for line in rows
    ]
    field.write("0.csv", [f"{headers},speed", *(f"{time},0,1" for time in before[::10])])
    field.write("a.csv", [f"{headers},speed", *rows])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.columns, fleet.source.timestamp.fraction) == (
        headers.split(","), fraction,
    )  # fmt: skip
    assert [channel.name for channel in fleet.channels] == ["speed"]
    tenths = [MONDAY.replace(tzinfo=UTC) + timedelta(seconds=n / 10) for n in range(ROWS)]
    field.ingest(fleet)
    lake = field.lake(fleet)
    assert lake.read(*lake.vehicles())["timestamp"].to_pylist()[ROWS // 10 :] == tenths


@pytest.mark.parametrize(
    ("header", "time", "part"),
    [
        # Rounded to microseconds, hardly a row is told apart from the next.
        ("time_nano_offset", lambda n: stamp(n // 10), lambda n: n % 10 * 100),
        ("ms", lambda n: f"{stamp(n // 10)}.{n % 10}", lambda n: n % 10 * 100),  # it is in both
    ],
)
def test_a_column_of_fractions_that_is_not_read_is_named(field, header, time, part):
    rows = [f"{time(n)},{part(n)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", [f"time,{header},speed", *rows])
    fleet, told = field.draft()
    assert f"column {header!r} seems to tell fractions of a second" in told
    assert [channel.name for channel in fleet.channels] == ["speed"]


def test_a_year_and_a_day_of_it_are_named_as_a_time_that_is_not_read(field):
    rows = [f"2026,5,{28_800 + n},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["year,doy,sod,speed", *rows])
    assert "'year', 'doy', 'sod' tell the time" in field.refusal()
