"""The champion of a fleet, as a scoring job finds it: from MLflow, or from what MLflow said last.

To start MLflow takes longer than to score what came in within a minute. So what it says of the
champion is remembered in ``runs/<fleet>/champion.json``, and counts as long as nothing was written
to MLflow's SQLite file. Every other store is asked by every job.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote, urlsplit

from amad.config import DataError, Stage
from amad.detect.detector_folder import folder_digest
from amad.engines.shared.tracking_store import SIDE_FILES, sqlite_file, tracking_uri
from amad.telemetry.artifact import Artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHANGES = slice(24, 28)  # of SQLite's header: a counter of the changes, see its file format, 1.3.7


class Champion(Artifact):
    """What the registry says of the champion.

    version: its number. digest: of its detector. scores_from: the first date that is scored without
    being asked for. digests: of the detectors of all versions. store, state, folder: when this may
    be used again: the SQLite file, what it was when it was asked, and where the detector lies.
    """

    FILE: ClassVar[str] = "champion.json"
    REMEDY: ClassVar[str] = "delete it; MLflow is then asked"
    SEALED: ClassVar[bool] = True

    version: str
    digest: str
    scores_from: date
    digests: dict[str, str]
    store: str = ""
    state: list[int] = []
    folder: Path | None = None


@contextmanager
def champion_of(stage: Stage) -> Iterator[tuple[Champion, Path]]:
    """Yield the champion and the folder of its detector, whose files are those registered.

    Raises:
        LostError: its artifacts are gone, or are not those that were registered.
        ServiceError: the fleet has no champion, or the registry does not answer.
    """
    file = sqlite_file(tracking_uri(stage.settings))
    state = _state(file)
    known = _remembered(stage.runs, file, state)
    if known is not None and known.folder is not None:
        yield known, known.folder
        return
    from amad.engines.shared import model_registry as registry
    from amad.engines.shared.lost_registry import existing_registry

    with existing_registry(stage.settings, stage.fleet.name) as client:
        version = registry.champion_version(client, stage.fleet.name)
        found = Champion(
            version=str(version.version),
            digest=registry.digest_of(version),
            scores_from=registry.scores_from(version),
            digests=registry.digests(client, stage.fleet.name),
        )
    with registry.fetched(client, version) as folder:
        place = _local_folder(client, version, folder)
        if state and place is not None:
            when = {"store": str(file), "state": state, "folder": place}
            found.model_copy(update=when).write(stage.runs)
        yield found, folder


def _local_folder(client: "MlflowClient", version: "ModelVersion", fetched: Path) -> Path | None:
    """Where the detector lies that was fetched; None where that is no folder of this machine."""
    uri = urlsplit(client.get_model_version_download_uri(version.name, version.version))
    if uri.scheme != "file" or uri.netloc:
        return None
    return Path(unquote(uri.path)) / "data" / fetched.name


def _remembered(runs: Path, file: Path | None, state: list[int]) -> Champion | None:
    """What is remembered, if it is still what MLflow would say, and its detector is as it was."""
    with suppress(DataError, OSError):
        known = Champion.read(runs) if state else None
        if known and known.folder and (known.store, known.state) == (str(file), state):
            return known if folder_digest(known.folder) == known.digest else None
    return None


def _state(file: Path | None) -> list[int]:
    """What tells whether the database was changed; empty where nothing does."""
    try:
        if file is None or any(Path(f"{file}{suffix}").exists() for suffix in SIDE_FILES):
            return []
        with file.open("rb") as opened:
            changes = int.from_bytes(opened.read(CHANGES.stop)[CHANGES])
        about = file.stat()
    except OSError:
        return []
    return [about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns, changes]
