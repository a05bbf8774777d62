"""Every manifest of infra/k8s against the published schemas, and that its parts fit each other.

KubeRay's schemas are read from the folder that AMAD_KUBERAY_SCHEMAS names; see CONTRIBUTING.md.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
K8S = ROOT / "infra" / "k8s"
RAY_KINDS = ("RayJob", "RayCluster")
OTHER_KINDS = ("Kustomization", "PrometheusRule")  # checked by tests of their own below
VERSION = "1.32"  # of Kubernetes


def documents(path: Path) -> list[dict]:
    text = path.read_text(encoding="utf-8").replace("LAST_DATE", "2026-01-31")
    return [item for item in yaml.safe_load_all(text) if item]


MANIFESTS = [
    pytest.param(item, id=f"{path.stem}-{item['kind']}-{n}")
    for path in sorted(K8S.glob("*.yaml"))
    for n, item in enumerate(documents(path))
]
EVERY = [param.values[0] for param in MANIFESTS]


def of_kind(kind: str) -> dict[str, dict]:
    found = [item for item in EVERY if item["kind"] == kind]
    return {item["metadata"]["name"]: item for item in found}


def rendered(folder: Path = K8S) -> list[dict]:
    """What ``kubectl apply -k`` would send."""
    program = shutil.which("kubectl") or shutil.which("kustomize")
    if program is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    verb = "kustomize" if program.endswith("kubectl") else "build"
    made = subprocess.run([program, verb, folder], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def check_builtin(item: dict) -> None:
    kubernetes_validate.validate(item, VERSION, strict=True)


def ray_schema(kind: str) -> dict:
    folder = os.environ.get("AMAD_KUBERAY_SCHEMAS")
    if not folder:
        pytest.skip("AMAD_KUBERAY_SCHEMAS names no folder with KubeRay's schemas")
    file = Path(folder) / f"{kind.lower()}_v1.schema.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


def unknown_keys(schema: dict, value: object, at: str = "") -> Iterator[str]:
    """Keys that the schema does not know; the API server would drop them without a word."""
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from unknown_keys(schema.get("items", {}), item, f"{at}[{n}]")
    elif isinstance(value, dict):
        known = schema.get("properties")
        for key, item in value.items():
            if known is not None and key in known:
                yield from unknown_keys(known[key], item, f"{at}.{key}")
            elif known is not None and not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield f"{at}.{key}"
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from unknown_keys(schema["additionalProperties"], item, f"{at}.{key}")


@pytest.mark.parametrize("item", MANIFESTS)
def test_every_manifest_meets_the_published_schema(item: dict):
    if item["kind"] in RAY_KINDS:
        schema = ray_schema(item["kind"])
        jsonschema.validate(item, schema)
        assert not [*unknown_keys(schema, item)]
    elif item["kind"] not in OTHER_KINDS:
        check_builtin(item)


def test_a_wrong_manifest_is_refused():
    policy = json.loads(json.dumps(of_kind("NetworkPolicy")["amad-mlflow"]))
    policy["spec"]["podSelecter"] = policy["spec"].pop("podSelector")
    with pytest.raises(kubernetes_validate.ValidationError, match="podSelect"):
        check_builtin(policy)


def test_a_wrong_ray_cluster_is_refused():
    schema = ray_schema("RayCluster")
    cluster = json.loads(json.dumps(of_kind("RayCluster")["amad"]))
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["volume"] = []
    assert [*unknown_keys(schema, cluster)] == [".spec.headGroupSpec.template.spec.volume"]
    cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, schema)


def test_kustomize_renders_valid_objects_with_one_image():
    made = rendered()
    for item in made:
        check_builtin(item)
    kinds = {(item["kind"], item["metadata"]["name"].rpartition("-")[0] or "") for item in made}
    assert ("ConfigMap", "amad-score-rayjob") in kinds
    config = next(item for item in made if item["kind"] == "ConfigMap")
    cron = next(item for item in made if item["kind"] == "CronJob")
    volumes = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    (volume,) = [one for one in volumes if "configMap" in one]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert yaml.safe_load(config["data"]["score-rayjob.yaml"])["kind"] == "RayJob"
    (namespace,) = documents(K8S / "namespace.yaml")
    assert {item["metadata"]["namespace"] for item in made} == {namespace["metadata"]["name"]}
    binding = next(item for item in made if item["kind"] == "RoleBinding")
    assert [subject["namespace"] for subject in binding["subjects"]] == ["amad"], "it is required"


def test_the_image_of_kustomization_is_that_of_the_nightly_rayjob(tmp_path: Path):
    copy = shutil.copytree(K8S, tmp_path / "k8s")
    file = copy / "kustomization.yaml"
    text = file.read_text(encoding="utf-8").replace("newName: amad", "newName: host:5000/a/amad")
    file.write_text(text.replace("newTag: 0.1.0", "newTag: 0.2.0"), encoding="utf-8")
    made = rendered(copy)
    (cron,) = [item for item in made if item["kind"] == "CronJob"]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (image,) = [item["value"] for item in container["env"] if item["name"] == "IMAGE"]
    assert image == "host:5000/a/amad:0.2.0"


def test_kustomization_names_what_is_there_and_no_job():
    (kustomization,) = documents(K8S / "kustomization.yaml")
    named = kustomization["resources"]
    assert all((K8S / name).is_file() for name in named)
    kinds = {item["kind"] for name in named for item in documents(K8S / name)}
    assert {"Deployment", "StatefulSet", "CronJob", "NetworkPolicy"} <= kinds
    assert not kinds & {*RAY_KINDS, *OTHER_KINDS}, "applying again would start work"


def pod_templates() -> Iterator[tuple[str, dict]]:
    """(name, template) of every pod that a manifest makes."""
    for item in EVERY:
        spec, name = item.get("spec", {}), f"{item['kind']} {item.get('metadata', {}).get('name')}"
        if item["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]
        elif item["kind"] in ("Deployment", "StatefulSet"):
            yield name, spec["template"]
        elif item["kind"] in RAY_KINDS:
            cluster = spec.get("rayClusterSpec", spec)
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                yield f"{name} {group.get('groupName', 'head')}", group["template"]
            if item["kind"] == "RayJob":
                yield f"{name} submitter", spec["submitterPodTemplate"]


@pytest.mark.parametrize(("name", "template"), [*pod_templates()], ids=lambda x: str(x)[:40])
def test_every_pod_is_limited_and_not_root(name: str, template: dict):
    pod = template["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        places = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert {"name": places["/tmp"], "emptyDir": {}} in pod["volumes"]
        if "postgres" not in name:
            assert {"name": "HOME", "value": "/tmp"} in container["env"]
        assert ("startupProbe" in container) == ("livenessProbe" in container), "slow to start"
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert re.search(r":\d+\.\d+", container["image"]), "a tag that stays what it is"
    claims = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    if claims:  # else each pod changes the owner of every file of the volume before it starts
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    asks_the_api = name in ("CronJob amad-score", "RayCluster amad head")  # it has the autoscaler
    assert asks_the_api or pod["automountServiceAccountToken"] is False


def test_the_autoscaler_meets_the_restricted_standard_too():
    options = of_kind("RayCluster")["amad"]["spec"]["autoscalerOptions"]["securityContext"]
    assert options == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def bytes_of(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()
    return int(number) * {"Mi": 1 << 20, "Gi": 1 << 30}[unit]


@pytest.mark.parametrize("kind", RAY_KINDS)
def test_the_object_store_of_ray_lies_in_memory(kind: str):
    """Ray takes the disk below /tmp where /dev/shm is smaller than what it plans with."""
    for item in (item for item in EVERY if item["kind"] == kind):
        cluster = item["spec"].get("rayClusterSpec", item["spec"])
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            pod = group["template"]["spec"]
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            (container,) = pod["containers"]
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            shared = bytes_of(volumes[mounts["/dev/shm"]]["emptyDir"]["sizeLimit"])
            assert int(group["rayStartParams"]["object-store-memory"]) <= shared
            assert shared < bytes_of(container["resources"]["limits"]["memory"]) / 2


def matches(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def test_the_policies_let_through_what_the_parts_need_and_no_more():
    labels = {name: template["metadata"]["labels"] for name, template in pod_templates()}
    submitters = [found for name, found in labels.items() if name.endswith("submitter")]
    ray = [
        found for name, found in labels.items()
        if name.startswith("Ray") and found not in submitters
    ]  # fmt: skip
    mlflow, database = labels["Deployment mlflow"], labels["StatefulSet postgres"]

    def may(one: dict, other: dict, port: int) -> bool:
        """Does a policy let the pod ``one`` connect to ``other``? Each pod has one that denies."""
        mine = [p["spec"] for p in of_kind("NetworkPolicy").values()]
        mine = [spec for spec in mine if matches(spec["podSelector"], other)]
        assert mine, "a pod without a policy is open to all"
        return any(
            any("namespaceSelector" not in peer and matches(peer["podSelector"], one)
                for peer in rule["from"])
            and port in [p["port"] for p in rule.get("ports", [{"port": port}])]
            for spec in mine for rule in spec.get("ingress", ())
        )  # fmt: skip

    for pod in ray:
        assert may(pod, mlflow, 5000) and not may(pod, database, 5432)
        assert may(pod, ray[0], 6379) and may(pod, ray[0], 29500)
        assert not may(mlflow, pod, 6379) and not may(labels["CronJob amad-score"], pod, 8265)
        assert len(submitters) == 2
        for submitter in submitters:
            assert may(submitter, pod, 8265) and not may(submitter, pod, 6379)
            assert not may(pod, submitter, 8265) and not may(submitter, mlflow, 5000)
    assert may(mlflow, database, 5432) and not may(database, mlflow, 5000)


def test_mlflow_and_its_database_find_each_other():
    deployment, stateful = of_kind("Deployment")["mlflow"], of_kind("StatefulSet")["postgres"]
    services = of_kind("Service")
    for workload, service in ((deployment, services["mlflow"]), (stateful, services["postgres"])):
        template = workload["spec"]["template"]
        assert matches({"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"])
        (container,) = template["spec"]["containers"]
        offered = {port["name"]: port["containerPort"] for port in container["ports"]}
        (port,) = service["spec"]["ports"]
        assert offered[port["targetPort"]] == port["port"]
    (mlflow,) = deployment["spec"]["template"]["spec"]["containers"]
    (database,) = stateful["spec"]["template"]["spec"]["containers"]
    made = (K8S / "kustomization.yaml").read_text(encoding="utf-8")
    given = set(re.findall(r"--from-literal=(\w+)=", made.split("secret generic amad-mlflow")[1]))
    given |= {item["name"] for item in mlflow["env"]}
    asked = {name for arg in mlflow["args"] for name in re.findall(r"\$\((\w+)\)", arg)}
    assert asked <= given, "the secret that the comment makes does not hold them"
    settings = {item["name"]: item.get("value") for item in database["env"]}
    assert "postgresql+psycopg://amad:...@postgres/mlflow" in made
    assert (settings["POSTGRES_USER"], settings["POSTGRES_DB"]) == ("amad", "mlflow")
    hosts = next(item["value"] for item in mlflow["env"] if item["name"] == "HOSTS").split(",")
    (probe,) = mlflow["readinessProbe"]["httpGet"]["httpHeaders"]
    assert probe["value"] in hosts, "the server refuses a foreign Host header"
    profile = yaml.safe_load((ROOT / "conf/cluster/kuberay.yaml").read_text(encoding="utf-8"))
    assert profile["tracking_uri"] == "http://mlflow:5000" and "mlflow:5000" in hosts


def test_the_alerts_ask_about_what_the_manifests_make():
    (rule,) = documents(K8S / "prometheus-rules.yaml")
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    names = {item.get("metadata", {}).get("name") for item in EVERY} | {"data-postgres-0"}
    (group,) = rule["spec"]["groups"]
    for alert in group["rules"]:
        selectors = re.findall(r"\{([^{}]*)\}", alert["expr"])
        assert selectors and all('namespace="amad"' in one for one in selectors), alert["alert"]
        assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} == set(alert["annotations"])
        asked = r'(?:cronjob|persistentvolumeclaim|deployment|statefulset)=~?"([^"]+)"'
        for found in re.findall(asked, alert["expr"]):
            assert set(found.split("|")) <= names, alert["alert"]


OF_NIGHT = 'namespace="amad",cronjob="amad-score"'
OF_JOB = 'namespace="amad",job_name="amad-score-29500710"'
# Series (name and labels, value) -> the alerts that fire 40 hours after 1970.
NIGHTS = {
    "scored": ({f"kube_cronjob_status_last_successful_time{{{OF_NIGHT}}}": 100_000}, set()),
    "not scored": (
        {f"kube_cronjob_status_last_successful_time{{{OF_NIGHT}}}": 600,
         f"kube_cronjob_created{{{OF_NIGHT}}}": 0}, {"AmadNotScored"},
    ),
    "never": ({f"kube_cronjob_created{{{OF_NIGHT}}}": 0}, {"AmadNotScored"}),
    "made today": ({f"kube_cronjob_created{{{OF_NIGHT}}}": 100_000}, set()),
    "failed": (
        {f"kube_job_failed{{{OF_JOB},condition=\"true\"}}": 1,
         f"kube_job_status_start_time{{{OF_JOB}}}": 110_000,
         f"kube_cronjob_status_last_successful_time{{{OF_NIGHT}}}": 100_000},
        {"AmadScoringFailed"},
    ),
    "the first failed": (
        {f"kube_job_failed{{{OF_JOB},condition=\"true\"}}": 1,
         f"kube_job_status_start_time{{{OF_JOB}}}": 110_000}, {"AmadScoringFailed"},
    ),
    "made up": (
        {f"kube_job_failed{{{OF_JOB},condition=\"true\"}}": 1,
         f"kube_job_status_start_time{{{OF_JOB}}}": 50_000,
         f"kube_cronjob_status_last_successful_time{{{OF_NIGHT}}}": 100_000}, set(),
    ),
    "of another team": (
        {'kube_deployment_status_replicas_available{namespace="b",deployment="mlflow"}': 0}, set(),
    ),
    "MLflow away": (
        {'kube_deployment_status_replicas_available{namespace="amad",deployment="mlflow"}': 0},
        {"AmadRegistryAway"},
    ),
}  # fmt: skip


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize("night", NIGHTS)
def test_the_alerts_fire_when_they_should(night: str, tmp_path: Path):
    (rule,) = documents(K8S / "prometheus-rules.yaml")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    series, wanted = NIGHTS[night]
    told = {"input_series": [{"series": name, "values": f"{value}x3000"}
                             for name, value in series.items()]}  # fmt: skip
    asked = [
        {"expr": f'count(ALERTS{{alertname="{alert["alert"]}",alertstate="firing"}}) or vector(0)',
         "eval_time": "40h",
         "exp_samples": [{"labels": "{}", "value": int(alert["alert"] in wanted)}]}
        for alert in rule["spec"]["groups"][0]["rules"]
    ]  # fmt: skip
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m",
            "tests": [{"interval": "1m", "promql_expr_test": asked} | told]}  # fmt: skip
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
