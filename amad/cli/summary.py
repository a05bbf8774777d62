"""``amad summary``: what the pipeline has done, from the artifacts that its stages left."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

from amad.config import Fleet, Settings

METRIC = "vus_pr"


def lines(fleet: Fleet, settings: Settings) -> list[str]:
    """A line or two a stage; of one that has not run, how to run it."""
    folder = settings.fleet_dir(fleet.name)
    stages: list[tuple[str, str, Callable[[dict], list[str]]]] = [
        ("ingested", "ingest.json", _ingested),
        ("validated", "validation.json", _validated),
        ("tuned", "best.json", _tuned),
        ("trained", "train.json", _trained),
        ("evaluated", "evaluation/metrics.json", _evaluated),
        ("registered", "receipt.json", _registered),
        ("scored", "scoring.json", _scored),
    ]
    found = [f"Fleet {fleet.name}: {fleet.description}".rstrip(": ")]
    for name, file, told in stages:
        content = _read(folder / file)
        said = ["not yet: run 'make repro'"] if content is None else told(content)
        found += [f"  {name if n == 0 else '':<12}{line}" for n, line in enumerate(said)]
    found += ["", *(f"  {name:<12}{where}" for name, where in _where(folder, settings))]
    return found


def _ingested(content: dict) -> list[str]:
    reasons = content["rejected_by_reason"]
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    line = (
        f"{content['rows_in']:,} rows of {len(content['vehicles'])} vehicles from "
        f"{content['files']:,} files, {content['rows_rejected']:,} rejected"
    )
    return [line + (f" ({why})" if why else "")]


def _validated(content: dict) -> list[str]:
    verdict = "passed" if content["ok"] else "failed"
    days = f"{content['quarantined']} of {content['vehicle_days']} vehicle-days quarantined"
    failing = [c["check"] for c in content["checks"] if c["failed"]]
    return [f"{verdict}, {days}" + (f" ({', '.join(failing)})" if failing else "")]


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
    if not dates:
        return ["no date was new"]
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = sorted({item["model_version"] for item in content["by_date"].values()}, key=int)
    by = ("versions " if len(versions) > 1 else "version ") + ", ".join(versions)
    return [f"{span} with {by}: {content['rows']:,} rows, {content['incidents']:,} incidents"]


def _where(folder: Path, settings: Settings) -> list[tuple[str, str]]:
    """(what, where) of what to look at next, as far as it is there."""
    from amad.engines.tracking_store import tracking_uri

    uri = tracking_uri(settings)
    found = [("incidents", folder / "report.html"), ("data docs", folder / "docs" / "index.html")]
    places = [(name, str(path)) for name, path in found if path.is_file()]
    if uri.startswith("http"):
        places.append(("models", uri))
    elif (settings.home / "mlflow.db").is_file() or not uri.startswith("sqlite"):
        # The URI of a server may hold a password.
        store = shlex.quote(uri) if uri.startswith("sqlite") else '"$AMAD_MLFLOW_URI"'
        places.append(("models", f"mlflow ui --backend-store-uri {store}"))
    return places


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
