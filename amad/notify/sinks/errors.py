"""The errors of a sink: how it ends when the other side does not take a message.

No text here holds a secret.
"""

import socket
import ssl
from collections.abc import Iterator


class NotTakenError(Exception):
    """The other side has not said that it took the message: it may or may not have it.

    pause: seconds for which the other side asked to be left alone; jobs within them do not ask it.
    """

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class RefusedError(Exception):
    """The other side has said that it does not take this message."""


class PartlyRefusedError(Exception):
    """Some of those whom the message is for have it, and others do not.

    left: the addresses that were refused.
    """

    def __init__(self, message: str, left: list[str]) -> None:
        super().__init__(message)
        self.left = left


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it was made of, the outermost first."""
    at: BaseException | None = error
    for _ in range(20):
        if at is None:
            return
        yield at
        inner = [getattr(at, "reason", None), *at.args]
        at = next((item for item in inner if isinstance(item, BaseException)), at.__cause__)


def of_connection(error: BaseException) -> str | None:
    """What happened to the name or the encryption of a server; None where it was something else."""
    for known in causes(error):
        match known:
            case ssl.SSLCertVerificationError(verify_message=why):
                return (
                    f"has a certificate that this machine does not take: {why.rstrip('.')}; renew "
                    "it there, or see the clock and the trusted certificates here"
                )
            case ssl.SSLError(reason=why) if why:
                return f"cannot be spoken to with TLS ({why}); see the port and the protocol"
            case socket.gaierror():
                return "is not known by that name; see its spelling and the name server"
    return None
