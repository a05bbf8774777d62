"""The files of infra/ are right as far as that can be known without a cluster."""

import os
import re
import shlex
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import typer
import yaml
from packaging.specifiers import SpecifierSet

from amad.cli.app import app
from amad.config import Settings, load_cluster

ROOT = Path(__file__).resolve().parent.parent
K8S, SCHEDULE = ROOT / "infra" / "k8s", ROOT / "infra" / "schedule"
NIGHT = SCHEDULE / "night.sh"  # what cron and systemd run
SCRIPTS = sorted(K8S.glob("*.sh"))
GUIDES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "infra" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]  # fmt: skip
MARKS = {
    "$dates": "--from 2026-01-01 --to 2026-01-02",
    '"$fleet"': "demo",
    "$fleet": "demo",
    "%i": "demo",
}


def documents(name: str) -> list[dict]:
    """The YAML documents of a file; a RayJob's date is filled in."""
    text = (K8S / name).read_text(encoding="utf-8")
    if name.endswith("rayjob.yaml"):
        text = text.replace("LAST_DATE", "2026-01-31")
    return list(yaml.safe_load_all(text))


def shell_of(path: Path) -> str:
    """The part of a file that a shell or systemd runs."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    if path.suffix == ".md":
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
        return "\n".join(block for language, block in blocks if language in ("", "sh"))
    if path == NIGHT:
        return re.sub(r"\brun (?=[a-z])", "amad ", text)
    return text.replace("'", " ").replace(";", "\n")  # crontab: the commands stand in quotes


def amad_commands(path: Path) -> list[list[str]]:
    """Arguments of each ``amad ...`` in the file."""
    found = []
    for line in re.split(r"\n|&&|;|\|", shell_of(path)):
        for mark, text in MARKS.items():
            line = line.replace(mark, text)
        if "amad" not in line:
            continue  # what a command prints: not every apostrophe has a partner
        words = shlex.split(line, comments=True)
        for i, word in enumerate(words):
            # for fleet in ...; do amad ingest, and night.sh's run amad
            starts = i == 0 or words[i - 1] == "do"
            if starts and re.fullmatch(r"(/\S+/)?amad", word):
                ends = [words.index(w) for w in (">>", "2>&1") if w in words]
                found.append(words[i + 1 : min(ends, default=len(words))])
    return found


def parse(arguments: list[str]) -> None:
    """Parse a command with the real command line, without running it."""
    group = typer.main.get_command(app)
    arguments = [a for a in arguments if a != "--debug"]
    with group.make_context("amad", list(arguments)) as context:
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("path", [*SCRIPTS, NIGHT, SCHEDULE / "crontab", *GUIDES], ids=str)
def test_every_amad_command_is_one(path: Path):
    commands = [c for c in amad_commands(path) if not any(w.isupper() for w in c)]
    assert commands or path.suffix == ".md"
    for arguments in commands:
        parse(arguments)


def test_the_parser_refuses_what_is_wrong():
    for wrong in (["scor"], ["score", "--day", "2026-01-01"], ["score", "--date", "x"]):
        with pytest.raises(Exception, match=r"(?i)no such|invalid|no date"):
            parse(wrong)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_stop_at_a_failure_and_are_runnable(script: Path, tmp_path: Path):
    assert os.access(script, os.X_OK)
    log = tmp_path / "log"
    stub = tmp_path / "amad"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ "$1" != validate ]\n')
    stub.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run([script, "demo"], env=path).returncode != 0
    assert log.read_text().splitlines() == ["ingest --fleet demo", "validate --fleet demo"]
    without = subprocess.run([script], env=path, capture_output=True)
    assert without.returncode != 0, "nothing would be done, and nobody told"


def test_every_schedule_names_its_fleets():
    """Otherwise an experiment on another fleet would change what the nightly job scores."""
    for path in [*SCRIPTS, NIGHT, SCHEDULE / "crontab"]:
        for arguments in amad_commands(path):
            assert {"--fleet", "-f"} & set(arguments), f"{path}: amad {' '.join(arguments)}"


@pytest.mark.parametrize("name", ["train", "score"])
def test_a_rayjob_ends_and_cleans_up(name: str):
    (job,) = documents(f"{name}-rayjob.yaml")
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert spec["activeDeadlineSeconds"] > 0 and spec["ttlSecondsAfterFinished"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"ray=={cluster['rayVersion']}\n" in lock
    assert cluster["authOptions"] == {"mode": "token"}
    command, script, *_ = spec["entrypoint"].split()
    assert command == "sh" and (ROOT / script.removeprefix("/app/")).is_file()
    dockerfile = (ROOT / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert f" {script.removeprefix('/app/')} " in dockerfile, "the image has it"
    assert not set(spec["entrypoint"]) & set("&;|"), "KubeRay runs what follows elsewhere"


@pytest.mark.parametrize("name", ["train", "score"])
def test_every_ray_pod_has_the_volume_shared_memory_and_the_secret(name: str):
    (job,) = documents(f"{name}-rayjob.yaml")
    spec = job["spec"]["rayClusterSpec"]
    (claim,) = documents("storage.yaml")
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {v["name"]: v for v in pod["volumes"]}
        mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
        for path in ("/app/data", "/app/runs", "/shared"):
            used = volumes[mounts[path]]["persistentVolumeClaim"]["claimName"]
            assert used == claim["metadata"]["name"]
        assert container["envFrom"] == [{"secretRef": {"name": "amad"}}]
        environment = {item["name"]: item["value"] for item in container["env"]}
        profile = load_cluster(Settings(home=ROOT, cluster=environment["AMAD_CLUSTER"]))
        assert profile.address == "auto"
        assert profile.checkpoints.startswith("/shared/")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_training_job_brings_what_the_profile_asks_for():
    (job,) = documents("train-rayjob.yaml")
    profile = load_cluster(Settings(home=ROOT, cluster="kuberay"))
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert group["replicas"] * limits["nvidia.com/gpu"] >= profile.workers
    assert float(limits["cpu"]) >= profile.cpus_per_worker
    assert profile.device == "cuda" and profile.backend == "nccl"


def test_the_profiles_in_the_scripts_and_guides_exist():
    known = {p.stem for p in (ROOT / "conf" / "cluster").glob("*.yaml")}
    named = set()
    for path in [*SCRIPTS, *GUIDES, *K8S.glob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        named |= set(
            re.findall(r"(?:--cluster |AMAD_CLUSTER=|AMAD_CLUSTER, value: )([\w-]+)", text)
        )
    assert {"gpu-cluster", "kuberay"} <= named <= known


def test_the_cronjob_never_overlaps_itself():
    job, *_ = documents("score-cronjob.yaml")
    spec = job["spec"]
    assert (job["kind"], spec["concurrencyPolicy"]) == ("CronJob", "Forbid")
    assert spec["timeZone"] == "Etc/UTC" and len(spec["schedule"].split()) == 5
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    kinds = {d["kind"]: d for d in documents("score-cronjob.yaml")}
    assert pod["serviceAccountName"] == kinds["ServiceAccount"]["metadata"]["name"]
    (rule,) = kinds["Role"]["rules"]
    assert rule["resources"] == ["rayjobs"] and {"create", "get"} <= set(rule["verbs"])
    (rayjob,) = documents("score-rayjob.yaml")
    assert (
        spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        > (rayjob["spec"]["activeDeadlineSeconds"])
    )


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(("state", "code"), [("Complete", 0), ("Failed", 1)])
def test_the_cronjob_names_its_job_after_the_scheduled_day(state, code, there, tmp_path: Path):
    """A pod that starts again watches the RayJob that is there, and makes no second one."""
    job, *_ = documents("score-cronjob.yaml")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    *shell, script = pod["containers"][0]["command"]
    shutil.copy(K8S / "score-rayjob.yaml", tmp_path)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\n[ "$1" = create ] && cat > {tmp_path}/made.yaml && exit\n'
        f'[ "$#" = 3 ] && {{ {str(there).lower()}; exit; }}\n'
        f"[ -e {tmp_path}/watched ] || {{ echo $3 > {tmp_path}/watched; exit 1; }}\n"  # away once
        f"printf {state}\n"
    )
    kubectl.chmod(0o755)
    (tmp_path / "sleep").symlink_to(shutil.which("true"))
    minute = 29_500_710  # 2026-02-02 11:30 UTC
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB": f"amad-score-{minute}",
        "IMAGE": "host:5000/a/amad:0.2.0",
    }  # fmt: skip
    command = [*shell, script.replace("/template/", f"{tmp_path}/")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    assert (tmp_path / "watched").read_text().strip() == "amad-score-2026-02-01"
    if there:
        assert not (tmp_path / "made.yaml").exists()
        return
    made = yaml.safe_load((tmp_path / "made.yaml").read_text())
    assert made["metadata"]["name"] == "amad-score-2026-02-01"
    assert made["spec"]["entrypoint"] == "sh /app/infra/schedule/night.sh demo"  # whatever is new
    cluster = made["spec"]["rayClusterSpec"]
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == environment["IMAGE"]


def test_make_clean_asks_before_it_deletes_models_and_scores(tmp_path: Path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("mlflow.db", "runs/demo/scores", "data/demo/metrics.json", "data/demo/best.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    make = {"cwd": tmp_path, "text": True, "capture_output": True}
    for answer in ("\n", "no\n", ""):
        assert subprocess.run(["make", "clean"], input=answer, **make).returncode != 0
        assert (tmp_path / "mlflow.db").exists() and (tmp_path / "data/demo/best.json").exists()
    assert subprocess.run(["make", "clean"], input="yes\n", **make).returncode == 0
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"Makefile", "data/demo/metrics.json"}


def test_the_image_copies_what_there_is_and_dockerignore_lets_it_through():
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    text = (ROOT / "infra" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.findall(r"^COPY ([^-].*)$", text, re.M)
    copied = [name for line in lines for name in line.split()[:-1]]
    assert {"amad", "pipelines", "conf", "params.yaml", "requirements.lock"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), f"the Dockerfile copies {name}, which is not there"
        assert name in allowed, f".dockerignore hides {name}"
    assert re.search(r"^USER 10001:10001$", text, re.M), "not as root"
    assert "wget" in text, "KubeRay's probes call it"


def test_every_locked_package_runs_on_the_oldest_python_that_is_promised():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (oldest,) = re.findall(r'^requires-python = ">=([\d.]+)', text, re.M)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    names = re.findall(r"^([\w.-]+)==", lock, re.M)
    assert len(names) > 150
    needed = {name: metadata.metadata(name).get("Requires-Python", "") for name in names}
    refusing = {
        n: wanted for n, wanted in needed.items() if f"{oldest}.0" not in SpecifierSet(wanted)
    }
    assert not refusing


def test_the_workflow_calls_what_continuous_integration_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[-1]["run"] == ".ci/run" and os.access(ROOT / ".ci/run", os.X_OK)


def test_the_hooks_need_no_network_and_check_what_make_lint_checks():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (local,) = config["repos"]
    hooks = [hook["entry"].split() for hook in local["hooks"]]
    assert local["repo"] == "local" and all(h["language"] == "system" for h in local["hooks"])
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nlint: ")[1].split("\n\n")[0]
    checked = [line.split() for line in lint.splitlines()[1:]]
    assert {Path(hook[0]).name for hook in hooks} == {command[0] for command in checked}
