"""MLflow's tracking store and registry: where they lie, and runs that survive a restart.

The store is a database (SQLite in the project's root by default, PostgreSQL or an MLflow server by
URI); artifacts lie beside it, or where the server keeps them. ``mlflow ui`` started in the
project's root finds the default store by itself.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from amad.config import ServiceError, Settings

CONNECT_SECONDS = 5.0  # how long an unreachable server may keep us waiting
PORTS = {"http": 80, "https": 443, "postgresql": 5432}


def connect(settings: Settings) -> MlflowClient:
    """Point MLflow at the store, create or migrate it where that is ours to do, return a client.

    The URI is ``AMAD_MLFLOW_URI``, else ``MLFLOW_TRACKING_URI``, else SQLite in the home. Another
    process (a Ray worker) connects by itself, with the same settings.

    Raises:
        ServiceError: the store does not answer or cannot be opened; names it without its password.
    """
    uri = tracking_uri(settings)
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in PORTS:
        _knock(uri, PORTS[scheme])
    elif scheme != "sqlite":
        raise ServiceError(
            f"MLflow's store {_public(uri)!r} is of no known kind; set AMAD_MLFLOW_URI to "
            "sqlite:///<absolute path>, postgresql://user:password@host/name or http(s)://host"
        )
    with _same_environment("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
    for name in ("alembic", "mlflow"):  # a line for each of 50 migrations, for each model logged
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        if scheme not in ("http", "https"):
            _prepare_database(uri, settings)
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # SQLAlchemy's, requests' and MLflow's own
        reason = " ".join(str(error).split())[:200].replace(uri, _public(uri))
        raise ServiceError(
            f"MLflow's store {_public(uri)} cannot be opened ({reason}); mend it or set "
            "AMAD_MLFLOW_URI to another one"
        ) from error
    return client


def tracking_uri(settings: Settings) -> str:
    """The store's URI, with the PostgreSQL driver that is installed here filled in."""
    default = f"sqlite:///{settings.home / 'mlflow.db'}"
    uri = settings.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI") or default
    scheme, mark, rest = uri.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if scheme in ("postgres", "postgresql") else uri


def model_name(fleet: str) -> str:
    """The registered model of a fleet."""
    return f"amad-{fleet}"


def experiment_id(client: MlflowClient, fleet: str) -> str:
    """Return the id of the fleet's experiment ``amad-<fleet>``, created or restored as needed."""
    name = f"amad-{fleet}"
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_root(client, name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was first
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


@contextmanager
def open_run(
    client: MlflowClient,
    fleet: str,
    name: str,
    tags: dict[str, str] | None = None,
    run_id: str | None = None,
    parent: str | None = None,
) -> Iterator[Run]:
    """Yield a run of the fleet's experiment; it is the active run of MLflow's fluent calls.

    ``run_id`` is resumed if it still exists in this store, else a new run begins: a receipt may be
    older than the store. ``parent`` makes it a child run. It ends FINISHED, or FAILED on an error.
    """
    experiment = experiment_id(client, fleet)
    if not run_exists(client, run_id):
        run_id = None
    with mlflow.start_run(
        run_id=run_id,
        experiment_id=experiment,
        run_name=None if run_id else name,
        nested=parent is not None,
        parent_run_id=parent,
        tags=tags,
    ) as run:
        yield run


def run_exists(client: MlflowClient, run_id: str | None) -> bool:
    """Is there such a run, not deleted?"""
    if not run_id:
        return False
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def log_settings(client: MlflowClient, run_id: str, settings: BaseModel) -> None:
    """Log a settings model as flat parameters (``train.epochs``); known ones are left alone."""
    known = client.get_run(run_id).data.params
    for key, value in flatten(settings.model_dump(mode="json")).items():
        if key not in known:
            client.log_param(run_id, key, value)


def flatten(content: dict, prefix: str = "") -> dict[str, object]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; lists stay values."""
    flat: dict[str, object] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _prepare_database(uri: str, settings: Settings) -> None:
    """Create the tables or migrate an older MLflow's, one process at a time."""
    from mlflow.store.db import utils

    path = urlsplit(uri).path
    if uri.startswith("sqlite"):
        lock = Path(f"{uri.removeprefix('sqlite:///')}.lock")
    else:
        lock = settings.home / "runs" / f"mlflow-{path.strip('/').replace('/', '-')}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, timeout=120):
        engine = utils.create_sqlalchemy_engine(uri)
        try:
            with engine.connect():  # fails at once, where MLflow's own way retries for a minute
                pass
            utils._safe_initialize_tables(engine)
            try:
                utils._verify_schema(engine)
            except MlflowException:
                if not uri.startswith("sqlite"):  # a shared database is its keeper's to migrate
                    raise
                utils._upgrade_db(engine)
        finally:
            engine.dispose()


def _artifact_root(client: MlflowClient, experiment: str) -> str | None:
    """Where artifacts lie; None where a server decides."""
    uri = client.tracking_uri
    if uri.startswith("http"):
        return None
    beside = Path(uri.removeprefix("sqlite:///")).parent if "sqlite" in uri else Settings().home
    root = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", (beside / "mlartifacts").as_uri())
    return f"{root}/{experiment}"


@contextmanager
def _same_environment(*names: str) -> Iterator[None]:
    """MLflow exports what it is told; the next ``Settings`` must not take that for the user's."""
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _knock(uri: str, port: int) -> None:
    parts = urlsplit(uri)
    address = (parts.hostname or "localhost", parts.port or port)
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ServiceError(
            f"MLflow's store {_public(uri)} does not answer ({error.strerror or error}); start it, "
            "or unset AMAD_MLFLOW_URI and MLFLOW_TRACKING_URI to use the embedded one"
        ) from None


def _public(uri: str) -> str:
    """The URI without its password."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri
