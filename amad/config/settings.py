"""Where things lie on this machine, from the environment: nothing here changes a result."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Paths and addresses of this machine, each an environment variable ``AMAD_<NAME>``.

    home: root of the project (default: the current folder); holds ``conf/``, ``data/``, ``runs/``.
    data_dir: folder of the real raw data; a fleet's ``source.folder`` is relative to it.
    cluster: cluster profile, a file under ``conf/cluster/``.
    mlflow_uri: tracking and registry store; default: SQLite in the home, or MLFLOW_TRACKING_URI.
    """

    model_config = SettingsConfigDict(env_prefix="AMAD_", extra="ignore")

    home: Path = Field(default_factory=Path.cwd)
    data_dir: Path = Path("raw")
    cluster: str = "local"
    mlflow_uri: str | None = None

    def model_post_init(self, context: object) -> None:
        """Make every path absolute: Ray workers run in another folder."""
        self.home = self.home.absolute()
        self.data_dir = (self.home / self.data_dir).absolute()

    @property
    def conf_dir(self) -> Path:
        """Folder of the fleet, cluster and scoring files."""
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
