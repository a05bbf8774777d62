"""Lock files of the kernel (flock), which end with the process that holds them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from amad.config.console import say
from amad.config.errors import AmadError

A_LOOK = 0.2  # seconds; whoever asks whether a file is locked locks it for a moment


@contextmanager
def locked(
    file: Path, refused: Callable[[], AmadError], *, seconds: float = 0, waiting: str = ""
) -> Iterator[None]:
    """Hold a lock file while the body runs; its folder is made if it is not there.

    seconds: how long to wait for another process that holds it; waiting: said before that.

    Raises:
        AmadError: what ``refused`` returns, where another process has held it for so long.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            say(waiting)
        try:
            held = lock.acquire(timeout=max(seconds, A_LOOK))
        except Timeout:
            raise refused() from None
    except OSError as error:  # a file system without locks names no file
        error.filename = error.filename or str(file)
        raise
    with held:
        yield
