"""python -m pipelines.register

Register the detector in MLflow as @challenger; the gate may make it @champion:
data/<fleet>/receipt.json. The same detector and data registered again is the same version.
"""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from amad.config import DataError, Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.detect.detector import Detector
from amad.detect.storage import folder_digest, load_detector
from amad.engines.register import promotion
from amad.engines.register.challenge import defend
from amad.engines.register.gate import Decision, decide
from amad.engines.register.model_card import model_card
from amad.engines.register.registry_lock import registry_lock
from amad.engines.shared import registry
from amad.engines.shared.datasets import span
from amad.engines.shared.evaluation_run import evaluation_run, training_run
from amad.engines.shared.tracking import connect, open_run
from amad.telemetry.files import read_json, write_json
from amad.telemetry.lake import Lake
from amad.windows.series import TEST
from amad.windows.store import WindowStore
from pipelines import stage_main

EXAMPLE_ROWS = 120
EVALUATE = "run the stage evaluate"


def run(params: Params, settings: Settings) -> dict:
    """Register, decide, promote; return the receipt.

    Raises:
        DataError: an earlier stage has not run.
        ServiceError: the tracking store does not answer.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    metrics = read_json(folder / "evaluation" / "metrics.json", EVALUATE, required=True)
    identity = _identity(folder, metrics)
    detector = load_detector(folder / "detector")
    lake = Lake(folder / "lake", fleet)
    client = connect(settings)
    with registry_lock(settings, fleet.name):
        promotion.settle(client, fleet.name)
        version = registry.find_version(client, fleet.name, identity)
        champion = registry.alias_version(client, fleet.name, registry.CHAMPION)
        decision = None
        if version is not None and (
            registry.number(champion) == registry.number(version) or "rolled_back" in version.tags
        ):
            decision = promotion.recorded(version)
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
            promotion.make_champion(client, fleet.name, version.version, decision.reasons[-1])
        champion = registry.alias_version(client, fleet.name, registry.CHAMPION)
    for reason in decision.reasons:
        say(f"gate: {reason}")
    receipt = {
        "fleet": fleet.name,
        "version": registry.number(version),
        "champion": registry.number(champion),
        "decision": "promote" if decision.promote else "refuse",
        "reasons": decision.reasons,
        "figures": decision.figures,
        **identity,
    }
    write_json(folder / "receipt.json", receipt, sealed=True)
    return receipt


def _identity(folder: Path, metrics: dict) -> dict[str, str]:
    """What the metrics were measured on, after a look at whether it is what lies there.

    Raises:
        DataError: the detector is another one, or damaged.
    """
    found, measured = folder_digest(folder / "detector"), metrics.get(registry.DIGEST)
    if found != measured:
        raise DataError(
            f"{folder / 'detector'} has the digest {found}, and the figures of "
            f"{folder / 'evaluation' / 'metrics.json'} are of {measured or 'an unknown one'}: one "
            f"of them was changed or damaged since; {EVALUATE} again"
        )
    return {registry.DIGEST: found, registry.DATA_HASH: metrics[registry.DATA_HASH]}


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
    store = WindowStore.checked(folder / "store")
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
    """Log the model to the run of its evaluation, with its card and lineage."""
    folder = settings.fleet_dir(fleet.name)
    metrics = read_json(folder / "evaluation" / "metrics.json", EVALUATE, required=True)
    validation = read_json(
        folder / "validation.json", "run the stage validate", keys=("ok",), required=True
    )
    training = read_json(folder / "train.json", "run the stage train", required=True)
    store = WindowStore.open(folder / "store")
    # Of the bundle only what it was trained with: it may be older than the other settings.
    trained = detector.bundle.params if detector.bundle else params
    used = trained.model_copy(update={"detect": detector.params, "evaluate": params.evaluate})
    run_id = evaluation_run(client, used, store, folder, metrics, training)
    lineage = {
        **identity,
        **registry.git_state(settings.home),
        "run_id": run_id,
        "training_run_id": training_run(client, fleet.name, training),
        "params_digest": params.digest,
        "fleet_digest": fleet.digest,
        "validation": _verdict(validation, identity[registry.DATA_HASH]),
        registry.TEST_START: str(_test_start(store)),
    }
    card = model_card(
        fleet=fleet,
        params=used,
        metrics=metrics,
        validation=validation,
        data=span(store) | {"hash": identity[registry.DATA_HASH]},
        training=training,
        lineage=lineage,
        decision=decision,
    )
    with open_run(client, fleet.name, "register", run_id=run_id):
        return registry.log_detector(
            client,
            fleet,
            folder / "detector",
            run_id=run_id,
            example=_example(lake),
            card=card,
            tags=lineage,
            metadata={
                "context_rows": detector.context_rows,
                "fleet": fleet.name,
                registry.DIGEST: identity[registry.DIGEST],
            },
        )


def _verdict(validation: dict, data_hash: str) -> str:
    verdict = "passed" if validation["ok"] else "failed"
    if validation["data_hash"] != data_hash:
        verdict += ", on other data than the detector's"
    return verdict


def _test_start(store: WindowStore) -> date:
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


if __name__ == "__main__":
    stage_main(run, lasting="receipt.json")
