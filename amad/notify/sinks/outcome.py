"""How a sending ends when the other side does not take it. No message here holds a secret."""


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
