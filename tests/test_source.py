"""What the raw data is: order, hashes, and what is said when it is not there."""

import os

import pytest

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.ingest import raw_files
from amad.ingest.escaped_names import escaped, unescaped
from amad.ingest.raw_files import SIMULATED, fingerprint
from tests.ingest_kit import Yard, raw_fleet


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    for name in ("b.csv", "a.csv", "b_test.csv", "f_faults.csv"):
        yard.csv(name, [name])
    return yard


FILES = [{"glob": "*_test.csv", "part": "test"}, {"glob": "?.csv", "part": "train"}]


def test_files_stand_in_reading_order_with_the_culprits_last(yard):
    fleet = raw_fleet(
        source={"files": FILES}, labels={"kind": "column", "culprits": "f_faults.csv"}
    )
    found = fingerprint(fleet, yard.settings)
    assert [(file.path, file.part) for file in found.files] == [
        ("a.csv", "train"), ("b.csv", "train"), ("b_test.csv", "test"),
        ("f_faults.csv", "culprits"),
    ]  # fmt: skip
    assert found.fleet == "tiny" and found.format == "csv"
    first = found.files[0]
    assert first.bytes == (yard.raw / "a.csv").stat().st_size and len(first.sha256) == 64


def test_the_digest_follows_the_content_alone(yard):
    fleet = raw_fleet()
    before = fingerprint(fleet, yard.settings)
    os.utime(yard.raw / "a.csv")
    assert fingerprint(fleet, yard.settings) == before
    yard.csv("a.csv", ["other"])
    assert fingerprint(fleet, yard.settings).digest != before.digest


def test_an_unchanged_file_is_not_hashed_again(yard, monkeypatch):
    fleet = raw_fleet()
    before = fingerprint(fleet, yard.settings)
    yard.csv("b.csv", ["another"])
    hashed = []
    once = raw_files.file_sha256
    monkeypatch.setattr(
        raw_files, "file_sha256", lambda path: hashed.append(path.name) or once(path)
    )
    assert fingerprint(fleet, yard.settings) != before
    assert hashed == ["b.csv"]


def test_a_file_replaced_with_the_same_size_and_time_is_seen(yard):
    fleet = raw_fleet()
    before = fingerprint(fleet, yard.settings)
    path = yard.raw / "a.csv"
    stat, text = path.stat(), path.read_text()
    yard.csv("new", [text.splitlines()[1][::-1]])
    (yard.raw / "new").replace(path)  # another inode
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    after = fingerprint(fleet, yard.settings)
    assert after.digest != before.digest
    path.write_text(text)  # the same inode
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint(fleet, yard.settings) == before


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\x00"])
def test_a_damaged_list_of_hashes_is_made_anew(content, yard):
    fleet = raw_fleet()
    before = fingerprint(fleet, yard.settings)
    cache = yard.settings.runs_dir("tiny") / "hashes.json"
    cache.write_text(content)
    assert fingerprint(fleet, yard.settings) == before


@pytest.mark.parametrize(
    "name", ["a.csv", "caf\udce9.csv", "a\\xe9\udce9", "\\\\", "ü\\x41", "\udcff/x"]
)
def test_any_name_has_a_form_that_can_be_written_and_undone(name):
    form = escaped(name)
    assert unescaped(form) == name and form.encode().decode() == form


def test_missing_data_says_how_to_obtain_it(tmp_path):
    fleet = raw_fleet(source={"obtain": "Ask the workshop."})
    settings = Settings(home=tmp_path, data_dir=tmp_path / "nowhere")
    with pytest.raises(DataError) as error:
        fingerprint(fleet, settings)
    said = str(error.value)
    assert all(t in said for t in (str(tmp_path / "nowhere/raw"), "workshop", "AMAD_DATA_DIR"))
    (tmp_path / "nowhere/raw").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no file in it matches '\*\.csv'"):
        fingerprint(fleet, settings)


def test_missing_culprits_and_a_file_in_two_parts_are_told(yard):
    labels = {"kind": "column", "culprits": "gone.csv"}
    with pytest.raises(DataError, match=r"it has no gone\.csv"):
        fingerprint(raw_fleet(labels=labels), yard.settings)
    files = [{"glob": "*.csv", "part": "train"}, {"glob": "*_test.csv", "part": "test"}]
    with pytest.raises(ConfigError, match=r"b_test\.csv into the parts train and test"):
        fingerprint(raw_fleet(source={"files": files}), yard.settings)


def demo_of(home, **changes) -> Fleet:
    import yaml

    content = yaml.safe_load((home / "conf/fleet/demo.yaml").read_text())
    small = {"vehicles": 3, "days": 1, "hours_per_day": 0.1, "fault_free_days": 1}
    content["source"]["simulator"] |= small | changes
    return Fleet.model_validate(content)


def test_a_simulated_fleet_is_simulated_when_it_must_be(home):
    settings = Settings(home=home)
    found = fingerprint(demo_of(home), settings)
    raw = settings.fleet_dir("demo") / "raw"
    assert [file.part for file in found.files] == ["all"] * 3 + ["culprits"]
    made = (raw / SIMULATED).stat().st_mtime_ns
    assert fingerprint(demo_of(home), settings) == found
    assert (raw / SIMULATED).stat().st_mtime_ns == made, "nothing changed, nothing is simulated"
    other = fingerprint(demo_of(home, seed=8), settings)
    assert other.digest != found.digest and len(other.files) == 4
    assert fingerprint(demo_of(home), settings) == found, "the same settings make the same files"
