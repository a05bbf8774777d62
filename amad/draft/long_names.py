"""Headers of long files: of the column that names signals, and of that of their values."""

import re

SIGNAL = re.compile(
    r"signal|_?name|parameter|param|pid|spn|sensor|metric|series|variable|channel|tag|item|key|_?field|point"
    r"|property|messgr(ö|oe)sse|topic|alias|diagnostic|measurand|quantity|grandeur|magnitud|messkanal|kanal"
    r"|(signal|parameter|sensor|metric|measure|diagnostic|property|var(iable)?|channel|tag|point"
    r"|node|item|data[ _]?item)[ _]?(name|id|alias)|tag[ _]?index",
    re.I,
)
VALUE = re.compile(
    r"((signal|var(iable)?|tag|point|item)[ _]?)?"
    r"(_?value|val|reading|(mess)?wert|measurement|valeur|valor|data|payload)",
    re.I,
)
TYPE = r"num(eric|ber)?|float|double|dbl|real|(big)?int(eger)?|bool(ean)?|str(ing)?|raw"
# The only measured column of a file, or one for each type: its name does not tell the quantity.
ANY_VALUE = re.compile(
    rf"(.*[ _.]|{TYPE})?({VALUE.pattern}|v|state)([ _.]?:*({TYPE}))?",
    re.I,
)
