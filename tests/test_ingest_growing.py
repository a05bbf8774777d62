"""The lake only grows: files that are gone, changed, moved, refused or merged with others."""

import gzip
import shutil

import pytest

from amad.config import DataError
from amad.telemetry.ingest_result import GoneFile, RepeatedFile
from amad.telemetry.lake import Lake, origins_path
from amad.telemetry.refusals import intake_of
from tests.ingest_kit import (
    DAY,
    Yard,
    balanced,
    content_of,
    line,
    of_lake,
    raw_fleet,
    said,
    seconds_of,
    tree,
)


def test_a_file_that_is_gone_is_named_every_time_and_changes_nothing(yard):
    yard.csv("1.csv", [line(seconds=s) for s in (0, 1, DAY)] + [line("a-2")])
    yard.csv("2.csv", [line(seconds=2 * DAY)])
    _, lake = yard.ingest(raw_fleet())
    before = tree(lake.path)
    (yard.raw / "1.csv").unlink()
    for _ in range(2):
        counts, lake = yard.ingest(raw_fleet())
        assert tree(lake.path) == before and balanced(counts) and counts.rows_lake == 5
        assert counts.files_gone == [GoneFile(path="1.csv", rows=4, days=3)]
        told = said(yard, counts)
        assert "raw files gone from" in told and "4 rows on 3 vehicle-days" in told
    yard.csv("3.csv", [line(seconds=0.5), line("a-2", 1)])  # new rows of the days that are kept
    counts, lake = yard.ingest(raw_fleet())
    assert seconds_of(lake.read("a-1")) == [0, 0.5, 1, DAY, 2 * DAY] and balanced(counts)
    assert (counts.files_read, counts.rows_added, counts.days_changed) == (1, 2, 2)
    counts, lake = yard.ingest(raw_fleet(), rebuild=True)
    assert counts.vehicles == {"a-1": 2, "a-2": 1} and counts.files_gone == []
    assert balanced(counts) and counts.rows_added == 3
    assert {str(path.parent.relative_to(lake.path)) for path in lake.path.glob("v*/*/*")} == {
        "vehicle=a-1/date=2026-01-05",
        "vehicle=a-1/date=2026-01-07",
        "vehicle=a-2/date=2026-01-05",
    }


@pytest.mark.parametrize("how", ["empty", "absent"])
def test_a_folder_without_any_file_is_an_error_and_the_lake_stays(how, yard):
    yard.csv("1.csv", [line()])
    _, lake = yard.ingest(raw_fleet())
    before = tree(lake.path)
    shutil.rmtree(yard.raw)
    if how == "empty":
        yard.raw.mkdir()
    for rebuild in (False, True):
        with pytest.raises(DataError, match=r"raw.*the lake holds 1 raw files.*mount|mount"):
            yard.ingest(raw_fleet(), rebuild=rebuild)
    assert tree(lake.path) == before


def test_a_glob_may_find_nothing_more_if_it_once_did(yard):
    files = [{"glob": "old*.csv"}, {"glob": "new*.csv"}]
    fleet = raw_fleet(source={"files": files})
    yard.csv("new1.csv", [line()])
    with pytest.raises(DataError, match=r"'old\*\.csv'"):
        yard.ingest(fleet)
    yard.csv("old1.csv", [line(seconds=1)])
    yard.ingest(fleet)
    (yard.raw / "old1.csv").unlink()
    counts, lake = yard.ingest(fleet)
    assert lake.rows() == 2 and counts.files_gone[0].path == "old1.csv"
    yard.ingest(fleet, rebuild=True)
    assert yard.ingest(fleet)[1].rows() == 1


def test_a_corrected_file_replaces_its_rows_while_those_of_a_gone_one_stay(yard):
    """1 and 2 share a day, a vehicle and a moment; 2 goes, then 1 is corrected."""
    yard.csv("1.csv", [line(seconds=s, speed=s) for s in (0, 1, 2)] + [line("a-2"), "a-1,x,1,2"])
    yard.csv("2.csv", [line(seconds=s, speed=9) for s in (2, 3, DAY)] + [line("a-3"), "a-1,,1,2"])
    yard.csv("3.csv", [line(seconds=4, speed=4)])
    counts, _ = yard.ingest(raw_fleet())
    assert counts.rejected_by_reason["duplicate timestamp with other values"] == 1
    (yard.raw / "2.csv").unlink()
    yard.ingest(raw_fleet())
    yard.csv("1.csv", [line(seconds=s, speed=7) for s in (0, 3, 5)])
    counts, lake = yard.ingest(raw_fleet())
    table = lake.read("a-1")
    assert seconds_of(table) == [0, 3, 4, 5, DAY]  # 1 and 2 are corrected away, 3 is of file 2
    assert table["speed"].to_pylist() == [7, 9, 4, 7, 9]
    assert lake.vehicles() == ["a-1", "a-3"] and balanced(counts)
    assert counts.files_gone == [GoneFile(path="2.csv", rows=3, days=3)]
    rejected = yard.rejected(raw_fleet())
    assert [(row["file"], row["row"]) for row in rejected] == [
        ("1.csv", 2),
        ("2.csv", 1),
        ("2.csv", 5),
    ]
    assert lake.day_table()["duplicates"].to_pylist() == [2, 0, 0]
    assert lake.day_table()["unreadable"].to_pylist() == [1, 0, 0]
    (yard.raw / "3.csv").unlink()  # and again, with two gone
    yard.csv("1.csv", [line(seconds=6)])
    counts, lake = yard.ingest(raw_fleet())
    assert seconds_of(lake.read("a-1")) == [3, 4, 6, DAY]
    assert balanced(counts) and len(counts.files_gone) == 2


def test_merged_rows_are_taken_apart_again(yard):
    """Three files make one row; two go, the third is corrected: their values stay."""
    yard.csv("1.csv", [line(level=""), line(seconds=1, level="")])
    yard.csv("2.csv", [line(speed="", level=5), line(seconds=1, speed=1, level=6)])
    yard.csv("3.csv", [line("a-2"), line(seconds=1, speed="", level=6), line(seconds=2)])
    counts, lake = yard.ingest(raw_fleet())
    assert lake.read("a-1")["level"].to_pylist() == [5, 6, 2]
    assert (counts.rows_merged, counts.rows_rejected) == (2, 1) and balanced(counts)
    assert said(yard, counts).count("2 merged into others") == 1
    (yard.raw / "2.csv").unlink()
    yard.csv("1.csv", [line(seconds=1, speed=3, level=""), line(seconds=5)])
    counts, lake = yard.ingest(raw_fleet())
    assert lake.read("a-1")["speed"].to_pylist() == [None, 1, 1, 1]
    assert lake.read("a-1")["level"].to_pylist() == [5, 6, 2, 2]
    assert balanced(counts)
    rejected = {(row["file"], row["row"]) for row in yard.rejected(raw_fleet())}
    assert rejected == {("1.csv", 1), ("3.csv", 2)}


def test_which_file_each_row_is_of_takes_next_to_no_room(yard):
    for n in range(2):
        yard.csv(f"{n}.csv", [line(seconds=s) for s in range(n, 10_000, 2)])
    _, lake = yard.ingest(raw_fleet())
    ((vehicle, date, rows),) = lake.days()
    assert rows == 10_000 and (lake.path / origins_path(vehicle, date)).stat().st_size < 5_000


def test_a_correction_with_all_files_there_is_as_if_read_at_once(yard, tmp_path):
    yard.csv("1.csv", [line(speed=1), line(seconds=1, speed=1), line(seconds=DAY)])
    yard.csv("2.csv", [line(speed=2), line("a-2")])
    yard.ingest(raw_fleet())
    yard.csv("1.csv", [line(seconds=1, speed=3)])
    counts, lake = yard.ingest(raw_fleet())
    (tmp_path / "other").mkdir()
    other = Yard(tmp_path / "other")
    shutil.copytree(yard.raw, other.raw, dirs_exist_ok=True)
    at_once, lake_at_once = other.ingest(raw_fleet())
    assert of_lake(counts) == of_lake(at_once) and lake.hash() == lake_at_once.hash()
    assert tree(lake.path) == tree(lake_at_once.path)
    assert lake.read("a-1")["speed"].to_pylist() == [2, 3], "2.csv's row was a repeat before"


def test_a_file_with_another_name_is_the_same_file(yard):
    yard.csv("1.csv", [line(), line(seconds=DAY)])
    yard.csv("2.csv", [line("a-2")])
    _, lake = yard.ingest(raw_fleet())
    before = content_of(lake)
    (yard.raw / "1.csv").rename(yard.raw / "9.csv")
    (yard.raw / "2.csv").unlink()
    counts, lake = yard.ingest(raw_fleet())
    assert content_of(lake) == before and counts.rows_rejected == 0
    assert [file.path for file in counts.files_gone] == ["2.csv"]


def test_a_file_that_changed_into_rubbish_keeps_its_rows(yard):
    yard.csv("1.csv", [line(), "a-1,x,1,2"])
    yard.csv("2.csv", [line("a-2")])
    yard.csv("3.csv", [line("a-3")])
    _, lake = yard.ingest(raw_fleet())
    before = content_of(lake)
    (yard.raw / "1.csv").write_bytes(b"")
    (yard.raw / "2.csv").rename(yard.raw / "4.csv")
    yard.csv("4.csv", [line("a-2")], "vehicle,timestamp,speed,depth")
    for _ in range(2):
        counts, lake = yard.ingest(raw_fleet())
        assert content_of(lake) == before and balanced(counts)
        assert [file.path for file in counts.files_refused] == ["1.csv", "4.csv"]
        assert "its rows of before stay" in counts.files_refused[0].reason
        assert counts.files_gone == [GoneFile(path="2.csv", rows=1, days=1)]
    yard.csv("1.csv", [line(seconds=-7)])
    counts, lake = yard.ingest(raw_fleet())
    assert seconds_of(lake.read("a-1")) == [-7] and lake.rows() == 3 and balanced(counts)


def test_a_changed_fleet_file_needs_all_files(yard):
    yard.csv("1.csv", [line()])
    yard.csv("2.csv", [line("a-2")])
    _, lake = yard.ingest(raw_fleet())
    other = raw_fleet(channels=[{"name": "speed"}])
    before = tree(lake.path)
    (yard.raw / "1.csv").unlink()
    with pytest.raises(DataError, match=r"1 raw file \(1\.csv\).*--rebuild"):
        yard.ingest(other)
    assert tree(lake.path) == before and Lake(lake.path, raw_fleet()).rows() == 2
    counts, lake = yard.ingest(other, rebuild=True)
    assert counts.vehicles == {"a-2": 1}


def test_new_vehicle_classes_need_no_file_that_is_gone(yard):
    """The way out for a vehicle of no class must not cost the rows of files that are gone."""
    yard.csv("1.csv", [line(), line("c-7")])
    yard.csv("2.csv", [line("a-2"), line("c-7")])
    yard.ingest(raw_fleet())
    (yard.raw / "1.csv").unlink()
    classes = [{"name": "b", "vehicles": ["b-*"]}, {"name": "a", "vehicles": ["a-*", "c-*"]}]
    fleet = raw_fleet(vehicle_classes=classes)
    counts, lake = yard.ingest(fleet)
    assert counts.vehicles == {"a-1": 1, "a-2": 1, "c-7": 1} and balanced(counts)
    assert counts.vehicles_unknown == {"c-7": 1}, "that of the file that is gone"
    assert yard.ingest(fleet)[0].files_read == 0
    for others in (["b-*", "a-*"], ["b-*"]):  # a-1 would be of another class, or of none
        classes = [{"name": "b", "vehicles": others}, {"name": "a", "vehicles": ["c-*"]}]
        with pytest.raises(DataError, match=r"1 raw file \(1\.csv\).*--rebuild"):
            yard.ingest(raw_fleet(vehicle_classes=classes))
        assert Lake(lake.path, fleet).rows() == 3


def test_a_file_that_was_packed_is_the_same_file(yard):
    fleet = raw_fleet(source={"files": [{"glob": "*.csv*"}]})
    yard.csv("1.csv", [line(), line(seconds=1)])
    yard.csv("2.csv", [line("a-2")])
    yard.ingest(fleet)
    (yard.raw / "1.csv.gz").write_bytes(gzip.compress((yard.raw / "1.csv").read_bytes()))
    (yard.raw / "1.csv").unlink()
    counts, lake = yard.ingest(fleet)
    assert lake.rows() == 3 and counts.rows_rejected == 0 and counts.files_gone == []
    (yard.raw / "1.csv.gz").write_bytes(b"")
    counts, lake = yard.ingest(fleet)
    assert lake.rows() == 3 and "rows of before stay" in counts.files_refused[0].reason


def test_rows_told_by_position_need_all_files_where_one_changes(yard):
    index = {"timestamp": {"take": "index", "start": "2026-01-05T00:00:00Z"}}
    by_path = {"vehicle": {"take": "path", "pattern": r"([ab]-\d)"}}
    fleet = raw_fleet(source=index | by_path)
    for number in range(3):
        yard.csv(f"a-1_{number}.csv", ["1,1", f"{number},2"], "speed,level")
    _, lake = yard.ingest(fleet)
    before = tree(lake.path)
    (yard.raw / "a-1_0.csv").unlink()
    yard.csv("a-1_3.csv", ["3,3"], "speed,level")
    counts, lake = yard.ingest(fleet)  # new ones at the end have their place
    assert seconds_of(lake.read("a-1")) == list(range(7)) and balanced(counts)
    before = tree(lake.path)
    yard.csv("a-1_1.csv", ["8,8"], "speed,level")
    with pytest.raises(DataError, match=r"told by position.*a-1_0\.csv.*--rebuild"):
        yard.ingest(fleet)
    assert tree(lake.path) == before


def test_what_falls_out_of_a_log_that_rolls_on_stays(yard, capsys):
    """latest.csv is written anew at each noon, with what came since; 2.csv shares a moment."""
    yard.csv("2.csv", [line(seconds=60, speed="", level=8)])
    half = DAY // 2
    for night in range(1, 5):
        first = (night - 1) * DAY + (half if night > 1 else 0)
        times = range(first, night * DAY + half, 3600)
        yard.csv("latest.csv", [line(seconds=s + 60, speed=night, level="") for s in times])
        counts, lake = yard.ingest(raw_fleet())
        assert balanced(counts)
        assert seconds_of(lake.read("a-1")) == [s + 60 for s in range(0, night * DAY + half, 3600)]
    table = lake.read("a-1")
    speed = dict(zip(seconds_of(table), table["speed"].to_pylist(), strict=True))
    assert [speed[n * DAY + half + 60] for n in range(4)] == [1, 2, 3, 4]
    assert table["level"].to_pylist()[0] == 8, "what another file gave to the same row"
    gone = {file.path: file.rows for file in counts.files_gone}
    until = {"2026-01-06": 36, "2026-01-07": 24, "2026-01-08": 24}
    assert gone == {f"latest.csv (until {date})": rows for date, rows in until.items()}
    assert "left the lake" not in capsys.readouterr().err
    assert yard.ingest(raw_fleet())[0].files_read == 0
    yard.csv("latest.csv", [line(seconds=9 * DAY)])  # and nothing of the days before
    counts, lake = yard.ingest(raw_fleet())
    assert lake.rows() == 4 * 24 + 12 + 1 and balanced(counts)


def test_a_file_that_holds_no_rows_any_more_keeps_those_of_before(yard):
    yard.csv("1.csv", [line(), line(seconds=1)])
    yard.csv("2.csv", [line("a-2")])
    yard.ingest(raw_fleet())
    yard.csv("1.csv", [])
    counts, lake = yard.ingest(raw_fleet())
    assert lake.rows() == 3 and balanced(counts)
    assert "its rows of before stay: it holds no rows" in counts.files_refused[0].reason


def test_vehicle_days_that_a_correction_takes_away_are_told(yard, capsys):
    yard.csv("1.csv", [line(), line(seconds=DAY), line("a-2")])
    yard.ingest(raw_fleet())
    capsys.readouterr()
    yard.csv("1.csv", [line()])
    counts, _ = yard.ingest(raw_fleet())
    assert counts.rows_added == -2
    told = capsys.readouterr().err
    assert (
        "2 rows of 2 vehicle-days, 2 of them whole, have left the lake (a-1 on 2026-01-06" in told
    )


def test_rows_of_a_day_that_a_correction_takes_away_are_told(yard, capsys):
    yard.csv("1.csv", [line(seconds=s) for s in range(9)])
    yard.ingest(raw_fleet())
    capsys.readouterr()
    yard.csv("1.csv", [line(seconds=s) for s in range(4, 9)])
    assert yard.ingest(raw_fleet())[0].rows_added == -4
    told = capsys.readouterr().err
    assert "4 rows of 1 vehicle-day have left the lake (a-1 on 2026-01-05)" in told


def test_a_log_that_begins_anew_within_a_day_keeps_what_it_held(yard, capsys):
    """copytruncate: the log is copied to a name that no glob finds, and emptied."""
    for hour in range(3):
        times = range(3600 * hour, 3600 * hour + 50)
        yard.csv("log.csv", [line(seconds=s) for s in times])
        counts, lake = yard.ingest(raw_fleet())
    assert lake.rows() == 150 and balanced(counts)
    assert {f.path: f.rows for f in counts.files_gone} == {
        "log.csv (until 2026-01-05)": 50, "log.csv (until 2026-01-05, 2)": 50
    }  # fmt: skip
    assert "left the lake" not in capsys.readouterr().err


@pytest.mark.parametrize("nights", [1, 2])
def test_a_file_that_was_delivered_twice_is_named_and_keeps_no_day_out(nights, yard):
    source = {"vehicle": {"take": "path", "pattern": r"^(a-\d)"}}
    fleet = raw_fleet(source=source, quality={"min_rows": 1})
    rows = [*(line(seconds=s) for s in range(3)), "a-1,noon,1,2"]
    yard.csv("a-1.csv", rows)
    if nights == 2:
        yard.ingest(fleet)
    yard.csv("a-1_again.csv", rows)
    yard.csv("a-2.csv", rows)
    for _ in range(2):
        counts, lake = yard.ingest(fleet)
        assert counts.vehicles == {"a-1": 3, "a-2": 3} and balanced(counts)
        assert counts.rejected_by_reason["duplicate timestamp"] == 3
        assert counts.files_twice == [RepeatedFile(path="a-1_again.csv", original="a-1.csv")]
        assert "delivered twice" in said(yard, counts) and "a-1_again.csv is a-1.csv" in said(
            yard, counts
        )
    table = lake.day_table()
    assert table["duplicates"].to_pylist() == [0, 0] and table["unreadable"].to_pylist() == [1, 1]
    assert [file.path for file in intake_of(lake).files] == ["a-1.csv", "a-2.csv"]
    (yard.raw / "a-1_again.csv").unlink()
    assert not yard.ingest(fleet)[0].files_twice


def test_a_file_of_the_same_content_is_no_copy_where_its_path_or_place_tells_the_time(yard):
    one = {"vehicle": {"take": "constant", "value": "a-1"}}
    for day in (5, 6):
        yard.csv(f"2026-01-0{day}.csv", ["08:00:00,1,2"], "timestamp,speed,level")
    for rule in (
        {"take": "time_of_day", "date_pattern": r"(\d{4}-\d\d-\d\d)"},
        {"take": "index", "start": "2026-01-05T00:00:00Z"},
    ):
        counts, _ = yard.ingest(raw_fleet(source=one | {"timestamp": rule}), rebuild=True)
        assert counts.rows_lake == 2 and not counts.files_twice


def test_a_link_to_a_folder_is_named_where_it_is_not_followed(yard, tmp_path, capsys):
    (tmp_path / "mount").mkdir()
    yard.csv("1.csv", [line()])
    (tmp_path / "mount" / "2.csv").write_bytes((yard.raw / "1.csv").read_bytes() + b"\n")
    (yard.raw / "other").symlink_to(tmp_path / "mount")
    (yard.raw / "circle").symlink_to(yard.raw)
    everywhere = {"glob": "**/*.csv"}
    yard.ingest(raw_fleet(source={"files": [everywhere]}))
    told = capsys.readouterr().err
    assert "other is a link to a folder" in told and "circle is a link" in told
    counts, _ = yard.ingest(raw_fleet(source={"files": [everywhere, {"glob": "other/**/*.csv"}]}))
    assert counts.files == 2 and "other is a link" not in capsys.readouterr().err


def test_files_of_another_format_beside_the_raw_files_are_told(yard, capsys):
    fleet = raw_fleet()
    yard.csv("1.csv", [line()])
    yard.ingest(fleet)
    yard.parquet("2.parquet", speed=[1.0])
    yard.ingest(fleet)
    assert "which are not read: 2.parquet; if they are raw files" in capsys.readouterr().err
