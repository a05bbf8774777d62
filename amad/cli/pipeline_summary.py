"""``amad summary``: what the pipeline has done, read from the artifacts of its stages."""

import shlex
from collections.abc import Callable

from amad.config import DataError, Stage
from amad.config.wording import count, range_of, some, whole_pipeline
from amad.engines.shared.train_result import TrainResult
from amad.engines.tune.sweep_result import SweepResult
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.scores.receipts import RegistrationReceipt, ScoringReceipt
from amad.telemetry.artifact import Artifact
from amad.telemetry.files import damaged
from amad.telemetry.health import fleet_health
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.validation import Validation

METRIC = "vus_pr"


def lines(stage: Stage) -> list[str]:
    """A line or two per stage; for a stage without a readable file, how to run it."""
    stages: list[tuple[str, type[Artifact], Callable[..., list[str]]]] = [
        ("ingested", IngestResult, _ingested),
        ("validated", Validation, _validated),
        ("tuned", SweepResult, _tuned),
        ("trained", TrainResult, _trained),
        ("evaluated", EvaluationMetrics, _evaluated),
        ("registered", RegistrationReceipt, _registered),
        ("scored", ScoringReceipt, _scored),
    ]
    found = [f"Fleet {stage.fleet.name}: {stage.fleet.description}".rstrip(": ")]
    for name, kind, said in stages:
        found += _rows(name, _of(kind, said, stage))
    found += _rows("health", _health(stage))
    found += ["", *(f"  {name:<12}{where}" for name, where in _where(stage))]
    return found


def _ingested(result: IngestResult) -> list[str]:
    why = ", ".join(f"{rows:,} {reason}" for reason, rows in result.rejected_by_reason.items())
    line = (
        f"{count(result.rows_lake, 'row')} of {count(len(result.vehicles), 'vehicle')} from "
        f"{count(result.files - len(result.files_refused), 'file')}, "
        f"{result.rows_rejected:,} rejected"
    )
    refused = [file.path for file in result.files_refused]
    many = count(len(refused), "more file was", "more files were")
    more = [f"{many} refused: {some(refused)}"] if refused else []
    return [line + (f" ({why})" if why else ""), *more]


def _validated(verdict: Validation) -> list[str]:
    passed = "passed" if verdict.ok else "failed"
    days = f"{verdict.quarantined} of {count(verdict.vehicle_days, 'vehicle-day')} quarantined"
    failing = [
        c["check"]
        for c in verdict.checks
        if c["failed"] and not c["check"].startswith(("refused", "file_refused"))
    ]
    return [
        f"{passed}, {days}" + (f" ({', '.join(failing)})" if failing else ""),
        *([verdict.refused_because] if verdict.refused_because else []),
    ]


def _tuned(result: SweepResult) -> list[str]:
    if result.objective is None:
        return [f"no trial, and the settings of params.yaml: {result.reason}"]
    best = f"trial {result.trial} of {result.trials} was the best"
    return [f"{best}: average precision {result.objective:.3f} on injected faults"]


def _trained(result: TrainResult) -> list[str]:
    if not result.epochs:
        return ["not at all, as no window fits: the network is its linear skip"]
    error = result.epochs[-1]["validation"]
    return [
        f"{count(len(result.epochs), 'epoch')}, hidden-position error on hold-out rows {error:.4g}"
    ]


def _evaluated(metrics: EvaluationMetrics) -> list[str]:
    vote = [metrics.vote.brief] if metrics.vote else []
    if not metrics.units:
        return ["the test part holds no known fault, so nothing can be measured", *vote]
    methods = metrics.methods
    roles = {metrics.detector: "the detector", metrics.floor: "chance"}
    if metrics.best_baseline:
        roles[metrics.best_baseline] = "the best baseline"
    found = [f"VUS-PR, mean over {metrics.units_text} of the test part with its interval:"]
    for name in sorted(roles, key=lambda n: -methods[n].mean[METRIC]):
        mean, (low, high) = methods[name].mean[METRIC], methods[name].interval[METRIC]
        found.append(f"  {name:<10}{mean:.3f} [{low:.3f}, {high:.3f}]  {roles[name]}")
    return found + vote


def _registered(receipt: RegistrationReceipt) -> list[str]:
    return [f"version {receipt.version}: {receipt.reasons[-1]}"]


def _scored(receipt: ScoringReceipt) -> list[str]:
    if receipt.no_champion:
        return [f"nothing: {receipt.no_champion}"]
    dates = receipt.dates
    if not dates:
        return ["no date was new"]
    versions = sorted({item.model_version for item in receipt.by_date.values()}, key=int)
    by = ("versions " if len(versions) > 1 else "version ") + ", ".join(versions)
    alarms = sum(item.alarms for item in receipt.by_date.values())
    scored = sum(item.scored for item in receipt.by_date.values())
    of = f"{scored:,} of " if scored != receipt.rows else ""
    rows = f"{of}{count(receipt.rows, 'row')}"
    return [f"{range_of(dates)} with {by}: {rows}, {count(alarms, 'alarm')}"]


def _where(stage: Stage) -> list[tuple[str, str]]:
    """(what, where) of the pages and models that are there to be looked at."""
    from amad.engines.shared.tracking_store import tracking_uri

    # Without this part of the address, MLflow shows its pages for language models.
    page = f"/#/models/amad-{stage.fleet.name}?workflowType=machine_learning"
    uri = tracking_uri(stage.settings)
    found = [("incidents", "report.html"), ("data docs", "docs/index.html")]
    paths = [(name, stage.folder / file) for name, file in found]
    places = [(name, str(path)) for name, path in paths if path.is_file()]
    if uri.startswith("http"):
        places.append(("models", uri.rstrip("/") + page))
    elif (stage.settings.workspace / "mlflow.db").is_file() or not uri.startswith("sqlite"):
        # The URI of a server may hold a password.
        store = shlex.quote(uri) if uri.startswith("sqlite") else '"$AMAD_MLFLOW_URI"'
        places.append(("models", f"mlflow ui --backend-store-uri {store}"))
        places.append(("", f"then http://127.0.0.1:5000{page}"))
    return places


def _health(stage: Stage) -> list[str]:
    """What the fleet lacks, a line per kind."""
    if not (stage.folder / "lake").is_dir():
        return []
    try:
        health = fleet_health(stage.fleet, stage.settings)
    except DataError as error:
        return [str(error)]
    return [
        f"{kind.title.lower()}: {some([t.subject for t in found])}"
        for kind, found in health.by_kind.items()
    ] or ["nothing is missing" if not health.unseen else "not all was looked at yet"]


def _of(kind: type[Artifact], said: Callable[..., list[str]], stage: Stage) -> list[str]:
    """The lines for an artifact, or why there are none."""
    try:
        found = kind.read(stage.folder)
        todo = f"not yet: {whole_pipeline(stage.fleet.name)}"
        return [todo] if found is None else said(found)
    except DataError as error:
        return [str(error)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        return [str(damaged(stage.folder / kind.FILE, kind.REMEDY, why))]


def _rows(name: str, said: list[str]) -> list[str]:
    return [f"  {name if n == 0 else '':<12}{line}" for n, line in enumerate(said)]
