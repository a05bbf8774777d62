"""The MLflow run of an evaluation: its settings, data, figures and pictures.

The run is found by the content of ``metrics.json``, which names the detector and the data. The same
evaluation is therefore always the same run. Where the evaluation came from elsewhere (``dvc pull``,
another store), the run is logged when it is first needed.
"""

import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, RunStatus

from amad.config import Params
from amad.config.digest import json_digest
from amad.engines.shared.datasets import log_datasets
from amad.engines.shared.tracking import find_run, log_settings, open_run
from amad.engines.shared.train_result import TrainResult
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.windows.store import WindowStore

OF_THE_THRESHOLD = ("event_recall", "median_delay_seconds")  # of ``operating_point``
FALSE_ALARMS = ("incidents_per_vehicle_day", "alarm_share")  # of its normal rows of the test part


def evaluation_run(
    client: MlflowClient,
    params: Params,
    store: WindowStore,
    folder: Path,
    metrics: EvaluationMetrics,
    training: TrainResult,
) -> str:
    """The id of the run that holds an evaluation; logged now if it is missing or not finished.

    params: those that the detector was trained and judged with. folder: the fleet's, with ``lake``
    and ``evaluation``. training: the one that gave the detector its network.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    fleet, digest = store.content["fleet"], evaluation_digest(metrics)
    found = find_run(client, fleet, {"stage": "evaluate", "evaluation_digest": digest})
    if found is not None and found.info.status == RunStatus.to_string(RunStatus.FINISHED):
        return found.info.run_id
    tags = {
        "stage": "evaluate",
        "fleet": fleet,
        "evaluation_digest": digest,
        "detector_digest": metrics.detector_digest,
        "data_hash": metrics.data_hash,
        "training_run_id": training_run(client, fleet, training),
        "training_digest": training.digest or "none",
    }
    known = found.info.run_id if found is not None else None
    with open_run(client, fleet, f"evaluate-{digest}", tags, known) as run:
        run_id = run.info.run_id
        log_settings(client, run_id, params)
        log_datasets(client, run_id, store, folder / "lake", judged=True)
        client.log_batch(run_id, metrics=points(metrics))
        client.log_artifacts(run_id, str(folder / "evaluation"), "evaluation")
    return run_id


def training_run(client: MlflowClient, fleet: str, training: TrainResult) -> str:
    """The id of the run of this training; ``none`` if this store has no such run."""
    digest = training.digest
    found = find_run(client, fleet, {"stage": "train", "digest": digest}) if digest else None
    return found.info.run_id if found else "none"


def evaluation_digest(metrics: EvaluationMetrics) -> str:
    """16 hex digits of what ``metrics.json`` says."""
    return json_digest(metrics.content())


def points(metrics: EvaluationMetrics) -> list[Metric]:
    """The means of ``metrics.json`` in groups: ``test/vus_pr``, ``floor/vus_pr``, ``vote/share``.

    A model that is logged to the run takes them over by itself.
    """
    names = {"test": metrics.detector, "floor": metrics.floor}
    if metrics.best_baseline:
        names["baseline"] = metrics.best_baseline
    figures = {
        f"{group}/{metric}": value
        for group, name in names.items()
        for metric, value in metrics.methods[name].mean.items()
    }
    figures |= {f"test/{key}": getattr(metrics.operating_point, key) for key in OF_THE_THRESHOLD}
    normal = metrics.operating_point.normal_test
    figures |= {f"test/normal_{key}": getattr(normal, key) for key in FALSE_ALARMS}
    if (vote := metrics.vote) is not None:
        figures["vote/weight"] = vote.weight
        for name, found in (("share", vote.share), ("gain", vote.gain)):
            if found is not None:
                ends = zip(("", "_low", "_high"), found, strict=True)
                figures |= {f"vote/{name}{end}": value for end, value in ends}
    dataset = f"{metrics.fleet}/test"
    now = int(time.time() * 1000)
    return [
        Metric(name, value, now, 0, dataset_name=dataset, dataset_digest=metrics.data_hash)
        for name, value in figures.items()
        if value is not None
    ]
