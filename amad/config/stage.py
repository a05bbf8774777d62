"""What every stage is given: one fleet with its settings, made once per run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from amad.config.cluster import ClusterProfile, load_cluster
from amad.config.fleet import Fleet, load_fleet
from amad.config.params import Params
from amad.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A fleet, the settings of this machine, and the parameters of the run."""

    fleet: Fleet
    settings: Settings
    params: Params

    @classmethod
    def of(cls, params: Params, settings: Settings) -> Self:
        """The stage of the fleet that ``params`` name.

        Raises:
            ConfigError: the fleet file is missing or wrong.
        """
        return cls(fleet=load_fleet(params.fleet, settings), settings=settings, params=params)

    @cached_property
    def profile(self) -> ClusterProfile:
        """Where the work runs: in this process or on Ray."""
        return load_cluster(self.settings)

    @property
    def folder(self) -> Path:
        """``data/<fleet>``: what the stages leave for each other."""
        return self.settings.fleet_dir(self.fleet.name)

    @property
    def runs(self) -> Path:
        """``runs/<fleet>``: what outlives a run, such as the published scores."""
        return self.settings.runs_dir(self.fleet.name)

    @property
    def checkpoints(self) -> str:
        """Where Ray keeps the checkpoints of the fleet's runs."""
        if self.profile.checkpoints:
            return f"{self.profile.checkpoints}/{self.fleet.name}"
        if self.profile.storage:
            return f"{self.profile.storage}/{self.fleet.name}/ray"
        return str(self.runs.absolute() / "ray")
