"""A registry that is gone is told from one that was never there, and none is made by who reads it.

The receipt of ``register`` and the scores say whether the fleet had a champion.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlflow import MlflowClient

from amad.config import DataError, ServiceError, Settings
from amad.config.wording import registering
from amad.engines.shared.model_registry import NoModelError
from amad.engines.shared.tracking import connected
from amad.engines.shared.tracking_store import public, sqlite_file, tracking_uri
from amad.scores.receipts import RegistrationReceipt
from amad.telemetry.files import listed


@contextmanager
def existing_registry(settings: Settings, fleet: str) -> Iterator[MlflowClient]:
    """Yield a client as ``connected`` does, for a registry that is there.

    Raises:
        ServiceError: there is no SQLite file, or the body met a registry without the model of a
            fleet that had a champion; says how to bring it back or to begin anew.
    """
    file = sqlite_file(tracking_uri(settings))
    if file is not None and not file.is_file():
        raise lost_registry(settings, fleet) or ServiceError(
            f"there is no {file}, so no champion: {registering(fleet)}"
        )
    with connected(settings) as client:
        try:
            yield client
        except NoModelError as error:
            raise lost_registry(settings, fleet) or error from None


def lost_registry(settings: Settings, fleet: str) -> ServiceError | None:
    """What to tell of a registry without the model of the fleet, if it had a champion."""
    known = known_champion(settings, fleet)
    if known is None:
        return None
    uri = tracking_uri(settings)
    file = sqlite_file(uri)
    what = f"{file} and the artifacts beside it" if file else "it"
    return ServiceError(
        f"the registry of fleet {fleet} is gone: {public(uri)} has no model of it, and version "
        f"{known} was its champion; bring {what} back from a backup, or set AMAD_MLFLOW_URI if it "
        "lies elsewhere; or run 'amad register' to begin anew with version 1, after which the "
        "scores of the lost versions are set aside and their dates scored again"
    )


def known_champion(settings: Settings, fleet: str) -> str | None:
    """The newest version that scored, else the champion of the receipt."""
    folders = listed(settings.runs_dir(fleet) / "scores", "model_version=*")
    if scored := [path.name.partition("=")[2] for path in folders]:
        return max(scored, key=lambda version: (len(version), version))
    with suppress(DataError):
        receipt = RegistrationReceipt.read(settings.fleet_dir(fleet))
        return str(receipt.champion) if receipt and receipt.champion else None
    return None
