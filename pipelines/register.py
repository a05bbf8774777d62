"""python -m pipelines.register

Register the detector in MLflow as @challenger; the gate may make it @champion:
data/<fleet>/receipt.json. The same detector and data registered again is the same version.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import DataError, Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.detect.detector import Detector
from amad.engines import promotion, registry
from amad.engines.challenge import defend
from amad.engines.gate import Decision, decide
from amad.engines.model_card import model_card
from amad.engines.tracking import connect, open_run
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.series import TEST
from amad.windows.store import WindowStore
from pipelines import stage_main

EXAMPLE_ROWS = 120


def run(params: Params, settings: Settings) -> dict:
    """Register, decide, promote; return the receipt.

    Raises:
        DataError: an earlier stage has not run.
        ServiceError: the tracking store does not answer.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    metrics = _read(folder / "evaluation" / "metrics.json", "evaluate")
    detector = Detector.load(folder / "detector")
    lake = Lake(folder / "lake", fleet)
    client = connect(settings)
    identity = {"detector_digest": detector.digest(), "data_hash": lake.hash()}
    version = registry.find_version(client, fleet.name, identity)
    champion = registry.alias_version(client, fleet.name, registry.CHAMPION)
    settled = version is not None and (
        registry.number(champion) == registry.number(version) or "rolled_back" in version.tags
    )
    decision = promotion.recorded(version) if settled else None
    if decision is None:
        decision = _judge(client, champion, metrics, fleet, params, folder, lake)
    if version is None:
        version = _log(client, fleet, params, settings, detector, lake, identity, decision)
        say(f"registered {version.name} version {version.version}")
    else:
        say(f"{version.name} version {version.version} is this detector on this data already")
    promotion.record(client, version, decision)
    why = "the newest candidate"
    registry.move_alias(client, fleet.name, registry.CHALLENGER, version.version, why)
    if decision.promote and "rolled_back" not in version.tags:
        promotion.crown(client, fleet.name, version.version, decision.reasons[-1])
    for reason in decision.reasons:
        say(f"gate: {reason}")
    champion = registry.alias_version(client, fleet.name, registry.CHAMPION)
    receipt = {
        "fleet": fleet.name,
        "version": registry.number(version),
        "champion": registry.number(champion),
        "decision": "promote" if decision.promote else "refuse",
        "reasons": decision.reasons,
        "figures": decision.figures,
        **identity,
    }
    write_json(folder / "receipt.json", receipt)
    return receipt


def _judge(
    client: MlflowClient,
    champion: ModelVersion | None,
    metrics: dict,
    fleet: Fleet,
    params: Params,
    folder: Path,
    lake: Lake,
) -> Decision:
    if champion is None:
        return decide(metrics, None, params.gate)
    store = WindowStore.open(folder / "store")
    say(f"score the champion, version {champion.version}, on the same data")
    theirs, problem = defend(client, champion, store, fleet, params, lake.events())
    return decide(
        metrics,
        theirs,
        params.gate,
        champion_version=champion.version,
        champion_problem=problem,
    )


def _log(
    client: MlflowClient,
    fleet: Fleet,
    params: Params,
    settings: Settings,
    detector: Detector,
    lake: Lake,
    identity: dict[str, str],
    decision: Decision,
) -> ModelVersion:
    """Log the model to the training's run, with its card and lineage."""
    folder = settings.fleet_dir(fleet.name)
    metrics = _read(folder / "evaluation" / "metrics.json", "evaluate")
    validation = _read(folder / "validation.json", "validate")
    training = _read(folder / "train.json", "train")
    dates = lake.dates()
    with open_run(client, fleet.name, "register", run_id=training.get("run_id")) as run:
        lineage = {
            **identity,
            **registry.git_state(settings.home),
            "run_id": run.info.run_id,
            "params_digest": registry.params_digest(params),
            "fleet_digest": fleet.digest,
            "validation": _verdict(validation, identity["data_hash"]),
            "test_start": str(_test_start(WindowStore.open(folder / "store"))),
        }
        # Of the bundle only what it was trained with: it may be older than the other settings.
        trained = detector.bundle.params if detector.bundle else params
        now = {"detect": detector.params, "evaluate": params.evaluate}
        card = model_card(
            fleet=fleet,
            params=trained.model_copy(update=now),
            metrics=metrics,
            validation=validation,
            data={
                "rows": lake.rows(),
                "vehicles": len(lake.vehicles()),
                "first": dates[0],
                "last": dates[-1],
                "hash": identity["data_hash"],
            },
            training=training,
            lineage=lineage,
            decision=decision,
        )
        if "test_vus_pr" not in client.get_run(run.info.run_id).data.metrics:
            client.log_artifacts(run.info.run_id, str(folder / "evaluation"), "evaluation")
        version = registry.log_detector(
            client,
            fleet,
            folder / "detector",
            run_id=run.info.run_id,
            example=_example(lake),
            card=card,
            tags=lineage,
            metadata={"context_rows": detector.context_rows, "fleet": fleet.name},
        )
        for name, value in metrics["methods"][metrics["detector"]]["mean"].items():
            if value is not None:
                client.log_metric(
                    run.info.run_id, f"test_{name}", value, model_id=version.tags["model_id"]
                )
    return version


def _verdict(validation: dict, data_hash: str) -> str:
    verdict = "passed" if validation["ok"] else "failed"
    if validation["data_hash"] != data_hash:
        verdict += ", on other data: run validate again"
    return verdict


def _test_start(store: WindowStore) -> datetime:
    """The date on which the first vehicle's test part starts: scoring starts there."""
    starts = []
    for vehicle in store.vehicles:
        series = store.series(vehicle)
        test = np.flatnonzero(series.split_T == TEST)
        if len(test):
            starts.append(int(series.timestamp_T[test[0]]))
    if not starts:
        raise DataError(f"{store.path}: no vehicle has a test part; raise split.test_share")
    return datetime.fromtimestamp(min(starts) / 1e6, UTC).date()


def _example(lake: Lake):
    """A few rows as the model takes them, with the first vehicle's id, as a pandas frame."""
    vehicle = lake.vehicles()[0]
    table = lake.read_day(vehicle, lake.dates(vehicle)[0]).slice(0, EXAMPLE_ROWS)
    table = table.select(["timestamp", *lake.fleet.channel_names])
    frame = table.add_column(0, "vehicle", pa.array([vehicle] * table.num_rows)).to_pandas()
    return frame.assign(timestamp=frame["timestamp"].dt.tz_localize(None))


def _read(path: Path, stage: str) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no {path}; run the stage {stage} first") from None


if __name__ == "__main__":
    stage_main(run)
