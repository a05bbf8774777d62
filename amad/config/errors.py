"""The errors a user can act on, each with the exit code the command line answers with."""


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
