"""What begins in a later file is told once, where it is known what earlier files had."""

from amad.telemetry.manifest import Manifest
from tests.ingest_kit import HEADER, line, raw_fleet


def test_a_column_that_begins_in_a_later_file_is_told_once(yard, capsys):
    fleet = raw_fleet()
    yard.csv("1.csv", [line() + ",7"], header=f"{HEADER},note")
    yard.ingest(fleet)
    assert "no earlier file had" not in capsys.readouterr().err
    yard.csv("2.csv", [line(seconds=1) + ",7,8"], header=f"{HEADER},Note,soc")
    yard.csv("3.csv", [line(seconds=2) + ",8"], header=f"{HEADER},SOC")
    yard.ingest(fleet)
    told = capsys.readouterr().err
    assert "2.csv has columns that no earlier file had, and no channel reads them: 'soc'; " in told
    assert "3.csv has" not in told
    yard.csv("4.csv", [line(seconds=3) + ",8"], header=f"{HEADER},soc")
    yard.ingest(fleet)
    assert "no earlier file had" not in capsys.readouterr().err


def test_a_lake_of_an_older_amad_does_not_know_what_its_files_had(yard, capsys):
    fleet = raw_fleet()
    manifest = yard.settings.fleet_dir(fleet.name) / "lake" / Manifest.FILE
    yard.csv("1.csv", [line() + ",7"], header=f"{HEADER},note")
    yard.ingest(fleet)
    known = Manifest.read_file(manifest)
    assert known is not None
    assert known.columns == ["note"]
    known.model_copy(update={"columns": None, "offsets": []}).write_file(manifest)
    for number, header in ((2, f"{HEADER},soc"), (3, f"{HEADER},note")):
        yard.csv(f"{number}.csv", [line(seconds=number) + ",7"], header=header)
        yard.ingest(fleet)
    assert "no earlier file had" not in capsys.readouterr().err
    yard.ingest(fleet, rebuild=True)
    assert Manifest.read_file(manifest).columns == ["note", "soc"]


def test_a_unit_that_begins_in_a_later_file_is_told_once_where_the_fleet_file_has_none(
    yard, capsys
):
    fleet = raw_fleet()
    yard.csv("1.csv", [line()])
    yard.ingest(fleet)
    yard.csv("2.csv", [line(seconds=1)], header=HEADER.replace("level", "level [l]"))
    yard.csv("3.csv", [",,mph,", line(seconds=2)])
    yard.ingest(fleet)
    told = capsys.readouterr().err
    assert (
        "2.csv tells a unit that no earlier file told, and the fleet file tells none: level in l;"
        in told
    )
    assert "3.csv tells a unit that no earlier file told" in told and "speed in mph;" in told
    yard.csv("4.csv", [",,mi/h,", line(seconds=3)])
    yard.ingest(fleet)
    assert "no earlier file told" not in capsys.readouterr().err
    yard.csv("5.csv", [",,km/h,", line(seconds=4)])
    yard.ingest(fleet)
    assert "5.csv tells" in capsys.readouterr().err
