"""The ``amad`` command, also ``python -m amad.cli``: run it, turn errors into one sentence each."""

import sys
from collections.abc import Sequence

from amad.cli.error_sentences import UNREAD, complain, explain


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    ``--debug`` is accepted anywhere, so that it can be added to the end of a failed command.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    sys.exit(run([a for a in arguments if a != "--debug"], debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command; return its exit code. What went wrong is one sentence on standard error."""
    try:  # also around the imports, which take a second in which Ctrl-C may be pressed
        from amad.cli.standard_output import name_errors_of_output
        from amad.config.interruption import interruptible

        name_errors_of_output()

        with interruptible():
            from amad.cli.app import app
            from amad.config.console import never_silent

            with never_silent():
                code = app(arguments, prog_name="amad", standalone_mode=False, obj=debug) or 0
                if sys.stdout is not None:  # it may be closed
                    sys.stdout.flush()
    except KeyboardInterrupt:
        code = None
    except (SystemExit, BrokenPipeError):  # so Typer ends where standard output is a closed pipe
        return UNREAD
    except Exception as error:
        return explain(error, debug=debug)
    from amad.config import InterruptionError

    code = InterruptionError.exit_code if code is None else code
    if code == InterruptionError.exit_code:  # Typer turns a KeyboardInterrupt into this code
        complain(str(InterruptionError()))
    return code


if __name__ == "__main__":
    main()
