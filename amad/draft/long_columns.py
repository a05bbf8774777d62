"""Whether the rows are long: one column names signals, and another one holds their values."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.wording import some
from amad.draft.columns import (
    LEAST_NUMBERS,
    MOST_SWITCHED,
    QUALITY,
    SEVERAL_UNITS,
    Columns,
    tell_a_failure,
    wide_columns,
    words_for_nothing,
)
from amad.draft.long_names import ANY_VALUE, SIGNAL, VALUE
from amad.draft.sample import Sampled, shared_columns
from amad.draft.state_words import take_states
from amad.draft.vehicles import NAMED
from amad.reading.headers import name_and_unit, tidy
from amad.reading.long_rows import joined
from amad.reading.numbers import Marks, NotReadableError, is_text, numbers, shown
from amad.reading.units import UNIT_COLUMN

VEHICLE_ID = re.compile(
    r"(vehicle|car|truck|van|bus|fahrzeug|lkw|pkw)[ _-]?[a-z]{0,3}[ _-]?\d+", re.I
)
LIKE_ID = re.compile(r"\d{3,}|[^\W\d]+-?\d+", re.I)  # in the name of a signal
MOST_SIGNALS = 2000  # names of more signals are not names of signals
FEWEST_VALUES = 3  # of a signal, unless that is RARE of the values of the commonest one
RARE = 0.01
TURNS = 0.3  # least share of rows that name another signal than the row before
NAMELESS = (
    "{!r} is taken for the names of signals, as it changes from row to row and the name of {!r} "
    "does not say what is measured"
)
IN_TOPICS = (
    "the same signals stand below {}: if these are vehicles, write them into a column of their "
    "own and leave them out of {!r}, or all are taken for one vehicle"
)
IN_HEADERS = (
    "the same columns stand beside each other for {}: if these are vehicles, write their rows "
    "below each other, with a column of the vehicle's id"
)


def columns_of(samples: list[Sampled], known: set[str], marks: Marks) -> Columns:
    """What the columns hold, except those ``known`` to tell the vehicle or the time.

    A wide row holds all channels; a long row names a signal and holds its value.
    """
    wide = wide_columns(samples, known, marks)
    shared = shared_columns(samples)
    rest = [header for header in shared if header not in known and header != wide.label]
    pair = _pair(rest, shared, wide)
    spelling = _spellings(shared[pair[0]]) if pair is not None else {}
    names = pair and _signals(shared[pair[0]], _joined(pair[1], shared), marks, spelling)
    if pair is None or names is None:
        take_states(wide, samples)
        return wide
    signal, values = pair
    measured, left_out, nulls = names
    beside = [header for header in rest if header not in (signal, *values)]
    units = _units_of_signals(samples, signal, beside, spelling)
    several = {name for name in measured if len(units.get(name, ())) > 1}
    measured = [name for name in measured if name not in several]
    left_out |= {
        name: f"its rows have several units: {', '.join(sorted(units[name]))}" for name in several
    }
    guesses = [g for g in wide.guesses if not units or SEVERAL_UNITS not in g]
    if not SIGNAL.fullmatch(_name(signal)):
        guesses.append(NAMELESS.format(signal, values[0]))
    if above := apart_in_names(measured):
        guesses.append(IN_TOPICS.format(some(list(map(repr, above))), signal))
    return Columns(
        measured=measured,
        label=wide.label,
        long=pair,
        left_out=dict.fromkeys(beside, "another column of a long file") | left_out,
        nulls=nulls,
        guesses=guesses,
        units={name: next(iter(units[name])) for name in measured if units.get(name)},
    )


def _pair(
    rest: list[str], shared: dict[str, list[pa.Array]], wide: Columns
) -> tuple[str, list[str]] | None:
    """The headers of the signals' names and of their values; None if rows are not long."""
    turns = [h for h in rest if all(map(_takes_turns, shared[h]))]
    values = [h for h in wide.measured if not QUALITY.fullmatch(h.strip())]
    named = [h for h in values if VALUE.fullmatch(_name(h))]
    values = [h for h in values if h in named or not named or not stands(shared[h])]
    typed = [h for h in values if ANY_VALUE.fullmatch(_name(h))]
    typed = typed if len(typed) > 1 and _fill_one(typed, shared) else []
    numbered = turns if len(values) == len(typed or "1") + 1 else []  # beside a single value
    signal = [
        h for h in rest
        if SIGNAL.fullmatch(_name(h)) and (h not in values or h in numbered)
    ]  # fmt: skip
    measured = [h for h in values if h not in signal]
    signal = signal[-1:] if len(signal) > 1 and _name_the_same(signal, shared) else signal
    if typed and typed == measured and len(signal) == 1:
        return signal[0], typed
    value = [h for h in rest if VALUE.fullmatch(_name(h)) and h not in signal]
    if len(value) != 1 and len(measured) == 1 and ANY_VALUE.fullmatch(_name(measured[0])):
        value = measured
    if value == measured and not signal:
        told = [h for h in turns if not UNIT_COLUMN.fullmatch(_name(h))]
        signal = [h for h in told if not QUALITY.fullmatch(_name(h)) and h not in measured]
    return (signal[0], value) if len(signal) == len(value) == 1 else None


def _name_the_same(signal: list[str], shared: dict[str, list[pa.Array]]) -> bool:
    """Do these columns name the same signals, as an id and a name beside it do?"""
    for cells in zip(*(shared[header] for header in signal), strict=True):
        pairs = pa.table([*cells], [*map(str, range(len(cells)))])
        count = len(pairs.group_by(pairs.column_names).aggregate([]))
        if any(len(pc.unique(column)) != count for column in cells):
            return False
    return True


def _joined(values: list[str], shared: dict[str, list[pa.Array]]) -> list[pa.Array]:
    """The values of each file."""
    return [joined([*cells])[0] for cells in zip(*(shared[h] for h in values), strict=True)]


def _fill_one(values: list[str], shared: dict[str, list[pa.Array]]) -> bool:
    """Does no row have values in several of these columns?"""
    files = zip(*(shared[header] for header in values), strict=True)
    return all(joined([*cells])[1].max(initial=0) <= 1 for cells in files)


def apart_in_names(names: list[str]) -> list[str]:
    """Of names such as fleet/van-1/speed: the levels, van-1 and others, with the same signals.

    If all are names such as van-1 alone, they are these.

    Levels may also be parted as in bus1_speed, speed.101 and speed{vehicle="x1"}: these then look
    like ids, as front and rear or the cells 1 and 2 of a battery do not.
    """
    topics = [name.strip("/").split("/") for name in names]
    if len(names) > 1 and all(VEHICLE_ID.fullmatch(name.strip()) for name in names):
        return names
    found = _apart(topics, min(map(len, topics), default=0) - 1)
    if found:
        return found[0]
    parts = [re.split(r"""[_.:| {}="',]+""", name) for name in names]
    found = _apart(parts, min(map(len, parts), default=0))
    return next((ids for ids in found if all(map(LIKE_ID.fullmatch, ids))), [])


def _apart(parts: list[list[str]], levels: int) -> list[list[str]]:
    """For each of the first ``levels`` below whose names the same others stand: its names.

    These are several, unless the names are those of vehicles, or stand behind such a word.
    """
    found = []
    for level in range(levels):
        below: dict[str, set[tuple[str, ...]]] = {}
        for part in parts:
            below.setdefault(part[level], set()).add((*part[:level], *part[level + 1 :]))
        sets = list(below.values())
        words = {part[level - 1] if level else "" for part in parts}
        told = all(map(VEHICLE_ID.fullmatch, below)) or all(map(NAMED.fullmatch, words))
        if len(sets) > 1 and (told or len(sets[0]) > 1) and all(one == sets[0] for one in sets):
            found.append(sorted(below))
    return found


def _name(header: str) -> str:
    return name_and_unit(header)[0].strip()


def stands(columns: list[pa.Array]) -> bool:
    """Is it the same in all rows of a file, and so measures nothing?"""
    return all(len(pc.unique(cells).drop_null()) <= 1 for cells in columns)


def _takes_turns(column: pa.Array) -> bool:
    """Does it hold few texts or whole numbers, which change from row to row?"""
    if not (is_text(column.type) or pa.types.is_integer(column.type)) or len(column) < 2:
        return False
    codes = pc.dictionary_encode(column)
    changes = np.diff(pc.fill_null(codes.indices, -1).to_numpy(zero_copy_only=False)) != 0
    return len(codes.dictionary) <= len(column) / 10 and float(np.mean(changes)) >= TURNS


def _spellings(names: list[pa.Array]) -> dict[str, str]:
    """Signal -> the commonest of its spellings, which ingest finds all, if no file has two."""
    own = [{str(n).strip() for n in pc.drop_null(pc.unique(cells)).to_pylist()} for cells in names]
    files = Counter(name for told in own for name in told)
    alike: dict[str, list[str]] = {}
    for name in sorted(files, key=lambda name: (-files[name], name)):
        alike.setdefault(tidy(name), []).append(name)
    found: dict[str, str] = {}
    for spelt in alike.values():
        apart = any(len(told.intersection(spelt)) > 1 for told in own)
        found |= {name: name if apart else spelt[0] for name in spelt}
    return found


def _units_of_signals(
    samples: list[Sampled], signal: str, headers: list[str], spelling: dict[str, str]
) -> dict[str, set[str]]:
    """Signal -> the units that a column beside it tells; empty if no header is that of a unit."""
    found: dict[str, set[str]] = {}
    named = [h for h in headers if UNIT_COLUMN.fullmatch(h.strip())]
    for sample in samples if len(named) == 1 else ():
        names, units = sample.column(signal), sample.column(named[0])
        if names is None or units is None:
            continue
        for told in set(zip(names.to_pylist(), units.to_pylist(), strict=True)):
            name, unit = ("" if text is None else str(text).strip() for text in told)
            if unit:
                found.setdefault(spelling.get(name, name), set()).add(unit)
    return found


def _signals(
    names: list[pa.Array], values: list[pa.Array], marks: Marks, spelling: dict[str, str]
) -> tuple[list[str], dict[str, str], dict[str, list[float | str]]] | None:
    """Names of the signals whose values are numbers, why others are left out, and ``nulls``.

    names, values: the cells of the two columns in each file. spelling: see ``_spellings``.
    """
    try:
        read = [numbers(cells, *marks, one_quantity=False) for cells in values]
    except NotReadableError:
        return None
    bad_N = np.concatenate([told.bad_R for told in read])
    failed_N = bad_N & np.concatenate([tell_a_failure(cells) for cells in values])
    value_N = np.concatenate([told.value_R for told in read])
    told_N = bad_N | ~np.isnan(value_N)
    name_N = [None if n is None else spelling[str(n).strip()] for c in names for n in c.to_pylist()]
    name = pd.Series(name_N, dtype=object)
    is_switched_N = pd.Series(value_N).groupby(name).transform("nunique") < MOST_SWITCHED
    failed_N &= ~is_switched_N.to_numpy()
    cell_N = pd.DataFrame({"bad": bad_N & ~failed_N, "failed": failed_N}, dtype=float)
    cell_N[~told_N] = np.nan
    of_signal = cell_N.groupby(name)
    # Shares of the cells that are not empty, per signal; NaN: all are.
    bad, failed = (of_signal[kind].mean() for kind in cell_N)
    if not 2 <= len(bad) <= min(MOST_SIGNALS, len(bad_N) / 3):
        return None
    known = of_signal["bad"].count()
    is_rare = (known < FEWEST_VALUES) & (known < RARE * known.max())
    is_measured = (bad <= 1 - LEAST_NUMBERS) & (failed <= 0.5) & ~is_rare
    measured = [name for name in bad.index[is_measured] if name]
    nulls: dict[str, list[float | str]] = {}
    bad_text = pa.concat_arrays([pc.cast(cells, pa.string()) for cells in values]).filter(bad_N)
    bad_name = np.array(name_N, object)[bad_N]
    others = {}
    for name in filter(None, bad.index[~is_measured]):
        first = bad_text.filter(pa.array(bad_name == name))[:1].to_pylist()
        if is_rare[name] and known[name] and not first:
            others[name] = f"it has {known[name]} of {known.sum():,} values that were looked at"
            continue
        others[name] = f"its values are text such as {shown(first[0])}" if first else "it is empty"
    for name in measured:
        if words := words_for_nothing([bad_text.filter(pa.array(bad_name == name))]):
            nulls[name] = [*words]
    return (measured, others, nulls) if measured else None
