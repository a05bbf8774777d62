"""MLflow's tracking store and registry: a client, and runs that can be continued.

The store is a database: SQLite in the project's root by default, or PostgreSQL or an MLflow server
by URI. Artifacts are beside it, or where the server keeps them. ``mlflow ui``, started in the
project's root, finds the default store.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
import sqlalchemy.exc
from mlflow import MlflowClient
from mlflow.entities import Param, Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from amad.config import AmadError, ServiceError, Settings, usable_error
from amad.config.console import waiting_for
from amad.engines.shared.tracking_store import (
    artifact_root,
    kind_of,
    make_usable,
    public,
    tracking_uri,
)

# How long a request may wait, and how often it is repeated: after the server has answered once, and
# before. MLflow's own limits add up to a quarter of an hour. What a person has put into the
# environment comes first.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "PGCONNECT_TIMEOUT": "10",
}
FIRST_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
# The error codes of a store that fails; other codes mean that the request was wrong.
FAILURES = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "BAD_REQUEST", "REQUEST_LIMIT_EXCEEDED")
NO_ANSWER = re.compile(r"Read timed out.*read timeout=(\d+)")  # of requests
DAMAGED = "bring a backup of the file back"
WAYS_OUT = {  # by the words of SQLite's message
    "disk is full": "free some space on its disk",
    "readonly database": "give the user who runs amad the right to write it",
    "database is locked": "wait until the program that is writing to it has ended, or stop it",
    "disk image is malformed": DAMAGED,
    "file is not a database": DAMAGED,
}
STORE_ERRORS = (MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException)
ASK_SECONDS = 5.0  # the longest wait for a server's version
REASON_START, REASON_END = 200, 150  # characters; the cause of an error often stands at its end
PARAMS_AT_ONCE = 100  # what MLflow takes in one request
# Tells MLflow's pages that this is classic machine learning and not a language model.
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"


def connect(settings: Settings) -> MlflowClient:
    """Point MLflow at the store, create or migrate it if needed, and return a client.

    The URI is ``AMAD_MLFLOW_URI``, else ``MLFLOW_TRACKING_URI``, else that of the cluster profile,
    else SQLite in the home. Every process, such as a Ray worker, must connect itself.

    Raises:
        ServiceError: the store does not answer or cannot be opened; names it without its password.
    """
    uri = tracking_uri(settings)
    first = {
        name: value
        for name, value in FIRST_PATIENCE.items()
        if os.environ.get(name, PATIENCE[name]) == PATIENCE[name]
    }
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow"):  # they log a line for each of 50 migrations and each model
        logging.getLogger(name).setLevel(logging.WARNING)
    # It logs a traceback for each error that it raises; here the message of the error is enough.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        with waiting_for(f"ask MLflow's store {public(uri)}"):
            make_usable(uri)
            with _same_environment("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
                mlflow.set_tracking_uri(uri)
                mlflow.set_registry_uri(uri)
            with _same_environment(*FIRST_PATIENCE):
                os.environ.update(first)
                client = MlflowClient(uri, uri)
                found = client.search_experiments(max_results=1)
        if not found and (other := no_mlflow(uri)) is not None:
            raise other
    except AmadError:
        raise
    except Exception as error:  # SQLAlchemy's, requests' and MLflow's own
        reason = public_reason(error, uri)
        silent = NO_ANSWER.search(str(error))  # a server that is silent says no version either
        raise (None if silent else no_mlflow(uri)) or ServiceError(
            f"MLflow's store {public(uri)} cannot be opened ({reason}); "
            f"{_way_out(error)}, or set AMAD_MLFLOW_URI to another one"
        ) from error
    return client


@contextmanager
def connected(settings: Settings) -> Iterator[MlflowClient]:
    """Yield a client as ``connect`` returns it, under ``told``."""
    client = connect(settings)
    with told(client.tracking_uri):
        yield client


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turn the errors of a store that fails during the work into a ServiceError.

    Raises:
        ServiceError: the store stopped answering, answered with an error of its own, or something
            else answers in its place.
    """
    try:
        yield
    except Exception as error:
        if usable_error(error) is not None:
            raise
        if (other := no_mlflow(uri)) is not None:
            raise other from error
        if not isinstance(error, STORE_ERRORS):
            raise
        if isinstance(error, MlflowException) and error.error_code not in FAILURES:
            raise
        reason = public_reason(error, uri)
        raise ServiceError(
            f"MLflow's store {public(uri)} failed during the work ({reason}); "
            f"{_way_out(error)}, then run the command again: what is done is kept"
        ) from error


def no_mlflow(uri: str) -> ServiceError | None:
    """What to tell where something else than MLflow answers at a server's address, such as a proxy.

    Its answer may be JSON without what was asked for, which MLflow's client takes for empty ids.
    """
    if kind_of(uri) not in ("http", "https"):
        return None
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=ASK_SECONDS)
    except requests.RequestException:
        return None
    if answer.status_code != requests.codes.ok or re.match(r"\d+\.\d", answer.text):
        return None
    text = " ".join(answer.text.split())[:REASON_END]
    return ServiceError(
        f"what answers at {public(uri)} is no MLflow server: asked for its version, it says "
        f"{text!r}; see that the address is right and that no proxy answers in the server's place, "
        "then run the command again"
    )


def model_name(fleet: str) -> str:
    """The registered model of a fleet."""
    return f"amad-{fleet}"


def experiment_id(client: MlflowClient, fleet: str) -> str:
    """Return the id of the fleet's experiment ``amad-<fleet>``, created or restored as needed."""
    name = model_name(fleet)
    found = client.get_experiment_by_name(name)
    if found is None:
        root = artifact_root(client.tracking_uri, Settings())
        place = None if root is None else f"{root}/{name}"
        try:
            return client.create_experiment(name, place, tags={KIND_TAG: KIND})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was first
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if KIND_TAG not in found.tags:  # of an older amad
        client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
    return found.experiment_id


@contextmanager
def open_run(
    client: MlflowClient,
    fleet: str,
    name: str,
    tags: dict[str, str] | None = None,
    run_id: str | None = None,
) -> Iterator[Run]:
    """Yield a run of the fleet's experiment; it is the active run of MLflow's fluent calls.

    ``run_id`` is continued if it exists in this store; a receipt may be older than the store, and
    then a new run begins. It ends FINISHED, or FAILED on an error.

    Raises:
        ServiceError: the store failed while the run was open.
    """
    with told(client.tracking_uri):
        experiment = experiment_id(client, fleet)
        if not run_exists(client, run_id):
            run_id = None
        with mlflow.start_run(
            run_id=run_id,
            experiment_id=experiment,
            run_name=None if run_id else name,
            tags=tags,
        ) as run:
            yield run


def find_run(client: MlflowClient, fleet: str, tags: dict[str, str]) -> Run | None:
    """The newest run of the fleet with these tags; None if this store has none."""
    found = client.search_runs(
        [experiment_id(client, fleet)],
        " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items()),
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return found[0] if found else None


def run_exists(client: MlflowClient, run_id: str | None) -> bool:
    """Is there such a run, not deleted?"""
    if not run_id:
        return False
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code in FAILURES:
            raise
        return False


def log_settings(client: MlflowClient, run_id: str, settings: BaseModel) -> None:
    """Log settings as flat parameters (``train.epochs``), except those that are logged already."""
    known = client.get_run(run_id).data.params
    flat = flatten(settings.model_dump(mode="json"))
    new = [Param(key, str(value)) for key, value in flat.items() if key not in known]
    for start in range(0, len(new), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=new[start : start + PARAMS_AT_ONCE])


def flatten(content: dict, prefix: str = "") -> dict[str, object]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; lists stay values."""
    flat: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@contextmanager
def _same_environment(*names: str) -> Iterator[None]:
    """Restore variables that MLflow sets; the next ``Settings`` would read them as the user's."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def public_reason(error: Exception, uri: str) -> str:
    """The error's message without the password of the store's URI, its middle left out if long."""
    if waited := NO_ANSWER.search(str(error)):
        return f"it gave no answer within {waited[1]} s; see MLFLOW_HTTP_REQUEST_TIMEOUT"
    reason = " ".join(str(error).partition("(Background on this error")[0].split())
    reason = reason.replace(uri, public(uri))
    if len(reason) <= REASON_START + REASON_END:
        return reason
    return f"{reason[:REASON_START]} ... {reason[-REASON_END:]}"


def _way_out(error: Exception) -> str:
    told = (way for words, way in WAYS_OUT.items() if words in str(error))
    return next(told, "see that it answers")
