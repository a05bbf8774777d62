"""Which columns hold measured values, and which one is the label.

Whether wide rows are sparse is seen later, in the values.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.wording import some
from amad.draft.labels import label_of, tells_anomalies, why_no_label
from amad.draft.marks import LONE_GROUP, UNIT, lone_groups
from amad.draft.sample import Sampled, shared_columns, some_of
from amad.reading.headers import name_and_unit, tidy
from amad.reading.numbers import (
    NAMES,
    Marks,
    NotReadableError,
    Numbers,
    flags,
    is_text,
    numbers,
    shown,
    tidied,
)
from amad.reading.units import UNIT_COLUMN

ROW_NUMBER = re.compile(
    r"(.*[.])?(unnamed: ?\d+|__index_level_\d+__|#|№|nr|no|id|idx|index|seq|offset"
    r"|(row|line|record|sample|entry|frame|packet|message|msg)([ _]?(id|no|nr|number|index))?)",
    re.I,
)
TYPE = re.compile(
    r"[-.\s]*|[fiu][1248]|float\d*|double|u?int\d*|integer|real|number|string|text|bool(ean)?|raw|id"
    r"|(big|small|tiny)int|double precision|date(time)?\d*|timestamp\w*|(var)?char"
    r"|(nullable|lowcardinality|datetime\d+|timestamp\w*|decimal\d*|numeric|fixedstring|(var)?char)\(.*",
    re.I,
)
# A column that tells which of the values beside it are good.
QUALITY = re.compile(
    r"(.*[ _.-])?(quality|validity|qc|qualität|(data[ _]?)?integrity)([ _.-]?(flag|code|status))?"
    r"|(opc|data)[ _]?quality|status[ _]?code|(is[ _]?)?(valid|stale|good|bad|questionable)",
    re.I,
)
# What such a column may have behind the name of the column that it speaks of.
QUALITY_OF = re.compile(r"^(.+?)[ _.:-]+(?:q|qual|st|status|state|flag|ok|valid)$", re.I)
SCALED = (
    "{!r} is read as its metadata tells, {}: if the file holds values and no counts, write it "
    "without this metadata"
)
THOUSANDS = (
    "a {} with three digits behind it sets thousands apart, also in files that come later: if it "
    "stands before a fraction, delete source.thousands"
)
ALL_LONE = (
    "no {} in the numbers has more or less than three digits behind it, or a zero before it, and "
    "it is read as before a fraction: if it sets thousands apart in {}, set source.decimal and "
    "source.thousands to the other mark and to this one"
)
# A unit at the end of a name: what can hardly be another word.
UNIT_BEHIND = re.compile(
    r"[ _.-](mph|kmh|kph|km_h|rpm|psi|kpa|hpa|mbar|bar|kwh|kw|volts?|amps?|deg[cf]?|celsius|"
    r"fahrenheit|pct|percent|hz|km|kg|mm)$|(?:temp|coolant|(?<![^\W_])oil)[^\W_]*[ _]([cf])$",
    re.I,
)
HOLDS_JSON = "it holds JSON"
ONE_UNIT = "draft the files of each unit, or of each quantity, as a fleet of their own"
SEVERAL_VALUES = "it holds several values per row: write a row for each, or a column"
TELLS_UNITS = re.compile(rf"(.+[ _.-])?({UNIT_COLUMN.pattern})|.*(?-i:[a-z]U)nits?", re.I)
SEVERAL_UNITS = "tells several units"
POSITION = re.compile(r"(.*[ _.-])?(lat|lon|lng|long|latitude|longitude|breite|länge)\b.*", re.I)
ALL_ONES = (2.0**64, 2.0**63)  # "not available" in 64 bits, as a float64 holds it
WITH_UNIT = rf"^\s*[+-]?[\d.,' ]*\d\s*(?P<unit>{UNIT})\s*$"  # 12.3 V, 45%
HEXADECIMAL = re.compile("x[0-9a-f]+", re.I)  # behind a zero
MOST_UNITS = 5  # of a column, in a message
LEAST_NUMBERS = 0.95  # share of a column's cells that must be numbers
MOST_WORDS = 3  # different ones among the numbers of a column that may all stand for "no value"
MOST_STATES = 8  # the same, if none is a short code such as P or R: No Data, Shutdown
# Up to a half of the cells may be these, which say that there is no value.
FAILURE = (
    r"^(unavailable|unknown|invalid|offline|not (available|connected)|no (data|signal|value)|"
    r"bad( \w+)?|pt created|shutdown|(i/o |scan )?timeout|o\.?l\.?|over(load|flow)|"
    r"(over|under|out of) ?range|no (sample|result)|equip fail|out of serv(ice)?|arc off-?line|"
    r"(comm|calc)\w* (fail|failed|failure|error)|err|error|fail|failed|failure|"
    r"intf shut|scan off|configure)$"
)
# No measured value, although it has digits: #N/A1, the largest float32 or float64, <0.5.
SURE = re.compile(
    r"#|[+-]?1\.#inf|[+-]?(3\.4028\d*e\+?38|1\.7976\d*e\+?308)$|[<>\u2264\u2265] ?[+-]?[\d.,]+$",
    re.I,
)
MOST_SWITCHED = 3  # different values of on and off, with NaN; beside these a failure is a state
FIRST_CELLS = 20  # of a column, which show whether units stand in it


@dataclass(slots=True, kw_only=True)
class Columns:
    """What the columns of the files hold."""

    measured: list[str]  # headers, or in long files the names of signals
    label: str | None = None
    long: tuple[str, list[str]] | None = None  # headers of signal and of values
    left_out: dict[str, str] = field(default_factory=dict)  # header -> why
    nulls: dict[str, list[float | str]] = field(default_factory=dict)  # header -> "no value"
    units: dict[str, str] = field(default_factory=dict)  # header -> unit behind its numbers
    codes: dict[str, dict[str, int]] = field(default_factory=dict)  # header -> number of each word
    guesses: list[str] = field(default_factory=list)


def wide_columns(samples: list[Sampled], known: set[str], marks: Marks) -> Columns:
    """Sort all columns except those ``known`` to tell the vehicle or the time."""
    shared = shared_columns(samples)
    label = label_of(samples, known)
    rest = [h for h in shared if h not in known and h != label]
    result = Columns(measured=[], label=label, left_out=_not_in_all(samples, known, shared, label))
    placed = any(POSITION.fullmatch(header.strip()) for header in rest)
    sides = [header for header in rest if placed and _tells_side(shared[header])]
    for header in rest:
        unit = _unit_told(header, samples)
        behind = [] if unit else _units_in_cells(shared[header])
        unit = unit or (behind[0] if len(behind) == 1 else "")
        if tells_anomalies(header):
            why: str | None = why_no_label(label)
        elif header in sides:
            why = "it tells N, S, E or W"
        elif len(behind) > 1:
            why = f"its cells have several units: {', '.join(behind)}"
        elif behind and unit.upper() in "NSEW" and POSITION.fullmatch(header.strip()):
            why = "N, S, E or W stands behind its numbers, which is not read: write it as a sign"
        elif sides and POSITION.fullmatch(header.strip()):
            why = f"N, S, E or W of {', '.join(sides)} is not read: write it as a sign"
        else:
            why = _why_not(header, shared[header], marks, unit, result.nulls)
            if why is None and _numbers_rows(header, shared[header]):
                why = "it numbers the rows"
            elif why is not None and POSITION.fullmatch(header.strip()):
                why = _why_no_place(why, shared[header])
        if why is not None:
            result.left_out[header] = why
            continue
        result.measured.append(header)
        if unit:
            result.units[header] = unit
    result.guesses = _guesses(samples, rest, result, marks, shared)
    return result


def _not_in_all(
    samples: list[Sampled], known: set[str], shared: dict[str, list[pa.Array]], label: str | None
) -> dict[str, str]:
    """Header -> why it is left out, of the columns that are not one of values in all files."""
    there = {tidy(header) for header in [*shared, *known]}
    left_out: dict[str, str] = {}
    for sample in samples:
        left_out |= dict.fromkeys(sample.twice, "several columns have this name: give each its own")
        left_out |= dict.fromkeys(sample.nested, SEVERAL_VALUES)
        left_out |= dict.fromkeys(sample.nameless, "it has no name")
        own = {sample.header_of(header) for header in shared}
        others = [h for h in sample.headers if tidy(h) not in there and h not in own and h != label]
        left_out |= {
            header: why_no_label(label) if tells_anomalies(header) else _lacking(header, samples)
            for header in others
        }
        later = f"only below a later line of headers, as in {sample.path}"
        left_out |= {h: later for h in sample.later if tidy(h) not in there}
    return left_out


def _guesses(
    samples: list[Sampled], rest: list[str], found: Columns, marks: Marks,
    shared: dict[str, list[pa.Array]],
) -> list[str]:  # fmt: skip
    """What a person should know about the columns. rest: all that may be measured."""
    measured = {name_and_unit(header)[0].strip() for header in found.measured}
    scales = {tidy(h): scale for sample in samples for h, scale in sample.scales.items()}
    guesses = [
        f"column {header.strip()!r} seems to tell which values are good, and nothing follows it: "
        "bad ones count as values, unless they are left out of the files"
        for header in dict.fromkeys([*rest, *(h for sample in samples for h in sample.twice)])
        if QUALITY.fullmatch(header.strip())
        or tell_good(shared.get(header, []))
        or _is_beside(header, measured)
    ]
    guesses += [
        f"column {header.strip()!r} {SEVERAL_UNITS} ({', '.join(units)}), which are not read"
        for header in rest
        if TELLS_UNITS.fullmatch(header.strip()) and len(units := _texts(shared[header])) > 1
    ]
    guesses += [
        SCALED.format(header.strip(), scales[tidy(header)])
        for header in found.measured
        if tidy(header) in scales
    ]
    lone = lone_groups({header: shared[header] for header in found.measured}, marks.decimal)
    if marks.thousands is None and lone:
        some_lone = some([f"{header.strip()!r} ({cell})" for header, cell in lone.items()])
        guesses.append(ALL_LONE.format(NAMES[marks.decimal], some_lone))
    if marks.thousands is not None:
        guesses.append(THOUSANDS.format(NAMES[marks.thousands]))
    if found.label is not None and any(c.null_count for c in shared.get(found.label, [])):
        guesses.append(f"an empty cell of {found.label!r} counts as 0, a row without an anomaly")
    return guesses


def _texts(columns: list[pa.Array]) -> list[str]:
    """The texts of a column if these are few; none if it holds something else."""
    told = sorted({t for c in columns if is_text(c.type) for t in pc.unique(c).to_pylist() if t})
    return told if len(told) <= MOST_UNITS else []


def _tells_side(columns: list[pa.Array]) -> bool:
    """Does it hold N and S, or E and W, of the positions beside it?"""
    texts = set(_texts(columns))
    return bool(texts) and (texts <= {"N", "S"} or texts <= {"E", "W"})


def _is_beside(header: str, measured: set[str]) -> bool:
    """Is it one of these names, and then a word for how good its values are?"""
    found = QUALITY_OF.search(name_and_unit(header)[0].strip())
    return found is not None and found[1] in measured


def tell_good(columns: list[pa.Array]) -> bool:
    """Do these columns hold a few words, of which one is good or bad?"""
    return any(word.strip().lower() in ("good", "bad") for word in _texts(columns))


def _lacking(header: str, samples: list[Sampled]) -> str:
    without = [sample.path for sample in samples if sample.column(header) is None]
    if not without:  # the files that have it tell several units of it, or none
        told = dict.fromkeys(str(sample.header_of(header)).strip() for sample in samples)
        return f"its unit is not the same in all files ({', '.join(told)}): {ONE_UNIT}"
    return (
        f"not in {len(without)} of {len(samples)} files, such as {without[0]}: to have it watched, "
        "make it a channel, with the first date that has it as its since"
    )


def _why_not(
    header: str,
    columns: list[pa.Array],
    marks: Marks,
    unit: str,
    nulls: dict[str, list[float | str]],
) -> str | None:
    """Why a column is no channel; None if it holds numbers.

    columns: its cells in each file. unit: of its numbers, written behind them. nulls: gets its
    numbers of all ones, and the few words that stand among its numbers.
    """
    if all(map(_is_of_lone_groups, columns)):  # nothing in this column tells what they are
        marks = Marks(marks.decimal, None)
    read: list[tuple[pa.Array, Numbers]] = []
    for column in map(some_of, columns):
        try:
            read.append((column, _read(column, marks, unit)))
        except NotReadableError as error:
            return str(error)
    known = sum(int((~np.isnan(told.value_R)).sum()) for _, told in read)
    bad = sum(int(told.bad_R.sum()) for _, told in read)
    failed = 0
    if len(np.unique(np.concatenate([told.value_R for _, told in read]))) > MOST_SWITCHED:
        failed = sum(int(tell_a_failure(c.filter(pa.array(told.bad_R))).sum()) for c, told in read)
    if known + bad == 0:
        return "it is empty"
    if bad - failed > (1 - LEAST_NUMBERS) * (known + bad) or failed > known:
        return next(_why_refused(column, told) for column, told in read if told.refused)
    ones = [n for n in ALL_ONES if any((told.value_R == n).any() for _, told in read)]
    texts = [(column, told) for column, told in read if is_text(column.type)]
    words = words_for_nothing([column.filter(pa.array(told.bad_R)) for column, told in texts])
    if ones or words:
        nulls[header] = [*ones, *words]
    return None


def _read(column: pa.Array, marks: Marks, unit: str) -> Numbers:
    """The cells of one file as numbers.

    Raises:
        NotReadableError: they are no numbers, or may be other ones than they seem; the message says
            why the column is no channel.
    """
    if not is_text(column.type) and pa.types.is_temporal(column.type):
        raise NotReadableError(f"it holds {column.type}")
    told = numbers(column, *marks, known=ALL_ONES, unit=unit)
    if told.grouped:
        raise NotReadableError(f"of its values {told.refused[0][1]}")
    for _, why in told.refused:
        if "hexadecimal" in why:  # and the cells of digits alone may be it, too
            raise NotReadableError(f"of its values {why}")
    if told.refused and (first := _first_refused(column, told)).lstrip()[:1] in ("{", "["):
        raise NotReadableError(f"{HOLDS_JSON} such as {shown(first)}: write its fields as columns")
    return told


def _why_no_place(why: str, columns: list[pa.Array]) -> str:
    """Why the cells of a latitude or longitude are no numbers, where their form shows it."""
    for column in columns:
        first = str(pc.drop_null(column)[0]) if len(column) > column.null_count else ""
        if re.search("[°'′]", first):
            return f"it tells degrees and minutes, as in {shown(first)}: write degrees alone"
        if re.match(r"\s*[NSEW]\W*\d", first):
            return "N, S, E or W stands before its numbers, which is not read: write it as a sign"
    return why


def _first_refused(column: pa.Array, told: Numbers) -> str:
    return str(column.filter(pa.array(told.bad_R))[0])


def _why_refused(column: pa.Array, told: Numbers) -> str:
    """Why the column is no channel, by the first of its cells that are no numbers."""
    first = _first_refused(column, told)
    if is_text(column.type) and not any(map(str.isdigit, first)):
        return f"it holds text such as {shown(first)}"
    return f"of its values {told.refused[0][1]}"


def _numbers_rows(header: str, columns: list[pa.Array]) -> bool:
    """Does its name say that it numbers the rows, and does it rise by one from row to row?"""
    if not ROW_NUMBER.fullmatch(header.strip()):
        return False
    values = [numbers(cells).value_R for cells in columns]
    steps = [np.diff(value_R) for value_R in values if len(value_R) > 1]
    return all(np.mean(step == 1) >= LEAST_NUMBERS for step in steps)


def _unit_told(header: str, samples: list[Sampled]) -> str:
    """The commonest unit of a column in headers, or else in lines of units; empty if none tells it.

    What is no unit but a type is left out of the lines.
    """
    own = (sample.header_of(header) for sample in samples)
    told = Counter(unit for h in own if h is not None and (unit := name_and_unit(h)[1]))
    lines = (s.units[tidy(header)].strip(" []()") for s in samples if tidy(header) in s.units)
    told = told or Counter(unit for unit in lines if not TYPE.fullmatch(unit))
    return told.most_common(1)[0][0] if told else _unit_of_name(header)


def _unit_of_name(header: str) -> str:
    """The unit at the end of a name such as speed_mph; only what can hardly be another word."""
    found = UNIT_BEHIND.search(header.strip())
    return (found[1] or f"°{found[2]}").replace("_", "/") if found else ""


def _units_in_cells(columns: list[pa.Array]) -> list[str]:
    """The units that nearly all cells of a column of text have behind a number, commonest first.

    If nearly all have the same one, it is that one alone.
    """
    found: Counter = Counter()
    known = 0
    for cells in columns:
        if not is_text(cells.type):
            return []
        text = pc.drop_null(some_of(cells))
        text = text.filter(pc.match_substring_regex(text, r"\d"))
        known += len(text)
        if not any(re.match(WITH_UNIT, cell) for cell in text[:FIRST_CELLS].to_pylist()):
            continue  # the quick answer for nearly all columns
        units = pc.struct_field(pc.extract_regex(text, WITH_UNIT), "unit")
        found.update(unit.strip() for unit in pc.drop_null(units).to_pylist())
    units = [
        (unit, count) for unit, count in found.most_common() if not HEXADECIMAL.fullmatch(unit)
    ]
    if sum(count for _, count in units) < LEAST_NUMBERS * known:
        return []
    return [unit for unit, count in units if count > (1 - LEAST_NUMBERS) * known][:MOST_UNITS]


def _is_of_lone_groups(column: pa.Array) -> bool:
    if not is_text(column.type):
        return False
    told = pc.unique(pc.drop_null(some_of(column)))
    return len(told) > 1 and bool(pc.all(pc.match_substring_regex(told, LONE_GROUP)).as_py())


def tell_a_failure(cells: pa.Array) -> np.ndarray:
    """Which cells are words of historians and hubs for a value that they do not have, bool (R,)."""
    return flags(pc.match_substring_regex(tidied(cells), FAILURE))


def words_for_nothing(refused: list[pa.Array]) -> list[str]:
    """The texts without a digit, the largest numbers of a type, and limits such as >60, of cells.

    refused: cells that are no numbers. None if such texts are many.
    """
    cells = (pc.utf8_trim_whitespace(pc.cast(cells, pa.string())) for cells in refused)
    told = {text for found in cells for text in pc.unique(found).to_pylist()}
    words = sorted(t for t in told if t and (SURE.match(t) or not any(map(str.isdigit, t))))
    most = MOST_WORDS if any(len(word) < 3 for word in words) else MOST_STATES
    return words if len(words) <= most else []
