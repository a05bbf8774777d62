"""The address of a database, the connection to it, and its errors as sentences.

The address holds no password, because command lines and schedules are seen by others: it stands in
the environment variable ``AMAD_EXPORT_PASSWORD`` alone (or where PostgreSQL's own client looks for
it: ``PGPASSWORD``, ``~/.pgpass``).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import (
    URL,
    Connection,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from amad.config import ConfigError, DataError, ServiceError
from amad.export.tables import ABOUT, FORMAT, METADATA

PASSWORD = "AMAD_EXPORT_PASSWORD"
DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
TIMEOUT_SECONDS = 10
LOCK = 4_116_841_168  # of PostgreSQL's advisory locks; one export at a time writes
RIGHTS = ("42501", "25006")  # SQLSTATE: insufficient privilege; a read-only server
FULL = "53100"  # SQLSTATE: the server's disk is full
ANEW = "it is made anew from the published scores"
NO_ROOM = (
    "free some space there, raise the limit of a file's size (ulimit -f), or name a file on "
    "another disk in --to; nothing of this export was kept: run it again"
)
# By the beginning of SQLite's name for an error, the way out.
OF_A_FILE = {
    "SQLITE_FULL": NO_ROOM,
    "SQLITE_IOERR": NO_ROOM,
    "SQLITE_CANTOPEN": "--to must name a file in a folder that is there, and the user who runs "
    "amad needs the right to write to both",
    "SQLITE_READONLY": "give the user who runs amad the right to write to the file and to its "
    "folder, or name another file in --to",
    "SQLITE_NOTADB": f"name another file in --to, or move this one away: {ANEW}",
    "SQLITE_CORRUPT": f"name another file in --to, or move this one away: {ANEW}",
}


def address_of(to: str) -> URL:
    """The address as SQLAlchemy takes it.

    Raises:
        ConfigError: it is no address, of an unknown kind, or holds a password.
    """
    try:
        given = make_url(to)
    except ArgumentError:
        raise ConfigError(
            "--to is no address like postgresql://user@host/database or sqlite:////path/file.db"
        ) from None
    if given.password is not None or "password" in given.query:
        raise ConfigError(
            f"--to holds a password, which other users of the machine can see; set {PASSWORD} in "
            "the environment instead"
        )
    if given.drivername not in DRIVERS:
        raise ConfigError(
            f"--to is of the kind {given.drivername}://; accepted: "
            f"{', '.join(f'{name}://' for name in DRIVERS)}"
        )
    if not given.database:
        raise ConfigError("--to names no database: postgresql://user@host/DATABASE")
    url = given.set(drivername=DRIVERS[given.drivername])
    if given.drivername == "postgresql" and (password := os.environ.get(PASSWORD)):
        url = url.set(password=password)
    return url


@contextmanager
def opened(url: URL) -> Iterator[Connection]:
    """One transaction: all that the body writes is seen at once, or nothing of it.

    The tables are made where there are none.

    Raises:
        ServiceError: the database does not answer, or gives no right.
        DataError: its tables are of another format, or its file cannot be written.
    """
    postgres = url.get_backend_name() == "postgresql"
    engine = create_engine(
        url, connect_args={"connect_timeout" if postgres else "timeout": TIMEOUT_SECONDS}
    )
    if not postgres:
        # Left to itself, Python's driver makes and alters tables outside of any transaction, and
        # lets another export write between what this one reads and writes.
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", lambda given: given.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            if postgres:
                connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
                connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
            _prepare(connection, url)
            yield connection
    except DBAPIError as error:
        raise _usable(url, error) from error
    finally:
        engine.dispose()


def public(url: URL) -> str:
    """The address for a message: without driver and password."""
    bare = URL.create(url.get_backend_name(), url.username, None, url.host, url.port, url.database)
    return bare.render_as_string()


def _prepare(connection: Connection, url: URL) -> None:
    there = inspect(connection).has_table(ABOUT.name)
    known = connection.execute(select(ABOUT.c.format)).scalar() if there else None
    if known is None:  # none yet, or an earlier release was killed while it made them
        METADATA.create_all(connection)
        connection.execute(insert(ABOUT).values(format=FORMAT))
        return
    if known != FORMAT:
        raise DataError(
            f"the tables amad_* of {public(url)} have the format {known}, and this version of amad "
            f"writes {FORMAT}; export into another database, or drop these tables: they are made "
            "anew from the published scores"
        )


def _usable(url: URL, error: DBAPIError) -> DataError | ServiceError:
    """What a user can act on. A file needs mending, unless another program holds it."""
    why = " ".join(str(error.orig).split())
    if url.password:
        why = why.replace(str(url.password), "***")
    where = public(url)
    sqlite = getattr(error.orig, "sqlite_errorname", "")
    if sqlite == "SQLITE_BUSY":
        return ServiceError(
            f"{where} is held by another program ({why}); run 'amad export' again once that ended"
        )
    for begin, way_out in OF_A_FILE.items():
        if sqlite.startswith(begin):
            return DataError(f"{where} cannot be written ({why}); {way_out}")
    if getattr(error.orig, "sqlstate", None) in RIGHTS:
        return ServiceError(
            f"{where}: no right to write there ({why}); give the user CREATE on the schema once, "
            "and SELECT, INSERT, UPDATE, DELETE on the tables amad_*"
        )
    if getattr(error.orig, "sqlstate", None) == FULL:
        return ServiceError(
            f"{where}: the disk of its server is full ({why}); nothing of this export was kept: "
            "free some space there and run 'amad export' again"
        )
    if isinstance(error, OperationalError) and sqlite != "SQLITE_ERROR":
        return ServiceError(
            f"{where} does not answer or lets nobody in ({why}); run 'amad export' again once it "
            f"does, or mend the address or {PASSWORD}"
        )
    return ServiceError(f"{where} refused what was written ({why})")
