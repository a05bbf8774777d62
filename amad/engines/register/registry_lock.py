"""One command at a time changes the versions and aliases of a fleet.

The lock is a file lock of the kernel, beside an SQLite store or in ``runs/<fleet>``. For a
PostgreSQL store its own lock, which other machines see, is held as well. Both end with the process
that holds them. An MLflow server has no lock; there ``log_detector`` notices a version that another
machine registered at the same time.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from amad.config import ServiceError, Settings
from amad.config.file_lock import locked
from amad.engines.shared.tracking import told
from amad.engines.shared.tracking_store import database_lock, kind_of, sqlite_file, tracking_uri

WAIT_SECONDS = 1800.0  # the other command may be scoring the champion on a large fleet


@contextmanager
def registry_lock(settings: Settings, fleet: str, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock of the fleet's registry; errors of the store become a ServiceError.

    Raises:
        ServiceError: another command has held it for ``seconds``, or the store failed.
    """
    uri = tracking_uri(settings)
    file = sqlite_file(uri)
    if file is not None:
        place = file.with_name(f"{file.name}.{fleet}.lock")
    else:
        place = settings.runs_dir(fleet) / "registry.lock"
    held = (
        f"another command has held the registry of fleet {fleet} for {seconds:g} s ({place}); see "
        "that it ends, then run this one again"
    )
    waiting = f"another command is changing the registry of fleet {fleet}; wait for it"
    with ExitStack() as stack:
        lock = locked(place, lambda: ServiceError(held), seconds=seconds, waiting=waiting)
        stack.enter_context(lock)
        stack.enter_context(told(uri))
        if kind_of(uri) == "postgresql":
            stack.enter_context(database_lock(uri, f"registry of {fleet}", seconds))
        yield
