"""Refused rows and files are not quiet: too many of them fail validation, the rest is named."""

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from amad.cli.__main__ import run as command
from amad.config import DataError, Params, Settings, load_fleet
from amad.telemetry.health import fleet_health
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.manifest import IngestedFile
from amad.telemetry.refusals import ALL_FILES, NEW_FILES, example, intake_of
from amad.telemetry.validation import Validation
from pipelines import ingest as ingest_stage
from pipelines import validate as validate_stage
from tests.ingest_kit import Yard, at, raw_fleet

pytestmark = pytest.mark.slow

HEADER = "vehicle,timestamp,speed,level"


class Nights:
    """Raw files of nights, brought in and judged by the stages."""

    def __init__(self, home: Path, tmp_path: Path) -> None:
        self.home, self.yard = home, Yard(tmp_path)
        self.settings = Settings(home=home, data_dir=tmp_path)
        self.fleet()

    def fleet(self, by_path: str | None = None, **quality: object) -> None:
        limits = {"min_rows": 5, "max_unreadable_share": 1.0, "max_failing_share": 1.0} | quality
        content = json.loads(raw_fleet(quality=limits).model_dump_json(exclude_defaults=True))
        if by_path:
            content["source"]["vehicle"] = {"take": "path", "pattern": by_path}
        path = self.home / "conf/fleet/tiny.yaml"
        path.write_text(yaml.safe_dump(content | {"name": "tiny"}))

    def file(self, name: str, bad: int = 0, rows: int = 100, header: str = HEADER) -> None:
        vehicle, night = name.split("_")
        start = int(night) * 86_400
        lines = [
            f"{vehicle},{at(start + n)},{'ten' if n < bad else 10},{n}" for n in range(rows)
        ]  # fmt: skip
        self.yard.csv(f"{name}.csv", lines, header)

    def ingest(self) -> IngestResult:
        return ingest_stage.run(Params(fleet="tiny"), self.settings)

    def validate(self) -> Validation:
        return validate_stage.run(Params(fleet="tiny"), self.settings)

    def written(self) -> dict:
        return json.loads((self.home / "data/tiny/validation.json").read_text())

    def fails(self) -> str:
        with pytest.raises(DataError) as error:
            self.validate()
        assert self.written()["ok"] is False, "the outputs are written first"
        return str(error.value)


@pytest.fixture
def nights(home: Path, tmp_path: Path) -> Nights:
    return Nights(home, tmp_path)


def test_rows_that_are_nearly_all_refused_fail_with_the_reason_and_an_example(nights, home):
    nights.file("a-1_0", bad=96)
    nights.ingest()
    said = nights.fails()
    for part in (
        "96 % of the rows (96 of 100) were refused",
        "speed is not a finite number (96 rows)",
        "for example a-1_0.csv, row 1:",
        "quality.max_refused_share",
        "rejected",
        "index.html",
    ):
        assert part in said, said
    docs = home / "data/tiny/docs"
    assert {"files.html", "intake.html"} <= {path.name for path in docs.iterdir()}
    assert "a-1_0.csv" in (docs / "files.html").read_text()
    page = (docs / "index.html").read_text()
    assert "✕ The fleet fails" in page and "Refused rows" in page
    assert "96 % of the rows" in " ".join(page.split())
    checks = {c["check"]: c for c in nights.written()["checks"]}
    assert not checks["refused_share"]["passed"] and checks["refused_files_share"]["passed"]


def test_the_exit_code_is_that_of_a_failing_fleet(nights, home, monkeypatch):
    nights.file("a-1_0", bad=96)
    nights.ingest()
    monkeypatch.setenv("AMAD_DATA_DIR", str(nights.settings.data_dir))
    assert command(["validate", "--fleet", "tiny"]) == 3


def test_a_limit_that_allows_it_lets_it_pass(nights):
    nights.file("a-1_0", bad=30)
    nights.fleet(max_refused_share=0.3)
    nights.ingest()
    assert nights.validate().ok
    nights.fleet(max_refused_share=0.29)
    assert "30 % of the rows" in nights.fails()


def test_a_refused_file_weighs_what_its_bytes_say(nights):
    for name in ("a-1_0", "a-2_0"):
        nights.file(name)
    nights.file("a-3_0", header="vehicle,timestamp,speed,niveau")
    counts = nights.ingest()
    assert counts.rows_rejected == 1, "nobody can count the rows of a file that is refused"
    said = nights.fails()
    assert "33.3 % of the rows (about 100 of 300)" in said and "1 of 3 files were refused" in said
    assert "missing column" in said and "a-3_0.csv" in said and "'niveau'" in said


def test_small_refusals_are_named_at_every_validate_until_mended(nights, capsys):
    for vehicle in range(30):
        nights.file(f"a-{vehicle:02d}_0")
    nights.file("b-1_0", header="vehicle,timestamp,speed,niveau")
    nights.ingest()
    for _ in range(2):
        assert nights.validate().ok
        said = capsys.readouterr().err
        assert "Warning: b-1_0.csv was refused: missing column: 'level'" in said
        assert "refused" in nights.written()["warnings"]
        page = (nights.home / "data/tiny/docs/index.html").read_text()
        assert "What is missing" in page and "b-1_0.csv was refused" in page
    nights.file("b-1_0", header=HEADER)  # its class has a channel more
    nights.ingest()
    said = nights.fails()  # it is all that is new
    assert "Warning: b-1 in b-1_0.csv has 100 of 100 rows refused" in said and "charge" in said


def test_an_old_good_history_hides_no_bad_night(nights):
    for night in range(25):
        nights.file(f"a-1_{night}", bad=2 * (night == 0))
    nights.ingest()
    assert nights.validate().ok
    nights.file("a-1_25", bad=90)
    nights.ingest()
    for _ in range(2):  # to run it again makes nothing better
        said = nights.fails()
        assert f"90 % of the rows of the {NEW_FILES} (90 of 100)" in said
        assert "for example a-1_25.csv, row 1:" in said, "not a row of a night that passed"
    scopes = {s["scope"]: s for s in nights.written()["refused"]}
    assert scopes[ALL_FILES]["refused_share"] < 0.05 < scopes[NEW_FILES]["refused_share"] == 0.9
    nights.file("a-1_25")
    nights.ingest()
    assert nights.validate().ok
    assert [s["scope"] for s in nights.validate().refused] == [ALL_FILES], "nothing is new"


@pytest.mark.parametrize("told_by", ["path", "column"])
def test_one_vehicle_that_went_wrong_leaves_the_others_their_night(nights, capsys, told_by):
    """Three vehicles reported well for 25 nights; then the rows of one are refused."""
    nights.fleet(by_path=r"(a-\d)_" if told_by == "path" else None)
    for vehicle in "123":
        for night in range(25):
            nights.file(f"a-{vehicle}_{night}")
    nights.ingest()
    assert nights.validate().ok
    for vehicle in "123":
        nights.file(f"a-{vehicle}_25", bad=90 * (vehicle == "3"))
    nights.ingest()
    capsys.readouterr()
    found = nights.validate()
    assert (
        found.ok
        and f"Warning: {'a-3 in ' * (told_by == 'column')}a-3_25.csv has 90 of 100 rows"
        in capsys.readouterr().err
    )
    assert [s["scope"] for s in found.refused] == [ALL_FILES, f"{NEW_FILES}, without those of a-3"]
    assert found.refused[1]["rows"] == 200 and found.refused[0]["refused_rows"] == 90
    for vehicle in "23":
        nights.file(f"a-{vehicle}_26", bad=90)
    nights.file("a-1_26")
    nights.ingest()
    assert "60 % of the rows" in nights.fails(), "two of three are no longer one logger"


@pytest.mark.parametrize("vehicle", ["a-3", "truck"])
def test_a_vehicle_of_a_shared_file_leaves_the_others_their_night(nights, capsys, vehicle):
    """One file per night holds all vehicles; one clock runs years ahead, or a truck has no class.

    It may go on for longer than the share of all files allows.
    """
    nights.fleet(max_refused_share=0.1)

    def shared(night: int, wrong: str | None) -> None:
        ahead = 0 if wrong == "truck" else 365 * 100
        lines = [
            f"{name},{at(86_400 * (night + ahead * (name == wrong)) + n)},10,{n}"
            for name in ["a-1", "a-2", "a-3", *["truck"] * (wrong == "truck")]
            for n in range(100)
        ]
        nights.yard.csv(f"{night}.csv", lines, HEADER)

    for night in range(3):
        shared(night, None)
    nights.ingest()
    assert nights.validate().ok
    for night in range(3, 7):
        shared(night, vehicle)
        nights.ingest()
        capsys.readouterr()
        found = nights.validate()
        said = capsys.readouterr().err
        of_all = 300 if vehicle == "a-3" else 400
        files = ", ".join(f"{n}.csv" for n in range(3, night + 1))
        told = f"{vehicle} in {files} has {100 * (night - 2)} of {100 * (night - 2)} rows refused"
        assert f"Warning: {vehicle} " in said and told in said
        assert found.refused[1]["scope"] == f"{NEW_FILES}, without those of {vehicle}"
        assert (found.refused[1]["rows"], found.refused[1]["refused_rows"]) == (of_all - 100, 0)
    assert found.refused[0]["scope"] == f"{ALL_FILES}, without those of {vehicle}"
    nights.file("a-1_7", bad=90)
    nights.file("a-1_8")
    nights.ingest()
    assert f"45 % of the rows of the {NEW_FILES}" in nights.fails(), "no other vehicle is left"


@pytest.mark.parametrize("told_by", ["path", "column"])
def test_a_logger_that_stays_ahead_is_one_finding_until_a_night_passes_without(nights, told_by):
    """A file per vehicle and night; meanwhile another vehicle's are sound, or there are none."""
    nights.fleet(by_path=r"(a-\d)_" if told_by == "path" else None)
    named = "a-3 in " if told_by == "column" else ""
    found, bad = [], (1, 2, 3, 6, 9)
    for night in range(10):
        nights.file(f"a-1_{night}")
        if night not in (2, 8):
            nights.file(f"a-3_{night}", bad=90 * (night in bad))
        nights.ingest()
        troubles = fleet_health(load_fleet("tiny", nights.settings), nights.settings).troubles
        found.append([trouble.id for trouble in troubles if trouble.kind == "rows"])
    run = [f"rows: {named}a-3_1.csv"]
    assert found[:4] == [[], run, run, run] and found[4:6] == [[], []]
    assert found[6:] == [[f"rows: {named}a-3_6.csv"], [], [], [f"rows: {named}a-3_9.csv"]]


def test_a_file_that_breaks_off_keeps_what_was_read(nights):
    raw = partial(IngestedFile, sha256="", part="all")

    class FakeLake:
        files = {
            "good": raw(bytes=1000, rows=100, rejected={"x": 5}),
            "cut": raw(bytes=800, rows=41, rejected={"cut: off": 1}, refused="cut: off"),
            "empty": raw(bytes=0, rows=1, rejected={"empty": 1}, refused="empty"),
        }

    intake = intake_of(FakeLake())
    assert {f.path: (f.rows, f.refused_rows) for f in intake.files} == {
        "good": (100, 5), "cut": (80, 40), "empty": (1, 1)
    }  # fmt: skip
    (scope,) = intake.scopes
    assert (scope.files, scope.refused_files) == (3, 2)
    assert (scope.rows, scope.refused_rows) == (181, 46)


def test_a_damaged_table_of_refused_rows_is_named(tmp_path: Path):
    (tmp_path / "00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"00000.parquet is damaged"):
        example(tmp_path, "x", ["a.csv"])
    assert example(tmp_path / "none", "x", ["a.csv"]) is None
