"""Headers of long files: of the column that names signals, and of that of their values."""

import re

SIGNAL = re.compile(
    r"signal|name|parameter|param|pid|spn|sensor|metric|series|variable|channel|tag|item|key|_?field|point"
    r"|messgr(ö|oe)sse|topic|alias|diagnostic|measurand|quantity|grandeur|magnitud|messkanal|kanal"
    r"|(signal|parameter|sensor|metric|measure|diagnostic|property|var(iable)?|channel|tag|point"
    r"|node|item)[ _]?(name|id|alias)",
    re.I,
)
VALUE = re.compile(
    r"((signal|var(iable)?|tag|point|item)[ _]?)?"
    r"(_?value|val|reading|(mess)?wert|measurement|valeur|valor|data|payload)",
    re.I,
)
# The only measured column of a file, whose name does not say what it measures.
ANY_VALUE = re.compile(
    rf"(.*[ _.]|num(eric|ber)?|float|double|dbl|real|int)?({VALUE.pattern}|v|state)"
    r"([ _.]?:*(num(eric|ber)?|float|double|dbl|real|int|raw))?",
    re.I,
)
