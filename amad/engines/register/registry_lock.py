"""One command at a time changes the versions and aliases of a fleet.

The lock is the kernel's, beside an SQLite store or in the fleet's folder under ``runs/``, and a
PostgreSQL store's own as well, which other machines see. Both are gone with the process that held
them. An MLflow server has no lock to offer: there ``registry.log_detector`` tells of a version that
another machine made at the same time.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock, Timeout

from amad.config import ServiceError, Settings
from amad.config.console import say
from amad.engines.shared.tracking import told
from amad.engines.shared.tracking_store import database_lock, kind_of, sqlite_file, tracking_uri

WAIT_SECONDS = 1800.0  # the other command may be scoring the champion on a large fleet


@contextmanager
def registry_lock(settings: Settings, fleet: str, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the fleet's registry; errors of the store in the body become sentences.

    Raises:
        ServiceError: another command has held it for ``seconds``, or the store failed.
    """
    uri = tracking_uri(settings)
    file = sqlite_file(uri)
    if file is not None:
        place = file.with_name(f"{file.name}.{fleet}.lock")
    else:
        place = settings.runs_dir(fleet) / "registry.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = FileLock(place)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another command is changing the registry of fleet {fleet}; wait for it")
            try:
                lock.acquire(timeout=seconds)
            except Timeout:
                raise ServiceError(
                    f"another command has held the registry of fleet {fleet} for {seconds:g} s "
                    f"({place}); see that it ends, then run this one again"
                ) from None
        stack.callback(lock.release)
        stack.enter_context(told(uri))
        if kind_of(uri) == "postgresql":
            stack.enter_context(database_lock(uri, f"registry of {fleet}", seconds))
        yield
