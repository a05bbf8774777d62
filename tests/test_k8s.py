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


def rendered() -> list[dict]:
    """What ``kubectl apply -k`` would send."""
    program = shutil.which("kubectl") or shutil.which("kustomize")
    if program is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    verb = "kustomize" if program.endswith("kubectl") else "build"
    made = subprocess.run([program, verb, K8S], capture_output=True, text=True, timeout=300)
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
    (volume,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert yaml.safe_load(config["data"]["score-rayjob.yaml"])["kind"] == "RayJob"


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


@pytest.mark.parametrize(("name", "template"), [*pod_templates()], ids=lambda x: str(x)[:40])
def test_every_pod_is_limited_and_not_root(name: str, template: dict):
    pod = template["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert not container["image"].endswith(":latest") and ":" in container["image"]


def matches(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def test_the_policies_let_through_what_the_parts_need_and_no_more():
    labels = {name: t["metadata"]["labels"] for name, t in pod_templates() if "CronJob" not in name}
    ray = [found for name, found in labels.items() if name.startswith("Ray")]
    mlflow, database = labels["Deployment mlflow"], labels["StatefulSet postgres"]

    def may(one: dict, other: dict, port: int) -> bool:
        """Does a policy let the pod ``one`` connect to ``other``? Each pod has one that denies."""
        mine = [p["spec"] for p in of_kind("NetworkPolicy").values()]
        mine = [spec for spec in mine if matches(spec["podSelector"], other)]
        assert mine, "a pod without a policy is open to all"
        return any(
            any("namespaceSelector" not in peer and matches(peer["podSelector"], one)
                and "matchExpressions" not in peer["podSelector"] for peer in rule["from"])
            and port in [p["port"] for p in rule.get("ports", [{"port": port}])]
            for spec in mine for rule in spec.get("ingress", ())
        )  # fmt: skip

    for pod in ray:
        assert may(pod, mlflow, 5000) and not may(pod, database, 5432)
        assert may(pod, ray[0], 6379) and may(pod, ray[0], 29500)
        assert not may(mlflow, pod, 6379)
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
        assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} == set(alert["annotations"])
        asked = r'(?:cronjob|persistentvolumeclaim|deployment|statefulset)=~?"([^"]+)"'
        for found in re.findall(asked, alert["expr"]):
            assert set(found.split("|")) <= names, alert["alert"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_accepts_the_alerts(tmp_path: Path):
    (rule,) = documents(K8S / "prometheus-rules.yaml")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yaml"], check=True)
