"""Cluster profiles: where the work runs. A profile changes no result and retrains nothing."""

import re
from typing import Literal

from pydantic import Field

from amad.config.errors import ConfigError
from amad.config.settings import Settings
from amad.config.yaml_file import Strict, cut, parse, read_mapping


class ClusterProfile(Strict):
    """Where the work runs: one file in ``conf/cluster/``."""

    address: str | None = None
    """Address of a running Ray cluster; default: a local Ray is started"""
    cpus: int | None = None
    """CPUs of the local Ray; default: all"""
    object_store_mb: int = Field(200, ge=80)
    """Memory of the local Ray's object store, in MB"""
    dashboard: bool = False
    """Whether the local Ray shows its dashboard"""
    workers: int = Field(2, ge=0)
    """Workers that train one network together; 0 trains in the process of the stage"""
    device: Literal["cpu", "cuda"] = "cpu"
    """What a worker trains on"""
    cpus_per_worker: float = Field(1, gt=0)
    """CPUs that Ray reserves for each worker"""
    backend: Literal["gloo", "nccl"] = "gloo"
    """How the workers of torch.distributed communicate"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the training; `auto` takes bfloat16 where the device is fast at it"""
    max_concurrent_trials: int = Field(2, ge=1)
    """Trials of the sweep that run at the same time"""
    cpus_per_trial: float = Field(1, gt=0)
    """CPUs that Ray reserves for each trial"""
    gpus_per_trial: float = Field(0, ge=0)
    """GPUs that Ray reserves for each trial"""
    storage: str | None = None
    """Where Ray keeps checkpoints: a path or address all nodes reach; default: below `runs/`"""
    max_failures: int = Field(2, ge=0)
    """How often a training is started again after a crash"""
    scoring_engine: Literal["auto", "process", "ray"] = "auto"
    """What scores: this process, or Ray Data; `auto` decides by `ray_min_vehicle_days`"""
    ray_min_vehicle_days: int = Field(500, ge=1)
    """Number of vehicle-days from which Ray Data scores"""


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
