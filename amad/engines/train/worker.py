"""What a worker of Ray Train runs; it imports this module, and not MLflow, which takes a second."""

from dataclasses import replace
from pathlib import Path

from amad.engines.shared.ray_checkpoint import own_copy
from amad.model import Checkpoint, Trained, train
from amad.telemetry.temporary import keep_apart


class RayReporter:
    """``amad.model.checkpoint.Reporter`` inside a worker of Ray Train."""

    def __init__(self) -> None:
        import ray.train
        from ray.train.torch import get_device

        keep_apart()
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = get_device()

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """Wait for all workers; the checkpoint is copied to the run's storage."""
        import ray.train

        kept = ray.train.Checkpoint.from_directory(str(checkpoint)) if checkpoint else None
        ray.train.report(metrics, checkpoint=kept)

    def latest(self, digest: str) -> Checkpoint | None:
        """The newest checkpoint of the run."""
        import ray.train

        found = ray.train.get_checkpoint()
        if found is None:
            return None
        with own_copy(found) as folder:
            return Checkpoint.read(folder, self.device, digest)


def run_worker(config: dict) -> Trained:
    """Train ``config["job"]`` together with the other workers, on this node's store."""
    job = replace(config["job"], store=config["store"].here())
    return train(job, RayReporter())
