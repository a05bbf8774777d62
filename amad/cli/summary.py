"""``amad summary``: what the pipeline has done, from the artifacts that its stages left."""

import shlex
from collections.abc import Callable
from pathlib import Path

from amad.config import DataError, Fleet, Settings
from amad.telemetry.files import damaged, read_json
from amad.telemetry.health import fleet_health, some

METRIC = "vus_pr"


def lines(fleet: Fleet, settings: Settings) -> list[str]:
    """A line or two per stage; of one that has not run, or whose file is damaged, how to run it."""
    folder = settings.fleet_dir(fleet.name)
    stages: list[tuple[str, str, str, Callable[[dict], list[str]]]] = [
        ("ingested", "ingest", "ingest.json", _ingested),
        ("validated", "validate", "validation.json", _validated),
        ("tuned", "tune", "best.json", _tuned),
        ("trained", "train", "train.json", _trained),
        ("evaluated", "evaluate", "evaluation/metrics.json", _evaluated),
        ("registered", "register", "receipt.json", _registered),
        ("scored", "score", "scoring.json", _scored),
    ]
    found = [f"Fleet {fleet.name}: {fleet.description}".rstrip(": ")]
    for name, stage, file, told in stages:
        found += _rows(name, _said(folder / file, stage, told))
    found += _rows("health", _health(fleet, settings))
    found += ["", *(f"  {name:<12}{where}" for name, where in _where(fleet, settings))]
    return found


def _ingested(content: dict) -> list[str]:
    reasons = content["rejected_by_reason"]
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    line = (
        f"{content['rows_lake']:,} rows of {len(content['vehicles'])} vehicles from "
        f"{content['files'] - len(content['files_refused']):,} files, "
        f"{content['rows_rejected']:,} rejected"
    )
    refused = [file["path"] for file in content["files_refused"]]
    more = [f"{len(refused):,} more files were refused: {some(refused)}"] if refused else []
    return [line + (f" ({why})" if why else ""), *more]


def _validated(content: dict) -> list[str]:
    verdict = "passed" if content["ok"] else "failed"
    days = f"{content['quarantined']} of {content['vehicle_days']} vehicle-days quarantined"
    failing = [
        c["check"]
        for c in content["checks"]
        if c["failed"] and not c["check"].startswith(("refused", "file_refused"))
    ]
    refused = content.get("refused_because")
    return [
        f"{verdict}, {days}" + (f" ({', '.join(failing)})" if failing else ""),
        *([refused] if refused else []),
    ]


def _tuned(content: dict) -> list[str]:
    return [
        f"trial {content['trial']} of {content['trials']}, objective {content['objective']:.3f}"
    ]


def _trained(content: dict) -> list[str]:
    last = content["epochs"][-1]
    return [f"{len(content['epochs'])} epochs, hold-out error {last['validation']:.4g}"]


def _evaluated(content: dict) -> list[str]:
    if not content["units"]:
        return ["the test part holds no known fault, so nothing can be measured"]
    methods, best = content["methods"], content["best_baseline"]
    roles = {content["detector"]: "the detector", content["floor"]: "chance"}
    if best:
        roles[best] = "the best baseline"
    count = f"{content['units']} {content['unit']}{'s' if content['units'] != 1 else ''}"
    found = [f"VUS-PR, mean over {count} of the test part with its interval:"]
    for name in sorted(roles, key=lambda n: -methods[n]["mean"][METRIC]):
        mean, (low, high) = methods[name]["mean"][METRIC], methods[name]["interval"][METRIC]
        found.append(f"  {name:<10}{mean:.3f} [{low:.3f}, {high:.3f}]  {roles[name]}")
    return found


def _registered(content: dict) -> list[str]:
    return [f"version {content['version']}: {content['reasons'][-1]}"]


def _scored(content: dict) -> list[str]:
    dates = content["dates"]
    if content.get("no_champion"):
        return [f"nothing: {content['no_champion']}"]
    if not dates:
        return ["no date was new"]
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = sorted({item["model_version"] for item in content["by_date"].values()}, key=int)
    by = ("versions " if len(versions) > 1 else "version ") + ", ".join(versions)
    return [f"{span} with {by}: {content['rows']:,} rows, {content['incidents']:,} incidents"]


def _where(fleet: Fleet, settings: Settings) -> list[tuple[str, str]]:
    """(what, where) of what to look at next, as far as it is there."""
    from amad.engines.shared.tracking_store import tracking_uri

    folder = settings.fleet_dir(fleet.name)
    # MLflow's pages are about language models unless their address says otherwise.
    page = f"/#/models/amad-{fleet.name}?workflowType=machine_learning"
    uri = tracking_uri(settings)
    found = [("incidents", folder / "report.html"), ("data docs", folder / "docs" / "index.html")]
    places = [(name, str(path)) for name, path in found if path.is_file()]
    if uri.startswith("http"):
        places.append(("models", uri.rstrip("/") + page))
    elif (settings.workspace / "mlflow.db").is_file() or not uri.startswith("sqlite"):
        # The URI of a server may hold a password.
        store = shlex.quote(uri) if uri.startswith("sqlite") else '"$AMAD_MLFLOW_URI"'
        places.append(("models", f"mlflow ui --backend-store-uri {store}"))
        places.append(("", f"then http://127.0.0.1:5000{page}"))
    return places


def _health(fleet: Fleet, settings: Settings) -> list[str]:
    """What the fleet lacks, a line per kind."""
    if not (settings.fleet_dir(fleet.name) / "lake").is_dir():
        return []
    try:
        health = fleet_health(fleet, settings)
    except DataError as error:
        return [str(error)]
    return [
        f"{kind.title.lower()}: {some([t.subject for t in found])}"
        for kind, found in health.by_kind.items()
    ] or ["nothing is missing" if not health.unseen else "not all was looked at yet"]


def _said(path: Path, stage: str, told: Callable[[dict], list[str]]) -> list[str]:
    """What a stage's file says, or why it says nothing."""
    remedy = f"run 'amad {stage}' again"
    try:
        content = read_json(path, remedy)
        return ["not yet: run 'make repro'"] if content is None else told(content)
    except DataError as error:
        return [str(error)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        return [str(damaged(path, remedy, f"{type(error).__name__}: {error}"))]


def _rows(name: str, said: list[str]) -> list[str]:
    return [f"  {name if n == 0 else '':<12}{line}" for n, line in enumerate(said)]
