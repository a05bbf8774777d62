"""Writing to the model registry: a new version, its tags, and the moves of aliases.

A version is a detector folder logged as a pyfunc without pickle. Every move of an alias is noted
on the registered model: who moved it, when and why.
"""

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import amad
from amad.config import Fleet
from amad.config.settings import user_name
from amad.engines.shared.model_registry import (
    DATA_HASH,
    DIGEST,
    LostError,
    fetched,
    get_version,
    standing,
    version_number,
    versions_of,
)
from amad.engines.shared.tracking import model_name

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION_LIMIT = 5000  # characters, of MLflow's database column
CLIPPED = "(the whole card: artifact model_card.md)"  # at the end of a description that was cut
REQUIREMENTS = (
    "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "pydantic-settings", "pyyaml",
    "safetensors", "scipy", "threadpoolctl", "torch",
)  # fmt: skip


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
    artifact of the model and the version's description. tags: of the version. metadata: for the
    MLmodel file.
    """
    name = model_name(fleet.name)
    known = {version_number(version) for version in _same(client, fleet.name, tags)}
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
    first = _first_of_these(client, fleet.name, tags, known, made)
    if version_number(first) != version_number(made):
        client.delete_model_version(name, made.version)
        return first
    named = [{"name": name, "version": str(made.version)}]  # the model's own page then shows it
    client.set_logged_model_tags(info.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(named)})
    return made


def _first_of_these(
    client: MlflowClient, fleet: str, tags: dict[str, str], known: set[int], made: ModelVersion
) -> ModelVersion:
    """``made``, or the same that another machine registered just before: MLflow has no lock."""
    rivals = [v for v in _same(client, fleet, tags) if version_number(v) not in known]
    return min(rivals, key=version_number, default=made)


def signature(fleet: Fleet) -> ModelSignature:
    """Input: lake rows with their vehicle; output: score rows.

    The input columns have a name and any type: frames hold times and numbers in many types, most
    of which MLflow's own types would refuse before the model sees them. ``pyfunc_model`` says how
    the model reads them. A channel may be left out where no vehicle of the frame has it.
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
            ColSpec(DataType.float, "threshold", required=False),
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

    Of several, the newest that the gate has judged is taken. Versions that it has not judged and
    that have no alias are deleted: such a double appears when the answer to a request is lost and
    the request is sent again.

    Raises:
        ServiceError: the artifact store does not answer. It must not be mistaken for lost
            artifacts, or the same detector would be registered twice.
    """
    same = sorted(_same(client, fleet, tags), key=version_number)
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
        # The result of a search holds no aliases, so the version is read again.
        if double != version and not get_version(client, fleet, double.version).aliases:
            client.delete_model_version(double.name, double.version)
    return version


def _same(client: MlflowClient, fleet: str, tags: dict[str, str]) -> list[ModelVersion]:
    """The versions of the detector and the data that ``tags`` name."""
    wanted = "".join(f" and tags.`{key}` = '{tags[key]}'" for key in (DIGEST, DATA_HASH))
    return versions_of(client, fleet, wanted)


def move_alias(client: MlflowClient, fleet: str, alias: str, version: str, why: str) -> None:
    """Point ``alias`` at ``version`` and note who did it, when and why."""
    name = model_name(fleet)
    before = standing(client, fleet, alias)
    if version_number(before) == int(version):
        return
    client.set_registered_model_alias(name, alias, str(version))
    now, past = datetime.now(UTC), f"version {before.version}" if before else "none"
    text = f"{past} -> version {version}, by {person()}, {now:%Y-%m-%d %H:%M:%S} UTC: {why}"
    key = f"{alias} moved {now:%Y%m%dT%H%M%S.%f}"
    client.set_registered_model_tag(name, key, text[:DESCRIPTION_LIMIT])
    for key, value in tenure(alias, now, why).items():
        client.set_model_version_tag(name, str(version), key, value)


def tenure(alias: str, now: datetime, why: str) -> dict[str, str]:
    """The tags that say since when a version has an alias, who gave it, and why."""
    about = {"since": f"{now:%Y-%m-%d %H:%M:%S}", "by": person(), "why": why}
    return {f"{alias}_{key}": value for key, value in about.items()}


def set_tags(client: MlflowClient, version: ModelVersion, tags: Mapping[str, object]) -> None:
    """Set tags of a version; numbers and lists become text."""
    for key, value in tags.items():
        text = value if isinstance(value, str) else json.dumps(value)
        client.set_model_version_tag(version.name, version.version, key, text)


def clip(card: str) -> str:
    """The card as a description: cut to the limit, with a note where the whole card is."""
    note = f"\n\n{CLIPPED}"
    if len(card) <= DESCRIPTION_LIMIT:
        return card
    return card[: DESCRIPTION_LIMIT - len(note)].rpartition("\n")[0] + note


def person() -> str:
    """Who runs this command: user@machine."""
    return f"{user_name()}@{socket.gethostname()}"
