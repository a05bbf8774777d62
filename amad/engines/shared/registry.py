"""The model registry of a fleet: versions, their lineage, and the aliases that point at them.

A version is a detector folder logged as a pickle-free pyfunc. Its tags say what it was made of;
``@challenger`` is the newest candidate, ``@champion`` scores, ``@previous`` was champion before.
Every move of an alias is written down on the registered model: who, when, why.
"""

import getpass
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, overload

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import amad
from amad.config import AmadError, Fleet, ServiceError, usable_error
from amad.detect.storage import folder_digest
from amad.engines.shared.tracking import model_name, public_reason
from amad.engines.shared.tracking_store import public
from amad.telemetry.files import full_disk_named

if TYPE_CHECKING:
    import pandas as pd

DIGEST, DATA_HASH = "detector_digest", "data_hash"  # tags: what a version is, of which data
TEST_START = "test_start"  # tag: the first date of its test part
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DESCRIPTION_LIMIT = 5000  # of MLflow's database column
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model; no such alias
# What artifacts that are no longer there are told with, by a folder and by a server.
GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, StopIteration)
NOT_FOUND = ("No such artifact", "404 Client Error")
REQUIREMENTS = (
    "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pydantic-settings", "pyyaml",
    "safetensors", "torch",
)  # fmt: skip


class LostError(ServiceError):
    """What the registry names is deleted, gone or damaged: asking again does not bring it back."""


def log_detector(
    client: MlflowClient,
    fleet: Fleet,
    detector: Path,
    *,
    run_id: str,
    example: "pd.DataFrame",
    card: str,
    tags: dict[str, str],
    metadata: dict,
) -> ModelVersion:
    """Log the detector folder as a pyfunc of the active run and register it as a new version.

    example: rows of the lake with a vehicle column, the model's input example. card: Markdown, an
    artifact of the model and the version's description. tags: of the version. metadata: into the
    MLmodel file.
    """
    name = model_name(fleet.name)
    known = {number(version) for version in _same(client, fleet.name, tags)}
    info = mlflow.pyfunc.log_model(
        name="detector",
        loader_module="amad.engines.register.pyfunc_model",
        data_path=str(detector),
        code_paths=[str(Path(amad.__file__).parent)],
        signature=signature(fleet),
        input_example=example,
        pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
        metadata=metadata,
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model_card.md"
        file.write_text(card, encoding="utf-8")
        client.log_model_artifact(info.model_id, str(file))
    try:
        client.create_registered_model(name, description=fleet.description or None)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name,
        source=info.model_uri,
        run_id=run_id,
        tags=tags | {"model_id": info.model_id},
        description=clip(card),
        model_id=info.model_id,
    )
    # Where a store has no lock to offer, another machine may have registered the same just now.
    rivals = [v for v in _same(client, fleet.name, tags) if number(v) not in known]
    first = min(rivals, key=number, default=made)
    if number(first) != number(made):
        client.delete_model_version(name, made.version)
        return first
    named = [{"name": name, "version": str(made.version)}]  # the model's own page then shows it
    client.set_logged_model_tags(info.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(named)})
    return made


def signature(fleet: Fleet) -> ModelSignature:
    """Input: lake rows with their vehicle; output: score rows.

    What frames hold for numbers and times is many things (integers, booleans, text, a zone or
    none), of which MLflow's own types refuse most before the model sees them. So the columns are
    named and of any type, and the model reads them by the rules of ``pyfunc_model``. A channel may
    be left out where no vehicle of the frame has it.
    """
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), "vehicle"),
        ColSpec(AnyType(), "timestamp"),
    ]
    inputs += [ColSpec(AnyType(), name, required=False) for name in fleet.channel_names]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema([
            ColSpec(DataType.string, "vehicle", required=False),
            ColSpec(DataType.datetime, "timestamp", required=False),
            ColSpec(DataType.float, "score", required=False),
            ColSpec(DataType.boolean, "alarm"),
            ColSpec(DataType.boolean, "imputed"),
            ColSpec(DataType.string, "status"),
            ColSpec(Array(DataType.string), "top_channels", required=False),
            ColSpec(Array(DataType.float), "top_shares", required=False),
            ColSpec(DataType.string, "message", required=False),
        ]),
    )  # fmt: skip


def find_version(client: MlflowClient, fleet: str, tags: dict[str, str]) -> ModelVersion | None:
    """The version of this detector and data (``tags``) whose artifacts are still whole.

    Of several the newest that the gate has judged. Others that it has not judged, and no alias
    names, are deleted: they come of a request that was carried out and sent again, since its answer
    was lost.

    Raises:
        ServiceError: the artifact store does not answer. Taken for "gone", that would register the
            same detector twice.
    """
    same = sorted(_same(client, fleet, tags), key=number)
    judged = [version for version in same if "gate_decision" in version.tags]
    fresh = [version for version in same if version not in judged]
    for version in judged[::-1] + fresh:
        try:
            with fetched(client, version):
                break
        except LostError:
            continue
    else:
        return None
    for double in fresh:
        # A search does not tell the aliases of a version.
        if double != version and not get_version(client, fleet, double.version).aliases:
            client.delete_model_version(double.name, double.version)
    return version


def _same(client: MlflowClient, fleet: str, tags: dict[str, str]) -> list[ModelVersion]:
    """The versions of the detector and the data that ``tags`` name."""
    wanted = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in (DIGEST, DATA_HASH))
    return list(client.search_model_versions(f"name = '{model_name(fleet)}' and {wanted}"))


def alias_version(client: MlflowClient, fleet: str, alias: str) -> ModelVersion | None:
    """The version that ``alias`` points at; None where there is none.

    Raises:
        LostError: it points at a version that was deleted.
        ServiceError: the registry does not answer. Taken for "no champion", that would promote.
    """
    name = model_name(fleet)
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise ServiceError(
                f"the registry {public(client.tracking_uri)} does not say where {alias} of {name} "
                f"points ({public_reason(error, client.tracking_uri)}); run the command again "
                "once it answers"
            ) from error
    try:
        lost = client.get_registered_model(name).aliases.get(alias)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise
    if lost is None:
        return None
    raise LostError(
        f"the alias {alias} of {name} points at version {lost}, which was deleted; name another "
        "one with 'amad promote VERSION', or take the alias away in MLflow and run 'amad register'"
    )


def standing(client: MlflowClient, fleet: str, alias: str) -> ModelVersion | None:
    """As ``alias_version``, and None also of a deleted version: for whoever moves the alias."""
    try:
        return alias_version(client, fleet, alias)
    except LostError:
        return None


@overload
def number(version: ModelVersion) -> int: ...


@overload
def number(version: ModelVersion | None) -> int | None: ...


def number(version: ModelVersion | None) -> int | None:
    """Its number; MLflow gives text or an integer, by the way it was asked."""
    return None if version is None else int(version.version)


def champion_version(client: MlflowClient, fleet: str) -> ModelVersion:
    """The champion.

    Raises:
        ServiceError: the registry has none for this fleet.
    """
    version = alias_version(client, fleet, CHAMPION)
    if version is None:
        raise ServiceError(
            f"fleet {fleet} has no champion in {public(client.tracking_uri)}; run "
            "'amad register', or 'amad promote VERSION' if there are versions that were refused"
        )
    return version


def get_version(client: MlflowClient, fleet: str, version: str) -> ModelVersion:
    """One version by number.

    Raises:
        ServiceError: there is no such version; lists those there are.
    """
    name = model_name(fleet)
    try:
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        known = sorted(int(v.version) for v in client.search_model_versions(f"name = '{name}'"))
        raise ServiceError(
            f"model {name} has no version {version}; it has "
            f"{', '.join(map(str, known)) or 'none: run amad register'}"
        ) from None


def digests(client: MlflowClient, fleet: str) -> dict[str, str]:
    """The digest of each version's detector, by number."""
    found = client.search_model_versions(f"name = '{model_name(fleet)}'")
    return {str(v.version): v.tags[DIGEST] for v in found if DIGEST in v.tags}


def scores_from(version: ModelVersion) -> date:
    """The first date that a version scores by itself: that of its test part.

    Raises:
        ServiceError: its tag was taken away or changed.
    """
    told = version.tags.get(TEST_START)
    try:
        return date.fromisoformat(told or "")
    except ValueError:
        raise ServiceError(
            f"{version.name} version {version.version} has the tag {TEST_START}={told!r}, which "
            "must be the first date to score, such as 2026-01-31; set it in MLflow, or take "
            "another version with 'amad promote'"
        ) from None


@contextmanager
def fetched(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """Yield the detector folder of a version, downloaded into a folder that is removed after.

    Its files are compared with the digest that was noted when the version was registered: a number
    alone does not tell two versions apart once a store was lost, nor a damaged one from a sound.

    Raises:
        LostError: the artifacts are gone, or are not those that were registered.
        ServiceError: the artifact store does not answer.
    """
    with TemporaryDirectory(prefix="amad-detector-") as folder:
        try:
            with full_disk_named(Path(folder) / "data"):
                uri = client.get_model_version_download_uri(version.name, version.version)
                data = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{uri}/data", dst_path=folder
                )
                found = next(p for p in Path(data).iterdir() if p.is_dir())
                digest = folder_digest(found)
        except Exception as error:  # whatever the artifact store's client raises
            raise _unread(client, version, error) from error
        wanted = version.tags.get(DIGEST)
        if digest != wanted:
            raise LostError(
                f"the detector of {version.name} version {version.version} has the digest "
                f"{digest}, and {wanted or 'none'} was registered: {uri} was damaged or replaced; "
                "bring a backup of it back, take another version with 'amad promote' or 'amad "
                "rollback', or run 'amad register' to register the detector anew"
            )
        yield found


def _unread(client: MlflowClient, version: ModelVersion, error: Exception) -> AmadError:
    """Why the artifacts of a version were not fetched: gone, or not to be had just now."""
    why = public_reason(error, client.tracking_uri)
    what = f"the artifacts of {version.name} version {version.version} cannot be read"
    if isinstance(error, GONE) or any(words in str(error) for words in NOT_FOUND):
        return LostError(
            f"{what} ({why}); bring the artifact store back, or take the version's aliases away "
            "in MLflow and run 'amad register'"
        )
    return usable_error(error) or ServiceError(
        f"{what} from {public(client.tracking_uri)} ({why}); run the command again once the store "
        "answers"
    )


def move_alias(client: MlflowClient, fleet: str, alias: str, version: str, why: str) -> None:
    """Point ``alias`` at ``version`` and write down who did it, when and why."""
    name = model_name(fleet)
    before = standing(client, fleet, alias)
    if number(before) == int(version):
        return
    client.set_registered_model_alias(name, alias, str(version))
    now = datetime.now(UTC)
    past = f"version {before.version}" if before else "none"
    text = f"{past} -> version {version}, by {person()}, {now:%Y-%m-%d %H:%M:%S} UTC: {why}"
    key = f"{alias} moved {now:%Y%m%dT%H%M%S.%f}"
    client.set_registered_model_tag(name, key, text[:DESCRIPTION_LIMIT])
    client.set_model_version_tag(name, str(version), f"{alias}_since", f"{now:%Y-%m-%d %H:%M:%S}")
    client.set_model_version_tag(name, str(version), f"{alias}_by", person())
    client.set_model_version_tag(name, str(version), f"{alias}_why", why)


def set_tags(client: MlflowClient, version: ModelVersion, tags: Mapping[str, object]) -> None:
    """Set tags of a version; numbers and lists become text."""
    for key, value in tags.items():
        text = value if isinstance(value, str) else json.dumps(value)
        client.set_model_version_tag(version.name, version.version, key, text)


def clip(card: str, limit: int = DESCRIPTION_LIMIT) -> str:
    """The card as a description: cut where the database cuts, saying where the whole is."""
    note = "\n\n(the whole card: artifact model_card.md)"
    if len(card) <= limit:
        return card
    return card[: limit - len(note)].rpartition("\n")[0] + note


def person() -> str:
    """Who does this: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def git_state(home: Path) -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` of the project, ``none`` outside a repository.

    What the pipeline itself writes for git to keep, figures and hashes, does not make it dirty.
    """
    own = ("--", ".", ":(exclude)data", ":(exclude)dvc.lock")
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(home), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", *own))
        )
    except (OSError, subprocess.CalledProcessError):
        return {"git_commit": "none", "git_dirty": "none"}
    return {"git_commit": commit, "git_dirty": "true" if status else "false"}
