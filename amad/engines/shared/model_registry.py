"""Reading the model registry of a fleet: versions, aliases and the detector of a version.

``@challenger`` points at the newest candidate, ``@champion`` at the version that scores, and
``@previous`` at the champion before. The tags of a version say what it was made of.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import overload

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from amad.config import AmadError, ServiceError, usable_error
from amad.config.wording import registering
from amad.detect.detector_folder import CONTENT, folder_digest
from amad.engines.shared.tracking import model_name, no_mlflow, public_reason
from amad.engines.shared.tracking_store import public
from amad.telemetry.files import full_disk_named
from amad.telemetry.temporary import temporary_folder

DIGEST, DATA_HASH = "detector_digest", "data_hash"  # tags: which detector, fitted on which data
TEST_START = "test_start"  # tag: the first date of the test part
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model; no such alias
# How a folder reports that artifacts are no longer there; then a server and an object store.
GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, StopIteration)
NOT_FOUND = ("No such artifact", "404 Client Error", "(404) when calling", "NoSuchKey")


class LostError(ServiceError):
    """What the registry names was deleted, lost or damaged; a second attempt does not help."""


class NoModelError(ServiceError):
    """The registry has no model of the fleet at all: none was made so far, or it is gone."""


def no_version(client: MlflowClient, fleet: str, why: str) -> ServiceError:
    """The error where a version is missing; ``NoModelError`` if the fleet has no model at all."""
    return (ServiceError if has_model(client, fleet) else NoModelError)(why)


def has_model(client: MlflowClient, fleet: str) -> bool:
    """Was a version of the fleet ever registered here? Also true where all of them were deleted."""
    return bool(client.search_registered_models(f"name = '{model_name(fleet)}'"))


def versions_of(client: MlflowClient, fleet: str, condition: str = "") -> list[ModelVersion]:
    """All versions of the fleet's model, or those that meet a ``condition`` on their tags."""
    return list(client.search_model_versions(f"name = '{model_name(fleet)}'{condition}"))


def alias_version(client: MlflowClient, fleet: str, alias: str) -> ModelVersion | None:
    """The version that ``alias`` points at; None where there is none.

    Raises:
        LostError: it points at a version that was deleted.
        ServiceError: the registry does not answer. It must not be mistaken for a registry without
            a champion, or the next candidate would be promoted.
    """
    name = model_name(fleet)
    try:
        return _whole(client, client.get_model_version_by_alias(name, alias))
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


def _whole(client: MlflowClient, version: ModelVersion) -> ModelVersion:
    """The version that a server answered with, after a check that the answer holds one.

    Raises:
        ServiceError: it does not, as the answer of something else in the server's place.
    """
    if not version.version:
        raise no_mlflow(client.tracking_uri) or ServiceError(
            f"the registry {public(client.tracking_uri)} answered without the version that it was "
            "asked for; see that the address is right, then run the command again"
        )
    return version


def standing(client: MlflowClient, fleet: str, alias: str) -> ModelVersion | None:
    """Like ``alias_version``, but None for a deleted version, as the alias is about to be moved."""
    try:
        return alias_version(client, fleet, alias)
    except LostError:
        return None


@overload
def version_number(version: ModelVersion) -> int: ...


@overload
def version_number(version: ModelVersion | None) -> int | None: ...


def version_number(version: ModelVersion | None) -> int | None:
    """The version's number; MLflow returns text or an integer, depending on the request."""
    return None if version is None else int(version.version)


def version_title(version: ModelVersion) -> str:
    """``amad-demo version 3``, as messages name it."""
    return f"{version.name} version {version.version}"


def champion_version(client: MlflowClient, fleet: str) -> ModelVersion:
    """The champion.

    Raises:
        ServiceError: the registry has none for this fleet.
    """
    version = alias_version(client, fleet, CHAMPION)
    if version is None:
        raise no_version(
            client,
            fleet,
            f"fleet {fleet} has no champion in {public(client.tracking_uri)}; "
            f"{registering(fleet)}, or 'amad promote VERSION' if there are versions that were "
            "refused",
        )
    return version


def get_version(client: MlflowClient, fleet: str, version: str) -> ModelVersion:
    """One version by number.

    Raises:
        ServiceError: there is no such version; the message lists the versions that exist.
    """
    name = model_name(fleet)
    try:
        return _whole(client, client.get_model_version(name, str(version)))
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        known = sorted(version_number(v) for v in versions_of(client, fleet))
        raise no_version(
            client,
            fleet,
            f"model {name} has no version {version}; it has "
            f"{', '.join(map(str, known)) or 'none: run amad register'}",
        ) from None


def digests(client: MlflowClient, fleet: str) -> dict[str, str]:
    """The digest of each version's detector, by version number."""
    found = versions_of(client, fleet)
    return {str(v.version): v.tags[DIGEST] for v in found if DIGEST in v.tags}


def digest_of(version: ModelVersion) -> str:
    """The digest of the version's detector.

    Raises:
        ServiceError: the version was not registered by amad, or the tag was removed.
    """
    if DIGEST not in version.tags:
        raise ServiceError(
            f"{version_title(version)} has no tag {DIGEST}: it was not made by "
            "'amad register', or somebody removed the tag; take another version with 'amad "
            "promote VERSION', or run 'amad register' to register the detector anew"
        )
    return version.tags[DIGEST]


def scores_from(version: ModelVersion) -> date:
    """The first date that is scored without being asked for: the first one of the test part.

    Raises:
        ServiceError: the tag was removed or changed.
    """
    tag = version.tags.get(TEST_START)
    try:
        return date.fromisoformat(tag or "")
    except ValueError:
        raise ServiceError(
            f"{version_title(version)} has the tag {TEST_START}={tag!r}, which "
            "must be the first date to score, such as 2026-01-31; set it in MLflow, or take "
            "another version with 'amad promote'"
        ) from None


@contextmanager
def fetched(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """Yield the detector folder of a version, in a temporary folder that is removed afterwards.

    The digest of the files is compared with the one noted at registration: after the loss of a
    store the same number may belong to another detector, and files can be damaged.

    Raises:
        LostError: the artifacts are gone, or are not those that were registered.
        ServiceError: the artifact store does not answer.
    """
    with temporary_folder("detector") as folder:
        try:
            with full_disk_named(folder / "data"):
                uri = client.get_model_version_download_uri(version.name, version.version)
                data = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"{uri}/data", dst_path=str(folder)
                )
                found = next(p for p in Path(data).iterdir() if (p / CONTENT).is_file())
                digest = folder_digest(found)
        except Exception as error:  # whatever the artifact store's client raises
            raise _unread(client, version, error) from error
        wanted = version.tags.get(DIGEST)
        if digest != wanted:
            raise no_mlflow(client.tracking_uri) or LostError(
                f"the detector of {version_title(version)} has the digest "
                f"{digest}, and {wanted or 'none'} was registered: {uri} was damaged or replaced; "
                "bring a backup of it back, take another version with 'amad promote' or 'amad "
                "rollback', or run 'amad register' to register the detector anew"
            )
        yield found


def _unread(client: MlflowClient, version: ModelVersion, error: Exception) -> AmadError:
    """Why the artifacts of a version were not fetched: they are gone, or the store is not there."""
    if (other := no_mlflow(client.tracking_uri)) is not None:
        return other
    why = public_reason(error, client.tracking_uri) or "no detector lies there"
    what = f"the artifacts of {version_title(version)} cannot be read"
    if isinstance(error, GONE) or any(words in str(error) for words in NOT_FOUND):
        return LostError(
            f"{what} ({why}); bring the artifact store back, or take the version's aliases away "
            "in MLflow and run 'amad register'"
        )
    return usable_error(error) or ServiceError(
        f"{what} from {public(client.tracking_uri)} ({why}); run the command again once the store "
        "answers"
    )
