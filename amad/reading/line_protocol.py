"""InfluxDB's line protocol becomes lines of JSON, which ``json_file`` reads: a line is a row.

Of ``can,vehicle=v1 speed=50,gear=3i 1767600000000000000`` the keys are ``vehicle``, ``can.speed``,
``can.gear`` and ``time``. A field has the measurement's name before it, as another measurement may
have a field of the same name.
"""

import json
import re
from collections.abc import Iterator

from amad.reading.lines import LONGEST_LINE_BYTES

KEY = r"(?:\\.|[^\\\s,=])+"
FIELD = rf'{KEY}=(?:"(?:\\.|[^"\\])*"|[^\s,"]+)'
LINE = re.compile(
    rf"(?P<name>(?![{{\[#])(?:\\.|[^\\\s,=])+)(?P<tags>(?:,{KEY}={KEY})*) "
    rf"(?P<fields>{FIELD}(?:,{FIELD})*)(?: (?P<time>-?\d+))?\s*"
)
PAIR = re.compile(rf'({KEY})=("(?:\\.|[^"\\])*"|(?:\\.|[^\\,])+)')
WORDS = {"t": True, "f": False, "true": True, "false": False}


def as_json(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a text; if its first line is one of line protocol, with JSON for each line.

    Comments are left out. A line that is none of line protocol stays as it is.
    """
    held, is_protocol = b"", None
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n") if is_protocol is not False else [piece]
        told = [line for line in lines if line.strip() and not line.startswith(b"#")]
        is_long = len(held) > LONGEST_LINE_BYTES
        if is_protocol is None and (told or is_long):
            is_protocol = bool(told) and is_line(told[0].decode(errors="replace"))
        if is_protocol:
            yield b"".join(_json(line) + b"\n" for line in told)
        else:
            held = b"\n".join([*lines, held])
        if is_protocol is False or is_long:
            yield held
            held = b""
    yield _json(held) if is_protocol else held


def is_line(text: str) -> bool:
    """Is it a line of line protocol with a time?"""
    found = LINE.fullmatch(text)
    return found is not None and found["time"] is not None


def _json(line: bytes) -> bytes:
    """The row as an object of JSON; the line itself if it cannot be read."""
    found = LINE.fullmatch(line.decode(errors="replace"))
    if found is None:
        return line
    name = _plain(found["name"])
    try:
        row: dict[str, object] = {_plain(k): _plain(v) for k, v in PAIR.findall(found["tags"])}
        row |= {f"{name}.{_plain(k)}": _value(v) for k, v in PAIR.findall(found["fields"])}
    except ValueError:
        return line
    if found["time"] is not None:
        row["time"] = int(found["time"])
    return json.dumps(row).encode()


def _value(text: str) -> object:
    """The value of a field; raises ValueError if it is none."""
    if text[0] == '"':
        return re.sub(r"\\([\"\\])", r"\1", text[1:-1])
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    return int(text[:-1]) if text[-1] in "iu" else float(text)


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)
