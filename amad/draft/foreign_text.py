"""Text files that hold recordings and are no tables: what they are, and the way out."""

import re
from collections.abc import Iterable

from amad.reading.line_protocol import LINE
from amad.reading.unpack import DECODE, EXPORT

FRAMES = f"a log of raw CAN frames: {DECODE}"
SERIES = "export the values over time, as CSV with a column of times"
TABLE = "write it as CSV, with a header and a column for each key"
KEY_VALUE = r'[\w.:-]+=("[^"]*"|[^\s,;|"]*)'  # a field of a log in the form of logfmt
DATA_BYTE = r"(data[ _]?(bytes|[01])?|d[01]|b[01])"  # a header in a log of frames
LOOKED_AT = 20  # lines
# The first line begins so,
FIRST = (
    (r"\s*<[A-Za-z!?]", f"XML or HTML: {EXPORT}"),
    (r"\s*\[\s*([\d\"\[\]]|$)", "JSON without objects, in which the names of the values stand"),
    (
        rf"(?i)(?=.*\b(can|arbitration_)?id\b)(?=.*\b(dlc|len)\b).*\b{DATA_BYTE}\b",
        FRAMES,
    ),
)
# or one of the first lines,
ANY = (
    (r"\(\d+\.\d+\) +\w+ +[0-9A-Fa-f]{3,8}#", FRAMES),  # candump -l
    (r"\s*(\([^)]*\) +)?\w+ +([RT]X [-BE ]+)?[0-9A-Fa-f]{3,8} +\[\d+\]", FRAMES),  # candump
    (r"\s*\d+\.\d+ +\d+ +[0-9A-Fa-f]+x? +[RT]x +[dr]\b", FRAMES),  # Vector's ASC
    (r";\$FILEVERSION|base (hex|dec) +timestamps", FRAMES),  # PEAK's TRC, Vector's ASC
    (r"\s*\d+\) +\d+\.\d+ +([RT]x +)?[0-9A-Fa-f]{3,8} +\d ", FRAMES),  # PEAK's first TRC
    (
        r"FMT, *\d+, *\d+, *\w+,",
        "a log of ArduPilot, whose rows are of many kinds: export each kind as CSV (mavlogdump.py "
        "--format csv --types GPS)",
    ),
    (r"REG;\d{9,10};", "a log of Wialon's messages: export them as CSV, with a header"),
    (r"# (HELP|TYPE) \w+", f"what Prometheus reads, the values of one moment: {SERIES}"),
    (r"BO_ \d+ |NS_ ?:", "a CAN database (DBC), which describes signals and holds no values"),
)
# or most of them.
MOST = (
    (
        r"[^$!]{0,40}[$!](G[ABLNPQ]|BD)[A-Z]{3},",
        "a log of NMEA sentences: export the positions as CSV",
    ),
    (f"{LINE.pattern}$", "InfluxDB's line protocol without times: export them, too"),
    (rf"([^=,;|\t]* )?{KEY_VALUE}( +{KEY_VALUE})+\s*$", f"a log of key=value (logfmt): {TABLE}"),
)

SENML = (
    "SenML, in which names and times go on from one entry to the next: write an object for each "
    "row, with the whole time"
)
KEYED = (
    "JSON in which times or other long numbers are keys: write an object for each row, with its "
    "time as a value"
)
LONG_KEY = re.compile(r"(^|\.)(\d{9,19}|\d{4}-\d\d-\d\d([T ][\d:]+\S*)?)(\.|$)")


def foreign_keys(keys: Iterable[str]) -> str | None:
    """What a file of JSON is if the keys of its objects show that it holds no rows; else None."""
    told = set(keys)
    if sum(bool(LONG_KEY.search(key)) for key in told) > len(told) / 2:
        return KEYED
    return SENML if {"n", "bn"} <= told and {"v", "vs", "vb"} & told else None


def foreign(lines: list[str]) -> str | None:
    """What the text is if its first lines show that it is no table; else None."""
    told = [line for line in lines if line.strip()][:LOOKED_AT]
    for pattern, what in FIRST:
        if told and re.match(pattern, told[0]):
            return what
    for pattern, what in ANY:
        if any(re.match(pattern, line) for line in told):
            return what
    for pattern, what in MOST:
        if sum(bool(re.match(pattern, line)) for line in told) > len(told) / 2:
            return what
    return None
