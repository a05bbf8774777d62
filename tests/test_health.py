"""What is missing is told every night: on the report, by doctor and in the job's log."""

import errno
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amad.cli.doctor import health_checks
from amad.config import DataError, Params, Settings, Stage
from amad.reading import times
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.health import fleet_health
from amad.telemetry.profile import profile
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.trouble import KINDS
from tests.ingest_kit import HEADER, START, Yard, at, raw_fleet

DAY = 86_400


def nights(vehicle: str, days, level=lambda n: "5") -> list[str]:
    return [f"{vehicle},{at(n * DAY + s)},10,{level(n)}" for n in days for s in range(60)]


def health(yard: Yard, fleet=None, rebuild=False, **counts):
    """What is found after ingest and validate."""
    fleet = fleet or raw_fleet()
    found, lake = yard.ingest(fleet, rebuild=rebuild)
    folder = yard.settings.fleet_dir(fleet.name)
    write_json(folder / "ingest.json", found.content() | counts)
    write_parquet(profile(lake, fleet), folder / "profile.parquet", PROFILE)
    return fleet_health(fleet, yard.settings)


def test_a_fleet_in_order_has_no_finding(yard: Yard):
    yard.csv("x.csv", [*nights("a-1", range(5)), *nights("a-2", range(5))])
    found = health(yard)
    assert found.troubles == [] and found.unseen == [] and found.sentences() == {}


def test_a_vehicle_that_stopped_is_told_with_since_when_and_its_habit(yard: Yard):
    yard.csv("x.csv", [*nights("a-1", range(12)), *nights("a-2", range(4))])
    (found,) = health(yard).troubles
    last = START.date() + timedelta(days=3)
    assert (found.kind, found.subject, found.since) == ("silent", "a-2", last)
    assert str(found) == (
        f"a-2 has been silent since {last}, 8 days before the fleet's newest date, 2026-01-16; it "
        "usually reports every day"
    )
    assert not health(yard, raw_fleet(quality={"retired": ["a-2"]})).troubles


def test_a_vehicle_of_a_single_date_is_held_against_the_fleet_and_has_no_habit(yard: Yard):
    yard.csv("x.csv", [*nights("a-1", range(12)), *nights("a-2", range(1, 2))])
    (found,) = health(yard).troubles
    assert found.text.endswith(
        "it reported on that date alone, and a vehicle of this fleet usually reports every day"
    )


@pytest.mark.parametrize(("begins", "new", "told"), [
    (4, ["a-7"], "a-7"), (3, ["a-7", "a-8"], "a-7 or a-8"),
    (5, ["a-7"], None),  # it came after the other one had been missed
    (2, ["a-7"], None),  # both reported on the same dates
    (4, ["b-7"], None),  # of another class
    (4, ["a-6", "a-7", "a-8", "a-9"], None),  # the fleet was enlarged
])  # fmt: skip
def test_a_vehicle_that_came_when_another_fell_silent_may_be_it(yard: Yard, begins, new, told):
    """Vehicle a-1 reports daily, the last time on day 3."""
    lines = [*nights("a-1", range(4)), *nights("a-2", range(9)), *nights("b-1", range(9))]
    lines += [line for vehicle in new for line in nights(vehicle, range(begins, 9))]
    yard.csv("x.csv", lines)
    fleet = raw_fleet(vehicle_classes=[{"name": n, "vehicles": [f"{n}-*"]} for n in "ab"])
    (found,) = (item for item in health(yard, fleet).troubles if item.kind == "silent")
    assert (found.subject, found.since) == ("a-1", date(2026, 1, 8))
    hint = f"; if {told}, of its class and first seen when it fell silent, is this vehicle under"
    assert (hint in found.text) == bool(told) and ("aliases" in found.text) == bool(told)


def test_a_channel_that_vanished_is_told_once_with_its_vehicles(yard: Yard):
    def gone(day):
        return lambda n: "5" if n < day else ""

    lines = [*nights("a-1", range(5), gone(3)), *nights("a-2", range(5), gone(4))]
    yard.csv("x.csv", [*lines, *nights("a-3", range(5))])
    (found,) = health(yard).troubles
    assert (found.kind, found.subject, found.since) == ("vanished", "level", date(2026, 1, 8))
    told = "has had no value from a-1 since 2026-01-08 (2 days), a-2 since 2026-01-09 (1 day)"
    assert found.text == told


def test_a_refused_file_is_told_until_it_is_mended(yard: Yard):
    yard.csv("x.csv", nights("a-1", range(3)))
    yard.csv("y.csv", ["a-2,2026-01-05T00:00:00Z,1"], "vehicle,timestamp,speed")
    for _ in range(2):
        (found,) = health(yard).troubles
        assert (found.kind, found.subject) == ("refused", "y.csv")
        assert "'level' not among the headers" in found.text
    yard.csv("y.csv", nights("a-2", range(3)))
    assert not health(yard).troubles


@pytest.mark.parametrize("by", [{}, {"take": "path", "pattern": r"^([ab]-\d)"}])
def test_files_of_a_vehicle_refused_every_night_are_one_finding_until_one_is_read(yard: Yard, by):
    fleet, told = raw_fleet(source={"vehicle": by}), []
    for day in range(6):
        yard.csv(f"a-1 2026-01-{day + 5:02d}.csv", nights("a-1", [day]))
        header = HEADER if day == 3 else "vehicle,timestamp,speed"
        yard.csv(f"a-2 2026-01-{day + 5:02d}.csv", nights("a-2", [day]), header)
        refused = [t for t in health(yard, fleet).troubles if t.kind == "refused"]
        told.append([t.id for t in refused])
    first, second = "refused: a-2 2026-01-05.csv", "refused: a-2 2026-01-09.csv"
    assert told == [[first]] * 4 + [[first, second]] * 2
    assert refused[0].subject == "a-2 2026-01-05.csv, a-2 2026-01-06.csv, a-2 2026-01-07.csv"
    assert refused[0].text.startswith("were refused: missing column: ")


def test_refused_files_keep_their_name_when_the_first_is_gone(yard: Yard):
    for day in range(3):
        yard.csv(f"a-1_2026010{day}.csv", nights("a-1", [day]))
        yard.csv(f"a-2_2026010{day}.csv", nights("a-2", [day]), "vehicle,timestamp,speed")
        found = [t for t in health(yard).troubles if t.kind == "refused"]
        assert [t.id for t in found] == ["refused: a-2_20260100.csv"]
        assert found[0].subject == f"a-2_2026010{day}.csv"
        (yard.raw / f"a-2_2026010{day}.csv").unlink()


def test_a_vehicle_whose_file_is_refused_is_not_plainly_called_silent(yard: Yard):
    by_path = raw_fleet(source={"vehicle": {"take": "path", "pattern": r"^([ab]-\d)"}})
    for name in ("a-1 x.csv", "a-2 x.csv", "a-3 x.csv"):
        yard.csv(name, nights(name[:3], range(12 if name[2] == "1" else 4)))
    yard.csv("a-2 y.csv", ["a-2,2026-01-09T00:00:00Z,1"], "vehicle,timestamp,speed")
    for fleet, unsure in ((by_path, ["a-2"]), (raw_fleet(), ["a-2", "a-3"])):
        silent = [t for t in health(yard, fleet).troubles if t.kind == "silent"]
        assert [t.subject for t in silent] == ["a-2", "a-3"]
        told = "; it is not, if its rows are among those refused of a-2 y.csv"
        assert [t.subject for t in silent if t.text.endswith(told)] == unsure


def test_what_ingest_noticed_is_told(yard: Yard):
    yard.csv("x.csv", nights("a-1", range(3)))
    found = health(
        yard,
        vehicles_unknown={"truck": 1200},
        likely_doubles=[["a-1", "A1"]],
        files_gone=[{"path": "old.csv", "rows": 60, "days": 1}],
    )
    assert found.sentences() == {
        "unknown": ["truck is in no vehicle class of the fleet file: none of its rows is read"],
        "doubles": ["a-1 and A1 look like spellings of one vehicle"],
        "gone": ["old.csv is gone from the raw folder; the lake keeps its 60 rows of 1 day"],
    }
    many = [{"path": f"{n}.csv", "rows": 60, "days": 1} for n in range(30)]
    (gone,) = health(yard, files_gone=many).troubles
    assert str(gone) == (
        "30 files are gone from the raw folder (0.csv, 1.csv, 2.csv, 3.csv, 4.csv and 25 more); "
        "the lake keeps their 1,800 rows"
    )
    assert [kind.name for kind in found.by_kind] == ["unknown", "doubles", "gone"]
    assert all(kind.remedy for kind in KINDS)


def test_quarantined_days_are_told_by_vehicle_with_the_newest_reason(yard: Yard):
    yard.csv("x.csv", nights("a-1", range(3)))
    fleet = raw_fleet()
    health(yard)
    folder = yard.settings.fleet_dir(fleet.name)
    rows = [
        {"vehicle": "a-1", "date": date(2026, 1, day), "check": "rows",
         "reason": f"a-1 on 2026-01-0{day}: has {day} rows"}
        for day in (5, 7)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), folder / "quarantine.parquet")
    (found,) = fleet_health(fleet, yard.settings).troubles
    assert str(found) == "a-1 has 2 days quarantined, the newest 2026-01-07: has 7 rows"

    # What a scoring job has judged since counts, as long as the day is as it was then.
    _, lake = yard.ingest(fleet)
    sha = {row["date"].day: row["sha256"] for row in lake.day_table().to_pylist()}
    days = {
        "2026-01-06 a-1": [sha[6], ["a-1 on 2026-01-06: repeats"]],
        "2026-01-07 a-1": [sha[7], []],
        "2026-01-05 a-1": ["older", []],
    }
    judged = yard.settings.runs_dir("tiny") / "judged.json"
    write_json(judged, {"contract": fleet.digest, "days": days}, sealed=True)
    (found,) = fleet_health(fleet, yard.settings).troubles
    assert str(found) == "a-1 has 2 days quarantined, the newest 2026-01-06: repeats"
    judged.write_text("{")
    assert "2026-01-07" in str(fleet_health(fleet, yard.settings).troubles[0])


def test_a_failed_sensor_is_told_until_a_week_of_its_vehicle_is_sound(yard: Yard):
    yard.csv("x.csv", nights("a-1", range(9)))
    fleet = raw_fleet()
    health(yard)
    _, lake = yard.ingest(fleet)
    dates, folder = lake.dates("a-1"), yard.settings.fleet_dir(fleet.name)
    channel = fleet.channels[0].name
    told = []
    for newest in (dates[-8], dates[-7], dates[-1]):
        rows = [
            {"vehicle": "a-1", "date": day, "channel": channel, "check": "null_share",
             "reason": f"a-1 on {day}: {channel} null"}
            for day in {dates[0], newest}
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), folder / "quarantine.parquet")
        told.append([str(found) for found in fleet_health(fleet, yard.settings).troubles])
    assert told[0] == []
    assert told[1] == [
        f"a-1 {channel} failed on 1 of the last 7 days, the newest {dates[-7]}: {channel} null"
    ]
    assert f"the newest {dates[-1]}" in told[2][0]


def test_what_no_stage_has_seen_yet_is_not_called_sound(yard: Yard):
    yard.csv("x.csv", nights("a-1", range(3)))
    fleet = raw_fleet()
    yard.ingest(fleet)
    assert fleet_health(fleet, yard.settings).unseen == ["ingest", "validate"]
    with pytest.raises(DataError, match="amad ingest"):
        fleet_health(fleet, Settings(home=yard.raw))


def test_rows_in_the_future_are_told_until_they_are_gone(yard: Yard, monkeypatch):
    yard.csv("x.csv", [*nights("a-1", range(3)), "a-2,2099-01-02T03:04:05+00:00,1,2"])
    with monkeypatch.context() as clock:
        clock.setattr(times, "now_us", lambda: times.LATEST_US)
        yard.ingest(raw_fleet())
        assert "future" not in health(yard).sentences()
    assert health(yard).sentences()["future"] == [
        "a-2 has rows of 2099-01-02, which lie in the future by the clock of this machine"
    ]
    assert "future" not in health(yard, rebuild=True).sentences()
    yard.csv("x.csv", nights("a-1", range(3)) + nights("a-2", range(2)))
    with monkeypatch.context() as clock:  # behind: the rows of all vehicles would be a finding each
        yard.ingest(raw_fleet())
        clock.setattr(times, "now_us", lambda: times.EARLIEST_US)
        (found,) = (t for t in fleet_health(raw_fleet(), yard.settings).troubles)
    assert str(found) == (
        "rows of 2 of 2 vehicles lie in the future by the clock of this machine, up to 2026-01-07: "
        "is that clock behind?"
    )


def test_the_doctor_names_a_file_of_the_lake_that_is_closed_to_it(yard: Yard, monkeypatch):
    fleet = raw_fleet()
    yard.csv("x.csv", nights("a-1", range(3)))
    yard.ingest(fleet)

    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/lake/_manifest.json")

    monkeypatch.setattr(health_checks, "Lake", closed)
    stage = Stage(fleet=fleet, settings=yard.settings, params=Params(fleet="tiny"))
    (check,) = health_checks.checks(stage)
    assert check.status == "fail" and check.finding.startswith("/srv/lake/_manifest.json: perm")
