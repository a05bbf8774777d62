"""MLflow's store: where it is, and how its database is created or migrated as a whole.

An SQLite store is created (or migrated, after an update of MLflow) in a file beside its final place
and renamed, so a kill or a full disk leaves what was there before. PostgreSQL does the same in one
transaction. A half-made store of a creation that was cut short is recognised and created again, as
long as nothing was ever logged to it.
"""

import glob
import os
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from amad.config import ServiceError, Settings
from amad.config.cluster import load_cluster
from amad.telemetry.files import staged

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

CONNECT_SECONDS = 5.0  # the longest wait for a server that does not answer
CREATE_SECONDS = 120.0  # the longest wait for another process to create or migrate the store
QUIET_SECONDS = 3.0  # a half-made file written more recently is being made by another process
PORTS = {"http": 80, "https": 443, "postgresql": 5432}
# Tables in which MLflow itself writes a first row, with the condition for all other rows.
SEEDED = {"experiments": "experiment_id != 0", "workspaces": "name != 'default'"}
WORKING = ("sqlite_", "_alembic_tmp_")  # prefixes of tables without data of a user
UNKNOWN_VERSION = "Can't locate revision"  # what alembic says about tables newer than it knows
SIDE_FILES = ("-journal", "-wal", "-shm")  # of SQLite, beside the database


def tracking_uri(settings: Settings) -> str:
    """The store's URI, with the PostgreSQL driver that is installed here filled in."""
    default = sqlite_uri(settings.workspace / "mlflow.db")
    named = settings.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI")
    uri = named or load_cluster(settings).tracking_uri or default
    scheme, mark, rest = uri.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if scheme in ("postgres", "postgresql") else uri


def sqlite_uri(file: Path) -> str:
    """The URI of an SQLite store at ``file``.

    Only the characters that SQLAlchemy would decode are encoded, because MLflow creates the folder
    exactly as it stands in the URI.
    """
    path = re.sub("%(?=[0-9a-fA-F]{2})", "%25", str(file)).replace("?", "%3F")
    return f"sqlite:///{path}"


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for another kind of store."""
    if kind_of(uri) != "sqlite":
        return None
    path = unquote(uri.partition("://")[2].partition("?")[0].removeprefix("/"))
    return Path(path).absolute() if path not in ("", ":memory:") else None


def kind_of(uri: str) -> str:
    """``sqlite``, ``postgresql``, ``http``, ``https``, or whatever else the URI begins with."""
    return uri.partition(":")[0].partition("+")[0]


def artifact_root(uri: str, settings: Settings) -> str | None:
    """The URI of the folder for a store's artifacts; None where a server decides."""
    if kind_of(uri) in ("http", "https"):
        return None
    file = sqlite_file(uri)
    beside = file.parent if file is not None else settings.workspace
    return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", (beside / "mlartifacts").as_uri())


def public(uri: str) -> str:
    """The URI without its password."""
    password = urlsplit(uri).password if kind_of(uri) in PORTS else None
    return uri.replace(f":{password}@", ":***@") if password else uri


def make_usable(uri: str) -> None:
    """Make the store usable: its server listens, its database has the tables of this MLflow.

    Raises:
        ServiceError: it is of no known kind, does not answer, or is a database that is neither a
            store of this MLflow nor one that can be made into it.
    """
    kind = kind_of(uri)
    if kind in PORTS:
        _knock(uri, PORTS[kind])
    file = sqlite_file(uri)
    if file is not None:
        _make_sqlite_usable(file)
    elif kind == "postgresql":
        _make_postgres_usable(uri)
    elif kind not in PORTS:
        raise ServiceError(
            f"MLflow's store {public(uri)!r} is of no known kind; set AMAD_MLFLOW_URI to "
            "sqlite:///<absolute path>, postgresql://user:password@host/name or http(s)://host"
        )


@contextmanager
def database_lock(uri: str, name: str, seconds: float) -> Iterator[None]:
    """Hold a lock of a PostgreSQL store; it ends with this process at the latest."""
    from sqlalchemy import text

    with _engine(uri) as engine, engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"SET lock_timeout = {round(1000 * seconds)}"))
        lock = text("SELECT pg_advisory_lock(hashtext(:name))")
        connection.execute(lock, {"name": f"amad {name}"})
        yield  # the lock ends with the connection


def _make_sqlite_usable(file: Path) -> None:
    file = file.resolve()
    if str(file) not in sqlite_uri(file):
        raise ServiceError(
            f"MLflow cannot keep its store in {file}: its path holds a '?', or a '%' before two "
            "hexadecimal digits; rename that folder, or set AMAD_MLFLOW_URI to a store elsewhere"
        )
    if _is_current(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock", timeout=CREATE_SECONDS):
        for rest in file.parent.glob(f".stage-*-{glob.escape(file.name)}*"):
            rest.unlink(missing_ok=True)  # of a creation that was killed
        if _wait_for_another_maker(file):
            return
        if _holds_nothing(file):
            _create_sqlite(file)
        else:
            _migrate_sqlite(file)


def _is_current(file: Path) -> bool:
    """Is there a database with the tables of this MLflow? Their version is written last."""
    from mlflow.store.db import utils

    if not file.is_file() or not file.stat().st_size:
        return False
    with _engine(sqlite_uri(file)) as engine:
        return utils._get_schema_version(engine) == _newest_version()


@cache
def _newest_version() -> str:
    """The version of this MLflow's tables, for which it reads all of its migrations."""
    from mlflow.store.db import utils

    return utils._get_latest_schema_revision()


def _wait_for_another_maker(file: Path) -> bool:
    """Wait while another program, such as ``mlflow ui``, creates the file without our lock.

    Returns whether the file is current; False as soon as nothing was written to it for a while.
    """
    end = time.monotonic() + CREATE_SECONDS
    while not (current := _is_current(file)) and time.monotonic() < end:
        try:
            age = time.time() - file.stat().st_mtime
        except FileNotFoundError:
            return False
        if not 0 <= age < QUIET_SECONDS:
            return False
        time.sleep(0.2)
    return current


def _holds_nothing(file: Path) -> bool:
    """Was nothing ever logged to it? A table of another program counts as something."""
    if not file.is_file():
        return True
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    mlflows = {*Base.metadata.tables, *InitialBase.metadata.tables, "alembic_version"}
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    with closing(sqlite3.connect(file)) as database:
        names = [name for (name,) in database.execute(query) if not name.startswith(WORKING)]
        if not mlflows.issuperset(names):
            return False
        for name in set(names) - {"alembic_version"}:
            some = f'SELECT 1 FROM "{name}" WHERE {SEEDED.get(name, "TRUE")} LIMIT 1'
            try:
                if database.execute(some).fetchone():
                    return False
            except sqlite3.OperationalError:  # another program's table with a name of MLflow's
                return False
    return True


def _create_sqlite(file: Path) -> None:
    from mlflow.store.db import utils

    with _beside(file) as stage, _engine(sqlite_uri(stage)) as engine:
        utils._initialize_tables(engine)


def _migrate_sqlite(file: Path) -> None:
    """Bring an older MLflow's store up to date, on a copy."""
    from mlflow.store.db import utils

    try:
        with _beside(file) as stage:
            with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(stage)) as copy:
                old.backup(copy)
            with _engine(sqlite_uri(stage)) as engine:
                utils._upgrade_db(engine)
                utils._verify_schema(engine)
    except Exception as error:  # alembic's, SQLAlchemy's, sqlite3's and MLflow's own
        reason = " ".join(str(error).split())[:160]
        if UNKNOWN_VERSION in reason:
            import mlflow

            raise ServiceError(
                f"{file} was written by a newer MLflow than {mlflow.__version__}, which is "
                f"installed here ({reason}); it was left as it is: install that MLflow again, or "
                "set AMAD_MLFLOW_URI to another store"
            ) from error
        raise ServiceError(
            f"{file} is neither a store of this MLflow nor one that can be migrated to it "
            f"({reason}); it was left as it is: bring a backup of it back, or move it away "
            "and run the command again to begin with an empty store"
        ) from error


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Yield where to make a database; it replaces ``file`` once it is complete."""
    with staged(file) as stage:
        try:
            yield stage
            for suffix in SIDE_FILES:  # SQLite would apply an old journal to the new file
                Path(f"{file}{suffix}").unlink(missing_ok=True)
        finally:
            for suffix in SIDE_FILES:
                Path(f"{stage}{suffix}").unlink(missing_ok=True)


def _make_postgres_usable(uri: str) -> None:
    """Create the tables, one machine at a time. Older tables are left for their owner to migrate.

    MLflow commits the tables of its first version, and then all later changes in one transaction.
    A database without a version number is therefore one whose creation was cut short.
    """
    from mlflow.store.db import utils

    with _engine(uri) as engine:
        if utils._get_schema_version(engine) is None:  # also fails at once, where MLflow retries
            with database_lock(uri, "creation", CREATE_SECONDS):
                if utils._get_schema_version(engine) is None:
                    utils._initialize_tables(engine)
        utils._verify_schema(engine)


@contextmanager
def _engine(uri: str) -> "Iterator[Engine]":
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine(uri)
    try:
        yield engine
    finally:
        engine.dispose()


def _knock(uri: str, port: int) -> None:
    parts = urlsplit(uri)
    address = (parts.hostname or "localhost", parts.port or port)
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ServiceError(
            f"MLflow's store {public(uri)} does not answer ({error.strerror or error}); start it, "
            "or unset AMAD_MLFLOW_URI and MLFLOW_TRACKING_URI to use the embedded one"
        ) from None
