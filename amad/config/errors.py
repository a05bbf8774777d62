"""The errors a user can act on, each with the exit code the command line answers with."""

import errno

# The machine's fault and not a bug: no permission, a read-only, full or failing disk, a file for a
# folder or the other way round, links in a circle, too long a path, a network file system that lost
# a file or knows no locks.
UNUSABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO,
    errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE, errno.ENOLCK,
}  # fmt: skip


class AmadError(Exception):
    """One readable sentence that names what is wrong and the way out.

    Raise a subclass for anything a user can mend; a programmer's mistake stays an ``assert`` or a
    plain exception, so that the command line shows its traceback as a bug.
    """

    exit_code = 1


class ConfigError(AmadError):
    """A fleet file, ``params.yaml``, a profile or a command's arguments are wrong."""

    exit_code = 2


class DataError(AmadError):
    """The data is missing, unreadable, or fails its contract."""

    exit_code = 3


class ServiceError(AmadError):
    """The tracking store, the registry or the cluster does not answer or lacks what was asked."""

    exit_code = 4


class GateError(AmadError):
    """The promotion gate refused the model."""

    exit_code = 5


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
    if isinstance(error, OSError) and error.errno in UNUSABLE:
        file = error.filename2 or error.filename  # of a rename the target
        where = f"{file}: " if file else ""
        return DataError(
            f"{where}{(error.strerror or 'not usable').lower()}; amad must be able to read and "
            "write there: see 'amad doctor', or set AMAD_HOME to another folder"
        )
    return None
