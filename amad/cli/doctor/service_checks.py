"""Checks of the services: MLflow's store and registry, the Ray cluster."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from amad.cli.doctor.check import Finding, fail, ok, warn
from amad.config import Stage
from amad.config.wording import count, whole_pipeline

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CONNECT_SECONDS = 3.0
GCS_PORT = 6379  # where a Ray head listens unless told otherwise


def tracking_store(stage: Stage) -> Finding:
    """Does MLflow's store answer, with tables of this version?"""
    from amad.engines.shared.lost_registry import lost_registry
    from amad.engines.shared.tracking import connected
    from amad.engines.shared.tracking_store import public, sqlite_file, tracking_uri

    uri = tracking_uri(stage.settings)
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        if (lost := lost_registry(stage.settings, stage.fleet.name)) is not None:
            raise lost
        return warn(f"there is no {file} yet", whole_pipeline(stage.fleet.name))
    with connected(stage.settings) as client:
        experiment = client.get_experiment_by_name(f"amad-{stage.fleet.name}")
    runs = "no runs of this fleet yet" if experiment is None else f"experiment {experiment.name}"
    return ok(f"{public(uri)}, {runs}")


def registry(stage: Stage) -> Finding:
    """Is there a champion, and can it be fetched?"""
    from amad.engines.shared.lost_registry import lost_registry
    from amad.engines.shared.model_registry import (
        CHALLENGER,
        CHAMPION,
        alias_version,
        fetched,
        has_model,
    )
    from amad.engines.shared.tracking import connected
    from amad.engines.shared.tracking_store import sqlite_file, tracking_uri

    fleet = stage.fleet.name
    file = sqlite_file(tracking_uri(stage.settings))
    if file is not None and not file.is_file():
        return warn("no tracking store, so no models", whole_pipeline(fleet))
    with connected(stage.settings) as client:
        champion = alias_version(client, fleet, CHAMPION)
        challenger = alias_version(client, fleet, CHALLENGER)
        nothing = champion is None and not has_model(client, fleet)
    if nothing and (lost := lost_registry(stage.settings, fleet)) is not None:
        raise lost
    if champion is None:
        trained = (stage.folder / "detector").is_dir()
        remedy = "run 'amad register'" if trained else whole_pipeline(fleet)
        candidate = ""
        if challenger is not None:
            number, refused = challenger.version, challenger.tags.get("gate_decision") == "refuse"
            remedy = f"'amad promote {number}{' --force --reason TEXT' if refused else ''}'"
            why = f", which the gate refused: {_last_reason(challenger)}" if refused else ""
            candidate = f" (challenger: version {number}{why})"
        return warn(f"fleet {fleet} has no champion{candidate}", remedy)
    with fetched(client, champion):
        finding = f"champion version {champion.version}"
    since = champion.tags.get(f"{CHAMPION}_since")
    finding += f" since {since}" if since else ""
    if challenger is not None and challenger.version != champion.version:
        finding += f", challenger version {challenger.version}"
    return ok(finding)


def _last_reason(version: "ModelVersion") -> str:
    return version.tags.get("gate_reasons", "").rpartition("\n")[2].removeprefix("refused: ")


def storage(stage: Stage) -> Finding:
    """Does the storage answer? This disk is brought up to date, so that the other checks see it."""
    from amad.storage import look, state

    finding = state(stage)
    look(stage, "status")
    return ok(finding)


def cluster(stage: Stage) -> Finding:
    """Is the profile sound, and does the Ray cluster that it names listen? Starts nothing."""
    settings, profile = stage.settings, stage.profile
    if profile.address is None:
        workers = count(profile.workers, f"{profile.device} worker")
        where = f"a training takes {workers}" if profile.workers else "a training needs no Ray"
        return ok(f"{settings.cluster}: Ray is started here when needed; {where}")
    address = _ray_address(profile.address)
    remedy = "start the cluster, or choose the embedded one with AMAD_CLUSTER=local"
    if address is None:
        return fail(f"{settings.cluster}: no Ray runs on this machine to join", remedy)
    host, port = address
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        return fail(f"{settings.cluster}: {host}:{port} does not answer ({reason})", remedy)
    place = profile.checkpoints
    if place and "://" not in place and not Path(place).is_dir():
        return warn(
            f"{settings.cluster}: {host}:{port} answers; no folder {place} here",
            "mount it at the same path on every node, or name an object store",
        )
    return ok(f"{settings.cluster}: {host}:{port} answers")


def _ray_address(address: str) -> tuple[str, int] | None:
    """(host, port) of a Ray head; None where ``auto`` finds no cluster that Ray would join."""
    if address == "auto":
        noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
        address = os.environ.get("RAY_ADDRESS") or (noted.read_text() if noted.is_file() else "")
    if not address.strip():
        return None
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"ray://{text}")
    return (parts.hostname or "localhost", parts.port or GCS_PORT)
