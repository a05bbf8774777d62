"""Cluster profiles: where the work runs. A profile makes no stage run again.

Apart from ``precision``, it is not meant to change a result.
"""

import re
from pathlib import PurePosixPath
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from amad.config.addresses import KEYS_ELSEWHERE, has_password, known_address, one_of
from amad.config.errors import ConfigError
from amad.config.settings import Settings
from amad.config.yaml_file import Strict, cut, parse, read_mapping

OWN_RAY = ("cpus", "object_store_mb", "dashboard")  # keys of the Ray that is started here
STORES = ("http", "https", "postgresql", "sqlite")
Compile = Literal["none", "kernels", "graphs"]
ADDRESSES = ("storage", "checkpoints", "tracking_uri")


class ClusterProfile(Strict):
    """Where the work runs: one file in ``conf/cluster/``."""

    moved: ClassVar = {
        "allowed_lateness_hours": "was removed, scores never waited for it; delete this line",
    }
    address: str | None = Field(None, min_length=1)
    """Address of a running Ray cluster; default: a local Ray is started"""
    cpus: int | None = Field(None, ge=1)
    """CPUs of the local Ray; default: all"""
    object_store_mb: int = Field(200, ge=80)
    """Memory of the local Ray's object store, in MB"""
    dashboard: bool = False
    """Whether the local Ray shows its dashboard"""
    workers: int = Field(2, ge=0)
    """Workers that train one network together; 0 trains in the process of the stage"""
    min_workers: int | None = Field(None, ge=1)
    """Workers with which a training goes on after a node is lost; default: it waits for all"""
    device: Literal["cpu", "cuda"] = "cpu"
    """What a worker trains on"""
    cpus_per_worker: float = Field(1, gt=0)
    """CPUs that Ray reserves for each worker"""
    backend: Literal["gloo", "nccl"] = "gloo"
    """How the workers of torch.distributed communicate"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of training and sweep; `auto` takes bfloat16 where the device is fast at it"""
    compile: Compile = "none"
    """Whether `torch.compile` makes the training steps: fused kernels, or CUDA graphs of them"""
    max_concurrent_trials: int = Field(2, ge=1)
    """Trials of the sweep that run at the same time"""
    cpus_per_trial: float = Field(1, gt=0)
    """CPUs that Ray reserves for each trial"""
    gpus_per_trial: float = Field(0, ge=0)
    """GPUs that Ray reserves for each trial"""
    storage: str | None = None
    """Where everything of a fleet lies, as a path or address; default: on this disk"""
    checkpoints: str | None = None
    """Where Ray keeps checkpoints; default: in `ray/` of the storage, else below `runs/`"""
    tracking_uri: str | None = None
    """MLflow's store, without a password; `AMAD_MLFLOW_URI` and `MLFLOW_TRACKING_URI` come first"""
    max_failures: int = Field(2, ge=0)
    """How often a training, or a trial of the sweep, is started again after a crash"""
    engine: Literal["auto", "process", "ray"] = "auto"
    """What ingests, validates, prepares, evaluates, scores: this process or Ray; `auto` decides"""
    ray_min_vehicle_days: int = Field(500, ge=1)
    """Vehicle-days from which `auto` evaluates and scores over Ray; for the rest, 10 times that"""

    @model_validator(mode="before")
    @classmethod
    def _without_secrets(cls, content: object) -> object:
        """Before all other checks, whose messages show the value of the key."""
        given = content if isinstance(content, dict) else {}
        for key in ADDRESSES:
            if has_password(given.get(key)):
                remedy = (
                    "set AMAD_MLFLOW_URI instead, outside of any file"
                    if key == "tracking_uri"
                    else KEYS_ELSEWHERE
                )
                raise ValueError(f"{key} holds a password; {remedy}")
        return content

    @field_validator("storage", "checkpoints")
    @classmethod
    def _reachable(cls, storage: str | None) -> str | None:
        if storage is None:
            return None
        storage = known_address(storage)
        if "://" not in storage and not PurePosixPath(storage).is_absolute():
            raise ValueError("must be absolute, as Ray's workers run in another folder")
        return storage

    @field_validator("tracking_uri")
    @classmethod
    def _known_store(cls, uri: str | None) -> str | None:
        if uri is None:
            return None
        if urlsplit(uri).scheme.partition("+")[0] not in STORES:
            raise ValueError(f"is of no known kind; use {one_of(STORES)}")
        return uri

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """What each key allows by itself may not work together; a cluster would tell it late."""
        ignored = [name for name in OWN_RAY if name in self.model_fields_set]
        if self.address is not None and ignored:
            raise ValueError(
                f"{', '.join(ignored)}: for a Ray that is started here, and address names a "
                "running one; leave either out"
            )
        if self.backend == "nccl" and self.device != "cuda":
            raise ValueError("backend: nccl needs device: cuda; on CPUs it is gloo")
        if self.compile == "graphs" and (self.device != "cuda" or not self.gpus_per_trial):
            raise ValueError(
                "compile: graphs needs device: cuda and gpus_per_trial above 0, as CUDA graphs are "
                "of a GPU; on CPUs it is kernels or none"
            )
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers is {self.min_workers}, above workers ({self.workers})")
        return self


def load_cluster(settings: Settings) -> ClusterProfile:
    """Read the profile that the settings name.

    Without any profile in ``conf/cluster``, ``local`` is the one with all its defaults.

    Raises:
        ConfigError: no such profile (the message lists those there are), or a wrong key.
    """
    name = settings.cluster
    if not re.fullmatch(r"[\w.-]{1,100}", name):
        raise ConfigError(
            f"{cut(repr(name))} cannot name a cluster profile of conf/cluster/: letters, "
            "digits, ., - and _, at most 100 of them"
        )
    path = settings.conf_dir / "cluster" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        if not known and name == "local":
            return ClusterProfile()
        raise ConfigError(
            f"there is no cluster profile {path}; known profiles: {', '.join(known) or 'none'}. "
            "Name one of them with --cluster or AMAD_CLUSTER"
        )
    return parse(ClusterProfile, read_mapping(path), str(path))
