"""Types of options that several benchmarks take."""

import argparse


def positive(text: str) -> int:
    """Read a count of which none would measure nothing.

    Raises:
        ArgumentTypeError: it is no whole number above 0.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
