"""Settings that cannot work are refused when they are loaded: in one sentence, at little cost."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from amad.cli.__main__ import run
from amad.config import ConfigError, Settings, load_cluster, load_fleet, load_params
from amad.config.params import GateParams
from amad.config.sinks import Rule
from amad.evaluation.method_result import unit_metrics
from amad.incidents.wording import MEANING

LETTERS = "abcdefghijklm"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)
MAPPINGS = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in pairwise(LETTERS)
)
HOSTILE = {
    "another encoding": "fleets: [dëmo]".encode("latin-1"),
    "two bytes per letter": "fleets: [demo]".encode("utf-16"),
    "lists in lists": b"fleets: " + b"[" * 20_000,
    "mappings in mappings": "\n".join(" " * depth + "a:" for depth in range(900)).encode(),
    "list bomb": BOMB.encode(),
    "mapping bomb": MAPPINGS.encode(),
    "an alias within itself": b"a: &a [*a]",
    "a huge file": b"a: " + b"x" * 5_000_000,
    "a huge word": b"x" * 300_000,
    "a number of 10,000 digits": b"seed: " + b"9" * 10_000,
    "a number of 100 digits": b"seed: " + b"9" * 100,
    "no such date": b"seed: 2026-13-45",
    "a damaged tag": b"seed: !!timestamp x",
    "an object of Python": b"seed: !!python/object/apply:os.system [ls]",
    "a key twice": b"fleets: [demo]\nseed: 1\nfleets: [smd]",
    "a key that is a list": b"? [a]\n: 1",
    "a number in base 8": b"seed: 010",
    "a number in base 60": b"seed: 1:30",
    "two documents": b"seed: 1\n---\nseed: 2",
    "a character that is none": b"seed: \x01",
    "thousands of wrong keys": "".join(f"k{n}: 1\n" for n in range(5000)).encode(),
    "a huge key": b"? " + b"k" * 100_000 + b"\n: 1",
    "a huge value": b"fleets: [" + b"v" * 100_000 + b"]",
    "a NUL": b'model: {kernel: "a\\0b"}',
}


def set_key(content: dict, key: str, value: object) -> None:
    """Set a key with dots, as messages name it, in the sections of a settings file."""
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
    content[last] = value


def refused_fleet(home: Path, content: dict) -> str:
    """The error of a fleet file with this content; it names the file."""
    path = home / "conf/fleet/odd.yaml"
    path.write_text(yaml.safe_dump({"name": "odd", "channels": [{"name": "speed"}]} | content))
    with pytest.raises(ConfigError) as error:
        load_fleet("odd")
    assert str(path) in str(error.value)
    return str(error.value)


def refused_params(home: Path, key: str, value: object) -> str:
    """The error of a params.yaml with another value of a key, without the file that it names."""
    path = home / "params.yaml"
    content = yaml.safe_load(path.read_text())
    set_key(content, key, value)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as error:
        load_params(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_in_one_short_sentence(content: bytes, home: Path):
    path = home / "params.yaml"
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(ConfigError) as error:
        load_params(path)
    assert time.process_time() - started < 5
    assert str(error.value).startswith(f"{path}: ") and len(str(error.value)) < 2000
    assert "\n" not in str(error.value)


def test_a_fleet_file_of_a_large_fleet_is_no_hostile_one(home: Path):
    channels = [{"name": f"Vehicle.Channel{n}", "range": [0, 1]} for n in range(800)]
    content = {"name": "wide", "source": {"format": "simulator"}, "channels": channels}
    path = home / "conf/fleet/wide.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8-sig")
    assert len(load_fleet("wide").channels) == 800
    path.write_text("x: &x {range: [0, 1]}\n" + yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"wide\.yaml: x: unknown key"):
        load_fleet("wide")


def test_a_folder_a_pipe_and_a_missing_file_are_told(home: Path):
    path = home / "conf/fleet/odd.yaml"
    path.mkdir()
    with pytest.raises(ConfigError, match=r"no fleet file .*odd\.yaml"):
        load_fleet("odd")
    (home / "params.yaml").unlink()
    for make in (lambda p: None, Path.mkdir):
        make(home / "params.yaml")
        with pytest.raises(ConfigError, match=r"params\.yaml: "):
            load_params(home / "params.yaml")


SOURCE = {"format": "csv", "files": [{"glob": "*.csv"}]}
TIME = {"take": "column", "column": "t"}


def path_rule(pattern: str) -> dict:
    return {"vehicle": {"take": "path", "pattern": pattern}}


def time_rule(**rule: object) -> dict:
    return {"timestamp": TIME | rule}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (path_rule("(car"), ["source.vehicle.pattern", "no regular expression", "(car"]),
        (path_rule("car-[0-9]+"), ["source.vehicle.pattern", "one group", "with 0"]),
        (path_rule("(car)-([0-9]+)"), ["source.vehicle.pattern", "one group", "with 2"]),
        (path_rule("(a{99999999999})"), ["source.vehicle.pattern", "no regular expression"]),
        (time_rule(take="time_of_day", date_pattern="*"), ["source.timestamp.date_pattern"]),
        (
            time_rule(take="elapsed", start_from="path", start_pattern="[0-9]+"),
            ["source.timestamp.start_pattern", "one group"],
        ),
        ({"files": [{"glob": "/data/*.csv"}]}, ["source.files[0].glob", "relative"]),
        ({"files": [{"glob": "*.csv"}, {"glob": "../*.csv"}]}, ["source.files[1].glob", ".."]),
        ({"files": [{"glob": ""}]}, ["source.files[0].glob", "at least 1"]),
        ({"files": [{"glob": "**.csv"}]}, ["source.files[0].glob", "**/*.csv"]),
        ({"files": [{"glob": "raw/**"}]}, ["source.files[0].glob", "*.csv"]),
        *(
            ({"encoding": name}, ["source.encoding", "no encoding of text files", name])
            for name in ("base64", "rot13", "hex", "zip", "idna", "unicode_escape", "undefined")
        ),
        ({"delimiter": "."}, ["source.delimiter", "cannot stand between"]),
        ({"delimiter": "\n"}, ["source.delimiter", "cannot stand between"]),
        ({"delimiter": "x"}, ["source.delimiter", "cannot stand between"]),
        (time_rule(timezone="Mars/Base"), ["source.timestamp.timezone", "Europe/Berlin"]),
        (time_rule(timezone="../etc/passwd"), ["source.timestamp.timezone", "Europe/Berlin"]),
        (time_rule(format="%H:%M:%S"), ["source.timestamp", "format", "no full date"]),
        (time_rule(format="%b %d %H:%M:%S"), ["source.timestamp", "no full date"]),
        (time_rule(format="%d.%m.%Y %I:%M"), ["source.timestamp", "12-hour clock"]),
        (time_rule(format="%Q"), ["source.timestamp.format", "no strptime form"]),
        (
            time_rule(take="time_of_day", date_pattern="(x)", format="%M:%S"),
            ["source.timestamp", "has no hour"],
        ),
        (
            time_rule(take="time_of_day", date_pattern="(x)", date_format="%m-%d"),
            ["source.timestamp", "date_format", "no full date"],
        ),
        (time_rule(gap_between_files=float("inf")), ["source.timestamp.gap_between_files"]),
        ({"simulator": {"seed": -1}}, ["source.simulator.seed", "-1"]),
        ({"simulator": {"vehicles": 10**20}}, ["vehicles", "too large"]),
        ({"simulator": {"hours_per_day": float("nan")}}, ["source.simulator.hours_per_day"]),
        ({"simulator": {"hours_per_day": 1e-6}}, ["source.simulator.hours_per_day", "0.01"]),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_at_load(source, said, home):
    told = refused_fleet(home, {"source": SOURCE | source})
    assert all(text in told for text in said), told


@pytest.mark.parametrize(
    "source",
    [
        path_rule(r"(?:car|van)-(\d+)"),
        {"files": [{"glob": "**/trip_*.csv.gz"}]},
        {"encoding": "cp1252"},
        {"encoding": "utf-16"},
        {"delimiter": ",", "decimal": ","},  # its numbers stand in quotes
        {"delimiter": "\t"},
        time_rule(format="%d/%m/%y %I:%M:%S %p"),
        time_rule(format="%a %b %d %H:%M:%S %Z %Y"),
        time_rule(format="%Y-%m-%d"),
        time_rule(take="time_of_day", date_pattern="(x)", format="%H.%M", date_format="%d%m%y"),
        time_rule(take="elapsed", start="2026-01-05", format="%H:%M:%S"),
        time_rule(timezone="Etc/GMT-2"),
    ],
)
def test_a_source_that_can_be_read_is_taken(source, home):
    content = {"name": "odd", "source": SOURCE | source, "channels": [{"name": "speed"}]}
    (home / "conf/fleet/odd.yaml").write_text(yaml.safe_dump(content))
    assert load_fleet("odd").source.format == "csv"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("period_seconds", float("inf")),
        ("period_seconds", float("nan")),
        ("period_seconds", 1e-9),
        ("missing.max_gap_seconds", float("inf")),
        ("missing.max_gap_seconds", 1e300),
        ("labels.injection.seed", -3),
        ("quality.max_null_share", float("nan")),
        ("split.test_share", float("nan")),
        ("split.purge_rows", 10**30),
        ("channels", [{"name": "speed", "range": [0, float("inf")]}]),
        ("channels", [{"name": "speed", "max_flat_seconds": -1}]),
        ("vehicle_classes", []),
        ("vehicle_classes", [{"name": "a"}, {"name": "a"}]),
    ],
)
def test_a_number_that_cannot_be_is_refused_at_load(key, value, home):
    content: dict = {"source": {"format": "simulator"}}
    set_key(content, key, value)
    assert key.split(".")[0] in refused_fleet(home, content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**32),
        ("gate.metric", "vus-pr"),
        ("evaluate.baselines", ["linear", "lstm"]),
        ("evaluate.confidence", float("nan")),
        ("detect.members", []),
        ("detect.members", ["innovation", "innovation"]),
        ("detect.members", ["ridge"]),
        ("detect.members", ["rigde"]),
        ("detect.widths", [5, 0]),
        ("detect.alarm_budget", float("inf")),
        ("detect.merge_gap_seconds", float("inf")),
        ("train.learning_rate", float("inf")),
        ("train.epochs", 10**30),
        ("tune.space.mask_family", []),
        ("tune.space.mask_family", ["point"]),
        ("tune.space.mask_ratio", [0.5, 0.1]),
        ("tune.space.mask_ratio", [0.5, 1.5]),
        ("tune.space.mask_ratio", [0, 0.5]),
        ("mask.ratio", 0),
        ("tune.space.temperature", [0, 0.5]),
        ("tune.space.contrast", [0, float("inf")]),
    ],
)
def test_a_parameter_that_cannot_work_is_refused_at_load(key, value, home):
    assert key.split(".")[-1] in refused_params(home, key, value)


@pytest.mark.parametrize(
    ("key", "way"),
    [
        ("model.mixup", "the gate is the only mixture; delete this line"),
        ("model.context", "was removed; delete this line"),
        ("loss.maxmin_phases", "each step makes both phases; delete this line"),
        ("tune.space.kernel", "always AutoMask; delete this line"),
        ("model.kernel", "always AutoMask; delete this line"),
        ("loss.contrast_form", "always InfoNCE; delete this line"),
        ("model.frequencies", "a kernel always has 8; delete this line"),
        ("model.scales", "the heads always share out 4; delete this line"),
        ("tune.space.scales", "was removed; delete this line"),
        ("detect.hidden_block", "is mask.block now, for training and scoring; delete this line"),
    ],
)
def test_a_key_of_an_earlier_version_is_refused_with_the_way_out(key, way, home):
    told = refused_params(home, key, 4)
    assert told.startswith(f"{key}: ") and told.endswith(way)


def test_names_in_the_settings_are_those_of_the_code():
    figures = unit_metrics(np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.2]), 1)
    accepted = GateParams.model_json_schema()["properties"]["metric"]["enum"]
    assert sorted(accepted) == sorted(figures)
    accepted = Rule.model_json_schema()["properties"]["types"]["items"]["enum"]
    assert sorted(accepted) == sorted(MEANING)


@pytest.mark.parametrize("name", ["x" * 300, "../demo", "Demo", "a b", "demo\n"])
def test_a_name_that_cannot_be_a_fleets_is_told(name, home, capsys):
    assert run(["ingest", "--fleet", name]) == 2
    assert "cannot name a fleet" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"cannot name a cluster|no cluster profile"):
        load_cluster(Settings(cluster=name))
