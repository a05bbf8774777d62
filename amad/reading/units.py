"""Spellings of units, and whether two of them are known to be different units."""

import re

# Each line is one unit. A unit that is not here is spelt as it is, and equals nothing else.
SPELLINGS = (
    ("%", "percent", "pct"),
    ("°c", "℃", "celsius", "degc", "deg c", "c"), ("°f", "fahrenheit", "degf", "deg f"),
    ("k", "kelvin"),
    ("km/h", "kph", "kmh", "kmph"), ("mph", "mi/h"), ("kn", "kt", "knots"),
    ("m/s", "mps", "meters/second", "metres/second"),
    ("rpm", "1/min", "u/min", "min-1"), ("hz", "1/s"),
    ("°", "deg", "degree", "degrees"), ("rad", "radians"),
    ("v", "volt", "volts"), ("mv",), ("a", "amp", "amps", "ampere"), ("ma",), ("w",), ("kw",),
    ("wh",), ("kwh",), ("hp",), ("n", "newton"), ("nm",), ("lb-ft", "lbft", "ft-lb"),
    ("pa",), ("hpa", "mbar"), ("kpa",), ("bar",), ("psi",),
    ("m", "metres", "meters"), ("km",), ("ft", "feet"), ("mi", "mile", "miles"), ("mm",), ("cm",),
    ("l", "litre", "litres", "liter", "liters"), ("gal", "gallon", "gallons"),
    ("g/s",), ("kg/h",), ("l/h",), ("kg",), ("g",), ("lb", "lbs"),
    ("ns",), ("us", "µs", "μs", "usec"), ("ms", "msec"), ("s", "sec", "seconds"),
    ("min", "minutes"), ("h", "hours"),
)  # fmt: skip

TENTHS = re.compile(r"(?:[x*] ?)?(10+|0?[.,]0*1) ?[x*]? ?(?=\S)")  # as in 0.1 °C and x10 rpm

UNIT_COLUMN = re.compile(r"units?|uom|units?[ _]?of[ _]?measure\w*|einheit(en)?|unité", re.I)

IN_ANOTHER = (
    "the file has {!r} and not {!r}; convert it, or draft the files in this unit as a fleet of "
    "their own"
)
OTHER_UNIT = (
    "another unit: {0} tells {1!r}, and by the fleet file the channel {2.name} is in {2.unit!r}; "
    "convert the file, or draft the files in this unit as a fleet of their own"
)


def spellings(unit: str) -> tuple[str, ...]:
    """All known spellings of a unit, in lower case; its own if it is not known.

    >>> spellings("0.1 mbar")
    ('0.1 hpa', '0.1 mbar')
    """
    unit = unit.strip().lower()
    tenths = TENTHS.match(unit)
    bare = unit[tenths.end() :] if tenths else unit
    group = next((group for group in SPELLINGS if bare in group), None)
    if group is None:
        return (unit,)
    return tuple(f"{tenths[1]} {name}" for name in group) if tenths else group


def is_known(unit: str) -> bool:
    """Is it a known unit, or tenths and the like of one, in brackets or not?"""
    return spellings(TENTHS.sub("", unit.strip(" []()").lower(), count=1)) in SPELLINGS


def are_different(unit: str, other: str) -> bool:
    """Are both known units, and not the same one?"""
    pair = unit.strip(" []()"), other
    return all(map(is_known, pair)) and len(set(map(spellings, pair))) > 1
