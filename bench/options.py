"""What the command lines of the benchmarks share: their help, and types of options."""

import argparse


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
