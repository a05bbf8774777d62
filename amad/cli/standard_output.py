"""Standard output, where an error of writing says that it was standard output."""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

from amad.config import DataError


class _Output(FileIO):
    """The file of standard output. A closed pipe stays one: whoever read it has gone."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            # What follows goes nowhere, as Python would else fail again at its end.
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            reason = os.strerror(error.errno or 0).lower()
            raise DataError(
                f"standard output: {reason}; what was done is kept, but not all of it could be "
                "printed: make room where the output goes, or send it elsewhere"
            ) from error


def name_errors_of_output() -> None:
    """Let what cannot be printed end the command with a sentence that names standard output.

    In a locale that lacks some letters they are escaped.
    """
    now = sys.stdout
    if now is not sys.__stdout__ or not isinstance(now, TextIOWrapper):  # another program's, a test
        return
    sys.stdout = TextIOWrapper(
        BufferedWriter(_Output(now.fileno(), "w", closefd=False)),
        encoding=now.encoding,
        errors="backslashreplace",
        line_buffering=now.line_buffering,
    )
