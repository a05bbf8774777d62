"""A sensor that came later: older files without its column are read, and nothing else is lost."""

from datetime import date

import pytest

from amad.config import ConfigError, DataError
from amad.config.fleet import load_fleet
from amad.engines.validate.quality import judge
from amad.telemetry.profile import profile
from tests.ingest_kit import DAY, HEADER, balanced, content_of, line, raw_fleet, tree

SINCE = date(2026, 1, 7)  # the third of the days below
WITH_SOC = f"{HEADER},soc"
CHANNELS = [{"name": "speed", "range": [0, 200]}, {"name": "level"}]
CLASSES = [{"name": "all"}]


def later_fleet(soc: dict | None = None, **changes):
    """The channels speed, level, and if it is told soc."""
    channels = CHANNELS if soc is None else [*CHANNELS, {"name": "soc", **soc}]
    return raw_fleet(channels=channels, vehicle_classes=CLASSES, **changes)


def write_days(yard, days=range(5), begins=2, vehicles=("a-1", "a-2")):
    """A file per vehicle and day of three rows; from the day ``begins`` on with soc."""
    for vehicle in vehicles:
        for day in days:
            rows = [line(vehicle, day * DAY + n) + ",7" * (day >= begins) for n in range(3)]
            yard.csv(f"{day}-{vehicle}.csv", rows, WITH_SOC if day >= begins else HEADER)


def test_older_files_without_the_column_are_read_and_told(yard, capsys):
    write_days(yard)
    counts, lake = yard.ingest(later_fleet({"since": SINCE}))
    assert balanced(counts) and counts.rows_lake == 30 and not counts.rows_rejected
    for rows in content_of(lake).values():
        assert [row["soc"] for row in rows] == [None] * 6 + [7] * 9
    told = "no column for soc in 4 files read now, of 2 vehicles: it is null there, and nothing is"
    assert f"{told} expected of it until the end of 2026-01-07" in capsys.readouterr().err
    yard.csv("5.csv", [line("a-1", 5 * DAY) + ",7"], WITH_SOC)
    assert yard.ingest(later_fleet({"since": SINCE}))[0].rows_lake == 31
    assert "no column" not in capsys.readouterr().err, "it is told once"


def test_the_lake_is_the_same_in_whatever_order_the_files_come(yard, tmp_path):
    fleet = later_fleet({"since": SINCE})
    write_days(yard)
    yard.ingest(fleet)
    lake = yard.settings.fleet_dir(fleet.name) / "lake"
    at_once = {name: raw for name, raw in tree(lake).items() if name.endswith("/part.parquet")}
    held = sorted(yard.raw.iterdir(), reverse=True)
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in held:
        path.rename(aside / path.name)
    (aside / held[0].name).rename(held[0])
    yard.ingest(fleet, rebuild=True)
    for path in held[1:]:  # the newest first, each in a night of its own
        (aside / path.name).rename(path)
        yard.ingest(fleet)
    now = {name: raw for name, raw in tree(lake).items() if name.endswith("/part.parquet")}
    assert now == at_once


def test_a_column_that_is_gone_after_the_date_is_refused_row_by_row(yard):
    """A renamed column is not missing in silence. On the date itself the sensor may come at noon"""
    fleet = later_fleet({"since": SINCE})
    write_days(yard)
    yard.csv("renamed.csv", [line("a-1", day * DAY + 9) for day in (1, 2, 3)])
    counts, _ = yard.ingest(fleet)
    assert balanced(counts) and counts.rows_lake == 32
    (row,) = yard.rejected(fleet)
    assert row["file"] == "renamed.csv" and row["row"] == 3
    assert row["reason"].startswith("the file has no column for soc, and lies after its since, ")


def test_a_column_in_another_unit_is_not_taken_for_one_that_came_later(yard):
    write_days(yard, days=range(2, 4))
    yard.csv("old.csv", [line() + ",7"], f"{HEADER},soc [V]")
    counts, _ = yard.ingest(later_fleet({"since": SINCE, "column": "soc [%]"}))
    assert [file.path for file in counts.files_refused] == ["old.csv"]
    assert counts.files_refused[0].reason.startswith("another unit: ")


def test_a_column_that_no_file_has_is_an_error(yard):
    write_days(yard)
    fleet = later_fleet({"since": SINCE, "column": "state_of_charge"})
    with pytest.raises(DataError, match=r"no raw file has a column for soc \('state_of_charge'\)"):
        yard.ingest(fleet)
    assert not (yard.settings.fleet_dir(fleet.name) / "lake" / "_manifest.json").exists()


def test_a_channel_that_loses_vehicle_days_leaves_the_lake_and_says_the_line_to_add(yard):
    before = later_fleet()
    write_days(yard)
    counts, _ = yard.ingest(before)
    assert counts.days == 10
    with pytest.raises(DataError) as refused:
        yard.ingest(later_fleet({}))
    told = str(refused.value)
    assert "4 vehicle-days of 10 of the lake would be gone (a-1 on 2026-01-05, ...)" in told
    assert "with 12 of its 30 rows: 4 rows or files more refused, missing column: 0-a-1.csv" in told
    assert "4 files refused only for want of a column for soc, which others have" in told
    assert "since: 2026-01-07" in told and "The lake stays as it is" in told
    assert yard.ingest(before)[0].days == 10
    counts, _ = yard.ingest(later_fleet({"since": "2026-01-07"}))
    assert counts.days == 10 and not counts.files_refused
    counts, _ = yard.ingest(later_fleet({}), rebuild=True)
    assert counts.days == 6 and len(counts.files_refused) == 4, "who asks for it gets it"


def test_the_rows_of_files_that_are_gone_stay_without_the_channel(yard, capsys):
    write_days(yard)
    yard.csv("9.csv", [line("a-1", n) for n in (0, 7)] + [line("a-3")])  # a file that stays
    yard.ingest(later_fleet())
    for path in yard.raw.glob("[01]-*.csv"):
        path.unlink()
    soc = {"since": SINCE}
    with pytest.raises(DataError, match="are no longer in"):
        yard.ingest(later_fleet({}))
    typed = later_fleet({"column": "state_of_charge", **soc})
    with pytest.raises(DataError, match="no raw file has a column for soc"):
        yard.ingest(typed)
    fleet = later_fleet(soc)
    fleet = fleet.model_copy(update={"channels": [fleet.channels[2], *fleet.channels[:2]]})
    counts, lake = yard.ingest(fleet)
    assert balanced(counts) and counts.rows_lake == 32 and len(counts.files_gone) == 4
    assert "no column for soc in 1 file read now" in capsys.readouterr().err
    rows = content_of(lake)["a-1"]
    assert [row["soc"] for row in rows] == [None] * 7 + [7] * 9
    assert all(row["speed"] == 1 and row["level"] == 2 for row in rows)
    early = fleet.channels[0].model_copy(update={"since": date(2026, 1, 4)})
    with pytest.raises(DataError, match=r"1 vehicle-day of 11 of the lake .* \(a-3 on"):
        yard.ingest(fleet.model_copy(update={"channels": [early, *fleet.channels[1:]]}))
    later = fleet.channels[0].model_copy(update={"since": date(2026, 1, 8)})
    moved = fleet.model_copy(update={"channels": [later, *fleet.channels[1:]]})
    assert yard.ingest(moved)[0].rows_lake == 32, "the date alone may change, too"


def test_rows_of_another_vehicle_or_date_are_not_lost(yard):
    yard.csv("1.csv", [line("a-1", n * DAY) for n in range(3)])
    yard.csv("2.csv", [line("a-2", n * DAY) for n in range(3, 6)])
    yard.ingest(later_fleet())
    one = {"source": {"vehicle": {"aliases": {"a-1": ["a-2"]}}}}
    counts, lake = yard.ingest(later_fleet(**one))
    assert counts.rows_lake == 6 and lake.vehicles() == ["a-1"]


def test_the_date_of_a_gradual_roll_out_is_the_last_vehicles(yard, capsys):
    fleet = later_fleet({}, source={"vehicle": {"take": "path", "pattern": r"\d-(.*)\.csv"}})
    write_days(yard, vehicles=["a-1"], begins=1)
    write_days(yard, vehicles=["a-2"], begins=3)
    write_days(yard, vehicles=["a-3"], days=range(4, 5))  # a new vehicle says nothing of the date
    yard.ingest(fleet)
    assert "4 files refused only for want of a column" in (told := capsys.readouterr().err)
    assert "since: 2026-01-08" in told


def test_a_night_without_the_column_gets_no_date_to_write(yard, capsys):
    write_days(yard, days=range(2, 4))
    yard.ingest(later_fleet({}))
    yard.csv("4.csv", [line("a-1", 4 * DAY)])
    counts, _ = yard.ingest(later_fleet({}))
    assert [file.path for file in counts.files_refused] == ["4.csv"]
    assert "refused only for want" not in capsys.readouterr().err, "it is renamed, or gone"


def test_a_vehicle_day_is_not_judged_by_a_channel_before_it_came(yard):
    fleet = later_fleet({"since": SINCE})
    write_days(yard, vehicles=["a-1"])
    _, lake = yard.ingest(fleet)
    table = profile(lake, fleet).to_pylist()
    expected = [row["expected"] for row in table if row["channel"] == "soc"]
    assert expected == [False, False, False, True, True], "the sensor may come at noon of its date"
    assert all(row["expected"] for row in table if row["channel"] == "speed")


@pytest.mark.slow
def test_the_verdict_says_where_a_channel_was_not_there_yet(yard, tmp_path):
    """Nobody has it for two days; then a-1 has it from its date on, and a-2 lost it again."""
    quality = {"quality": {"min_rows": 1, "max_failing_share": 0.3}}
    fleet = later_fleet({"since": SINCE}, **quality)
    write_days(yard, vehicles=["a-1"])
    write_days(yard, vehicles=["a-2"], days=range(3))
    yard.csv("3-a-2.csv", [line("a-2", 3 * DAY + n) + "," for n in range(3)], WITH_SOC)
    _, lake = yard.ingest(fleet)
    verdict = judge(profile(lake, fleet), fleet, tmp_path / "docs")
    assert verdict.ok and verdict.not_yet == {"soc": 6}
    (failed,) = verdict.quarantine.to_pylist()
    assert failed["reason"] == (
        "a-2 on 2026-01-08: soc null in 100 % of rows, limit 20 %; if its sensor came later, set "
        "the channel's since to a later date"
    )
    assert verdict.summary().startswith("1 of 9 vehicle-days fail (not expected yet: soc on 6)")
    page = (tmp_path / "docs" / "index.html").read_text()
    assert "soc is not expected yet on 6 vehicle-days" in page


def test_since_is_a_date_of_the_fleet_file(yard):
    folder = yard.settings.conf_dir / "fleet"
    folder.mkdir(parents=True)
    text = (
        "name: tiny\nsource: {format: csv, files: [{glob: '*.csv'}]}\n"
        "channels: [{name: soc, since: SINCE}]\n"
    )
    (folder / "tiny.yaml").write_text(text.replace("SINCE", "2026-01-07"))
    assert load_fleet("tiny", yard.settings).channels[0].since == SINCE
    (folder / "tiny.yaml").write_text(text.replace("SINCE", "yesterday"))
    with pytest.raises(ConfigError, match=r"channels\[0\]\.since"):
        load_fleet("tiny", yard.settings)
