"""The errors a user can act on, each with the exit code the command line answers with."""

import errno
import os
import re
import shutil

# These are faults of the machine and not bugs: no permission, a read-only, full or failing disk, a
# file in place of a folder or the other way round, links in a circle, a path that is too long, and
# a network file system that lost a file or has no locks.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
UNUSABLE = NO_ROOM | CLOSED | {
    errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ESTALE, errno.ENOLCK,
}  # fmt: skip
# The end of the path of what is written beside its place; it is removed, so its folder is named.
HALF_WRITTEN = re.compile(r"/\.(stage|old)-.*")
NO_TEMPORARY = "No usable temporary directory"  # the message of Python's tempfile


class AmadError(Exception):
    """One readable sentence that names what is wrong and the way out.

    Raise a subclass for anything a user can mend; a programmer's mistake stays an ``assert`` or a
    plain exception, so that the command line shows its traceback as a bug.
    """

    exit_code = 1


class ConfigError(AmadError):
    """A fleet file, ``params.yaml``, a profile or a command's arguments are wrong."""

    exit_code = 2


class DivergenceError(ConfigError):
    """The loss of a training is no number any more, and would not be one in another attempt."""


class DataError(AmadError):
    """The data is missing, unreadable, or fails its contract."""

    exit_code = 3


class PartlyDoneError(DataError):
    """Some vehicles or dates could not be scored; all the others are done and published."""

    exit_code = 8


class NothingScoredError(DataError):
    """All is done, but no row of the newest date could get a score: nobody knows how it was."""

    exit_code = 11


class ServiceError(AmadError):
    """The tracking store, the registry or the cluster does not answer or lacks what was asked."""

    exit_code = 4


class GateError(AmadError):
    """The promotion gate refused the model."""

    exit_code = 5


class NotifyError(AmadError):
    """All else is done, but somebody could not be told of it; the next job tells them."""

    exit_code = 7


class InterruptionError(AmadError):
    """Ctrl-C or SIGTERM came before the work was done."""

    exit_code = 130  # what a shell tells of a program that Ctrl-C stopped

    def __init__(self, sentence: str = "") -> None:
        super().__init__(
            sentence
            or "interrupted; what was finished is kept and nothing else is taken as "
            "finished: run the command again to go on"
        )


def usable_error(error: BaseException) -> AmadError | None:
    """What a user can act on: an ``AmadError`` itself, or one for an unusable file or folder."""
    if isinstance(error, AmadError):
        return error
    if not isinstance(error, OSError):
        return None
    if NO_TEMPORARY in str(error):
        return DataError(
            f"no folder for temporary files can be written to ({error.strerror or error}); free "
            "some space there, or set TMPDIR to a folder that has some"
        )
    number, reason, file = _copy_cause(error) if isinstance(error, shutil.Error) else _cause(error)
    if number not in UNUSABLE:
        return None
    where = f"{file}: " if file else ""
    return DataError(f"{where}{reason.lower()}; {_way_out(number)}")


def _cause(error: OSError) -> tuple[int | None, str, str | None]:
    """Return number, reason and file of an error of the operating system."""
    file = error.filename2 or error.filename  # of a rename the target
    if file is None and (quoted := re.search(r"'(/[^']+)'", str(error))):
        file = quoted[1]  # Arrow names the file only in its message
    return error.errno, os.strerror(error.errno or 0), file and HALF_WRITTEN.sub("", str(file))


def _copy_cause(error: shutil.Error) -> tuple[int | None, str, str | None]:
    """Return them for the first unusable file of a copied folder, from the text of shutil."""
    listed = error.args[0] if error.args and isinstance(error.args[0], list) else []
    for source, target, why in listed:
        match = re.match(r"\[Errno (\d+)\] ([^:]+)", str(why))
        if match and int(match[1]) in UNUSABLE:
            unread = int(match[1]) not in NO_ROOM and str(target) not in str(why)
            return int(match[1]), match[2], str(source if unread else target)
    return None, "", None


def _way_out(number: int | None) -> str:
    elsewhere = "set AMAD_HOME (for temporary files TMPDIR) to a folder elsewhere"
    if number == errno.EFBIG:
        return f"raise the limit of a file's size (ulimit -f), or {elsewhere}"
    if number in NO_ROOM:
        return f"free some space there, or {elsewhere}; 'amad doctor' tells how much is free"
    if number == errno.EROFS:
        return f"mount it for writing (a faulty disk is often mounted so), or {elsewhere}"
    if number in CLOSED:
        return (
            "give the user who runs amad the right to read and write there, or set AMAD_HOME to "
            "another folder; see 'amad doctor'"
        )
    if number == errno.ENOLCK:
        return (
            "its file system gives no locks: have it mounted with them (NFS from version 4, or "
            "with its lock service), or set AMAD_HOME to another folder"
        )
    if number in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        other = "a folder" if number == errno.EISDIR else "a file"
        return f"move away {other} that lies where none should be, and run the command again"
    return (
        "amad must be able to read and write there: see 'amad doctor', or set AMAD_HOME to "
        "another folder"
    )
