"""Names of raw files as text that any format can hold."""

import re


def escaped(name: str) -> str:
    r"""A file's name as text that any format can hold: a byte that is not UTF-8 becomes ``\xNN``.

    >>> escaped("caf\udce9.csv")
    'caf\\xe9.csv'
    """
    doubled = name.replace("\\", "\\\\")
    return doubled.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unescaped(name: str) -> str:
    """The name that ``escaped`` made ``name`` of, to open the file with."""

    def raw(match: re.Match[bytes]) -> bytes:
        return b"\\" if match[1] == b"\\" else bytes.fromhex(match[1][1:].decode())

    text = re.sub(rb"\\(\\|x[0-9a-f]{2})", raw, name.encode())
    return text.decode("utf-8", "surrogateescape")
