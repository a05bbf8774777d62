"""Typed settings: the fleet contract, the parameters of a result, the machine, the cluster."""

from amad.config.cluster import ClusterProfile, load_cluster
from amad.config.errors import (
    AmadError,
    ConfigError,
    DataError,
    DivergenceError,
    GateError,
    InterruptionError,
    NothingScoredError,
    NotifyError,
    PartlyDoneError,
    ServiceError,
    usable_error,
)
from amad.config.fleet import Channel, Fleet, load_fleet
from amad.config.params import Params, load_params, read_params
from amad.config.settings import Settings
from amad.config.stage import Stage

__all__ = [
    "AmadError", "Channel", "ClusterProfile", "ConfigError", "DataError", "DivergenceError",
    "Fleet", "GateError", "InterruptionError", "NothingScoredError", "NotifyError", "Params",
    "PartlyDoneError", "ServiceError", "Settings",
    "Stage", "load_cluster", "load_fleet", "load_params", "read_params", "usable_error",
]  # fmt: skip
