"""dvc.yaml says what each stage depends on: its deps are compared with what it imports."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
FLEET = "data/${item.fleet}/"
# What a stage imports and need not name, since it changes no result.
EXCEPTIONS = {
    "amad/config": "what counts of the settings stands in params.yaml and in the fleet file",
    "pipelines/__init__.py": "how a stage is started",
    "amad/engines/shared/environment.py": "which messages of Ray, MLflow and others are shown",
    "amad/engines/shared/ray_cluster.py": "where it runs",
    "amad/engines/shared/unit_engines.py": "where it runs",
    "amad/engines/shared/drivers_disk.py": "where files come from and go to",
    "amad/engines/shared/store_on_nodes.py": "where the store lies, which has the same digest",
    "amad/engines/shared/ray_checkpoint.py": "where the files of a checkpoint lie",
    "amad/engines/shared/identity.py": "the name under which a run that was cut short goes on",
    "amad/engines/shared/tracking.py": "what MLflow is told",
    "amad/engines/shared/tracking_store.py": "where MLflow's database lies",
    "amad/engines/shared/lost_registry.py": "what is told of a registry that is gone",
    "amad/engines/shared/evaluation_run.py": "what MLflow is told",
    "amad/engines/shared/training_curve.py": "what MLflow is told",
    "amad/engines/tune/sweep_log.py": "what MLflow is told",
    "amad/storage": "where files come from and go to",
    "amad/telemetry/checksums.py": "remembered hashes",
    "amad/telemetry/disk.py": "where files come from and go to",
    "amad/telemetry/temporary.py": "where temporary files lie",
    "amad/telemetry/files.py": "how a file is put in its place",
    "amad/telemetry/artifact.py": "how a file is read and written",
    "amad/telemetry/manifest.py": "the keys of a file",
    "amad/reading/outside_class.py": "the keys of a file",
    "amad/telemetry/ingest_result.py": "the keys of a file",
    "amad/engines/shared/train_result.py": "the keys of a file",
    "amad/evaluation/evaluation_metrics.py": "the keys of a file",
    "amad/scores/receipts.py": "the keys of a file",
    "amad/scores/run_log.py": "how its last run went",
    "amad/scores/step_log.py": "how its last run went",
    "amad/scores/job_log.py": "how its last run went",
    "amad/scores/partition_manifest.py": "the keys of a file",
    "amad/telemetry/trouble.py": "what people are told of a fleet",
    "amad/telemetry/holder.py": "who works on a fleet of a storage",
}
CACHED = {
    "best.json", "sweep", "bundle", "train.json", "detector", "evaluation", "precision_recall.csv",
}  # fmt: skip


def file_of(module: str) -> str | None:
    """The file of a module of ours, relative to the root; None for any other."""
    path = ROOT / module.replace(".", "/")
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if module.partition(".")[0] in ("amad", "pipelines") and file.is_file():
            return str(file.relative_to(ROOT))
    return None


def runs(node: ast.AST):
    """The nodes below ``node``, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from runs(child)


@cache
def imports(file: str) -> frozenset[str]:
    """Files of ours that ``file`` imports, wherever in it, with the packages around them."""
    found = set()
    for node in runs(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            found |= {file_of(".".join(parts[:n])) for n in range(1, len(parts) + 1)}
    return frozenset(found - {None})


def closure(stage: str) -> set[str]:
    """Every file of ours that the stage can come to run."""
    todo, known = [f"pipelines/{stage}.py"], set()
    while todo:
        file = todo.pop()
        if file not in known:
            known.add(file)
            todo += imports(file)
    return known


def within(file: str, places) -> bool:
    return any(file == place or file.startswith(f"{place}/") for place in places)


def bare(file: str) -> bool:
    """A package's own file that runs nothing."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    return file.endswith("__init__.py") and all(
        isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in body
    )


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "source"])
def test_a_stage_names_the_code_that_it_imports(stage: str):
    """``source`` always runs, so it needs no deps."""
    named = STAGES[stage]["deps"]
    unnamed = {f for f in closure(stage) if not within(f, [*named, *EXCEPTIONS]) and not bare(f)}
    assert not unnamed, f"dvc.yaml: name these under deps of {stage}, or under EXCEPTIONS here"
    code = [d for d in named if d.startswith(("amad/", "pipelines/"))]
    idle = {d for d in code if not any(within(f, [d]) for f in closure(stage))}
    assert not idle, "named, but never imported"


def test_every_exception_is_needed():
    reached = set().union(*(closure(stage) for stage in STAGES))
    assert all(any(within(file, [place]) for file in reached) for place in EXCEPTIONS)


def test_every_file_that_a_stage_reads_is_made_by_an_earlier_one():
    made = set()
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"python -m pipelines.{name} --fleet ${{item.fleet}}"
        for dep in stage.get("deps", []):
            if dep.startswith(FLEET):
                assert within(dep, made), f"{name} reads {dep}"
            elif "${" not in dep:
                assert (ROOT / dep).exists(), f"{name} names {dep}, which is not there"
        made |= set(outs_of(stage))


def outs_of(stage: dict) -> dict[str, dict]:
    """Every output with what is said of it."""
    found = {}
    for kind in ("outs", "metrics", "plots"):
        for item in stage.get(kind, []):
            found |= item if isinstance(item, dict) else {item: {}}
    return found


def test_what_is_small_and_the_same_again_is_cached_and_nothing_else():
    """A stage that writes one uncached output beside cached ones is never taken from the cache."""
    cached = set()
    for name, stage in STAGES.items():
        own = {out: said.get("cache", True) for out, said in outs_of(stage).items()}
        cached |= {out.removeprefix(FLEET) for out, kept in own.items() if kept}
        figures = {out for item in stage.get("metrics", []) for out in item}
        assert len({kept for out, kept in own.items() if out not in figures}) == 1, name
    assert cached == CACHED
