"""What the command lines of the benchmarks share: their help, types of options, and their end."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from amad.config import AmadError
from amad.config.console import say


def parser_of(docstring: str) -> argparse.ArgumentParser:
    """A parser whose help is the whole docstring of a benchmark.

    docstring: of the module; its first line is an example of the command.
    """
    example, _, text = docstring.partition("\n")
    return argparse.ArgumentParser(
        prog=" ".join(example.split()[:3]),
        description=text.strip(),
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def positive(text: str) -> int:
    """Read a count of which none would measure nothing.

    Raises:
        ArgumentTypeError: it is no whole number above 0.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def run(main: Callable[[], dict], failed: Callable[[dict], object]) -> NoReturn:
    """Run a benchmark, and end the process with 1 where ``failed`` says so of what it returned."""
    try:
        done = main()
    except AmadError as problem:
        say(f"error: {problem}")
        sys.exit(problem.exit_code)
    sys.exit(1 if failed(done) else 0)
