"""What a person sees while long work runs: lines on standard error, or a progress bar."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeVar

T = TypeVar("T")
FIRST_SECONDS, LAST_SECONDS = 5.0, 300.0  # between the lines of a log, at first and in the end
GROWTH = 0.25  # the next line of a log follows after this share of what the work took so far
LONGEST = 80  # characters of a line that is repeated
QUIET_SECONDS = 20.0  # without a line, until a person is told that work goes on


def until_next(elapsed: float, first: float = FIRST_SECONDS) -> float:
    """Seconds until a log gets its next line on work that has taken ``elapsed`` seconds so far.

    They grow from ``first`` on, so that a night has a hundred lines and not thousands.
    """
    return max(first, min(GROWTH * elapsed, LAST_SECONDS))


class _Last:
    """The line that this process said last, or what runs since, and when (monotonic seconds)."""

    line: ClassVar[str] = ""
    at: ClassVar[float] = 0.0


def say(message: str) -> None:
    """Print one line of progress to standard error."""
    _Last.line, _Last.at = message, time.monotonic()
    write_line(message)


def write_line(line: str) -> None:
    """Print a line to standard error, if anybody can read it.

    The end of a pipe or a full disk below a log is no reason to stop the work, whose exit code
    says how it ended. What follows goes nowhere, as Python would else fail again at its end.
    """
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


@contextmanager
def never_silent(seconds: float = QUIET_SECONDS) -> Iterator[None]:
    """While the body runs, say that it does whenever no line was said for ``seconds``.

    In long work it waits twice as long as other lines do (``until_next``).
    """
    _Last.line, _Last.at = "", time.monotonic()
    over, began = threading.Event(), _Last.at

    def watch() -> None:
        told = began
        while True:
            now = time.monotonic()
            quiet = max(seconds, 2 * until_next(now - began, 0))
            left = max(_Last.at, told) + quiet - now
            if left <= 0:
                after = f" after: {_Last.line[:LONGEST]}" if _Last.line else ""
                write_line(f"still running, {now - _Last.at:.0f} s{after}")
                told, left = now, quiet
            if over.wait(left):
                return

    watcher = threading.Thread(target=watch, name="never-silent", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """While the body runs, ``never_silent`` says ``what`` it waits for, if it takes long."""
    before = _Last.line
    _Last.line, _Last.at = what, time.monotonic()
    try:
        yield
    finally:
        _Last.line, _Last.at = before, time.monotonic()


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items``, showing how many are done: a bar on a terminal, else a line now and then."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    _Last.line, _Last.at = what, time.monotonic()  # what runs from here on, if it takes long
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        for item in bar(items, description=what, total=total, console=Console(stderr=True)):
            yield item
            _Last.line, _Last.at = what, time.monotonic()  # the progress bar shows it
        return
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= until_next(now - started) and done != total:
            last = now
            say(f"{what}: {done}{f' of {total}' if total else ''}, {now - started:.0f} s")
    say(f"{what}: {done} done in {time.monotonic() - started:.1f} s")
