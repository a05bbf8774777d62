"""Versions, aliases and promotion on a real MLflow store."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from engine_kit import with_tracking_store
from mlflow.exceptions import MlflowException
from scoring_kit import VEHICLES, fit_detector, make_artifacts, make_lake, read_json

import amad
from amad.config import Fleet, GateError, ServiceError
from amad.detect.detector_folder import detector_digest, load_detector
from amad.engines.register import promotion, registry_writes
from amad.engines.register.challenge import defend
from amad.engines.register.registration import code_state
from amad.engines.shared import model_registry
from amad.engines.shared.model_registry import alias_version, get_version, version_number
from amad.engines.shared.tracking import connect
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import register

pytestmark = pytest.mark.slow

FLEET = "nights"
ROOT = Path(amad.__file__).parent


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the artifacts of the stages before register, and a registry without versions."""
    home = tmp_path_factory.mktemp("registry") / "home"
    fleet, settings = make_lake(home)
    make_artifacts(fleet, settings)
    return with_tracking_store(home)


@pytest.fixture
def place(prepared: Path, tmp_path: Path):
    """(fleet, settings, params) of a copy of it, for a test to change."""
    from scoring_kit import kit_params

    from amad.config import Settings, load_fleet

    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    settings = Settings(home=home, data_dir=home / "raw")
    return load_fleet(FLEET, settings), settings, kit_params()


def retrain(fleet, settings, **detect) -> None:
    """Another detector on the same data, with its evaluation."""
    make_artifacts(fleet, settings, **detect)


def test_the_first_version_becomes_champion_and_says_why(place):
    _, settings, params = place
    receipt = register.run(params, settings).content()
    assert receipt == read_json(settings.fleet_dir(FLEET) / "receipt.json")
    assert receipt["version"] == receipt["champion"] == 1
    client = connect(settings)
    champion = model_registry.champion_version(client, FLEET)
    assert version_number(champion) == 1
    assert champion.tags["gate_decision"] == "promote"
    assert float(champion.tags["gate_floor_low"]) > 0
    assert champion.tags["validation"] == "passed"
    assert champion.tags["amad_version"] == amad.__version__
    commit = code_state(ROOT.parent)["git_commit"]  # of the code, while the home is no repository
    assert champion.tags["git_commit"] == commit
    assert {"data_hash", "params_digest", "fleet_digest", "run_id", "test_start"} <= set(
        champion.tags
    )
    for text in ("Intended use", "Quality", "random", "Limits", "Lineage", "Champion since"):
        assert text in champion.description
    history = client.get_registered_model("amad-nights").tags
    assert any(key.startswith("champion moved") for key in history)
    assert all("version 1, by " in text for text in history.values())


def test_registering_again_is_the_same_version_and_the_same_receipt(place):
    _, settings, params = place
    first = register.run(params, settings).content()
    assert register.run(params, settings).content() == first
    client = connect(settings)
    assert len(client.search_model_versions("name = 'amad-nights'")) == 1


def test_an_old_receipt_beside_a_fresh_store_registers_anew(place):
    _, settings, params = place
    first = register.run(params, settings).content()
    elsewhere = settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/other.db"})
    assert register.run(params, elsewhere).content() == first


def test_a_version_whose_artifacts_are_gone_is_not_found(place):
    _, settings, params = place
    register.run(params, settings)
    shutil.rmtree(settings.home / "mlartifacts")
    client = connect(settings)
    with pytest.raises(ServiceError, match="cannot be read"):
        model_registry.fetched(client, model_registry.champion_version(client, FLEET)).__enter__()
    receipt = register.run(params, settings).content()
    assert receipt["version"] == 2
    assert "cannot be scored" in receipt["reasons"][-1]


def test_no_champion_is_a_sentence_with_the_way_out(place):
    _, settings, _ = place
    client = connect(settings)
    with pytest.raises(ServiceError, match="amad register"):
        model_registry.champion_version(client, FLEET)
    with pytest.raises(ServiceError, match="no challenger"):
        promotion.promote(settings, FLEET)


def test_an_equal_model_is_registered_and_not_promoted(place):
    fleet, settings, params = place
    register.run(params, settings)
    retrain(fleet, settings, alarm_budget=2.0)  # another detector, the same scores
    receipt = register.run(params, settings).content()
    assert (receipt["version"], receipt["champion"]) == (2, 1)
    assert receipt["decision"] == "refuse"
    assert receipt["figures"]["champion_difference"] == pytest.approx(0, abs=1e-3)
    found = receipt["figures"]["champion_events_found"]
    assert any(f"champion {found} of" in reason for reason in receipt["reasons"])
    client = connect(settings)
    assert version_number(alias_version(client, FLEET, model_registry.CHALLENGER)) == 2
    with pytest.raises(GateError, match=r"version 2 may not be champion.*--force"):
        promotion.promote(settings, FLEET)


def test_a_better_model_replaces_the_champion_and_rollback_undoes_it(place):
    fleet, settings, params = place
    good = read_json(settings.fleet_dir(FLEET) / "evaluation" / "metrics.json")
    retrain(fleet, settings, members=["innovation"], widths=[401])
    register.run(params, settings)
    bad = read_json(settings.fleet_dir(FLEET) / "evaluation" / "metrics.json")
    assert bad["methods"]["amad"]["mean"]["vus_pr"] < good["methods"]["amad"]["mean"]["vus_pr"]
    retrain(fleet, settings)
    receipt = register.run(params, settings).content()
    assert (receipt["version"], receipt["champion"]) == (2, 2)
    assert receipt["figures"]["champion_low"] > 0
    changed = next(reason for reason in receipt["reasons"] if reason.startswith("changed since"))
    assert changed == (
        "changed since version 1: detect.members ['innovation'] -> ['innovation', 'two_sided']; "
        "detect.widths [401] -> [3, 9]"
    )
    client = connect(settings)
    page = get_version(client, FLEET, "2").description
    assert page.index(changed) < page.index("## Intended use"), "what decides comes first"
    assert version_number(alias_version(client, FLEET, model_registry.PREVIOUS)) == 1

    assert version_number(promotion.rollback(settings, FLEET)) == 1
    assert version_number(model_registry.champion_version(client, FLEET)) == 1
    assert alias_version(client, FLEET, model_registry.PREVIOUS) is None
    assert "Rolled back" in get_version(client, FLEET, "2").description
    with pytest.raises(ServiceError, match="first champion"):
        promotion.rollback(settings, FLEET)

    # The gate does not bring back what a person took back; the person can.
    assert register.run(params, settings).content()["champion"] == 1
    with pytest.raises(GateError, match="rolled back"):
        promotion.promote(settings, FLEET, "2")
    promotion.promote(settings, FLEET, "2", force=True, reason="it was the sensor after all")
    champion = model_registry.champion_version(client, FLEET)
    assert version_number(champion) == 2
    assert "sensor after all" in champion.tags["champion_why"]
    assert "rolled_back" not in champion.tags


def test_the_card_tells_the_settings_of_the_detector_itself(place):
    fleet, settings, params = place
    retrain(fleet, settings, alarm_budget=2.0)
    register.run(params, settings)
    champion = model_registry.champion_version(connect(settings), FLEET)
    assert "for 2 incidents per vehicle-day" in " ".join(champion.description.split())


def test_the_champion_defends_itself_on_the_same_scaled_data(place):
    """Its own detector through another scaler gives its own figures."""
    fleet, settings, params = place
    register.run(params, settings)
    folder = settings.fleet_dir(FLEET)
    ours = EvaluationMetrics.require(folder).ours.per_unit
    store = WindowStore.open(folder / "store")
    lake = Lake(folder / "lake", fleet)
    client = connect(settings)
    champion = model_registry.champion_version(client, FLEET)
    theirs, problem = defend(client, champion, store, fleet, lake.events())
    assert problem is None and theirs.per_unit == ours
    metrics = EvaluationMetrics.require(folder)
    assert theirs.found[""] == metrics.operating_point.events_found
    assert all(theirs.found[fault] == own.events_found for fault, own in metrics.by_fault.items())


def test_a_registry_that_does_not_answer_is_no_registry_without_a_champion(place, monkeypatch):
    _, settings, params = place
    register.run(params, settings)
    client = connect(settings)

    def refuse(*_):
        raise MlflowException("the database is locked")

    monkeypatch.setattr(client, "get_model_version_by_alias", refuse)
    with pytest.raises(ServiceError, match="the database is locked"):
        alias_version(client, FLEET, model_registry.CHAMPION)


def test_a_champion_of_other_channels_cannot_defend_itself(place):
    fleet, settings, params = place
    register.run(params, settings)
    client = connect(settings)
    champion = model_registry.champion_version(client, FLEET)
    folder = settings.fleet_dir(FLEET)
    content = fleet.model_dump(mode="json")
    content["channels"][0]["name"] = "velocity"
    other = Fleet.model_validate(content)
    store = WindowStore.open(folder / "store")
    events = Lake(folder / "lake", fleet).events()
    theirs, problem = defend(client, champion, store, other, events)
    assert (theirs, problem) == (None, "it has learnt speed, which the present data lacks")


def test_a_missing_version_lists_those_there_are(place):
    _, settings, params = place
    register.run(params, settings)
    with pytest.raises(ServiceError, match="no version 9; it has 1"):
        promotion.promote(settings, FLEET, "9")


def test_the_description_fits_the_database():
    long = "\n".join(f"line {n}" for n in range(2000))
    cut = registry_writes.clip(long)
    assert len(cut) <= registry_writes.DESCRIPTION_LIMIT
    assert cut.endswith("(the whole card: artifact model_card.md)")
    assert registry_writes.clip("short") == "short"


def test_the_requirements_name_what_scoring_imports():
    """Every third-party package that the core rooms import is pinned, if scoring needs it."""
    found = set()
    for room in ("config", "telemetry", "windows", "model", "detect"):
        for file in (ROOT / room).rglob("*.py"):
            if "simulator" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module.partition(".")[0])
    third_party = found - set(sys.stdlib_module_names) - {"amad", "rich", "filelock"}
    packages = {"yaml": "pyyaml", "pydantic_settings": "pydantic-settings"}
    assert {packages.get(name, name) for name in third_party} <= set(registry_writes.REQUIREMENTS)


LOADED = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
scores = model.predict(pd.read_parquet(sys.argv[2]))
scores.to_parquet(sys.argv[3])
import amad
print(json.dumps({"amad": amad.__file__, "context": model.metadata.metadata["context_rows"]}))
"""


@pytest.mark.engine
def test_the_pyfunc_loads_without_pickle_and_scores_as_the_detector_does(place, tmp_path):
    """In another process, elsewhere, with the code that travels in the model."""
    fleet, settings, params = place
    make_artifacts(fleet, settings, members=["innovation", "amad"], amad_weight=1.0)
    register.run(params, settings)
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    day = lake.dates()[-2]
    frames = []
    for vehicle in VEHICLES:
        frame = lake.read_day(vehicle, day).to_pandas()
        frames.append(frame.assign(vehicle=vehicle))
    rows = pd.concat(frames).sample(frac=1, random_state=1)  # in any order
    rows["timestamp"] = rows["timestamp"].dt.tz_localize(None)
    rows["speed"] = rows["speed"].astype("float64")  # as a person's frame has it
    rows.to_parquet(tmp_path / "rows.parquet")
    client = connect(settings)
    uri = client.get_model_version_download_uri("amad-nights", "1")
    result = subprocess.run(
        [sys.executable, "-c", LOADED, uri, tmp_path / "rows.parquet", tmp_path / "out.parquet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ
        | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": "", "AMAD_HOME": ""},
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert not Path(told["amad"]).is_relative_to(ROOT), "the code must come with the model"
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert len(out) == len(rows)
    np.testing.assert_array_equal(out["timestamp"], rows["timestamp"])
    np.testing.assert_array_equal(out["vehicle"], rows["vehicle"])

    from amad.windows.resample import row_of, to_series

    detector = load_detector(settings.fleet_dir(FLEET) / "detector")
    assert told["context"] == detector.history_rows
    for vehicle in VEHICLES:
        table = lake.read_day(vehicle, day)
        series = to_series(table, fleet, vehicle)
        scored = detector.score(detector.scaler.apply(series))
        stamps = table["timestamp"].cast("int64").to_numpy()
        own = out[out["vehicle"] == vehicle].sort_values("timestamp")
        row = row_of(series, stamps, fleet.period_us)
        np.testing.assert_allclose(own["score"].to_numpy(), scored.score_T[row], rtol=1e-5)
        np.testing.assert_array_equal(own["alarm"], scored.alarm_T[row])


@pytest.mark.engine
def test_the_logged_model_is_whole(place):
    _, settings, params = place
    register.run(params, settings)
    client = connect(settings)
    version = model_registry.champion_version(client, FLEET)
    uri = client.get_model_version_download_uri(version.name, version.version)
    model = Path(uri.removeprefix("file://"))
    names = {p.name for p in model.rglob("*")}
    assert not {name for name in names if name.endswith((".pkl", ".pickle", ".pt"))}
    assert {"MLmodel", "model_card.md", "requirements.txt", "detector.json"} <= names
    lines = (model / "requirements.txt").read_text().split()
    assert all("==" in line for line in lines)
    assert "signature" in (model / "MLmodel").read_text()
    logged = client.get_logged_model(version.tags["model_id"])
    assert {metric.key for metric in logged.metrics} >= {"test/vus_pr", "floor/vus_pr"}
    example = json.loads((model / "input_example.json").read_text())
    assert example["columns"][:2] == ["vehicle", "timestamp"]


def test_a_missing_stage_is_named(place):
    _, settings, params = place
    path = settings.fleet_dir(FLEET) / "evaluation" / "metrics.json"
    content = path.read_text()
    path.unlink()
    from amad.config import DataError

    with pytest.raises(DataError, match="run 'amad evaluate'"):
        register.run(params, settings)
    path.write_text(content)
    shutil.rmtree(settings.fleet_dir(FLEET) / "detector")
    with pytest.raises(DataError, match="detector"):
        register.run(params, settings)


def test_fit_detector_is_deterministic(place):
    """What idempotent registration rests on."""
    fleet, settings, _ = place
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    assert detector_digest(fit_detector(fleet, lake)) == detector_digest(fit_detector(fleet, lake))


def test_the_commit_is_of_the_code_and_only_a_person_makes_it_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    git("init", "--quiet")
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    (tmp_path / "amad").mkdir()
    (tmp_path / "amad" / "__init__.py").touch()
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    (tmp_path / "data" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "metrics.json").write_text("{}\n")
    assert code_state(tmp_path)["git_dirty"] == "false"
    (tmp_path / "params.yaml").write_text("seed: 8\n")
    assert code_state(tmp_path)["git_dirty"] == "true"
    assert len(code_state(tmp_path)["git_commit"]) == 40
    shutil.copytree(tmp_path / "amad", tmp_path / "site-packages" / "amad")  # of no repository
    assert code_state(tmp_path / "site-packages")["git_commit"] == "none"
