"""``amad export``: the tables of a database are what is published, whatever was there before."""

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from notify_kit import COOLANT, DAY, HOUR, Yard, an_incident
from report_kit import judge
from sqlalchemy import create_engine, insert, inspect, select, text, update

from amad.cli.__main__ import run
from amad.config import ConfigError, DataError, ServiceError
from amad.export.database import DRIVERS, address_of
from amad.export.export import export
from amad.export.tables import ABOUT, DATES, FORMAT, INCIDENTS, METADATA, VEHICLE_DAYS
from amad.scores import partitions

ALL = (DATES, VEHICLE_DAYS, INCIDENTS)
PUMP = an_incident(
    "van-1", 0, 7.0, return_days=41.0, context_channels=(COOLANT,), context_values=(88.5,),
    past_gaps=(-3.5, None), past_sizes=(-5.0, None),
    class_gaps=(-2.0, None), class_sizes=(-4.0, None), peers=(3, 0),
)  # fmt: skip
TYRE = an_incident("van-2", 1, 9.0, severity=80.0)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path / "home")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: a file, and one of a real server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    name = f"export_{abs(hash(request.node.name)):x}"
    return request.getfixturevalue("database_server").database(name)


def content(address: str) -> dict[str, list[dict]]:
    """All rows of all tables, by table and in the order of their keys."""
    engine = create_engine(address.replace("postgresql:", f"{DRIVERS['postgresql']}:"))
    with engine.connect() as connection:
        found = {
            table.name: [
                dict(row)
                for row in connection.execute(
                    select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for table in ALL
        }
    engine.dispose()
    return found


def change(address: str, statement) -> None:
    engine = create_engine(address.replace("postgresql:", f"{DRIVERS['postgresql']}:"))
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


def two_nights(yard: Yard) -> None:
    yard.publish(0, PUMP)
    yard.publish(1, TYRE)


def test_what_is_published_is_in_the_tables_and_a_second_export_writes_nothing(
    yard: Yard, address: str
):
    two_nights(yard)
    done = export(yard.stage, address_of(address))
    assert (done.dates, done.new) == ([DAY, DAY + timedelta(days=1)], 2)
    assert "2 dates with 8 vehicle-days written" in str(done) and "2 new" in str(done)
    first = content(address)
    (pump, tyre) = first["amad_incidents"]
    assert (pump["incident_id"], pump["vehicle"], pump["fleet"]) == (
        PUMP.incident_id, "van-1", "kit",
    )  # fmt: skip
    started = pump["start_at"].replace(tzinfo=pump["start_at"].tzinfo or UTC)
    assert started == datetime(2026, 1, 10, 7, tzinfo=UTC)
    assert pump["channels"] == list(PUMP.channels) and pump["shares"] == list(PUMP.shares)
    assert (pump["return_days"], pump["context"]) == (41.0, {COOLANT: 88.5})
    assert (pump["past_gaps"], pump["past_sizes"]) == ([-3.5, None], [-5.0, None])
    assert pump["class_gaps"] == [-2.0, None]
    assert (pump["class_sizes"], pump["peers"]) == ([-4.0, None], [3, 0])
    assert (tyre["level"], tyre["withdrawn"], tyre["last_date"]) == (
        "critical", False, DAY + timedelta(days=1),
    )  # fmt: skip
    day = next(row for row in first["amad_vehicle_days"] if row["vehicle"] == "van-1")
    assert day == {
        "fleet": "kit", "date": DAY, "vehicle": "van-1", "rows": 144, "scored": 144, "alarms": 3,
        "incidents": 1, "highest_score": 7.0, "severity": 60.0, "level": "high",
        "quarantined": False, "model_version": 1, "withheld": [],
    }  # fmt: skip
    quiet = next(row for row in first["amad_vehicle_days"] if row["vehicle"] == "van-3")
    assert (quiet["incidents"], quiet["severity"], quiet["highest_score"]) == (0, None, 1.0)

    again = export(yard.stage, address_of(address))
    assert (again.dates, again.new, again.changed, again.withdrawn) == ([], 0, 0, 0)
    assert str(again).endswith("is up to date")
    assert content(address) == first


def test_a_date_that_is_scored_again_is_replaced_and_lost_incidents_are_withdrawn(
    yard: Yard, address: str
):
    two_nights(yard)
    export(yard.stage, address_of(address))
    yard.vehicles = ["van-1", "van-2", "van-3"]
    yard.publish(1, an_incident("van-3", 1, 12.0))
    done = export(yard.stage, address_of(address))
    assert (done.dates, done.new, done.withdrawn) == ([DAY + timedelta(days=1)], 1, 1)
    found = content(address)
    assert len(found["amad_vehicle_days"]) == 4 + 3 and len(found["amad_dates"]) == 2
    withdrawn = {row["incident_id"]: row["withdrawn"] for row in found["amad_incidents"]}
    assert withdrawn[TYRE.incident_id] and sum(withdrawn.values()) == 1

    yard.publish(1, TYRE)  # and comes back under the same id
    export(yard.stage, address_of(address))
    withdrawn = {row["incident_id"]: row["withdrawn"] for row in content(address)["amad_incidents"]}
    assert not withdrawn[TYRE.incident_id] and sum(withdrawn.values()) == 1


def test_an_incident_that_was_judged_false_is_no_vehicles_worst(yard: Yard, address: str):
    two_nights(yard)
    export(yard.stage, address_of(address))
    mild = an_incident("van-2", 1, 12.0, severity=20.0)
    yard.publish(1, TYRE, mild)
    export(yard.stage, address_of(address))
    judge(yard.runs, TYRE.incident_id, "false")
    done = export(yard.stage, address_of(address))
    assert done.dates == [DAY + timedelta(days=1)], "the date of the verdict, and no other"
    judged = {row["incident_id"]: row["judged"] for row in content(address)["amad_incidents"]}
    assert judged.pop(TYRE.incident_id) == "false" and set(judged.values()) == {None}
    worst = {
        row["vehicle"]: (row["severity"], row["level"], row["incidents"])
        for row in content(address)["amad_vehicle_days"]
        if row["incidents"]
    }
    assert worst == {"van-1": (60.0, "high", 1), "van-2": (20.0, "low", 2)}
    assert str(export(yard.stage, address_of(address))).endswith("is up to date")
    judge(yard.runs, TYRE.incident_id, "true")
    assert export(yard.stage, address_of(address)).dates == [DAY + timedelta(days=1)]


def test_an_incident_over_midnight_is_one_row_that_grows(yard: Yard, address: str):
    late = an_incident("van-1", 0, 23.0, 1.0)
    yard.publish(0, late)
    export(yard.stage, address_of(address))
    (row,) = content(address)["amad_incidents"]
    assert row["ongoing"]
    rest = replace(late, start=late.end, end=late.end + HOUR, peak=late.end, continued=True,
                   severity=90.0, level="critical")  # fmt: skip
    yard.publish(1, rest)
    done = export(yard.stage, address_of(address))
    assert (done.new, done.changed, done.withdrawn) == (0, 1, 0)
    (row,) = content(address)["amad_incidents"]
    assert row["end_at"] - row["start_at"] == timedelta(hours=2)
    assert (row["severity"], row["ongoing"], row["last_date"]) == (
        90.0, False, DAY + timedelta(days=1),
    )  # fmt: skip
    assert [r["incidents"] for r in content(address)["amad_vehicle_days"] if r["incidents"]] == [
        1, 1,
    ]  # fmt: skip


def test_a_fleet_without_scores_is_not_called_up_to_date(yard: Yard, address: str):
    done = export(yard.stage, address_of(address))
    assert "no date is published" in str(done) and str(done).endswith("run 'amad score' first")


def test_what_prune_removed_stays_in_the_database(yard: Yard, address: str):
    import shutil

    two_nights(yard)
    export(yard.stage, address_of(address))
    before = content(address)
    for kind in ("scores", "incidents"):
        shutil.rmtree(yard.runs / kind / "model_version=1" / f"date={DAY}")
    done = export(yard.stage, address_of(address))
    assert str(done).endswith("is up to date")
    assert content(address) == before


def test_dates_in_the_future_that_were_set_aside_go(yard: Yard, address: str):
    yard.publish(0, PUMP)
    url = address_of(address)
    export(yard.stage, url)
    before = content(address)
    yard.publish(10_000, an_incident("van-2", 10_000))
    export(yard.stage, url)
    partitions.set_aside_future(yard.runs, [DAY], DAY)
    done = export(yard.stage, url)
    assert done.removed == [DAY + timedelta(days=10_000)] and done.withdrawn == 1
    assert "removed, as set aside: 2053-05-28" in str(done)
    after = content(address)
    assert {name: rows for name, rows in after.items() if name != INCIDENTS.name} == {
        name: rows for name, rows in before.items() if name != INCIDENTS.name
    }
    assert [row["withdrawn"] for row in after[INCIDENTS.name]] == [False, True]
    assert str(export(yard.stage, url)).endswith("is up to date")


def test_the_version_that_scored_last_counts_and_another_fleet_is_left_alone(
    yard: Yard, address: str
):
    two_nights(yard)
    export(yard.stage, address_of(address))
    change(address, insert(DATES).values(
        fleet="other", date=date(2026, 1, 1), model_version=1, detector="d", sha256="s"
    ))  # fmt: skip
    yard.publish(1, TYRE, version="2")
    yard.log(2, version="2")
    done = export(yard.stage, address_of(address))
    assert done.dates == [DAY + timedelta(days=1)] and done.changed == 1
    found = content(address)
    assert {row["model_version"] for row in found["amad_vehicle_days"]} == {1, 2}
    assert len(found["amad_dates"]) == 3


def test_tables_of_another_format_are_refused(yard: Yard, address: str):
    two_nights(yard)
    export(yard.stage, address_of(address))
    change(address, update(ABOUT).values(format=FORMAT + 1))
    with pytest.raises(DataError, match=f"have the format {FORMAT + 1}, and this version"):
        export(yard.stage, address_of(address))


def test_a_failure_leaves_all_as_it_was(yard: Yard, address: str, monkeypatch):
    two_nights(yard)
    export(yard.stage, address_of(address))
    before = content(address)
    yard.publish(0)
    yard.publish(1, PUMP)
    from amad.export import export as module

    rows = module.vehicle_day_rows

    def twice(runs: Path, fleet: str, manifest, none):
        return rows(runs, fleet, manifest, none) * (2 if manifest.date > DAY else 1)

    monkeypatch.setattr(module, "vehicle_day_rows", twice)
    with pytest.raises(ServiceError, match="refused what was written"):
        export(yard.stage, address_of(address))
    assert content(address) == before


def test_tables_that_were_half_made_are_finished_and_a_failure_makes_none(yard: Yard, tmp_path):
    two_nights(yard)
    address = f"sqlite:///{tmp_path}/half.db"
    change(address, text(f"CREATE TABLE {DATES.name} (x INTEGER)"))
    with pytest.raises(ServiceError, match="no such column"):
        export(yard.stage, address_of(address))
    engine = create_engine(address)
    assert inspect(engine).get_table_names() == [DATES.name]
    DATES.drop(engine)
    METADATA.create_all(engine)  # as a release did that was killed before it noted the format
    engine.dispose()
    assert export(yard.stage, address_of(address)).new


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("postgresql://amad:secret@db/fleet", "set AMAD_EXPORT_PASSWORD in"),
        ("postgresql://amad@db/fleet?password=secret", "set AMAD_EXPORT_PASSWORD in"),
        ("mysql://amad@db/fleet", "accepted: postgresql://, sqlite://"),
        ("postgresql://amad@db", "names no database"),
        ("fleet.db", "is no address like"),
    ],
)
def test_a_wrong_address_is_told_without_its_secret(to: str, words: str):
    with pytest.raises(ConfigError) as error:
        address_of(to)
    assert words in str(error.value) and "secret" not in str(error.value)


def test_the_password_comes_from_the_environment_and_is_never_told(yard: Yard, monkeypatch):
    monkeypatch.setenv("AMAD_EXPORT_PASSWORD", "s3cret-word")
    url = address_of("postgresql://amad@127.0.0.1:1/none")
    assert url.password == "s3cret-word" and "s3cret" not in str(url)
    yard.publish(0)
    with pytest.raises(ServiceError, match="does not answer") as error:
        export(yard.stage, url)
    assert "postgresql://amad@127.0.0.1:1/none" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_user_without_rights_is_told_which_ones(
    yard: Yard, request: pytest.FixtureRequest, tmp_path: Path
):
    server = request.getfixturevalue("database_server")
    address = server.database("export_rights")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
    yard.publish(0)
    theirs = address_of(address.replace("amad@", "reader@"))
    with pytest.raises(ServiceError, match="no right to write there") as error:
        export(yard.stage, theirs)
    assert "CREATE on the schema" in str(error.value)
    export(yard.stage, address_of(address))
    with pytest.raises(ServiceError, match="no right to write there"):
        export(yard.stage, theirs)


def test_a_file_that_cannot_be_written_is_told_with_the_way_out(yard: Yard, tmp_path: Path):
    """A server may answer later; a file is mended or another one named."""
    two_nights(yard)
    file = tmp_path / "fleet.db"
    url = address_of(f"sqlite:///{file}")
    file.write_text("no database at all, as it is too long for an empty one")
    with pytest.raises(DataError, match=r"not a database.*another file in --to, or move this one"):
        export(yard.stage, url)
    file.unlink()
    export(yard.stage, url)
    yard.publish(2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(DataError, match=rf"{file} cannot be written .*free some space there"):
            export(yard.stage, url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert export(yard.stage, url).dates == [DAY + timedelta(days=2)]
    yard.publish(3)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceError, match="is held by another program"):
            export(yard.stage, url.update_query_dict({"timeout": "0.1"}))


@pytest.mark.parametrize("broken", [True, False])
def test_the_command_says_what_it_wrote(
    broken: bool, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    yard = Yard(home)
    two_nights(yard)
    to: Callable[[], int] = lambda: run(["export", "--to", f"sqlite:///{tmp_path}/x/fleet.db"])  # noqa: E731
    if broken:
        assert to() == 3
        assert "--to must name a file in a folder that is there" in capsys.readouterr().err
        return
    (tmp_path / "x").mkdir()
    assert to() == 0
    assert "2 dates with 8 vehicle-days written to sqlite://" in capsys.readouterr().out
    assert to() == 0
    assert "is up to date" in capsys.readouterr().out
    path = yard.runs / "scores" / "model_version=1" / f"date={DAY}" / "part.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert to() == 3
    assert (
        f"1 date that cannot be read, left as before in the database: {DAY}; run"
        in capsys.readouterr().err
    )
