"""What a person sees while long work runs: lines on standard error, a bar on a terminal."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
EVERY_SECONDS = 5.0  # how often a log (no terminal) gets a line


def say(message: str) -> None:
    """Print one line of progress to standard error."""
    print(message, file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items``, showing how many are done: a bar on a terminal, else a line now and then."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, description=what, total=total, console=Console(stderr=True))
        return
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= EVERY_SECONDS and done != total:
            last = now
            say(f"{what}: {done}{f' of {total}' if total else ''}, {now - started:.0f} s")
    say(f"{what}: {done} done in {time.monotonic() - started:.1f} s")
