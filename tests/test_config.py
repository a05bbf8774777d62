"""Settings: what ships is valid, and what is wrong is told with file, key and accepted values."""

import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from amad.config import ConfigError, Fleet, Settings, load_cluster, load_fleet, load_params
from amad.config.params import Params, ParamsFile
from amad.config.yaml_file import parse, read_mapping

ROOT = Path(__file__).resolve().parent.parent
FLEETS = sorted(p.stem for p in (ROOT / "conf/fleet").glob("*.yaml"))
PROFILES = sorted(p.stem for p in (ROOT / "conf/cluster").glob("*.yaml"))


def edited(path: Path, change) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_the_eight_fleets_ship():
    assert {"asd", "car_obd", "demo", "js2", "kit_obd", "msl", "smap", "smd"} <= set(FLEETS)


@pytest.mark.parametrize("name", FLEETS)
def test_shipped_fleet_is_valid(name, home):
    fleet = load_fleet(name)
    assert fleet.channel_names and fleet.period_seconds > 0
    assert fleet.source.format == "simulator" or fleet.source.obtain, "say how to obtain the data"


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profile_is_valid(name, home):
    assert load_cluster(Settings(cluster=name)).workers >= 0


def test_params_file_spells_out_every_default(home):
    """params.yaml is what DVC watches: a setting that is not in it could change unseen."""
    written = yaml.safe_load((home / "params.yaml").read_text())
    full = json.loads(ParamsFile.model_validate(written).model_dump_json())

    def keys(tree, at=""):
        for key, value in tree.items():
            yield from keys(value, f"{at}{key}.") if isinstance(value, dict) else [at + key]

    assert set(keys(written)) == set(keys(full))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(perid_seconds=1), ["perid_seconds", "unknown key", "period_seconds"]),
        (lambda c: c.update(period_seconds=-1), ["period_seconds", "greater than", "-1"]),
        (lambda c: c["source"].update(format="xml"), ["source.format", "'parquet'", "'xml'"]),
        (lambda c: c["channels"][0].update(kind="real"), ["channels[0].kind", "'continuous'"]),
        (lambda c: c["channels"][0].update(range=[3, 1]), ["channels[0]", "low < high"]),
        (lambda c: c["channels"][0].update(name="label"), ["channels[0].name", "reserved"]),
        (lambda c: c["channels"].append(c["channels"][0]), ["named twice"]),
        (lambda c: c["channels"][0].update(classes=["boat"]), ["boat", "accepted"]),
        (lambda c: c["quality"].update(min_row=3), ["quality.min_row", "accepted", "min_rows"]),
        (lambda c: c["source"].update(encoding="utf8x"), ["source.encoding", "latin-1"]),
        (lambda c: c.pop("source"), ["source", "required key is missing"]),
        (lambda c: c.update(name="other"), ["name", "file's name"]),
        (lambda c: c["split"].update(test_share=0.9), ["split", "0.05"]),
    ],
)
def test_a_bad_fleet_file_is_told(change, said, home):
    path = home / "conf/fleet/demo.yaml"
    edited(path, change)
    with pytest.raises(ConfigError) as error:
        load_fleet("demo")
    assert all(text in str(error.value) for text in [str(path), *said]), str(error.value)


def test_an_unknown_fleet_lists_the_known(home):
    with pytest.raises(ConfigError, match=r"nope\.yaml.*asd, car_obd, demo"):
        load_fleet("nope")


def test_the_fleet_is_the_one_that_is_named(home):
    assert load_params(home / "params.yaml").fleet == "demo"
    edited(home / "params.yaml", lambda c: c.update(fleets=["smd", "asd"]))
    assert load_params(home / "params.yaml", "kit_obd").fleet == "kit_obd"
    with pytest.raises(ConfigError, match=r"params\.yaml names several.*smd, asd.*--fleet"):
        load_params(home / "params.yaml")


@pytest.mark.parametrize(
    ("fleets", "said"),
    [
        ([], "at least 1"),
        (["demo", "demo"], "named twice: demo"),
        (["../demo"], "should match pattern"),
        (["a; rm -rf b"], "should match pattern"),
        ("demo", "valid list"),
        ([7], "valid string"),
    ],
)
def test_wrong_fleets_are_told(fleets, said, home):
    edited(home / "params.yaml", lambda c: c.update(fleets=fleets))
    with pytest.raises(ConfigError, match="fleets") as error:
        load_params(home / "params.yaml")
    assert said in str(error.value)


def test_the_key_of_one_fleet_is_read_and_not_beside_the_list(home):
    edited(home / "params.yaml", lambda c: c.update(fleet=c.pop("fleets")[0]))
    assert load_params(home / "params.yaml").fleet == "demo"
    edited(home / "params.yaml", lambda c: c.update(fleets=["smd"]))
    with pytest.raises(ConfigError, match=r"params\.yaml: fleet and .*'fleets: \[demo\]'"):
        load_params(home / "params.yaml")


def test_a_file_that_is_no_yaml_is_told(home):
    (home / "params.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"params\.yaml: not valid YAML in line 1, column \d+: "):
        load_params()
    (home / "params.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="expected a mapping"):
        load_params()


@cache
def shipped_demo() -> Fleet:
    return load_fleet("demo", Settings(home=ROOT))


@given(st.text(min_size=1, max_size=20))
def test_a_vehicle_outside_every_class_is_told(vehicle):
    fleet = shipped_demo()
    known = {item.name for item in fleet.vehicle_classes}
    try:
        assert fleet.class_of(vehicle) in known
    except ConfigError as error:
        assert repr(vehicle) in str(error) and "vehicle_classes" in str(error)


def test_the_users_folder_stands_for_a_tilde_wherever_a_path_is_set(home, monkeypatch):
    """A shell puts it in; a crontab, a unit of systemd and YAML do not."""
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("AMAD_HOME", f"~/{home.name}")
    monkeypatch.setenv("AMAD_DATA_DIR", "~/measured")
    settings = Settings()
    assert settings.home == home and settings.data_dir == home.parent / "measured"
    fleet = shipped_demo()
    source = fleet.source.model_copy(update={"format": "csv", "folder": "~/trucks"})
    there = fleet.model_copy(update={"source": source}).source_folder(settings)
    assert there == home.parent / "trucks"
    monkeypatch.setenv("AMAD_HOME", "~nobody-of-this-name/amad")
    with pytest.raises(ConfigError, match=r"~nobody-of-this-name.*in full"):
        Settings()


def test_the_contract_digest_follows_the_contract(home):
    before = load_fleet("demo").digest
    edited(home / "conf/fleet/demo.yaml", lambda c: c.update(period_seconds=2.0))
    assert load_fleet("demo").digest != before


def test_the_windows_of_an_epoch_follow_the_fleet_unless_a_number_is_given() -> None:
    train = load_params_of(train={}).train
    found = [train.windows_per_epoch(vehicles) for vehicles in (1, 12, 28, 100, 5000)]
    assert found == [2400, 2400, 5600, 20_000, 20_000]
    assert load_params_of(train={"max_windows": 64}).train.windows_per_epoch(28) == 64
    with pytest.raises(ConfigError) as error:
        load_params_of(train={"max_windows": "most"})
    told = str(error.value)
    assert "train.max_windows: Input should be 'auto', or: Input should be a valid integer" in told
    assert told.count("train.max_windows") == told.count("got 'most'") == 1
    with pytest.raises(ConfigError, match=r"half of train\.max_windows now; delete this line"):
        load_params_of(tune={"max_windows": 1200})


def load_params_of(**sections: dict) -> Params:
    return parse(Params, sections, "params.yaml")


def test_a_window_is_at_least_twice_as_long_as_a_hidden_block() -> None:
    for window in (9, 10):
        assert load_params_of(model={"window": window}, mask={"block": 5}).mask.block == 5
    told = r"mask\.block 5 is above half of model\.window 8.*window: 10 or more, or mask\.block: 4"
    with pytest.raises(ConfigError, match=told):
        load_params_of(model={"window": 8})


def test_a_network_that_looks_ahead_has_no_vote_online() -> None:
    online = {"detect": {"smoothing": "trailing", "amad_weight": 1.0}}
    with pytest.raises(ConfigError, match=r"model\.direction: past and train again") as error:
        parse(Params, online, "params.yaml")
    assert "params.yaml" in str(error.value)
    for harmless in (
        {"detect": {"smoothing": "trailing"}},
        online | {"model": {"direction": "past"}},
        {"detect": {"amad_weight": 1.0}},
        {"detect": online["detect"] | {"members": ["innovation"]}},
    ):
        assert parse(Params, harmless, "params.yaml")


def test_a_temporary_experiment_has_the_raw_data_and_the_store_of_its_project(home, monkeypatch):
    copy = home / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("AMAD_DATA_DIR", "measured")
    for named in (True, False):
        if not named:
            monkeypatch.delenv("AMAD_HOME")
        settings = Settings()
        assert settings.is_temporary and settings.home == copy
        assert settings.workspace == home and settings.data_dir == home / "measured"
        assert settings.fleet_dir("demo") == copy / "data" / "demo"
    with pytest.raises(ConfigError, match="git add"):
        load_fleet("mine", settings)
    monkeypatch.chdir(home)
    here = Settings()
    assert not here.is_temporary and here.workspace == home and here.data_dir == home / "measured"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"worker": 2}, ["worker: unknown key", "min_workers"]),
        ({"allowed_lateness_hours": 2}, ["allowed_lateness_hours", "delete this line"]),
        ({"cpus": 0}, ["cpus", "greater than or equal to 1"]),
        ({"address": ""}, ["address", "at least 1 character"]),
        ({"device": "tpu"}, ["device", "'cpu' or 'cuda'", "'tpu'"]),
        ({"backend": "nccl"}, ["backend: nccl needs device: cuda"]),
        ({"compile": "graphs"}, ["compile: graphs needs device: cuda", "kernels or none"]),
        ({"compile": "graphs", "device": "cuda"}, ["gpus_per_trial above 0"]),
        ({"workers": 2, "min_workers": 3}, ["min_workers is 3, above workers (2)"]),
        ({"workers": 0, "min_workers": 1}, ["min_workers is 1, above workers (0)"]),
        (
            {"address": "auto", "cpus": 4, "dashboard": True},
            ["cpus, dashboard", "leave either out"],
        ),
        ({"checkpoints": "ray"}, ["checkpoints: must be absolute", "'ray'"]),
        ({"storage": "hdfs://a/b"}, ["storage", "s3://", "hdfs"]),
        ({"storage": "s3://a/b?scheme=http"}, ["storage", "AWS_ENDPOINT_URL"]),
        ({"tracking_uri": "./mlruns"}, ["tracking_uri", "postgresql://", "./mlruns"]),
        ({"tracking_uri": "postgresql://a:secret@db/mlflow"}, ["tracking_uri", "AMAD_MLFLOW_URI"]),
        ({"tracking_uri": "mysql://a:secret@db/mlflow"}, ["tracking_uri", "AMAD_MLFLOW_URI"]),
        ({"checkpoints": "s3://key:secret@scores/amad"}, ["checkpoints", "environment"]),
        ({"storage": "s3://key:secret@runs?x=1"}, ["storage", "environment"]),
    ],
)
def test_a_wrong_cluster_profile_is_told_when_it_is_loaded(content, said, home):
    file = home / "conf" / "cluster" / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        load_cluster(Settings(cluster="mine"))
    assert str(file) in str(caught.value)
    for text in said:
        assert text in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_stores_address_comes_from_the_environment_then_the_profile(home, monkeypatch):
    from amad.engines.shared.tracking_store import tracking_uri

    assert tracking_uri(Settings()).startswith("sqlite:")
    assert tracking_uri(Settings(cluster="kuberay")) == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    assert tracking_uri(Settings(cluster="kuberay")) == "http://other"
    assert tracking_uri(Settings(cluster="kuberay", mlflow_uri="http://mine")) == "http://mine"


def test_a_copy_of_a_fleet_with_other_channels_has_their_names():
    fleet = load_fleet("demo")
    assert fleet.channel_names[0] in fleet.channel_by_name
    copied = fleet.model_copy(update={"channels": fleet.channels[1:3]})
    assert copied.channel_names == list(copied.channel_by_name) == fleet.channel_names[1:3]
    assert fleet.title_of("gone") == "gone"


def test_a_file_may_have_the_values_of_ten_thousand_channels(tmp_path):
    path = tmp_path / "wide.yaml"
    path.write_text(f"a: &a [{', '.join(['x'] * 1000)}]\nb: [{', '.join(['*a'] * 110)}]")
    assert len(read_mapping(path)["b"]) == 110
