"""Ctrl-C, SIGTERM and a closed terminal end every command in the same way, with exit code 130.

Each becomes a KeyboardInterrupt, so that locks, logs and staging folders are cleaned up as usual.
If the cleaning up hangs (as Ray does when its processes got the signal too), the process is ended
after a grace period. This loses nothing, because all state is written in one piece. Ray installs
signal handlers that end the process as if all were well; ``handlers_kept`` removes them.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from amad.config.console import write_line
from amad.config.errors import InterruptionError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 30.0


@contextmanager
def interruptible() -> Iterator[None]:
    """While the body runs, SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread.

    A signal that the process was started to ignore (``nohup``, a background job) stays ignored.
    """
    ends: list[threading.Timer] = []

    def interrupt(number: int, frame: object) -> None:
        ends.append(end_soon())
        raise KeyboardInterrupt

    with handlers_kept():
        if _in_main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, interrupt)
        try:
            yield
        except InterruptionError:
            raise
        except Exception as error:
            if ends:  # such as an import that was cut short
                raise KeyboardInterrupt from error
            raise
        finally:
            for end in ends:
                end.cancel()


def end_soon() -> threading.Timer:
    """End the process with the code of an interruption when the grace period is over."""

    def end() -> None:
        write_line(f"error: {InterruptionError()}")
        os._exit(InterruptionError.exit_code)

    timer = threading.Timer(GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    return timer


@contextmanager
def handlers_kept(*more: signal.Signals) -> Iterator[None]:
    """Put the handlers of ``SIGNALS`` and ``more`` back as they were before the body."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *more)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
