"""Where things lie on this machine, from the environment: nothing here changes a result."""

import getpass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from amad.config.errors import ConfigError

EXPERIMENTS = (".dvc", "tmp", "exps")  # where `dvc exp run --temp` and the queue make copies


def _here() -> Path:
    """The current folder.

    Raises:
        ConfigError: it was removed since the shell or the schedule went there.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError(
            "the current folder does not exist any more; go to the project's folder (cd), and run "
            "the command there"
        ) from None


def without_tilde(path: Path) -> Path:
    """The path with the user's folder for ``~``, which a shell replaces and other programs do not.

    Raises:
        ConfigError: nobody knows that user's folder.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(
            f"the folder that {path} begins with is not known on this machine; write it in full"
        ) from None


class Settings(BaseSettings):
    """Paths and addresses of this machine, each an environment variable ``AMAD_<NAME>``.

    A variable that is set and empty counts as not set.

    home: root of the project (default: the current folder); holds ``conf/``, ``data/``, ``runs/``.
    data_dir: folder of the real raw data; a fleet's ``source.folder`` is relative to it.
    cluster: cluster profile, a file under ``conf/cluster/``.
    mlflow_uri: tracking and registry store; default: MLFLOW_TRACKING_URI, else ``tracking_uri`` of
    the cluster profile, else SQLite in the workspace.
    """

    model_config = SettingsConfigDict(env_prefix="AMAD_", extra="ignore", env_ignore_empty=True)

    home: Path = Field(default_factory=_here)
    data_dir: Path = Path("raw")
    cluster: str = "local"
    mlflow_uri: str | None = None

    def model_post_init(self, context: object) -> None:
        """Make every path absolute, ``~`` too: Ray workers run in another folder.

        In the copy that DVC makes for a temporary experiment the copy is the home, even where
        AMAD_HOME names the project: DVC looks for a stage's outputs there.
        """
        self.home, self.data_dir = map(without_tilde, (self.home, self.data_dir))
        self.home = self.home.absolute()
        here = _here()
        project = _project_of(here)
        if project is not None and self.home.resolve() == project.resolve():
            self.home = here
        self.data_dir = (self.workspace / self.data_dir).absolute()

    @property
    def workspace(self) -> Path:
        """The project itself: of a temporary experiment the one it was copied from, else the home.

        What must outlive the copy lies there: the tracking store and the raw data.
        """
        return _project_of(self.home) or self.home

    @property
    def is_temporary(self) -> bool:
        """Is the home a copy that DVC throws away after the experiment?"""
        return self.workspace != self.home

    @property
    def conf_dir(self) -> Path:
        """Folder of the files of fleets, cluster profiles and sinks."""
        return self.home / "conf"

    @property
    def params_file(self) -> Path:
        """The file of settings that change a result."""
        return self.home / "params.yaml"

    def fleet_dir(self, fleet: str) -> Path:
        """Folder of the pipeline's artifacts for one fleet (DVC owns what is in it)."""
        return self.home / "data" / fleet

    def runs_dir(self, fleet: str) -> Path:
        """Folder of what DVC does not own: Ray checkpoints, scores, incidents, reports."""
        return self.home / "runs" / fleet


def user_name() -> str:
    """Who runs this process; ``unknown`` where a container's user id has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _project_of(folder: Path) -> Path | None:
    """The project of the temporary experiment that ``folder`` lies in; None for any other."""
    parts = folder.parts
    for n in range(len(parts) - len(EXPERIMENTS)):
        if parts[n : n + len(EXPERIMENTS)] == EXPERIMENTS:
            return Path(*parts[:n])
    return None
