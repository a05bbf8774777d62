"""Ctrl-C, SIGTERM and a closed terminal end every command in the same way, with exit code 130.

Each becomes a KeyboardInterrupt, so that locks, logs and staging folders are cleaned up as usual.
If the cleaning up hangs (as Ray does when its processes got the signal too), the process is ended
after a grace period. This loses nothing, because all state is written in one piece. Ray installs
signal handlers that end the process as if all were well; ``handlers_kept`` removes them.

DVC passes no signal on to the stage that it runs. A stage therefore ends when DVC does; otherwise
it would go on in the background, and the next run would start a second one beside it.
"""

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amad.config.console import write_line
from amad.config.errors import InterruptionError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 30.0
DVC_STAGE = "DVC_STAGE"  # a variable that DVC gives to what it runs, and does not have itself


@contextmanager
def interruptible() -> Iterator[None]:
    """While the body runs, SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread.

    A signal that the process was started to ignore (``nohup``, a background job) stays ignored.
    The end of the DVC that runs this process counts as SIGTERM.
    """
    ends: list[threading.Timer] = []

    def dvc_ended() -> None:
        if not ends:  # a second signal would cut short the cleaning up after the first
            os.kill(os.getpid(), signal.SIGTERM)

    def interrupt(number: int, frame: object) -> None:
        ends.append(end_soon())
        raise KeyboardInterrupt

    with handlers_kept():
        if _in_main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, interrupt)
        _after_dvc(dvc_ended)
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


def _after_dvc(work: Callable[[], None]) -> None:
    """Do the work, in a thread, when the DVC that runs this process has ended."""
    if DVC_STAGE not in os.environ:
        return
    with suppress(OSError, AttributeError):  # without /proc or file descriptors of processes
        ended = os.pidfd_open(_dvc())

        def wait() -> None:
            select.select([ended], [], [])
            work()

        threading.Thread(target=wait, name="after-dvc", daemon=True).start()


def _dvc() -> int:
    """The process id of DVC: the nearest ancestor that is no part of the stage, as a shell is."""
    pid = os.getppid()
    while f"\0{DVC_STAGE}=".encode() in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        pid = int(status.rpartition(")")[2].split()[1])  # after the name, which may hold anything
    return pid


def run_group(command: list[str], folder: Path) -> int:
    """Run a command that starts others, and return its exit code.

    It is a process group of its own. When this process is interrupted, the command is too, and the
    whole group is waited for, so that nothing of it goes on in the background.
    """
    with subprocess.Popen(command, cwd=folder, process_group=0) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            with suppress(ProcessLookupError):
                while True:  # no longer than until the grace period of this process is over
                    process.poll()
                    os.killpg(process.pid, 0)
                    time.sleep(0.1)
            raise


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
