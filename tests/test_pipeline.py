"""The whole pipeline once, for real: a tiny fleet through `dvc repro` with Ray, MLflow and GX.

The sweep runs under Ray. The training runs in its stage here, and under Ray from the scripts of the
cluster, which have to make the same bytes.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FLEET = "demo"
STAGES = ["source", "ingest", "validate", "prepare", "tune", "train", "evaluate", "register",
          "score", "report"]  # fmt: skip


def merge(tree: dict, changes: dict) -> dict:
    return {
        **tree,
        **{k: merge(tree[k], v) if isinstance(v, dict) else v for k, v in changes.items()},
    }


def shell(home: Path, *command: str, ok: bool = True) -> str:
    """Run a command of the environment under test in ``home``; return all it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AMAD_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(home)
    result = subprocess.run(
        command, cwd=home, env=environment, text=True, capture_output=True, timeout=900
    )
    output = result.stdout + result.stderr
    assert (result.returncode == 0) == ok, output[-6000:]
    return output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the demo fleet made tiny, in a folder with an odd name."""
    home = tmp_path_factory.mktemp("a # ü & 50% of; 'it'")
    for name in ("amad", "pipelines", "conf", "infra"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, home)
    (home / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "glossary.md", home / "docs")
    for path, changes in (
        (
            home / f"conf/fleet/{FLEET}.yaml",
            {"source": {"simulator": {"vehicles": 3, "days": 4, "fault_free_days": 2,
                                      "hours_per_day": 0.5}}},
        ),
        (
            home / "params.yaml",
            {"fleets": [FLEET], "model": {"width": 16, "layers": 1},
             "train": {"epochs": 2, "max_windows": 200},
             "tune": {"trials": 2, "epochs": 1, "cases": 2},
             "detect": {"alarm_budget": 2.0},  # else it finds none of so few faults: no champion
             "evaluate": {"bootstrap": 50}, "gate": {"bootstrap": 50}},
        ),
        (
            home / "conf/cluster/local.yaml",
            {"workers": 0, "max_concurrent_trials": 1},
        ),
    ):  # fmt: skip
        path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), changes)))
    shell(home, "git", "init", "-q")
    shell(home, "dvc", "init", "-q")
    shell(home, "dvc", "repro")
    shell(home, "git", "add", "-A")
    shell(home, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "demo")
    return home


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def read(project: Path, name: str) -> dict:
    return json.loads((project / "data" / FLEET / name).read_text())


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_every_stage_left_what_the_next_one_reads(project: Path):
    counts = read(project, "ingest.json")
    assert counts["rows_in"] == counts["rows_lake"] + counts["rows_rejected"] > 0
    assert counts["rows_rejected"] > 0, "the simulator makes duplicates and bad rows"
    assert read(project, "validation.json")["ok"]
    assert (project / "data" / FLEET / "docs/index.html").is_file()
    assert {"mask", "loss"} <= set(read(project, "best.json")["settings"])
    metrics = read(project, "evaluation/metrics.json")
    for method in ("amad", "amad_with_network", "linear", "random", "l2", "pca", "ridge"):
        assert 0 <= metrics["methods"][method]["mean"]["vus_pr"] <= 1
    assert (project / "data" / FLEET / "report.html").stat().st_size > 10_000


@pytest.mark.engine
def test_every_lake_row_of_a_scored_date_has_one_score(project: Path):
    receipt = read(project, "scoring.json")
    assert receipt["dates"]
    scores = ds.dataset(project / "runs" / FLEET / "scores", partitioning="hive").to_table()
    lake = ds.dataset(
        project / "data" / FLEET / "lake", partitioning="hive", ignore_prefixes=["_", "."]
    ).to_table(columns=["vehicle", "date", "timestamp"])
    wanted = {
        (str(r["vehicle"]), r["timestamp"])
        for r in lake.to_pylist()
        if str(r["date"]) in set(receipt["dates"])
    }
    found = [(str(r["vehicle"]), r["timestamp"]) for r in scores.to_pylist()]
    assert len(found) == len(set(found)) and set(found) == wanted


@pytest.mark.engine
def test_the_first_model_is_the_champion(project: Path):
    import mlflow

    from amad.engines.shared.tracking_store import sqlite_uri

    uri = sqlite_uri(project / "mlflow.db")
    client = mlflow.MlflowClient(uri, uri)  # an earlier test may have set the registry's default
    champion = client.get_model_version_by_alias(f"amad-{FLEET}", "champion")
    assert str(champion.version) == str(read(project, "receipt.json")["version"])
    assert champion.description, "the model card is the description"


@pytest.mark.engine
def test_git_has_ten_figures_that_dvc_compares(project: Path):
    figures = read(project, "metrics.json")
    assert len(figures) == 10
    methods = read(project, "evaluation/metrics.json")["methods"]
    assert figures["vus_pr"] == pytest.approx(methods["amad"]["mean"]["vus_pr"], abs=1e-4)
    kept = shell(project, "git", "ls-files", "data", "dvc.lock").split()
    assert kept == [f"data/{FLEET}/metrics.json", "dvc.lock"]
    path = project / "data" / FLEET / "metrics.json"
    before = path.read_text()
    path.write_text(json.dumps(figures | {"vus_pr": 0.123}))
    (line,) = [s for s in shell(project, "dvc", "metrics", "diff").splitlines() if "vus_pr" in s]
    assert "0.123" in line
    path.write_text(before)


@pytest.mark.engine
def test_what_is_cached_travels_by_push_and_pull(project: Path, tmp_path: Path):
    data = project / "data" / FLEET
    names = ("bundle", "detector", "evaluation", "sweep")
    before = {name: contents(data / name) for name in names}
    assert all(before.values())
    shell(project, "dvc", "remote", "add", "--default", "folder", str(tmp_path / "remote"))
    shell(project, "dvc", "push")
    shutil.rmtree(project / ".dvc/cache")
    for name in names:
        shutil.rmtree(data / name)
    assert "files fetched" in shell(project, "dvc", "pull")
    assert {name: contents(data / name) for name in names} == before


@pytest.mark.engine
def test_another_cluster_profile_retrains_nothing(project: Path):
    path = project / "conf/cluster/local.yaml"
    before = path.read_text()
    path.write_text((project / "conf/cluster/kuberay.yaml").read_text())
    assert "changed" not in shell(project, "dvc", "status", *STAGES[1:])
    path.write_text(before)


@pytest.mark.engine
def test_a_second_run_after_a_switch_of_fleets_and_back_does_and_removes_nothing(project: Path):
    path = project / "params.yaml"
    before = path.read_text()
    data = project / "data" / FLEET
    was = contents(data)
    for fleets in (["nope"], [FLEET, "nope"]):
        path.write_text(yaml.safe_dump(yaml.safe_load(before) | {"fleets": fleets}))
        output = shell(project, "dvc", "repro", "source", ok=False)
        assert "there is no fleet file" in output and "conf/fleet/nope.yaml" in output
    path.write_text(yaml.safe_dump(yaml.safe_load(before) | {"fleets": [FLEET]}))
    output = shell(project, "dvc", "repro")
    skipped = [s for s in STAGES if f"Stage '{s}@{FLEET}' didn't change, skipping" in output]
    assert skipped == STAGES[1:], output
    assert contents(data) == was


@pytest.mark.cluster
@pytest.mark.timeout(1800)  # with the first run, which it is compared with
def test_the_scripts_of_the_cluster_give_the_same_from_clean(project: Path):
    """What the RayJobs run: train.sh and night.sh, here with a profile that trains under Ray."""
    names = ("ingest.json", "best.json", "evaluation/metrics.json", "scoring.json")
    before = {name: read(project, name) for name in names}
    bundle = contents(project / "data" / FLEET / "bundle")
    for name in ("data", "runs", "mlartifacts", ".dvc/cache"):
        shutil.rmtree(project / name, ignore_errors=True)
    for name in ("mlflow.db", "dvc.lock"):
        (project / name).unlink(missing_ok=True)
    profile = project / "conf/cluster/local.yaml"
    before_ray = profile.read_text()
    assert "workers: 0" in before_ray
    profile.write_text(before_ray.replace("workers: 0", "workers: 1"))
    shell(project, "infra/k8s/train.sh", FLEET)
    assert read(project, "ingest.json") == before.pop("ingest.json")
    shell(project, "infra/schedule/night.sh", FLEET)
    for name, content in before.items():
        assert read(project, name) == content, name
    assert contents(project / "data" / FLEET / "bundle") == bundle
    assert (project / "data" / FLEET / "report.html").stat().st_size > 10_000
