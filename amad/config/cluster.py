"""Cluster profiles: where the work runs. A profile changes no result and retrains nothing."""

import re
from typing import Literal

from pydantic import Field

from amad.config._yaml import Strict, cut, parse, read_mapping
from amad.config.errors import ConfigError
from amad.config.settings import Settings


class ClusterProfile(Strict):
    """One file under ``conf/cluster/``.

    address: of the Ray cluster; None starts a local one. cpus, object_store_mb: of the local one.
    workers: data-parallel training workers; 0 trains in this process. device: what a worker
    trains on. cpus_per_worker: CPUs Ray reserves. backend: of torch.distributed.
    precision: ``auto`` takes bfloat16 where the device is fast at it. max_concurrent_trials,
    cpus_per_trial, gpus_per_trial: of the sweep. storage: where Ray keeps checkpoints (a path or
    an object-store URI all workers reach); None: under ``runs/``. max_failures: restarts of the
    training after a crash. scoring_engine: ``auto`` scores in process up to
    ``ray_min_vehicle_days`` and over Ray Data above.
    """

    address: str | None = None
    cpus: int | None = None
    object_store_mb: int = Field(200, ge=80)
    dashboard: bool = False
    workers: int = Field(2, ge=0)
    device: Literal["cpu", "cuda"] = "cpu"
    cpus_per_worker: float = Field(1, gt=0)
    backend: Literal["gloo", "nccl"] = "gloo"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    max_concurrent_trials: int = Field(2, ge=1)
    cpus_per_trial: float = Field(1, gt=0)
    gpus_per_trial: float = Field(0, ge=0)
    storage: str | None = None
    max_failures: int = Field(2, ge=0)
    scoring_engine: Literal["auto", "process", "ray"] = "auto"
    ray_min_vehicle_days: int = Field(500, ge=1)


def load_cluster(name: str | None = None, settings: Settings | None = None) -> ClusterProfile:
    """Read the profile ``name`` (default: ``AMAD_CLUSTER``, ``local``).

    Raises:
        ConfigError: no such profile (the message lists those there are), or a wrong key.
    """
    settings = settings or Settings()
    name = name or settings.cluster
    if not re.fullmatch(r"[\w.-]{1,100}", name):
        raise ConfigError(f"{cut(repr(name))} cannot name a cluster profile of conf/cluster/")
    path = settings.conf_dir / "cluster" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ConfigError(
            f"there is no cluster profile {path}; known profiles: {', '.join(known) or 'none'}"
        )
    return parse(ClusterProfile, read_mapping(path), str(path))
