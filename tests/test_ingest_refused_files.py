"""Files that are refused, and names that are unusual: of files and of vehicles."""

import os

import pytest

from amad.cli.doctor import machine_checks
from amad.config import DataError, Params, Stage
from tests.closed_folders import close_folders
from tests.ingest_kit import (
    START,
    at,
    balanced,
    line,
    raw_fleet,
    said,
    seconds_of,
)


def test_refused_files_and_unknown_vehicles_are_named_until_they_are_mended(yard):
    yard.csv("1.csv", [line(), line("c-7"), line("c-7", 1), line("c-8")])
    yard.csv("2.csv", [line(seconds=1)], "vehicle,timestamp,speed,depth")
    for _ in range(3):
        counts, _ = yard.ingest(raw_fleet())
        assert [file.path for file in counts.files_refused] == ["2.csv"]
        assert counts.vehicles_unknown == {"c-7": 2, "c-8": 1}
        told = said(yard, counts)
        assert "2.csv: missing column: 'level'" in told and "  c-7\n" in told
    yard.csv("2.csv", [line(seconds=1)])  # mended: it is read, the others are not read again
    counts, lake = yard.ingest(raw_fleet())
    assert counts.files_refused == [] and counts.files_read == 1 and lake.rows() == 2
    assert balanced(counts) and counts.rows_rejected == len(yard.rejected(raw_fleet())) == 3
    yard.csv("3.csv", [line()], "vehicle,timestamp")
    yard.ingest(raw_fleet())
    (yard.raw / "3.csv").unlink()  # taken away: nothing of it is missed
    counts, _ = yard.ingest(raw_fleet())
    assert counts.files_refused == [] == counts.files_gone


def test_the_first_row_that_was_refused_for_a_reason_is_told_with_its_file(yard):
    yard.csv("1.csv", [line(), line(seconds=1, speed="high"), line(seconds=2, level="low")])
    yard.csv("2.csv", [line(seconds=3, speed="low")])
    told = said(yard, yard.ingest(raw_fleet())[0])
    why = "'high' is a word; if it stands for no value, list it in source.nulls"
    assert f"speed is not a finite number: 2, such as row 2 of 1.csv: {why}" in told
    assert "such as" not in said(yard, yard.ingest(raw_fleet())[0])  # nothing was read again


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (f"a-1,{at(1)},1,2\na-1,{at(2)},1,2\n", "the file has no header: put that of the other"),
        ("\0" * 8192, "unreadable file: it holds zeros, as a crash"),
        ("<!doctype html>\n<h1>502</h1>\n", "it is an HTML page"),
    ],
)
def test_a_later_file_that_is_none_says_what_it_is(yard, data, why):
    yard.csv("1.csv", [line()])
    (yard.raw / "2.csv").write_text(data)
    counts, _ = yard.ingest(raw_fleet())
    assert why in counts.files_refused[0].reason and counts.rows_lake == 1


def test_the_lock_of_an_open_file_is_no_raw_data_and_a_link_to_nothing_is_named(yard, capsys):
    yard.csv("1.csv", [line()])
    (yard.raw / "~$1.csv").write_bytes(b"\x04Anna\0")
    (yard.raw / "2.csv").symlink_to(yard.raw / "gone" / "2.csv")
    counts, _ = yard.ingest(raw_fleet())
    assert [file.path for file in counts.files_refused] == ["2.csv"]
    assert "2.csv: unreadable file: No such file or directory" in said(yard, counts)


@pytest.mark.parametrize("glob", ["**/*.csv", "*/*.csv", "[bv]*/[0-9].csv"])
def test_a_folder_that_cannot_be_opened_is_no_empty_one(yard, monkeypatch, glob):
    """It is a refused file until it can be opened, and no row that the lake has of it is lost."""
    for folder in ("van", "bus", "lost+found"):
        (yard.raw / folder).mkdir()
    yard.csv("van/1.csv", [line()])
    yard.csv("bus/1.csv", [line("a-2"), line("a-2", 1)])
    fleet = raw_fleet(source={"files": [{"glob": glob}]})
    close_folders(monkeypatch, "lost+found", "bus")
    counts, _ = yard.ingest(fleet)
    assert [file.path for file in counts.files_refused] == ["bus"] and counts.rows_lake == 1
    assert "bus: unreadable file: Permission denied" in said(yard, counts)
    close_folders(monkeypatch, "lost+found")
    counts, _ = yard.ingest(fleet)
    assert counts.files_refused == [] == counts.files_gone and counts.rows_lake == 3
    close_folders(monkeypatch, "bus")
    for _ in range(2):
        counts, _ = yard.ingest(fleet)
        assert [file.path for file in counts.files_refused] == ["bus"] and counts.rows_lake == 3
        assert counts.files_gone == [], "it cannot be seen, so nobody knows"
        assert "bus: unreadable file: Permission denied; its rows stay" in said(yard, counts)
        assert counts.files_read == 0
    with pytest.raises(
        DataError, match=r"bus cannot be opened .* lose 2 rows of it: give the user"
    ):
        yard.ingest(fleet, rebuild=True)
    assert yard.ingest(fleet)[0].rows_lake == 3


def test_a_folder_of_the_lake_that_cannot_be_opened_is_nothing_new(yard, monkeypatch):
    """Also where rows are told by their position: no file is missed, and none slips in."""
    (yard.raw / "bus").mkdir()
    yard.csv("bus/1.csv", ["a-2,1,2"], "vehicle,speed,level")
    yard.csv("van.csv", ["a-1,1,2"], "vehicle,speed,level")
    rule = {"take": "index", "start": START.isoformat()}
    fleet = raw_fleet(source={"files": [{"glob": "**/*.csv"}], "timestamp": rule})
    yard.ingest(fleet)
    stage = Stage(fleet=fleet, settings=yard.settings, params=Params())
    close_folders(monkeypatch, "bus")
    counts, _ = yard.ingest(fleet)
    assert counts.files == 3 and counts.rows_lake == 2 and counts.files_read == 0
    assert [file.path for file in counts.files_refused] == ["bus"] and counts.files_gone == []
    assert machine_checks.lake(stage)[0] == "ok"


@pytest.mark.parametrize("by_index", [False, True])
def test_after_a_change_of_the_fleet_file_a_closed_folder_is_not_called_gone(
    yard, monkeypatch, by_index
):
    """All is read anew then, and the way out is to open the folder: a rebuild is refused."""
    (yard.raw / "bus").mkdir()
    yard.csv("bus/1.csv", ["a-2,1,2"], "vehicle,speed,level")
    yard.csv("van.csv", ["a-1,1,2"], "vehicle,speed,level")
    rule = {"take": "index", "start": START.isoformat()}
    source = {"files": [{"glob": "**/*.csv"}], "timestamp": rule}
    yard.ingest(raw_fleet(source=source))
    close_folders(monkeypatch, "bus")
    if by_index:  # a file slips in before the others
        yard.csv("a.csv", ["a-3,1,2"], "vehicle,speed,level")
    else:
        source |= {"timestamp": rule | {"start": at(60)}}
    with pytest.raises(DataError, match=r"anew, .*but bus .Permission denied. cannot") as error:
        yard.ingest(raw_fleet(source=source))
    assert "give the user who runs amad the right" in str(error.value)
    assert "no longer in" not in str(error.value) and "rebuild" not in str(error.value)


def test_the_folder_of_the_raw_files_that_cannot_be_opened_is_no_empty_one(yard, monkeypatch):
    yard.csv("1.csv", [line()])
    close_folders(monkeypatch, yard.raw.name)
    with pytest.raises(DataError, match=r"cannot be opened .permission denied.: give the user"):
        yard.ingest(raw_fleet())


def test_a_file_that_may_not_be_read_does_not_stop_the_others(yard, monkeypatch):
    from amad.ingest import raw_files

    hashed = raw_files.file_sha256

    def refusing(path):
        if path.name == "2.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return hashed(path)

    yard.csv("1.csv", [line()])
    yard.csv("2.csv", [line("a-2")])
    with monkeypatch.context() as patch:
        patch.setattr(raw_files, "file_sha256", refusing)
        counts, lake = yard.ingest(raw_fleet())
        assert lake.vehicles() == ["a-1"]
        assert "Permission denied" in counts.files_refused[0].reason
    assert yard.ingest(raw_fleet())[1].vehicles() == ["a-1", "a-2"]
    os.utime(yard.raw / "2.csv")
    with monkeypatch.context() as patch:  # its rows are in the lake now
        patch.setattr(raw_files, "file_sha256", refusing)
        counts, lake = yard.ingest(raw_fleet())
        assert lake.vehicles() == ["a-1", "a-2"]
        assert counts.files_gone == [], "it is there, and refused"
        (refused,) = counts.files_refused
        assert refused.path == "2.csv"
        assert refused.reason == "unreadable file: Permission denied; its rows stay in the lake"
        assert counts.files == 2 and counts.rows_lake == 2 and balanced(counts)


def test_whatever_fails_in_reading_a_file_refuses_that_file(yard, monkeypatch):
    from amad.reading.rows import FileParser

    parse = FileParser.parse

    def failing(self, batch):
        if self._path == "2.csv":
            raise ZeroDivisionError("no such thing")
        return parse(self, batch)

    monkeypatch.setattr(FileParser, "parse", failing)
    yard.csv("1.csv", [line()])
    yard.csv("2.csv", [line("a-2")])
    counts, lake = yard.ingest(raw_fleet())
    assert lake.vehicles() == ["a-1"] and balanced(counts)
    assert "ZeroDivisionError: no such thing" in counts.files_refused[0].reason


def test_names_that_are_not_utf_8(yard):
    """The byte is kept in another form wherever the name is written, and the file is read."""
    yard.csv("1.csv", [line()])
    name = os.fsdecode(b"caf\xe9.csv")
    (yard.raw / "1.csv").rename(yard.raw / name)
    yard.csv(r"caf\xe9.csv", [line("a-2"), "a-2,x,1,2"])  # the form, as a name of its own
    for _ in range(2):
        counts, lake = yard.ingest(raw_fleet())
        assert counts.files_refused == [] and lake.vehicles() == ["a-1", "a-2"]
        assert set(lake.files) == {r"caf\xe9.csv", r"caf\\xe9.csv"}
    assert yard.rejected(raw_fleet())[0]["file"] == r"caf\\xe9.csv"


def test_ids_that_are_too_long_for_a_path(yard):
    fleet = raw_fleet(vehicle_classes=[{"name": "a"}, {"name": "b", "vehicles": []}])
    names = ["a" * 300, "a" * 299 + "b", "ü" * 60, "short", "x" * 247, "x" * 248]
    yard.csv("x.csv", [line(name) for name in names])
    counts, lake = yard.ingest(fleet)
    assert lake.vehicles() == sorted(names) and counts.rows_lake == len(names)
    assert all(lake.read(name).num_rows == 1 for name in names)
    folders = [path.name for path in lake.path.glob("vehicle=*")]
    assert len(folders) == len(names) and max(len(name.encode()) for name in folders) <= 255
    assert f"vehicle={'x' * 247}" in folders


def test_spellings_of_one_vehicle_are_named_and_joined_where_told(yard):
    classes = [{"name": "a"}, {"name": "b", "vehicles": []}]
    spelt = ["WDB 001", "wdb-001", "WDB_1", "wdb\u200b001", "W-2", "car-1-11", "car-11-1"]
    yard.csv("1.csv", [line(name, seconds) for seconds, name in enumerate(spelt)])
    counts, _ = yard.ingest(raw_fleet(vehicle_classes=classes))
    assert counts.likely_doubles == [sorted(["WDB 001", "wdb-001", "WDB_1", "wdb\u200b001"])]
    assert "'WDB 001' = 'WDB_1'" in said(yard, counts)
    aliases = {"WDB 001": ["wdb-001", "WDB_1", "wdb\u200b001"]}
    counts, lake = yard.ingest(
        raw_fleet(vehicle_classes=classes, source={"vehicle": {"aliases": aliases}})
    )
    assert counts.likely_doubles == [] and seconds_of(lake.read("WDB 001")) == [0, 1, 2, 3]
    assert (
        "late" in lake.day_table().schema.names and sum(lake.day_table()["late"].to_pylist()) == 0
    )


def test_aliases_hold_in_paths_and_in_events(yard):
    source = {
        "vehicle": {"take": "path", "pattern": r"^([^_]+)_", "aliases": {"a-1": ["A1"]}},
        "files": [{"glob": "*_x.csv"}],
    }
    labels = {"kind": "intervals", "culprits": "f.csv", "culprits_by": "timestamp"}
    yard.csv("A1_x.csv", [f"{at(1)},1,2"], "timestamp,speed,level")
    yard.csv("a-1_x.csv", [f"{at(0)},1,2"], "timestamp,speed,level")
    yard.csv("f.csv", [f"A1,{at(1)},{at(2)},speed"], "vehicle,start,end,channels")
    _, lake = yard.ingest(raw_fleet(source=source, labels=labels))
    assert lake.vehicles() == ["a-1"] and lake.read("a-1")["label"].to_pylist() == [0, 1]
