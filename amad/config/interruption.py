"""Ctrl-C, and the SIGTERM of a scheduler: the same end for every command, with exit code 130.

Python turns SIGINT into a KeyboardInterrupt; here SIGTERM becomes one too, so that locks, logs and
staging folders are cleared up in the ordinary way. Ray puts handlers of its own in place, which
end the process as if all were well; ``handlers_kept`` takes them away again.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """While the body runs, SIGTERM raises KeyboardInterrupt in the main thread, as SIGINT does."""
    with handlers_kept():
        if _in_main_thread():
            signal.signal(signal.SIGTERM, _interrupt)
        yield


@contextmanager
def handlers_kept(*more: signal.Signals) -> Iterator[None]:
    """Put the handlers of SIGINT, SIGTERM and ``more`` back as they were before the body."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *more)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
