"""A fleet file drafted from raw files: ingest reads what it says, with no hand edit."""

import gzip
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave
from typer.testing import CliRunner

from amad.cli.app import app
from amad.cli.drafting import write_draft
from amad.config import ConfigError, DataError, Settings, load_fleet
from amad.ingest.ingestion import ingest


def test_a_date_and_a_time_of_day_in_two_columns(field):
    lines = ["Datum;Uhrzeit;Speed [km/h]"]
    lines += [f"14.01.2026;08:{n // 60:02d}:{n % 60:02d};{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    rule = fleet.source.timestamp
    assert (rule.columns, rule.format) == (["Datum", "Uhrzeit"], "%d.%m.%Y %H:%M:%S")
    assert [channel.name for channel in fleet.channels] == ["Speed"]
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_wide_log_with_units_kinds_ranges_and_suspects(field):
    rng = np.random.default_rng(7)
    columns = {
        "Ambient [Â°C]": lambda n: wave(n, 3, 19),
        "door open": lambda n: n // 40 % 2,
        "gear": lambda n: n // 20 % 6,
        "odometer (km)": lambda n: 200_000 + n // 3,
        "load(%)": wave,
        "torque": lambda n: 65535 if n % 50 == 7 else wave(n, -80, 80),
        "boost": lambda n: 32767 if n == 99 else wave(n, 90, 190),
        "note": lambda n: "ok",
        "noise": lambda n: rng.normal(),
    }
    field.write("a.csv", log(**columns))
    fleet, told = field.draft()
    kinds = {channel.name: channel for channel in fleet.channels}
    assert kinds["Speed"].unit == "km/h" and kinds["Speed"].range[0] == 0
    assert kinds["Ambient"].unit == "celsius" and kinds["Ambient"].range[0] == -40
    assert kinds["door_open"].kind == "binary" and kinds["gear"].kind == "categorical"
    assert kinds["odometer"].kind == "counter" and kinds["odometer"].range is None
    assert kinds["load"].unit == "percent" and kinds["load"].range == (0, 100)
    assert kinds["torque"].nulls == [65535] and kinds["torque"].range[1] < 1000
    assert kinds["torque"].range[0] < -80 and "note" not in kinds
    assert fleet.period_seconds == 1 and fleet.labels.kind == "injected"
    assert "'note' (it holds text such as " in told and "torque 65535" in told
    counts = field.ingest(fleet)
    assert counts.rows_lake == ROWS and counts.rows_rejected == 0


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("%Y-%m-%dT%H:%M:%S.%f", {"format": None, "unit": "us"}),
        ("%d.%m.%Y %H:%M:%S", {"format": "%d.%m.%Y %H:%M:%S"}),
        ("%m/%d/%Y %I:%M:%S %p", {"format": "%m/%d/%Y %I:%M:%S %p"}),
        ("%s", {"unit": "s"}),
        ("%s000", {"unit": "ms"}),
    ],
)
def test_forms_of_time(field, form, settings):
    field.write("a.csv", log(form, step=2, start=datetime(2026, 1, 15, 8)))
    fleet, _ = field.draft()
    for key, value in settings.items():
        assert getattr(fleet.source.timestamp, key) == value
    assert fleet.period_seconds == 2
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_day_after_the_twelfth_tells_day_from_month(field):
    for day in (3, 4, 20):
        field.write(f"{day}.csv", log("%d/%m/%Y %H:%M:%S", start=datetime(2026, 2, day)))
    fleet, _ = field.draft()
    assert fleet.source.timestamp.format == "%d/%m/%Y %H:%M:%S"
    assert field.ingest(fleet).rows_lake == 3 * ROWS


def test_a_time_of_day_with_the_date_in_the_name(field):
    for day in (5, 6):
        field.write(f"2026010{day}_golf_north.csv", log("%H:%M:%S"))
    fleet, _ = field.draft()
    rule = fleet.source.timestamp
    assert rule.take == "time_of_day" and rule.date_format == "%Y%m%d"
    counts = field.ingest(fleet)
    assert counts.rows_lake == 2 * ROWS and counts.vehicles == {"golf_north": 2 * ROWS}
    assert counts.days == 2


@pytest.mark.parametrize(
    ("name", "before", "start_from"),
    [
        ("log.csv", ["# Start: 2026-01-05 08:00:00", ""], "preamble"),
        ("log.csv", ["Recorder;4.2", "Begin = 05.01.2026 08:00:00;Berlin"], "preamble"),
        ("CSVLog_20260105_080000.csv", [], "path"),
        ("log.csv", ["# Recorder 4.2"], "modified"),
    ],
)
def test_elapsed_times_and_where_their_start_stands(field, name, before, start_from):
    lines = [f"{n * 0.5},{wave(n)}" for n in range(ROWS)]
    field.write(name, [*before, "Time (sec),speed", *lines])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.take == "elapsed" and fleet.period_seconds == 0.5
    assert fleet.source.timestamp.start_from == start_from
    counts = field.ingest(fleet)
    assert counts.rows_lake == ROWS
    if start_from != "modified":
        assert next(iter(counts.newest.values())).startswith("2026-01-05T08:01:59")


def test_recordings_without_a_clock_and_with_a_trailing_comma(field):
    for name in ("drive1", "drive2", "idle1"):
        field.write(f"{name}.csv", ["rpm (),speed ()", *(f" {n}, {wave(n)}," for n in range(ROWS))])
    fleet, told = field.draft()
    rule = fleet.source.timestamp
    assert rule.take == "index" and rule.gap_between_files > 0
    assert "guess: nothing in the files tells how far apart the rows are" in told
    assert fleet.source.vehicle.value == "vans" and fleet.evaluation.unit == "case"
    counts = field.ingest(fleet)
    assert counts.rows_lake == 3 * ROWS and counts.rows_rejected == 0


def test_train_and_test_files_with_labels(field):
    for machine in ("m-1", "m-2"):
        for part in ("train", "test"):
            columns = {"c0": np.sin(np.arange(ROWS) / 9), "c1": np.arange(ROWS) * 1.5}
            if part == "test":
                columns["label"] = np.arange(ROWS) % 50 == 0
            pq.write_table(pa.table(columns), field.raw / f"{machine}_{part}.parquet")
    field.write("culprits.csv", ["entity,start,end,channels", "m-1,3,5,c0"])
    fleet, told = field.draft()
    assert "labels: column 'label', and the channels to blame in culprits.csv" in told
    assert [(item.glob, item.part) for item in fleet.source.files] == [
        ("m-*_train.parquet", "train"), ("m-*_test.parquet", "test"),
    ]  # fmt: skip
    assert fleet.labels.kind == "column" and fleet.labels.culprits == "culprits.csv"
    assert fleet.source.timestamp.gap_between_files is None
    counts = field.ingest(fleet)
    assert counts.vehicles == {"m-1": 2 * ROWS, "m-2": 2 * ROWS}


def test_each_folder_is_a_vehicle(field):
    for n in range(3):
        field.write(f"van{n}/2026-01-05.csv", log())
    fleet, _ = field.draft()
    assert field.ingest(fleet).vehicles == {f"van{n}": ROWS for n in range(3)}


def test_a_vehicle_column_is_found(field):
    lines = log(VIN=lambda n: f"WDB{n % 3}", step=1 / 3, form="%Y-%m-%d %H:%M:%S.%f")
    (field.raw / "all.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    fleet, _ = field.draft()
    assert fleet.source.vehicle.column == "VIN" and fleet.period_seconds == 1
    assert len(field.ingest(fleet).vehicles) == 3


def test_files_that_run_at_the_same_time_are_of_several_vehicles(field):
    for name in ("alpha", "beta"):
        field.write(f"{name}.csv", log())
    fleet, told = field.draft()
    assert field.ingest(fleet).vehicles == {"alpha": ROWS, "beta": ROWS}
    assert "run at the same time" in told


def test_a_spreadsheet_with_semicolons_commas_and_thousands(field):
    def german(value):
        return f"{value:,.2f}".replace(",", "~").replace(".", ",").replace("~", ".")

    cells = {"Speed [km/h]": lambda n: german(wave(n)), "Größe": lambda n: german(900 + n)}
    lines = log("%d.%m.%Y %H:%M:%S", mark=";", **cells)
    field.write("a.csv", lines, encoding="cp1252")
    fleet, _ = field.draft()
    source = fleet.source
    assert (source.delimiter, source.decimal, source.encoding) == (";", ",", "cp1252")
    size = next(channel for channel in fleet.channels if channel.name == "Größe")
    assert size.range[1] > 1100 and size.range[0] < 900


def test_thousands_are_told_from_fractions(field):
    cells = {"Speed [km/h]": round, "rpm": lambda n: f"{800 + 5 * n:,}".replace(",", ".")}
    field.write("a.csv", log(mark=";", **cells))
    fleet, _ = field.draft()
    rpm = next(channel for channel in fleet.channels if channel.name == "rpm")
    assert (fleet.source.decimal, fleet.source.thousands) == (",", ".")
    assert rpm.range[0] == 0 and rpm.range[1] > 1900


def test_sparse_and_long_logs(field):
    signals = ["speed", "rpm", "level", "load"]
    rows = [(n, s, signal) for n in range(ROWS) for s, signal in enumerate(signals)]
    lines = ["time," + ",".join(signals)]
    for n, s, _ in rows:
        cells = [""] * 4
        cells[s] = str(wave(n))
        lines.append(f"{stamp(n + s / 1000)},{','.join(cells)}")
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_sparse" and fleet.period_seconds == 1
    (field.raw / "a.csv").unlink()
    (field.settings.conf_dir / "fleet" / "vans.yaml").unlink()
    told = [f"{stamp(n)},{signal},{wave(n)}" for n, _, signal in rows]
    field.write("b.csv", ["timestamp,signal,value", *told])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and len(fleet.channels) == 4
    assert fleet.period_seconds == 1
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_folder_of_several_forms_takes_one_and_names_the_others(field):
    for n in range(3):
        field.write(f"log{n}.csv", log(start=MONDAY + timedelta(hours=n)))
    field.write("other.csv", ["a;b", *(f"{n};{n}" for n in range(30))])
    fleet, told = field.draft()
    assert field.ingest(fleet).rows_lake == 3 * ROWS
    assert "other.csv: it is written otherwise" in told


def test_what_stands_in_the_way_is_told(field):
    with pytest.raises(DataError, match="no files"):
        field.draft()
    field.write("a.csv", ["just text", "and more of it"])
    with pytest.raises(DataError, match="no line looks like a header"):
        field.draft()
    field.write("a.csv", log())
    field.draft()
    with pytest.raises(ConfigError, match="--force"):
        field.draft()
    write_draft(field.raw, "vans", field.settings, force=True)
    for name in ("x/vans", "Vans", "", "-", "a" * 200, "../vans"):
        with pytest.raises(ConfigError, match="plain name"):
            write_draft(field.raw, name, field.settings, force=True)
    with pytest.raises(DataError, match="is a file; name the folder"):
        write_draft(field.raw / "a.csv", "other", field.settings, force=False)
    with pytest.raises(DataError, match="no folder"):
        write_draft(field.raw / "gone", "other", field.settings, force=False)


def test_a_folder_told_by_way_of_another(field):
    field.write("a.csv", log())
    (field.raw / "x").mkdir()
    write_draft(field.raw / "x" / "..", "vans", field.settings, force=False)
    assert load_fleet("vans", field.settings).source.folder == "raw"


def test_the_command_says_what_it_decided_and_what_comes_next(field, monkeypatch):
    field.write("a.csv", log())
    monkeypatch.setenv("AMAD_HOME", str(field.settings.home))
    monkeypatch.setenv("AMAD_DATA_DIR", str(field.settings.data_dir))
    command = ["init", str(field.raw), "--name", "vans"]
    result = CliRunner().invoke(app, command)  # in a folder that is no project's
    assert "there is no params.yaml" in str(result.exception)
    assert not field.settings.home.exists()
    field.settings.home.mkdir()
    field.settings.params_file.write_text("fleets: [demo]\n")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "amad ingest --fleet vans" in result.output
    text = (field.settings.conf_dir / "fleet" / "vans.yaml").read_text()
    assert "folder: raw" in text and "guess" in text


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "rows", "refused", "vehicles"),
    [
        ("car_obd/raw", 150_548, 1, 1),  # one file ends in the middle of a row
        ("js2", 194_400, 0, 15),
    ],
)
def test_real_folders_are_read_whole_with_no_hand_edit(folder, rows, refused, vehicles, tmp_path,
                                                       data_dir):  # fmt: skip
    settings = Settings(home=tmp_path, data_dir=data_dir)
    write_draft(data_dir / folder, "drafted", settings, force=False)
    fleet = load_fleet("drafted", settings)
    assert fleet.source.folder == folder
    counts = ingest(fleet, settings)
    assert (counts.rows_lake, counts.rows_rejected) == (rows, refused)
    assert len(counts.vehicles) == vehicles


@pytest.mark.real_data
def test_a_real_log_whose_signals_take_turns(tmp_path, data_dir):
    settings = Settings(home=tmp_path, data_dir=data_dir)
    write_draft(data_dir / "kit_obd" / "raw", "drafted", settings, force=False)
    fleet = load_fleet("drafted", settings)
    rule = fleet.source.timestamp
    assert (rule.take, rule.column, fleet.period_seconds) == ("time_of_day", "Time", 1)
    assert fleet.source.vehicle.value == "Seat_Leon" and len(fleet.channels) == 10
    assert {c.unit for c in fleet.channels} == {"celsius", "kPa", "rpm", "km/h", "g/s", "percent"}
