"""How a sending ends when the other side does not take it. No message here holds an address."""


class NotTakenError(Exception):
    """The other side has not said that it took the message: it may or may not have it."""


class RefusedError(Exception):
    """The other side has said that it does not take this message."""
