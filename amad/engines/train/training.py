"""Training under Ray Train: data-parallel, resumable by content, one MLflow run with one curve.

The loop is ``amad.model.training.train``; here it gets workers, a place for its checkpoints, and a
driver that watches. See docs/explanation/training.md for why it is cut this way.
"""

import tempfile
from pathlib import Path

from mlflow import MlflowClient

from amad.config import AmadError, ClusterProfile, Params, ServiceError, Stage
from amad.config.console import say
from amad.engines.shared.identity import RunState, code_digest, work_digest
from amad.engines.shared.ray_cluster import ray_session, told_by_worker
from amad.engines.shared.tracking import connect, log_settings, open_run
from amad.engines.shared.train_result import TrainResult
from amad.engines.shared.training_curve import TrainingCurve, append_event, followed
from amad.model import LocalReporter, TrainJob, restore_network, train, write_bundle
from amad.windows import WindowStore

CODE = ("amad.model", "amad.windows")  # what the weights depend on
HEALTH_SECONDS = "0.5"  # how often Ray's controller looks at its workers; 2 by default


def train_fleet(stage: Stage) -> TrainResult:
    """Train the network of a fleet on its store and write its bundle.

    stage: with the best settings of the sweep in its parameters. A run with the same settings, data
    and code that was interrupted is resumed, one that was finished gives its weights at once; both
    go on in the same MLflow run.

    Raises:
        DataError: no window fits, or a checkpoint cannot be read.
        ConfigError: the training diverged.
        ServiceError: the cluster or the tracking store does not answer, or the workers failed more
            often than ``max_failures`` of the profile.
    """
    fleet, params, profile = stage.fleet.name, stage.params, stage.profile
    opened = WindowStore.checked(stage.folder / "store")
    digest = training_digest(params, opened, profile)
    name, folder = f"train-{digest}", stage.runs / "ray"
    job = TrainJob(
        store=opened.path.absolute(), params=params, digest=digest, precision=profile.precision
    )
    client = connect(stage.settings)
    state = RunState(folder / f"{name}.json")
    tags = {"stage": "train", "fleet": fleet, "digest": digest} | {
        key: str(opened.meta[key]) for key in ("data_hash",) if key in opened.meta
    }
    with open_run(client, fleet, name, tags, state.get("run_id")) as run:
        state.put("run_id", run.info.run_id)
        log_settings(client, run.info.run_id, params)
        curve = TrainingCurve(client, run.info.run_id, "loss")
        if profile.workers == 0:
            result, network = _train_here(job, profile, folder / name, curve)
        else:
            result, network = _train_with_ray(job, stage, name, curve)
        for metrics in result["epochs"]:
            curve.log(metrics)
        _summarise(client, run.info.run_id, result)
    meta = {
        "digest": digest,
        "code": code_digest(*CODE),
        "data_hash": opened.meta.get("data_hash"),
        "store": opened.digest,
        "seed": params.seed,
        "epochs": len(result["epochs"]),
    }
    write_bundle(stage.folder / "bundle", network, params, stage.fleet, opened.scaler, meta)
    for metrics in result["epochs"]:
        metrics.pop("windows_per_second", None)  # a time: another run has another
    return TrainResult(run_id=run.info.run_id, digest=digest, **result)


def training_digest(params: Params, store: WindowStore, profile: ClusterProfile) -> str:
    """Name of the run: what its weights depend on and nothing else.

    The number of workers is no part of it: they share out the same steps, and a resume on a
    cluster of another size is welcome.
    """
    content = params.model_dump(mode="json")
    inputs = {key: content[key] for key in ("seed", "model", "mask", "loss", "train")}
    inputs |= {"store": store.digest, "precision": profile.precision}
    return work_digest(inputs, CODE)


class RayReporter:
    """``amad.model.Reporter`` inside a worker of Ray Train."""

    def __init__(self) -> None:
        import ray.train
        from ray.train.torch import get_device

        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = get_device()
        self._folder: tempfile.TemporaryDirectory | None = None

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """A barrier of all workers; the checkpoint is copied to the run's storage."""
        import ray.train

        kept = ray.train.Checkpoint.from_directory(str(checkpoint)) if checkpoint else None
        ray.train.report(metrics, checkpoint=kept)

    def latest(self) -> Path | None:
        """A local copy of the newest checkpoint of the run."""
        import ray.train

        found = ray.train.get_checkpoint()
        if found is None:  # and no folder: Ray ends its workers before they could remove one
            return None
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="amad-")
        return Path(found.to_directory(self._folder.name))


class _LoggingReporter(LocalReporter):
    """In this process: the curve is logged as the epochs end."""

    def __init__(self, folder: Path, device: str, curve: TrainingCurve) -> None:
        super().__init__(folder, device)
        self._curve = curve

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        self._curve.log(metrics)


def _train_here(job: TrainJob, profile: ClusterProfile, folder: Path, curve: TrainingCurve):
    reporter = _LoggingReporter(folder, profile.device, curve)
    result = train(job, reporter)
    kept = reporter.latest()
    assert kept is not None, "training ends with a checkpoint"
    return result, restore_network(kept, job.params.model)


def _train_with_ray(job: TrainJob, stage: Stage, name: str, curve: TrainingCurve):
    """(what ``train`` returned on rank 0, the network of the last checkpoint)."""
    import os

    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", HEALTH_SECONDS)
    epochs, profile = job.params.train.epochs, stage.profile
    events = stage.runs / "ray" / f"{name}.jsonl"

    def handle(event: dict) -> None:
        if "failure" in event:
            say(f"a worker failed ({event['failure']}); going on from the last checkpoint")
            return
        say(
            f"epoch {event['epoch']} of {epochs}: loss {event['loss']:.4f}, hidden-position error "
            f"on hold-out rows {event['validation']:.4f}, "
            f"{event['windows_per_second']:.0f} windows/s"
        )
        curve.log(event)

    say(f"training with {profile.workers} {profile.device} workers, run {name}")
    with ray_session(profile):
        trainer = _trainer(job, stage, name, events)
        with followed(events, handle):
            try:
                result = trainer.fit()
            except Exception as error:
                raise _explained(error, name, profile, trainer.run_config.storage_path) from error
        with result.checkpoint.as_directory() as kept:
            network = restore_network(Path(kept), job.params.model)
    return result.return_value, network


def _trainer(job: TrainJob, stage: Stage, name: str, events: Path):
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.callback import UserCallback

    class Watch(UserCallback):
        """Runs in Ray's controller, on the driver's machine."""

        def after_report(self, run_context, metrics, checkpoint) -> None:
            append_event(events, metrics[0])

        def after_exception(self, run_context, worker_exceptions) -> None:
            error = next(iter(worker_exceptions.values()))
            append_event(events, {"failure": str(error).splitlines()[0][:200]})

    class Trainer(TorchTrainer):
        """Leaves SIGINT alone: Ray's handler exits with code 0 or 1 in the middle of ``fit``."""

        def _register_sigint_handler(self, controller) -> None:
            pass

    profile = stage.profile
    gpu = profile.device == "cuda"
    return Trainer(
        _worker,  # type: ignore[arg-type]  # what it returns is the result's return_value
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend=profile.backend),
        scaling_config=ScalingConfig(
            num_workers=profile.workers,
            use_gpu=gpu,
            resources_per_worker={"CPU": profile.cpus_per_worker} | ({"GPU": 1} if gpu else {}),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=stage.storage,
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(max_failures=profile.max_failures),
            callbacks=[Watch()],  # type: ignore[list-item]  # typed for the first version of Ray Train
        ),
    )


def _worker(config: dict) -> dict:
    return train(config["job"], RayReporter())


def _explained(error: Exception, name: str, profile: ClusterProfile, storage: str) -> AmadError:
    """The worker's own sentence where it has one, else what to do about the cluster."""
    told = told_by_worker(error, storage)
    if told is not None:
        return told
    reason = " ".join(str(error).split())[-300:]
    return ServiceError(
        f"run {name} failed after {profile.max_failures} restarts ({reason}); run the stage again "
        "to go on from its last checkpoint, or train in this process with workers: 0"
    )


def _summarise(client: MlflowClient, run_id: str, result: dict) -> None:
    for key in ("parameters", "train_windows"):
        client.log_metric(run_id, key, result[key])
