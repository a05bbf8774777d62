"""Which part of a path, or which column, names the vehicles."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave

from amad.config import load_fleet


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("2026-01-0{day}/van{van}/log.csv", {"van1", "van2"}),
        ("2026-01-0{day}/van{van}.csv", {"van1", "van2"}),
        ("2026/01/0{day}/van{van}.csv", {"van1", "van2"}),
        ("dt=2026-01-0{day}/van{van}.csv", {"van1", "van2"}),
        ("event_date=2026010{day}/van{van}.csv", {"van1", "van2"}),
        ("year=2026/month=01/day=0{day}/00{van}/log.csv", {"001", "002"}),
        ("202{day}/00{van}/log.csv", {"001", "002"}),
        ("{van}/0{day}/log.csv", {"1", "2"}),
    ],
)
def test_folders_of_dates_are_no_vehicles(field, path, ids):
    for day, van in ((d, v) for d in (5, 6, 7) for v in (1, 2)):
        lines = log(start=MONDAY + timedelta(days=day), temp=lambda n, van=van: n % (9 + van))
        field.write(path.format(day=day, van=van), lines)
    fleet, _ = field.draft()
    counts = field.ingest(fleet)
    assert set(counts.vehicles) == ids and counts.rows_lake == 6 * ROWS


def test_ids_in_a_column_of_decimals_and_of_vehicles_with_few_rows(field):
    rows = [(float(7 + v), stamp(n), wave(n + v)) for n in range(6) for v in range(40)]
    table = dict(
        zip(("vehicle_id", "time", "speed"), map(list, zip(*rows, strict=True)), strict=True)
    )
    table["vehicle_id"][3] = None
    pq.write_table(pa.table(table), field.raw / "a.parquet")
    counts = field.ingest(field.draft()[0])
    assert len(counts.vehicles) == 40 and (counts.rows_lake, counts.rows_rejected) == (239, 1)


def test_a_column_of_any_name_that_tells_rows_of_one_time_apart(field):
    rows = [f"{plate},{stamp(n)},{'idle' if n % 9 else 'run'},{wave(n + len(plate))}"
            for n in range(ROWS) for plate in ("B-AB 12", "M-X 3")]  # fmt: skip
    field.write("a.csv", ["Depot,time,state,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.vehicle.column == "Depot" and "tells rows of one time apart" in told
    counts = field.ingest(fleet)
    assert set(counts.vehicles) == {"B-AB 12", "M-X 3"} and counts.rows_lake == 2 * ROWS


def test_the_vehicle_comes_before_the_device_that_moves_between_vehicles(field):
    rows = [f"D{(n < 100) == (v == 'B')},{v},{stamp(n)},{wave(n)}" for n in range(ROWS)
            for v in "AB"]  # fmt: skip
    field.write("a.csv", ["device_id,vin,time,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.vehicle.column == "vin"
    assert "guess: 'vin' is taken for the vehicle, and not 'device_id'" in told


def test_what_seems_to_name_the_vehicle_and_is_not_read_is_told(field):
    lines = log(vehicle=lambda n: "van-7" if n == 0 else "")
    for folder in "ab":
        field.write(f"{folder}/a.csv", ["VIN;WDB1", "Logger;X7", *lines])
    _, told = field.draft()
    assert "column 'vehicle' has the name of a vehicle's id, but is empty in 100% of" in told
    assert "a line before the header seems to name the vehicle ('VIN;WDB1'), which is not" in told
    assert "if it does, set source.vehicle to {take: preamble, pattern: ...}" in told


def test_the_line_that_names_the_vehicle_comes_before_that_of_the_logger(field):
    for bus in ("Bus 1", "Bus 2"):
        field.write(f"{bus}/a.csv", ["Logger;X7", f"Fahrzeug;{bus}", *log()])
    _, told = field.draft()
    assert "a line before the header seems to name the vehicle ('Fahrzeug;Bus 1')" in told


def test_a_copy_of_a_file_is_no_other_vehicle(field):
    for name in ("log.csv", "log (1).csv", "log - Kopie.csv"):
        field.write(name, log())
    fleet, told = field.draft()
    assert "log (1).csv is a copy of log.csv" in told and "Kopie.csv is a copy of" in told
    counts = field.ingest(fleet)
    assert len(counts.vehicles) == 1 and counts.rows_lake == ROWS and len(counts.files_twice) == 2


def test_files_of_a_single_value_at_one_time_may_be_signals(field):
    for name, high in {"speed": 90, "rpm": 3000}.items():
        rows = [f"{stamp(n)},{wave(n, high=high)}" for n in range(ROWS)]
        field.write(f"{name}.csv", ["time,value", *rows])
    assert "if they are signals of one vehicle, join them" in field.draft()[1]


@pytest.mark.parametrize("good", [1, 3])
def test_a_file_that_cannot_be_read_now_hides_no_later_files(field, good):
    for day in range(good):
        field.write(f"d{day}.csv", log(start=MONDAY + timedelta(days=day)))
    field.write("d8.csv", [f"{stamp(n)},5" for n in range(9)])  # without a header
    fleet, told = field.draft()
    assert "left out: d8.csv" in told and [s.glob for s in fleet.source.files] == ["*.csv"]
    field.write("d9.csv", log(start=MONDAY + timedelta(days=9)))
    counts = field.ingest(fleet)
    assert counts.rows_lake == (good + 1) * ROWS
    assert [file.path for file in counts.files_refused] == ["d8.csv"]


def test_notes_beside_the_data_are_no_raw_files(field):
    for day in range(3):
        field.write(f"d{day}.txt", log(start=MONDAY + timedelta(days=day)))
    field.write("notes.txt", ["Dear all,", "the logger was replaced."])
    fleet, _ = field.draft()
    assert [s.glob for s in fleet.source.files] == ["d*.txt"]


def test_a_line_before_the_header_of_every_file_names_the_vehicle(field):
    for n in (1, 2):
        field.write(f"2026010{n}_0800.csv", ["Logger: L9", f"Vehicle ID: BUS-{n}", *log()])
    fleet, told = field.draft()
    assert "vehicle: the line 'Vehicle ID' before the header: BUS-1, BUS-2" in told
    assert field.ingest(fleet).vehicles == {"BUS-1": ROWS, "BUS-2": ROWS}
    field.write("20260103_0800.csv", ["Logger: L9", *log()])
    (refused,) = field.ingest(fleet).files_refused
    assert refused.reason.startswith("no vehicle before the header: ")


def test_lines_before_each_header_of_a_file_name_the_vehicles(field):
    parts = ([f"vin,W{van}", *log(rows=120 + van)] for van in (1, 2))
    field.write("a.csv", [line for part in parts for line in part])
    assert field.ingest(field.draft()[0]).vehicles == {"W1": 121, "W2": 122}


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ("W1_20260105_0800 W1_20260105_0804 W2_20260105_0800 W2_20260105_0804", {"W1", "W2"}),
        ("20260105_0800_W1 20260105_0804_W1 20260105_0800_W2 20260105_0804_W2", {"W1", "W2"}),
        ("20260105T0800_a 20260105T0804_a 20260105T0800_b 20260105T0804_b", {"a", "b"}),
        (
            "x_W1_2026-01-05T08-00-00Z x_W1_2026-01-05T08-04-00Z x_W2_2026-01-05T08-00-00Z "
            "x_W2_2026-01-05T08-04-00Z",
            {"x_W1", "x_W2"},
        ),
        ("u1_part1 u1_part2 u2_part1 u2_Part2", {"u1", "u2"}),
        ("truck_20260105_0001 truck_20260106_0001 truck_20260105_0002 truck_20260106_0002", None),
    ],
)
def test_a_time_and_a_number_of_a_recording_in_a_name_are_no_part_of_the_vehicle(field, names, ids):
    for at, name in enumerate(names.split()):
        field.write(f"{name}.csv", log(start=MONDAY + timedelta(seconds=ROWS * (at % 2))))
    vehicles = field.ingest(field.draft()[0]).vehicles
    assert set(vehicles) == ids if ids else len(vehicles) > 1


def test_logs_that_were_rotated_are_of_one_vehicle(field):
    for van in (1, 2):
        for at, name in enumerate(("csv", "csv.1", "csv.2", "csv.12")):
            field.write(f"van{van}.{name}", log(start=MONDAY - timedelta(seconds=ROWS * at)))
    fleet, _ = field.draft()
    assert field.ingest(fleet).vehicles == {"van1": 4 * ROWS, "van2": 4 * ROWS}
    field.write("van1.csv.13", log(start=MONDAY - timedelta(days=1)))
    assert field.ingest(fleet).vehicles["van1"] == 5 * ROWS


@pytest.mark.parametrize(
    ("names", "told_apart"),
    [
        ("bus1_speed bus1_rpm bus2_speed bus2_rpm", "bus1, bus2"),
        ("speed.101 speed.102 rpm.101 rpm.102", "101, 102"),
        ("temp_1 temp_2 volt_1 volt_2", ""),
        ("front_speed front_temp rear_speed rear_temp", ""),
    ],
)
def test_columns_of_vehicles_beside_each_other_are_told(field, names, told_apart):
    rows = [f"{stamp(n)}{f',{wave(n)}' * 4}" for n in range(ROWS)]
    field.write("a.csv", [",".join(["time", *names.split()]), *rows])
    told = field.draft()[1]
    what = "the same columns stand beside each other for"
    assert (f"{what} {told_apart}: if these are vehicles" if told_apart else "one file") in told
    assert told_apart or what not in told


def test_files_that_contradict_each_other_are_not_of_one_vehicle(field):
    """Plates without a common word, of which only two run at the same time."""
    for n, plate in enumerate(("M-AB 123", "M-XY 7", "K-CD 9")):
        start = MONDAY + timedelta(days=n // 2)
        field.write(f"{plate}.csv", log(start=start, load=lambda i, n=n: wave(i) + n))
    fleet, told = field.draft()
    assert "as one vehicle's, their rows would contradict each other" in told
    assert field.ingest(fleet).rows_lake == 3 * ROWS


def test_days_of_one_vehicle_whose_name_ends_in_a_number_are_no_vehicles(field):
    for n in range(3):
        day = MONDAY + timedelta(days=n)
        field.write(f"van7_{day:%Y-%m-%d}.csv", log(start=day))
    fleet, _ = field.draft()
    assert field.ingest(fleet).vehicles == {"van7": 3 * ROWS}


def test_other_lines_before_a_repeated_header_are_told(field):
    lines = log()
    field.write("a.csv", ["[alpha]", *lines, "[beta]", *log(start=MONDAY + timedelta(hours=1))])
    told = "other lines stand before it ('[beta]' after '[alpha]'), which are not read"
    assert told in field.draft()[1]


def test_columns_that_are_named_as_vehicles_are_told(field):
    field.write("a.csv", log(**{f"van-{n}": wave for n in (1, 2)}))
    assert "stand beside each other" not in field.draft()[1]
    lines = [f"{stamp(n)},{wave(n)},{wave(n + 5)}" for n in range(ROWS)]
    field.write("a.csv", ["time,van-1,van-2", *lines])
    assert "stand beside each other for van-1, van-2" in field.draft(force=True)[1]


def test_a_lone_file_in_a_folder_is_found_with_those_that_come_after_it(field):
    field.write("van-1/2026-01-05.csv", log())
    fleet, _ = field.draft()
    field.write("van-1/2026-01-06.csv", log(start=MONDAY + timedelta(days=1)))
    assert field.ingest(fleet).rows_lake == 2 * ROWS


@pytest.mark.parametrize("path", ["{:%Y/%m/%d}/v.csv", "x/{:%Y-%m}/v.csv", "date={:%Y%m%d}/v.csv"])
def test_the_folders_of_later_dates_are_found(field, path):
    days = [datetime(2025, 1, 28), datetime(2025, 2, 1), datetime(2026, 1, 3)]
    field.write(path.format(days[0]), log(start=days[0]))
    fleet, _ = field.draft()
    for day in days[1:]:
        field.write(path.format(day), log(start=day))
    assert field.ingest(fleet).rows_lake == 3 * ROWS


def test_the_folders_of_later_vehicles_are_found(field):
    field.write("vehicle=van-1/a.csv", log())
    fleet, _ = field.draft()
    field.write("vehicle=van-2/a.csv", log(temp=wave))
    assert set(field.ingest(fleet).vehicles) == {"van-1", "van-2"}


def test_files_in_a_folder_beside_those_of_a_glob_are_told(field, capsys):
    field.write("truck-1/a.csv", log())
    fleet, _ = field.draft()
    field.write("truck-2/a.csv", log())
    field.ingest(fleet)
    assert (
        "finds 1 file of its folder, which are not read: truck-2/a.csv" in capsys.readouterr().err
    )


def test_files_that_no_glob_finds_are_told(field, capsys):
    field.write("a.csv", log())
    fleet, _ = field.draft()
    field.write("notes.md", ["what else lies here"])
    field.write("_old/z.csv", log())
    field.ingest(fleet)
    assert "no glob" not in capsys.readouterr().err
    for name in ("later/b.csv", "c.CSV", "d.csv.gz"):
        field.write(name, log())
    field.ingest(fleet)
    told = "no glob of source.files finds 3 files of its folder, which are not read: "
    assert f"{told}c.CSV, d.csv.gz, later/b.csv; if" in capsys.readouterr().err


def test_files_of_another_fleet_in_the_folder_are_not_told(field, capsys):
    field.write("van-1.csv", log())
    fleet, _ = field.draft()
    file = field.settings.conf_dir / "fleet" / "vans.yaml"
    told = file.read_text().replace("*.csv", "van-*.csv")
    file.write_text(told)
    fleet = load_fleet("vans", field.settings)
    field.write("truck-1.csv", log())
    field.write("bus-1.csv", log())
    trucks = told.replace("van-*.csv", "truck-*.csv").replace("name: vans", "name: trucks", 1)
    (file.parent / "trucks.yaml").write_text(trucks)
    (file.parent / "damaged.yaml").write_text("name: [")
    field.ingest(fleet)
    told = "finds 1 file of its folder, which are not read: bus-1.csv"
    assert told in capsys.readouterr().err


def test_a_column_tells_rows_apart_in_files_that_look_like_those_of_vehicles(field):
    for day in (0, 1):
        start = MONDAY + timedelta(days=day)
        one, two = (log(start=start, depot=lambda n, d=d: d) for d in ("M-X 1", "M-X 2"))
        field.write(f"d{day}.csv", [one[0], *sorted(one[1:] + two[1:])])
    fleet, told = field.draft()
    assert set(field.ingest(fleet).vehicles) == {"M-X 1", "M-X 2"} and "words" not in told


def test_spellings_of_one_vehicle_are_told(field):
    for folder in ("Van1", "van-1", "van2"):
        field.write(f"{folder}/a.csv", log())
    assert "guess: 'Van1' = 'van-1' look like spellings of one vehicle" in field.draft()[1]


def test_the_id_of_a_recording_before_the_header_is_no_vehicle(field):
    for day in range(3):
        field.write(
            f"log{day}.csv", [f"ID: {7000 + day}", *log(start=MONDAY + timedelta(days=day))]
        )
    fleet, told = field.draft()
    assert fleet.source.vehicle.take == "constant" and "('ID: 7000'), which is not read" in told


def test_what_takes_turns_in_the_folders_of_vehicles_is_no_vehicle(field):
    for van in (1, 2):
        front, rear = (log(place=lambda n, p=p: p, speed=wave) for p in ("front-1", "rear-2"))
        rear = [line[:-1] for line in rear[1:]]
        field.write(f"van{van}/a.csv", [front[0], *sorted(front[1:] + rear)])
    assert "vehicle: the folder: van1, van2" in field.draft()[1]


@pytest.mark.parametrize("share", [False, True])
def test_sparse_files_that_run_at_the_same_time_are_of_a_vehicle_each(field, share):
    """Rows of one time hardly ever tell the same channel; share: the files tell all channels."""
    channels = ["speed", "rpm", "level"]
    for number, name in enumerate(["north", "south"]):
        turn = [n * (7 + 4 * number) // 5 % 3 for n in range(3 * ROWS)]
        if not share:  # the one tells the speed, and the other all else, as of one vehicle
            turn = [0 if number == 0 else 1 + n % 2 for n in range(3 * ROWS)]
        rows = [
            [stamp(n + number), *(wave(n + 50 * number) if c == turn[n] else "" for c in range(3))]
            for n in range(3 * ROWS)
        ]
        field.write(
            f"{name}.csv", [",".join(["time", *channels]), *(",".join(map(str, r)) for r in rows)]
        )
    fleet, _ = field.draft()
    field.ingest(fleet)
    lake = field.lake(fleet)
    assert lake.vehicles() == (["north", "south"] if share else ["vans"])
    assert sum(lake.read(v).num_rows for v in lake.vehicles()) == (
        6 * ROWS if share else 3 * ROWS + 1
    )


def test_a_vehicle_that_is_told_only_where_its_rows_begin_joins_no_vehicles(field):
    rows = [
        f"{'' if n % ROWS else f'van{n // ROWS}'},{stamp(n)},{wave(n)}" for n in range(2 * ROWS)
    ]
    field.write("a.csv", ["vehicle,time,speed", *rows])
    assert "column 'vehicle' tells a vehicle only where its rows begin" in field.refusal()
