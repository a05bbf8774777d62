"""Ray Train's trainer, fitted to this project: how it starts, what it restarts and what it tells.

Ray's controller and each worker import this module, and neither MLflow nor the driver's other code,
which would take each of them seconds.
"""

from collections.abc import Callable
from pathlib import Path

from amad.config import ConfigError, DataError, Stage
from amad.engines.shared.ray_cluster import told_by_worker
from amad.engines.shared.training_curve import append_event

GROW_SECONDS = 60.0  # between two looks whether a training on fewer workers can have more again


def make_trainer(work: Callable, config: dict, stage: Stage, name: str, events: Path):
    """Ray's trainer of the run ``name``, with the workers of the stage's cluster profile.

    work: what each worker calls with ``config``. events: a file that tells how it goes, a line of
    JSON for each epoch and each failure.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig

    profile = stage.profile
    gpu, fewest = profile.device == "cuda", profile.min_workers
    workers = profile.workers if fewest is None else (fewest, profile.workers)
    one_machine = profile.address is None
    return _trainer_class(one_machine=one_machine, fixed=one_machine and fewest is None)(
        work,  # type: ignore[arg-type]  # what it returns is the result's return_value
        train_loop_config=config,
        torch_config=TorchConfig(backend=profile.backend),
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # the types are those of V1
            num_workers=workers,  # type: ignore[arg-type]
            elastic_resize_monitor_interval_s=GROW_SECONDS,
            use_gpu=gpu,
            resources_per_worker={"CPU": profile.cpus_per_worker} | ({"GPU": 1} if gpu else {}),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=stage.checkpoints,
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            failure_config=FailureConfig(max_failures=profile.max_failures),
            callbacks=[_watch(events)],
        ),
    )


def _watch(events: Path):
    """A callback that appends what happens to the file ``events``, which the driver follows."""
    from ray.train import UserCallback

    class Watch(UserCallback):
        """It runs in Ray's controller, on the driver's machine."""

        def after_report(self, run_context, metrics, checkpoint) -> None:
            append_event(events, metrics[0])

        def after_exception(self, run_context, worker_exceptions) -> None:
            if any(_comes_again(error) for error in worker_exceptions.values()):
                return
            error = next(iter(worker_exceptions.values()))
            append_event(events, {"failure": str(error).splitlines()[0][:200]})

    return Watch()


def _trainer_class(*, one_machine: bool, fixed: bool):
    """Ray's trainer without what costs seconds, or the exit code, and does nothing here.

    It restarts workers that crashed and not those whose error would come again.

    one_machine: on this machine's own Ray. fixed: with a number of workers that does not change.
    Ray has no public way to leave these out; a test compares the names that are overridden with
    those that Ray has.
    """
    from ray.train.torch import TorchTrainer
    from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
    from ray.train.v2._internal.callbacks.placement_group_callback import (
        PlacementGroupCleanerCallback,
    )
    from ray.train.v2._internal.execution.failure_handling import (
        DefaultFailurePolicy,
        FailureDecision,
    )
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy

    class CrashesAlone(DefaultFailurePolicy):
        """Begins again after a crash, but not where another attempt would end the same."""

        def make_decision(self, training_failed_error) -> FailureDecision:
            if _comes_again(training_failed_error):
                return FailureDecision.RAISE
            return super().make_decision(training_failed_error)

    class OneMachine(FixedScalingPolicy):
        """Without the process, of three seconds, that asks an autoscaler for machines."""

        def _send_resource_request(self) -> None:
            pass

        _maybe_send_resource_request = _cancel_resource_request = _send_resource_request

    class Trainer(TorchTrainer):
        """Without Ray's handler of SIGINT, which exits with 0 or 1 in the middle of ``fit``."""

        def _register_sigint_handler(self, controller) -> None:
            pass

        def _initialize_and_run_controller(self, **arguments):
            arguments["failure_policy"] = CrashesAlone(self.run_config.failure_config)
            if fixed:
                arguments["scaling_policy"] = OneMachine(self.scaling_config)
            return super()._initialize_and_run_controller(**arguments)  # type: ignore[misc]

        def _create_default_callbacks(self) -> list:
            """Without those that start a process, of two seconds, for what there is not."""
            unneeded: list[type] = [DatasetsCallback]
            if one_machine:
                unneeded.append(PlacementGroupCleanerCallback)
            known = super()._create_default_callbacks()  # type: ignore[misc]  # the type is V1's
            return [callback for callback in known if type(callback) not in unneeded]

    return Trainer


def _comes_again(error: BaseException) -> bool:
    """Whether another attempt would end with the same error: the training diverged, for example."""
    return isinstance(told_by_worker(error, ""), (ConfigError, DataError))
