"""Training under Ray Train: data-parallel, resumable by content, one MLflow run with one curve.

The loop is ``amad.model.training.train``; here it gets workers, a place for its checkpoints, and a
driver that watches. See docs/explanation/training.md for the reasons.
"""

from dataclasses import asdict
from pathlib import Path

from amad.config import AmadError, ClusterProfile, Params, ServiceError, Stage
from amad.config.console import say
from amad.engines.shared.identity import RunState, code_digest, work_digest
from amad.engines.shared.ray_checkpoint import own_copy
from amad.engines.shared.ray_cluster import ray_session, require_gpus, told_by_worker
from amad.engines.shared.store_on_nodes import StoreOnNodes
from amad.engines.shared.tracking import connect, log_settings, open_run
from amad.engines.shared.train_result import TrainResult
from amad.engines.shared.training_curve import TrainingCurve, followed
from amad.engines.shared.unit_engines import all_on_one_thread
from amad.engines.train.trainer import make_trainer
from amad.engines.train.worker import run_worker
from amad.model import (
    Amad,
    Bundle,
    Checkpoint,
    LocalReporter,
    Trained,
    TrainJob,
    train,
    write_bundle,
)
from amad.model.compiled import require_compiler
from amad.model.training import epoch_line, untrained
from amad.windows import WindowStore, why_none_fits

CODE = ("amad.model", "amad.windows")  # what the weights depend on
FIGURES = ("parameters", "train_windows", "epoch_windows")  # of the result, for MLflow
HEALTH_SECONDS = "0.5"  # between two looks of Ray's controller at its workers; 2 by default


def train_fleet(stage: Stage) -> TrainResult:
    """Train the network of a fleet on its store and write its bundle.

    stage: with the best settings of the sweep in its parameters. An interrupted run with the same
    settings, data and code is resumed; a finished one gives its weights at once. Both go on in the
    same MLflow run. Where no window fits, the network stays its linear skip.

    Raises:
        DataError: no window fits and there is no skip, or a checkpoint cannot be read.
        ConfigError: the training diverged, or a machine lacks the GPUs or the compiler of the
            profile.
        ServiceError: the cluster or the tracking store does not answer, or the workers failed more
            often than ``max_failures`` of the profile.
    """
    fleet, params, profile = stage.fleet.name, stage.params, stage.profile
    opened = WindowStore.checked(stage.folder / "store")
    digest = training_digest(params, opened, profile)
    name = f"train-{digest}"
    job = TrainJob(
        store=opened.path.absolute(), params=params, digest=digest, precision=profile.precision,
        compile=profile.compile,
    )  # fmt: skip
    client = connect(stage.settings)
    state = RunState(stage.runs / "ray" / f"{name}.json")
    tags = {"stage": "train", "fleet": fleet, "digest": digest}
    if "data_hash" in opened.meta:
        tags["data_hash"] = str(opened.meta["data_hash"])
    with open_run(client, fleet, name, tags, state.get("run_id")) as run:
        state.put("run_id", run.info.run_id)
        log_settings(client, run.info.run_id, params)
        curve = TrainingCurve(client, run.info.run_id, "loss")
        trained, network = _trained(stage, opened, job, name, curve)
        for metrics in trained.epochs:
            curve.log(metrics)
        speeds = [metrics["windows_per_second"] for metrics in trained.epochs]
        figures = {key: getattr(trained, key) for key in FIGURES}
        # The run's duration would count pauses, and each time that the finished run is taken again.
        figures["training_seconds"] = sum(trained.epoch_windows / speed for speed in speeds)
        for key, value in figures.items():
            client.log_metric(run.info.run_id, key, value)
    meta = {
        "digest": digest,
        "code": code_digest(*CODE),
        "data_hash": opened.meta.get("data_hash"),
        "store": opened.digest,
        "seed": params.seed,
        "epochs": len(trained.epochs),
    }
    bundle = Bundle(
        model=network, params=params, fleet=stage.fleet, scaler=opened.scaler, meta=meta
    )
    write_bundle(stage.folder / "bundle", bundle)
    for metrics in trained.epochs:
        metrics.pop("windows_per_second", None)  # it differs from run to run
    return TrainResult(run_id=run.info.run_id, digest=digest, **asdict(trained))


def _trained(
    stage: Stage, opened: WindowStore, job: TrainJob, name: str, curve: TrainingCurve
) -> tuple[Trained, Amad]:
    """The network, trained where the profile says; its linear skip alone where no window fits."""
    profile = stage.profile
    reason = why_none_fits(opened, job.params.model.window)
    if reason and job.params.model.skip == "linear":
        say(f"no training, so the network stays its linear skip: {reason}")
        return untrained(opened, job.params)
    if profile.device == "cuda" and (profile.address is None or profile.workers == 0):
        require_gpus(max(profile.workers, 1), f"device: cuda, workers: {profile.workers}")
    if profile.address is None or profile.workers == 0:
        require_compiler(profile.compile, profile.device)
    if profile.workers == 0:
        return _train_here(job, profile, stage.runs / "ray" / name, curve)
    return _train_with_ray(job, StoreOnNodes.of(stage, opened), stage, name, curve)


def training_digest(params: Params, store: WindowStore, profile: ClusterProfile) -> str:
    """Name of the run: what its weights depend on and nothing else.

    The number of workers is not part of it, as any number shares out the same steps: a run can be
    resumed on a cluster of another size.
    """
    sections = {"seed", "model", "mask", "loss", "train"}
    inputs = params.model_dump(mode="json", include=sections)
    return work_digest(inputs | {"store": store.digest, "precision": profile.precision}, CODE)


class _LoggingReporter(LocalReporter):
    """For a training in this process: logs each epoch to the curve as it ends."""

    def __init__(self, folder: Path, device: str, curve: TrainingCurve) -> None:
        super().__init__(folder, device)
        self._curve = curve

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        self._curve.log(metrics)


def _train_here(
    job: TrainJob, profile: ClusterProfile, folder: Path, curve: TrainingCurve
) -> tuple[Trained, Amad]:
    """What ``train`` returned, and the network of the last checkpoint.

    With one thread, as a worker computes: the last digits depend on the number of threads.
    """
    reporter = _LoggingReporter(folder, profile.device, curve)
    with all_on_one_thread():
        trained = train(job, reporter)
    kept = reporter.latest(job.digest)
    assert kept is not None, "training ends with a checkpoint"
    return trained, kept.network(job.params.model)


def _train_with_ray(
    job: TrainJob, store: StoreOnNodes, stage: Stage, name: str, curve: TrainingCurve
) -> tuple[Trained, Amad]:
    """What ``train`` returned on rank 0, and the network of the last checkpoint."""
    import os

    epochs, profile = job.params.train.epochs, stage.profile
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", HEALTH_SECONDS)
    if profile.address is None:  # no machine of a local Ray is taken away after a warning
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    events = stage.runs / "ray" / f"{name}.jsonl"

    failures: list[dict] = []

    def handle(event: dict) -> None:
        if "failure" in event:
            failures.append(event)
            more = len(failures) <= profile.max_failures
            then = "going on from the last checkpoint" if more else "no attempt is left"
            say(f"a worker failed ({event['failure']}); {then}")
            return
        say(epoch_line(event, epochs))
        curve.log(event)

    say(f"training with {profile.workers} {profile.device} workers, run {name}")
    with ray_session(profile):
        trainer = make_trainer(run_worker, {"job": job, "store": store}, stage, name, events)
        with followed(events, handle):
            try:
                result = trainer.fit()
            except Exception as error:
                raise _explained(error, name, profile, trainer.run_config.storage_path) from error
        with own_copy(result.checkpoint) as kept:
            network = Checkpoint.read(kept).network(job.params.model)
    return result.return_value, network


def _explained(error: Exception, name: str, profile: ClusterProfile, storage: str) -> AmadError:
    """The worker's own message where it has one, otherwise what to do about the cluster."""
    told = told_by_worker(error, storage)
    if told is not None:
        return told
    reason = " ".join(str(error).split())[-300:]
    return ServiceError(
        f"run {name} failed after {profile.max_failures} restarts ({reason}); run the stage again "
        "to go on from its last checkpoint, or train in this process with workers: 0"
    )
