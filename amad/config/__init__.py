"""Typed settings: the fleet contract, the parameters of a result, the machine, the cluster.

Where to look for what:

- what a result depends on: ``params`` (``params.yaml``), ``fleet`` with ``channel`` and ``source``
  (``conf/fleet``)
- what no result depends on: ``settings`` (the environment), ``cluster`` (``conf/cluster``),
  ``sinks`` (``conf/notify``)
- how they are read: ``yaml_file``, ``addresses`` (of object stores); ``stage`` holds them all
- errors and their exit codes: ``errors``, ``interruption``
- words: ``wording``, ``number_text``, ``console`` (lines while long work runs)
- what all packages use: ``digest``, ``file_lock``, ``threads``, ``units`` (of work)
"""

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
