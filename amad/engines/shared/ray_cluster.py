"""Ray, started or joined as the cluster profile says, and left as it was found."""

import logging
import math
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from amad.config import AmadError, ClusterProfile, ServiceError, interruption, usable_error
from amad.engines.shared.environment import quiet

# What every Ray worker gets. One thread each: the workers are the parallelism, and sums are then
# added up in the same order on every machine.
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
CONNECT_SECONDS = 5.0  # how long a cluster that is not there may keep us waiting


@contextmanager
def ray_session(profile: ClusterProfile) -> Iterator[None]:
    """Run the body with Ray: a local one of the profile's size, or a running cluster's.

    A Ray that this process already has is used and left alone; what was started or joined here is
    shut down or left at the end, also after an error. The local one counts at least as many CPUs
    as the profile's workers and trials ask for, so that a profile made for a larger machine is
    slow on a small one and never waits for ever.

    Raises:
        ServiceError: the cluster does not answer, or Ray cannot start here.
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
            ray.init(**_init_arguments(profile))
    except Exception as error:  # ConnectionError, OSError, ValueError and Ray's own
        reason = " ".join(str(error).split())[:200]
        if profile.address is None:
            raise ServiceError(
                f"Ray cannot start on this machine ({reason}); free some memory, set RAY_TMPDIR to "
                "a short path with free space, or train without Ray (workers: 0 in conf/cluster/)"
            ) from error
        raise ServiceError(
            f"the Ray cluster at {profile.address!r} does not answer ({reason}); start it, or "
            "choose the embedded one with AMAD_CLUSTER=local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Fail now where nobody listens; Ray itself would try for ten minutes. ``auto`` has no port."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_SECONDS).close()


def _guard() -> None:
    """Make a token that whoever connects to Ray on the network must show.

    Left to itself, Ray writes a lasting token into the home folder. This one is known to this
    process and its children only.
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
    }


def local_cpus(profile: ClusterProfile) -> int:
    """CPUs that the local Ray counts: the machine's or the profile's, and enough for its work."""
    train = profile.workers * profile.cpus_per_worker
    return max(profile.cpus or os.cpu_count() or 1, math.ceil(max(train, profile.cpus_per_trial)))


def told_by_worker(error: BaseException, storage: str) -> AmadError | None:
    """The sentence for the user that a worker raised, from within what Ray wraps it in.

    storage: where its checkpoints go; named where a full disk is told without a file.
    """
    seen: list[BaseException] = [error]
    for known in seen:
        if isinstance(known, AmadError):
            return type(known)(*known.args)  # Ray's own subclass prints a traceback
        if isinstance(known, OSError) and known.errno is not None:
            known.filename = known.filename or storage
        if (unusable := usable_error(known)) is not None:  # a full disk
            return unusable
        inner = [getattr(known, "cause", None), known.__cause__]
        inner += getattr(known, "worker_failures", {}).values()
        seen += [item for item in inner if isinstance(item, BaseException) and item not in seen]
    return None
