"""The ``amad`` command, also ``python -m amad.cli``: run it, turn errors into one sentence each."""

import sys
import traceback
from collections.abc import Sequence

BUG = 1  # an unexpected exception; every other code belongs to an AmadError, see `amad --help`


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    ``--debug`` is accepted anywhere, so that it can be added to the end of a failed command.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    sys.exit(run([a for a in arguments if a != "--debug"], debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command; return its exit code. What went wrong is one sentence on standard error."""
    from amad.cli.app import app
    from amad.config import InterruptionError
    from amad.config.interruption import interruptible

    try:
        with interruptible():
            code = app(arguments, prog_name="amad", standalone_mode=False) or 0
    except KeyboardInterrupt:
        code = InterruptionError.exit_code
    except Exception as error:
        return _explain(error, debug=debug)
    if code == InterruptionError.exit_code:  # Typer turns a KeyboardInterrupt into this code
        _complain(str(InterruptionError()))
    return code


def _explain(error: Exception, *, debug: bool) -> int:
    from typer.exceptions import Abort, TyperException

    from amad.config import InterruptionError, usable_error

    if isinstance(error, Abort):
        error = InterruptionError()
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "amad"
        text = " ".join(error.format_message().replace("Value error, ", "").split())
        end = "" if text.endswith((".", "?")) else "."
        _complain(f"{text}{end} See '{command} --help'.")
        return error.exit_code
    if debug:
        traceback.print_exception(error)
    if (known := usable_error(error)) is not None:
        _complain(str(known))
        return known.exit_code
    text = " ".join(str(error).split())
    way_out = "" if debug else "; run the command again with --debug to see where"
    _complain(f"unexpected {type(error).__name__}{': ' + text if text else ''}{way_out}")
    return BUG


def _complain(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
