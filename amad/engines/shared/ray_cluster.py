"""Ray, started or joined as the cluster profile says, and left as it was before."""

import logging
import math
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import psutil

from amad.config import (
    AmadError,
    ClusterProfile,
    ConfigError,
    ServiceError,
    interruption,
    usable_error,
)
from amad.config.console import say
from amad.config.wording import count
from amad.engines.shared.environment import quiet
from amad.telemetry.temporary import remove_leftovers

# Each Ray worker runs with one thread: the work is spread over workers, and sums are added up in
# the same order on every machine.
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SLOW = "node timed out during startup"  # how Ray tells that its processes started too slowly
CONNECT_SECONDS = 5.0  # the longest wait for a cluster that does not answer


class NoLocalRayError(ServiceError):
    """Ray cannot start on this machine. what: that it cannot and why; the way out follows."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what}; run the command again once the machine is less busy, free some memory, "
            "set RAY_TMPDIR to a short path with free space, or do without Ray (workers: 0 and "
            "engine: process in conf/cluster/), which all can but the sweep"
        )


@contextmanager
def ray_session(profile: ClusterProfile) -> Iterator[None]:
    """Run the body with Ray: a local instance of the profile's size, or a running cluster.

    If this process has a Ray session already, it is used and stays open. A session that was opened
    here is closed at the end, also after an error. For the local instance see ``local_cpus``.

    Raises:
        NoLocalRayError: Ray cannot start on this machine.
        ServiceError: the cluster does not answer.
    """
    quiet()
    if profile.address is None:
        _guard()
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        if profile.address is not None:
            _knock(profile.address)
        with interruption.handlers_kept():  # on SIGTERM, Ray's would exit with the signal's number
            _start(profile)
    except Exception as error:  # ConnectionError, OSError, ValueError and Ray's own
        reason = " ".join(str(error).split())[:200]
        if profile.address is None:
            raise NoLocalRayError(f"Ray cannot start on this machine ({reason})") from error
        raise ServiceError(
            f"the Ray cluster at {profile.address!r} does not answer ({reason}); start it, or "
            "choose the embedded one with AMAD_CLUSTER=local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
        remove_leftovers()  # of its workers


def _start(profile: ClusterProfile) -> None:
    """Start Ray, or join the cluster; a local Ray that started too slowly is started once more.

    Ray gives the first of its processes 30 seconds, which nothing can change, and leaves those that
    it has started behind.
    """
    import ray

    before = set(psutil.Process().children(recursive=True))
    try:
        ray.init(**_init_arguments(profile))
    except Exception as error:
        if profile.address is not None or SLOW not in str(error):
            raise
        say("Ray did not start within 30 s, as the machine is busy; it is started once more")
        for process in {*psutil.Process().children(recursive=True)} - before:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        ray.init(**_init_arguments(profile))


def _knock(address: str) -> None:
    """Fail at once if the address does not answer; Ray would try for ten minutes."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_SECONDS).close()


def _guard() -> None:
    """Make the token that every client of this Ray must send.

    Ray's own default is a permanent token in the home folder. This token is known only to this
    process and its children.
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _init_arguments(profile: ClusterProfile) -> dict:
    common = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": WORKER_ENVIRONMENT},
    }
    if profile.address is not None:
        return common | {"address": profile.address}
    return common | {
        "address": "local",
        "num_cpus": local_cpus(profile),
        "object_store_memory": profile.object_store_mb * 1_000_000,
        "include_dashboard": profile.dashboard,
        # Trials and workers of a training have an environment of their own, hence new processes.
        "_system_config": {"prestart_worker_first_driver": False},
    }


def local_cpus(profile: ClusterProfile) -> int:
    """The number of CPUs that the local Ray is told: the profile's, else the machine's.

    It is at least what the workers and trials of the profile ask for. A profile made for a larger
    machine is then slow on a small one, but does not wait for ever.
    """
    train = profile.workers * profile.cpus_per_worker
    return max(profile.cpus or os.cpu_count() or 1, math.ceil(max(train, profile.cpus_per_trial)))


def require_gpus(wanted: float, keys: str) -> None:
    """See that this machine has as many GPUs as ``keys`` of the profile ask of it.

    A local Ray would wait for them for ever.

    Raises:
        ConfigError: it has fewer.
    """
    import torch

    found = torch.cuda.device_count()
    if found < wanted:
        raise ConfigError(
            f"the cluster profile asks this machine for {count(math.ceil(wanted), 'GPU')} "
            f"({keys}), and PyTorch finds {found}; choose another profile with AMAD_CLUSTER, such "
            "as local, or change these keys"
        )


def told_by_worker(error: BaseException, storage: str) -> AmadError | None:
    """The error for the user that a worker raised, found inside Ray's own exceptions.

    storage: where checkpoints go; named when an error about a full disk names no file.
    """
    seen: list[BaseException] = [error]
    for known in seen:
        # Ray's own subclass of an error prints a traceback; its cause is the error itself.
        plain = getattr(known, "cause", None) or known
        if isinstance(plain, AmadError):
            return type(plain)(*plain.args)
        if isinstance(known, OSError) and known.errno is not None:
            known.filename = known.filename or storage
        if (unusable := usable_error(known)) is not None:  # a full disk
            return unusable
        inner = [getattr(known, "cause", None), known.__cause__]
        inner += getattr(known, "worker_failures", {}).values()
        seen += [item for item in inner if isinstance(item, BaseException) and item not in seen]
    return None
