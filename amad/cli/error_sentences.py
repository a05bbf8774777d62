"""Errors of a command: one sentence on standard error, and the exit code."""

import traceback

UNREAD = 141  # what a shell tells of a program that wrote into a closed pipe
BUG = 1  # an unexpected exception; every other code belongs to an AmadError, see `amad --help`
UNHEALTHY = 6
MEANINGS = {
    0: "done",
    1: "a bug in amad (add --debug)",
    2: "a wrong command, fleet file, params.yaml or profile",
    3: "data missing or against its contract",
    4: "the tracking store, registry or cluster does not answer, or lacks what was asked for",
    5: "the promotion gate refused",
    6: "doctor or status found something to mend",
    7: "all is done, but somebody could not be told",
    8: "partly done: some vehicles or dates could not be scored, or the report lacks something",
    9: "done, and --fail-on found critical incidents",
    10: "done, and --fail-on found nothing new",
    11: "done, but no row of the newest date could get a score",
    130: "interrupted",
    141: "whoever read the output has gone",
}
LONGEST = 2000  # characters of a message, which may quote the content of a file


def explain(error: Exception, *, debug: bool = False, fleet: str | None = None) -> int:
    """Print the error and return its exit code. fleet: named if the command runs on several."""
    from typer.exceptions import Abort, TyperException

    from amad.config import InterruptionError, usable_error

    if isinstance(error, Abort):
        error = InterruptionError()
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "amad"
        text = " ".join(error.format_message().replace("Value error, ", "").split())
        end = "" if text.endswith((".", "?")) else "."
        complain(f"{text}{end} See '{command} --help'.", fleet)
        return error.exit_code
    if debug:
        traceback.print_exception(error)
    if (known := usable_error(error)) is not None:
        complain(str(known), fleet)
        return known.exit_code
    text = " ".join(str(error).split())
    way_out = "" if debug else "; run the command again with --debug to see where"
    complain(f"unexpected {type(error).__name__}{': ' + text if text else ''}{way_out}", fleet)
    return BUG


def complain(sentence: str, fleet: str | None = None) -> None:
    """Print an error to standard error."""
    from amad.config.console import write_line
    from amad.config.wording import ends_of

    write_line(f"error: {f'fleet {fleet}: ' if fleet else ''}{ends_of(sentence, LONGEST)}")
