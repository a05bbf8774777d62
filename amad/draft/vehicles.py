"""Which vehicle and which part each file is of: ``source.vehicle`` and ``source.files``."""

import re
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import DataError
from amad.config.wording import some
from amad.draft.dialect import CLOCK
from amad.draft.file_names import DATE, DATES, RECORDING, TO_MINUTES, common, endings, undated
from amad.draft.sample import Sampled, shared_columns
from amad.reading.headers import name_and_unit
from amad.reading.numbers import is_text, numbers, shown
from amad.reading.timestamp_guess import looks_like

NAMED = re.compile(
    r"(vehicle|veh|car|vin|device|mas?chine|truck|van|asset|entity|imei|fahrzeug|fin|plate|"
    r"license[ _]?plate|robot|turbine|host|server|service|registration|kfz|fzg|(kfz[ _-]?)?"
    r"kennzeichen|v[ée]hicule|veh[íi]culo|equipment|chassis|bike|scooter|tram|"
    r"ident|loco(motive)?|vessel|ship|boat|aircraft|drone|uav|excavator|logger|tracker|dongle|thing)"
    r"([ _-]?(id|no|nr|num|number|name|code|key|ref|tag)|[.](id|name|ref))?"
    r"|(bus|unit|serial|fleet|reg|tail|train|tractor|trailer|wagon|station|inverter|meter|charge"
    r"(r|[ _-]?point|[ _-]?box))[ _.-]?(id|no|nr|number|name)"
    r"|id|uid|uuid|esn|vehicle[ _]?identification[ _]?(no|number)",
    re.I,
)
# Of several columns, one that names vehicles comes before one that names what moves between them.
VEHICLE = re.compile(
    r"(.*\.)?(vehicle|car|vin|truck|van|bus|fahrzeug|fin|plate|license|registration|kfz|kenn)", re.I
)
THING_ID = re.compile(r"(vehicle|car|device|machine|truck|van|asset|thing|entity) (id|name)", re.I)
# Texts that may be ids: letters and digits, and no number with a unit.
ID = r"^[^\s\d+-][^\s]*\d[^\s]*$|^\d+[^\s\d][^\s]*\d[^\s]*$"
MAY_NAME = (
    "column {!r} holds few texts, such as {}: if they name vehicles, set source.vehicle to it"
)
# A folder of a partitioned data set, such as vehicle=van-1.
KEYED = re.compile(rf"(?:^|/)({NAMED.pattern})=([^/]+)/", re.I)
NOT_READ = (
    "a line before the header seems to name the vehicle ({!r}), which is not read: if it does, set "
    "source.vehicle to {{take: preamble, pattern: ...}}"
)
OTHER_LINES = (
    "where the header is repeated in a file, other lines stand before it ({} after {}), which are "
    "not read: if they name vehicles, set source.vehicle to {{take: preamble, pattern: ...}}"
)
SELDOM = (
    "{}: column {!r} tells a vehicle only where its rows begin: write it into each row (in a "
    "spreadsheet: fill it down)"
)
OF_RECORDING = re.compile("id|uid|uuid|ident", re.I)  # such lines may be of a file alone
UNIQUE = 0.99  # least share of rows with a time and a vehicle that no other row has
FEWEST_ROWS = 5  # per vehicle, in a column that names vehicles
MOST_NULLS = 0.1  # share of such a column
YEAR = re.compile(r"(?:year=)?(?:19|20)\d\d", re.I)
DATE_KEY = re.compile(r"^\w*(?:date|day|dt|ds|datum|tag)=", re.I)  # of a partitioned data set
DAY = re.compile(r"(?:month|hour)=[\d-]+|[0-3]?\d", re.I)  # below a year
PART = re.compile(r"(?:^|[_\-./])(train|test)(?=[_\-./]|$)", re.I)


@dataclass(slots=True, kw_only=True)
class Owner:
    """Keys of ``source.vehicle``, and what a person should know about them."""

    keys: dict[str, object]
    seen: str
    guesses: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # headers of columns that name the vehicle
    unread: list[str] = field(default_factory=list)  # what seems to name the vehicle, too


def part_of(path: str) -> str:
    """``train`` or ``test`` if the path says so, else ``all``."""
    found = PART.findall(path)
    return found[-1].lower() if found else "all"


def parts_of(paths: list[str]) -> dict[str, str]:
    """The part of each file; ``all`` unless both train and test are there."""
    parts = {path: part_of(path) for path in paths}
    if {"train", "test"} <= set(parts.values()):
        return parts
    return dict.fromkeys(paths, "all")


def owner_of(samples: list[Sampled], name: str, paths: list[str]) -> Owner:
    """The vehicle of the rows: named by a column or by the path, or one vehicle for all.

    A guess names what seems to tell the vehicle, too, and is not read.
    """
    shared = shared_columns(samples)
    named = [header for header in shared if _names_vehicle(header)]
    named.sort(key=lambda h: (not VEHICLE.match(h.strip(" #")), not NAMED.fullmatch(h.strip(" #"))))
    usable = [header for header in named if all(map(_holds_ids, shared[header]))]
    if usable:
        owner = Owner(
            keys={"take": "column", "column": usable[0].strip()},
            seen=f"column {usable[0].strip()!r}",
            columns={usable[0]},
        )
    else:
        owner = _owner_by_path(name, paths)
        if owner.keys["take"] == "constant":
            owner = _owner_by_lines(samples) or owner
        named = [h for h in named if all(map(_is_of_words, shared[h]))]
        seldom = (h for h in named if VEHICLE.match(h.strip(" #")) and _begins_groups(shared[h]))
        if owner.keys["take"] == "constant" and (header := next(seldom, None)):
            raise DataError(SELDOM.format(samples[0].path, header.strip()))
        owner.unread = [_unused(header, shared[header]) for header in named]
        if owner.keys["take"] != "preamble":
            owner.unread += [NOT_READ.format(line) for line in _lines_of_ids(samples[0])[:1]]
            owner.unread += _other_lines(samples)
        if owner.keys["take"] == "constant" and not named:
            owner.guesses += [
                MAY_NAME.format(header.strip(), repr(cells[0][0].as_py()))
                for header, cells in shared.items()
                if all(map(_holds_ids, cells)) and all(map(_looks_like_ids, cells))
            ]
    others = [h for h in usable[1:] if h.strip().lower() != "id"]
    if others:
        names = ", ".join(map(repr, others))
        owner.guesses.append(f"{usable[0].strip()!r} is taken for the vehicle, and not {names}")
    return owner


def _lines_of_ids(sample: Sampled) -> list[str]:
    """The lines before the header whose name is that of an id, those of vehicles first."""
    told = [line.strip() for line in sample.preamble]
    lines = [x for x in told if NAMED.fullmatch(re.split("[:=;,\t]", x)[0].strip(' #"'))]
    return sorted(lines, key=lambda line: not VEHICLE.match(line.strip(' #"')))


def _owner_by_lines(samples: list[Sampled]) -> Owner | None:
    """The vehicle that a line before the header of every file names; None if there is none."""
    for line in _lines_of_ids(samples[0]):
        key = re.split("[:=;,\t]", line)[0].strip(' #"')
        if OF_RECORDING.fullmatch(key):
            continue
        pattern = rf'^[ #"]*{re.escape(key)}[ "]*[:=;,\t][ "]*([^";,\t]*[^";,\t ])'
        found = [_found_in(pattern, sample.preamble) for sample in samples]
        later = (_found_in(pattern, [text]) for sample in samples for text in sample.restarts)
        ids = sorted({name for name in (*found, *later) if name is not None})
        if None not in found:
            return Owner(
                keys={"take": "preamble", "pattern": pattern},
                seen=f"the line {key!r} before the header: {some(ids)}",
                guesses=[f"the line {key!r} before the header is taken to name the vehicle"],
            )
    return None


def _found_in(pattern: str, lines: list[str]) -> str | None:
    """What the pattern finds in the first line that it matches."""
    return next((match[1] for line in lines if (match := re.search(pattern, line))), None)


def _other_lines(samples: list[Sampled]) -> list[str]:
    """What is told of lines before later headers of a file that are not those before its first."""
    for sample in samples:
        lines = [line for line in sample.restarts if line.strip() and not CLOCK.search(line)]
        first = next((line for line in sample.preamble if line.strip()), "")
        if lines and first:
            return [OTHER_LINES.format(*map(shown, (lines[0].strip(), first.strip())))]
    return []


def _names_vehicle(header: str) -> bool:
    """Does the header, or its end, as of meta.vin and connectionDeviceId, name a vehicle's id?"""
    name = name_and_unit(header)[0].strip(" #")
    *_, above, last = ["", *name.split(".")]
    words = re.split(r"[ _-]|(?<=[a-z])(?=[A-Z])", last)
    ends = [name, f"{above}.{last}", *([last] if last.lower() != "id" else [])]
    named = any(map(NAMED.fullmatch, ends))
    return bool(named or (len(words) > 2 and THING_ID.fullmatch(" ".join(words[-2:]))))


def _looks_like_ids(column: pa.Array) -> bool:
    """Does it hold several texts, all of letters and digits?"""
    told = pc.unique(pc.drop_null(column)) if is_text(column.type) else pa.array([])
    return (
        len(told) > 1
        and bool(pc.all(pc.match_substring_regex(told, ID)).as_py())
        and (looks_like(told.to_pylist()) is None)
    )


def _unused(header: str, columns: list[pa.Array]) -> str:
    nulls = sum(column.null_count for column in columns) / max(1, sum(map(len, columns)))
    why = f"is empty in {nulls:.0%} of the rows" if nulls > MOST_NULLS else "differs in most rows"
    return f"column {header.strip()!r} has the name of a vehicle's id, but {why}, so it is not read"


def _begins_groups(columns: list[pa.Array]) -> bool:
    """Does it tell several ids, each once, in the first row of what is a group in a spreadsheet?"""
    told = pa.concat_arrays([pc.cast(pc.drop_null(column), pa.string()) for column in columns])
    return 1 < len(told) == pc.count_distinct(told).as_py() < sum(map(len, columns)) / FEWEST_ROWS


def _is_of_words(column: pa.Array) -> bool:
    return is_text(column.type) and column.null_count < len(column)


def _owner_by_path(name: str, paths: list[str]) -> Owner:
    parts = parts_of(paths)
    if set(parts.values()) != {"all"}:
        return _by_part(paths)
    keyed = [KEYED.search(path) for path in paths]
    if all(keyed) and len({match[1].lower() for match in keyed if match}) == 1:
        key = next(match[1] for match in keyed if match)
        return Owner(
            keys={"take": "path", "pattern": f"(?:^|/){re.escape(key)}=([^/]+)/"},
            seen=f"the folder {key}=...: "
            + some(sorted({unquote(m[m.re.groups]) for m in keyed if m})),
        )
    return _by_folder(paths) or _by_name(paths, name)


def _by_folder(paths: list[str]) -> Owner | None:
    level, folders = _folders(paths)
    if not folders:
        return None
    return Owner(
        keys={"take": "path", "pattern": f"^{'[^/]+/' * level}([^/]+)/"},
        seen=f"the folder: {some(sorted(folders))}",
        guesses=["each folder is taken for a vehicle"],
    )


def _folders(paths: list[str]) -> tuple[int, set[str]]:
    """The first level of folders that differ and are no dates, and their names; or no names."""
    parents = [path.split("/")[:-1] for path in paths]
    below_year = False
    for level in range(min(map(len, parents))):
        names = {DATE_KEY.sub("", folders[level]) for folders in parents}
        if all(map(YEAR.fullmatch, names)):
            below_year = True
        elif not all(DATE.fullmatch(n) or (below_year and DAY.fullmatch(n)) for n in names):
            if len(names) > 1:
                return level, names
            below_year = False
    return 0, set()


def told_apart(samples: list[Sampled], time: object, signal: str | None = None) -> Owner | None:
    """A column of text, whatever its name, with which no two rows of one time are of one vehicle.

    time: the header of the column of times, or the headers of two. signal: that of the signals'
    names, of which rows of one time hold several.
    """
    shared = shared_columns(samples)
    times = [time] if isinstance(time, str) else list(time) if isinstance(time, list) else []
    headers = [header for header in shared if header.strip() in times]
    for header, columns in shared.items() if headers else ():
        if header in (*headers, signal) or not all(map(_holds_ids, columns)):
            continue
        if any(not is_text(c.type) or not numbers(c).bad_R.any() for c in columns):
            continue
        if looks_like(pc.unique(columns[0]).to_pylist()) is not None:  # times of day
            continue
        names = [*headers, header, *([signal] if signal else [])]
        tables = (
            pa.table([shared[name][at] for name in names], names) for at in range(len(samples))
        )
        if all(len(t.group_by(names).aggregate([])) >= UNIQUE * len(t) for t in tables):
            return Owner(
                keys={"take": "column", "column": header.strip()},
                seen=f"column {header.strip()!r}",
                guesses=[f"{header.strip()!r} is taken for the vehicle, as it tells rows of one "
                         "time apart"],
                columns={header},
            )  # fmt: skip
    return None


def same_vehicle(name: str, paths: list[str]) -> Owner:
    """All files are of one vehicle, whose name is what the files' names have in common."""
    shared = common([Path(path).name for path in paths])
    return Owner(
        keys={"take": "constant", "value": shared or name},
        seen=f"nothing tells vehicles apart: all {len(paths)} files are taken for one vehicle's"
        if len(paths) > 1
        else "one file, one vehicle",
        guesses=["one vehicle; tell a pattern or a column if there are several"],
    )


def each_its_own(paths: list[str]) -> Owner:
    """Each file is of a vehicle of its own, named after the file without the date in its name."""
    several = len(set(undated(paths))) > 1
    return (by_undated_name(paths) if several else None) or Owner(
        keys={"take": "path", "pattern": f"([^/]+?)(?:{endings(paths)})$"},
        seen=f"the file's name: {some([Path(p).name for p in paths])}",
        guesses=["each file is taken for a vehicle's own"],
    )


def _holds_ids(column: pa.Array) -> bool:
    """Does it hold few different values and hardly a null, none of them fractions or truths?"""
    if pa.types.is_boolean(column.type) or column.null_count > MOST_NULLS * len(column):
        return False
    if pa.types.is_floating(column.type):  # whole numbers, where some are missing
        known = pc.drop_null(column)
        if not pc.all(pc.equal(known, pc.floor(known))).as_py():
            return False
    return pc.count_distinct(column).as_py() <= max(1, len(column) / FEWEST_ROWS)


def _by_part(paths: list[str]) -> Owner:
    """The part of the path before or after train or test that differs between files.

    ``machine-1-1_train.parquet``, ``machine-1-1/train.csv``, ``train/machine-1-1.csv``.
    """
    ways = (
        (r"([^/]+?)[_\-.](?i:train|test)[_\-./]", "the file's name before train or test"),
        (r"([^/]+)/(?:[^/]*[_\-.])?(?i:train|test)[_\-./]", "the folder of train and test"),
        (r"(?i:train|test)[/_\-]([^/]+?)\.[^/]*$", "the file's name after train or test"),
    )
    told: list[tuple[str, str, list[str]]] = []
    for pattern, what in ways:
        found = [match[1] for path in paths if (match := re.search(pattern, path))]
        if len(found) == len(paths) and not all(map(DATE.search, found)):
            told.append((pattern, what, sorted(set(found))))
    several = [way for way in told if len(way[2]) > 1]
    if not several:  # files of a date each, below folders of vehicles or named after both
        bare = [PART.sub("", path) for path in paths]
        if dated := _by_folder(bare) or by_undated_name(paths, bare):
            return dated
    for pattern, what, ids in several[:1] or told[:1]:
        return Owner(keys={"take": "path", "pattern": pattern}, seen=f"{what}: {some(ids)}")
    return same_vehicle("vehicle-1", paths)


def _by_name(paths: list[str], name: str) -> Owner:
    if len(paths) == 1:
        return same_vehicle(name, paths)
    stems = undated(paths)
    parted = _parted(stems)
    if parted is not None:
        return parted
    numbered = [re.fullmatch(r"(.*?)[-_ ]?\d+", stem) for stem in stems]
    words = {match[1].strip("-_ ").casefold() for match in numbered if match}
    if (all(numbered) and words <= {""}) or any(RECORDING.fullmatch(word) for word in words):
        return same_vehicle(name, paths)
    if all(numbered) and len(words) == 1:
        return by_undated_name(paths) or each_its_own(paths)
    ids = set(stems)
    alike = len({re.sub(r"\d+", "#", one) for one in ids}) == 1
    if 1 < len(ids) < len(stems) and all(ids) and (alike or len(stems) >= 3 * len(ids)):
        return by_undated_name(paths) or same_vehicle(name, paths)
    return same_vehicle(name, paths)


def _parted(names: list[str]) -> Owner | None:
    """Files named after a vehicle and the number of a recording: ``unit7_part2.csv``."""
    form = rf"(?P<id>.*?[^_\-. ])[_\-. ]+(?P<word>{RECORDING.pattern})[_\-. ]*\d+"
    found = [re.fullmatch(form, name, re.I) for name in names]
    ids = sorted({match["id"] for match in found if match})
    if not all(found) or len(ids) < 2 or len({re.sub(r"\d+", "#", one) for one in ids}) > 1:
        return None
    words = "|".join(sorted({match["word"] for match in found if match}))
    return Owner(
        keys={"take": "path", "pattern": rf"([^/]*?[^/_\-. ])[_\-. ]+(?:{words})[_\-. ]*\d+[^/]*$"},
        seen=f"the file's name before the number of a recording: {some(ids)}",
        guesses=["these names are taken for vehicles"],
    )


def by_undated_name(paths: list[str], bare: list[str] | None = None) -> Owner | None:
    """Files named after a vehicle and a date: ``2026-01-05_truck7.csv``, ``truck7_20260105.csv``.

    bare: the paths without train and test. Returns None if the names are not all of this form.
    """
    ids = set(undated(bare or paths))
    if not all(ids) or not all(DATE.search(Path(path).name) for path in paths):
        return None
    for date, before in product((*DATES, DATE.pattern, TO_MINUTES.pattern), (True, False)):
        told = rf"([^/]+?)[_\-. ]*(?:{date})[^/]*$"
        pattern = told if before else rf"(?:{date})[_\-. ]*([^/]+?)(?:{endings(paths)})$"
        found = [re.search(pattern, path) for path in paths]
        if {match[1] for match in found if match} == ids and all(found):
            return Owner(
                keys={"take": "path", "pattern": pattern},
                seen=f"the file's name without its date: {some(sorted(ids))}",
                guesses=["these names are taken for vehicles"],
            )
    return None


def overlap(spans: list[tuple[int, int]]) -> bool:
    """Do recordings (first, last) overlap in time, as those of one vehicle cannot?"""
    told = sorted(span for span in spans if span[1] > span[0])
    hits = sum(b[0] < a[1] - (a[1] - a[0]) // 10 for a, b in pairwise(told))
    return len(told) > 1 and hits >= len(told) / 2
