"""The draft of a fleet file: look at a sample, guess, try the guess, write it down."""

import filecmp
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amad.config import DataError, Settings
from amad.config.wording import some
from amad.draft import other_scale, state_words, vehicles
from amad.draft.channels import describe
from amad.draft.clock import GAP_SECONDS, clock_of
from amad.draft.clock_rule import Clock
from amad.draft.columns import HOLDS_JSON
from amad.draft.dialect import ENCODINGS
from amad.draft.figures import figures_of, is_sparse
from amad.draft.later import (
    NotLaterError,
    check_older,
    with_later_columns,
    with_shared_headers,
)
from amad.draft.listing import is_culprits, list_files, suffix_of
from amad.draft.long_columns import IN_HEADERS, apart_in_names, columns_of
from amad.draft.long_names import ANY_VALUE, SIGNAL, VALUE
from amad.draft.marks import marks_of, of_other_decimal
from amad.draft.plan import Plan, drafted
from amad.draft.sample import Sampled, look
from amad.draft.trial import Trial, try_out
from amad.draft.turns import seem_to_name_vehicles
from amad.draft.write import fleet_file, left_out_lines, summary
from amad.reading.headers import Headers
from amad.reading.lacking import ADD_IT
from amad.reading.units import IN_ANOTHER
from amad.reading.vehicle_spellings import likely_doubles
from amad.telemetry.temporary import temporary_folder

MOST_REPEATS = 0.1  # share of rows that may contradict another one of their time
MOST_LOST = (0.9, 0.5)  # the same for a draft of any use; where a column of vehicles is unread
SHOWN = 8  # columns in a message
FORM = ("format", "delimiter", "encoding")  # of a file, as `Sampled.form` tells them
# What file managers add to the name of a copy.
COPY = re.compile(r"^(copy of|kopie von) |(( -)? (cop(y|ie|ia)|kopie))?( ?\(\d+\))?$", re.I)
OTHERWISE = "it is written otherwise than most: {}; write it like them, or draft it by itself"
SAME = (
    "the same content under two names: {}; if one is a copy, delete it, or its rows may count as "
    "another vehicle's"
)
STALE = (
    "{} shows a table of Delta, Hudi or Iceberg: files that it has replaced or deleted may still "
    "lie in the folder and are read, too; export the table as it is now"
)
LINKS = "links to folders are not followed: {}; draft the folder that they lead to"
CLOSED = (
    "folders that cannot be opened, so that nothing in them counts here: {}; give the user who "
    "runs amad the right to list them and to read what is in them"
)
ANOTHER = "it has no column of the other files, so it is another table"
SIGNALS = (
    "each file has one column of values: if they are signals of one vehicle, join them into one "
    "file with a column of the signals' names"
)
IN_OWNER = (
    "{!r} is taken for the vehicle, and {!r} is all that is measured: if it names signals and no "
    "vehicles, give it the header signal"
)
ENCODING = (
    "bytes that are no UTF-8 are read as {}{}; if that is wrong, set source.encoding, such as "
    "gbk, shift_jis or cp1251"
)
LACKING = "it lacks columns of the files drafted here"
LACKS = f"{LACKING} ({{}}), so ingest will refuse it: {{}}"
DOUBLES = (
    "{} look like spellings of one vehicle, and each is read as a vehicle of its own: if they are "
    "one, join them in source.vehicle.aliases"
)
APART = (
    "no two rows of a vehicle stand in files that follow each other, of those that were looked at, "
    "so how far apart rows are is a guess: set period_seconds"
)
CONTRADICT = (
    "{:,} of {:,} rows of the sample, as of {}, contradict another one of the same vehicle and "
    "time (vehicle: {}; time: {}): write the id of each row's vehicle, and its time as finely as "
    "rows are apart, into a column each"
)
TWELVE_HOURS = (
    "the clock goes from 12 back to 1 and tells no AM or PM, so that half of the times are twelve "
    "hours too early: export them with AM and PM, or of 24 hours"
)


@dataclass(slots=True, kw_only=True)
class Draft:
    """The text of a fleet file, and lines for the terminal that say what was decided in it."""

    text: str
    lines: list[str]


def draft(folder: Path, name: str, settings: Settings) -> Draft:
    """Write a fleet file for the raw files of ``folder``.

    Raises:
        DataError: there are no files, or none of them can be read; the message says why.
    """
    with temporary_folder("init") as scratch:
        try:
            return _draft(folder, name, settings, scratch, older=True)
        except (NotLaterError, DataError):
            return _draft(folder, name, settings, scratch, older=False)


def _draft(folder: Path, name: str, settings: Settings, scratch: Path, *, older: bool) -> Draft:
    """The draft. older: of the files, too, that only lack columns which may have come later.

    Raises:
        NotLaterError: they did not.
    """
    root = folder.resolve() if ".." in folder.parts else folder.absolute()
    listed = list_files(root)
    no_data = [path if _is_text(path) else ascii(path)[1:-1] for path in listed.no_data]
    names = listed.names
    culprits = next((path for path in names if is_culprits(root / path)), None)
    names = [path for path in names if path != culprits]
    unnamed = [path for path in names if not _is_text(path)]
    names = [path for path in names if _is_text(path)]
    found, refused = look(root, names, scratch)
    refused |= {ascii(path)[1:-1]: "its name is no UTF-8" for path in unnamed}
    if not found:
        first = next(iter(refused.items()), ("it", "no files"))
        raise DataError(f"{root}: none of {len(names)} files can be read; {first[0]}: {first[1]}")
    copies, same = _twice(root, found)
    found = [sample for sample in found if sample.path not in copies]
    samples, clock, strange = _alike(found, older=older)
    if clock.unread:
        raise DataError(f"{root}: {samples[0].path}: {'; '.join(clock.unread)}")
    kept = {sample.path for sample in samples}
    looked_at = {sample.path for sample in found} | set(refused)
    endings = {suffix_of(path) for path in kept}
    paths = [p for p in names if p in kept or (p not in looked_at and suffix_of(p) in endings)]
    lacking = {path for path, why in strange.items() if why.startswith(LACKING)}
    others = [p for p in names if p not in paths and p not in lacking and p not in refused]
    marks = marks_of(samples)
    owner = vehicles.owner_of(samples, name, paths)
    plan = Plan(
        name=name,
        folder=_folder(root, settings),
        root=root,
        samples=samples,
        paths=paths,
        others=others,
        broken=[path for path in names if path in refused],
        clock=clock,
        period=clock.period or 1.0,
        marks=marks,
        owner=owner,
        columns=columns_of(samples, owner.columns | clock.columns, marks),
        culprits=culprits if set(vehicles.parts_of(paths).values()) != {"all"} else None,
        notes=[f"{path} is a copy of {of}" for path, of in sorted(copies.items())]
        + ([SAME.format(some(same))] if same else [])
        + left_out_lines(strange | refused)
        + ([f"no raw data by their ending: {some(no_data)}"] if no_data else [])
        + ([LINKS.format(some(listed.links))] if listed.links else [])
        + ([CLOSED.format(some(listed.closed))] if listed.closed else [])
        + [STALE.format(path) for path in listed.logs[:1]],
    )
    nested = [f"{h!r}: {w}" for h, w in plan.columns.left_out.items() if w.startswith(HOLDS_JSON)]
    if nested and clock.take == "index":
        raise DataError(
            f"{root}: no column of {samples[0].path} tells the time ({'; '.join(nested[:SHOWN])})"
        )
    if not plan.columns.measured:
        why = "; ".join(f"{h!r}: {w}" for h, w in list(plan.columns.left_out.items())[:SHOWN])
        raise DataError(f"{root}: no column of {samples[0].path} holds numbers to watch ({why})")
    above = [] if plan.columns.long else apart_in_names(plan.columns.measured)
    if above and owner.keys["take"] == "constant":
        plan.columns.guesses.append(IN_HEADERS.format(some(above)))
    plan.channels = drafted(plan.columns, plan.columns.measured)
    finished = _finished(plan)
    check_older(plan)
    return finished


def _finished(plan: Plan) -> Draft:
    _place_recordings(plan)
    parts = plan.parts
    trial = try_out(plan.fleet(), plan.root, plan.samples, parts)
    placed = plan.clock.take == "index" or plan.clock.keys.get("start_from") == "modified"
    one = plan.owner.keys["take"] == "constant" and not placed
    if one and vehicles.overlap(trial.spans) and not trial.tells_twice:
        plan.owner = _own_files(plan, "they run at the same time, as one vehicle cannot")
        trial = try_out(plan.fleet(), plan.root, plan.samples, parts)
    if trial.repeats > MOST_REPEATS * trial.rows and not plan.owner.columns:
        told = _told_apart(plan, trial)
        if told is None and plan.owner.keys["take"] == "constant" and not placed:
            own = _own_files(plan, "as one vehicle's, their rows would contradict each other")
            told = _with_owner(plan, own) if len(plan.paths) > 1 else None
        trial = told or trial
    if (repeats := trial.repeats) > MOST_LOST[bool(plan.owner.unread)] * trial.rows:
        owner = "; ".join([plan.owner.seen, *plan.owner.unread])
        why = CONTRADICT.format(repeats, trial.rows, plan.samples[0].path, owner, plan.clock.seen)
        raise DataError(f"{plan.root}: {why}")
    if not trial.rows:
        reason = next(iter([*trial.refused.values(), *trial.reasons]), "no rows")
        first = plan.samples[0].path
        raise DataError(
            f"{plan.root}: not one row of the sample, as of {first}, can be read: {reason}"
        )
    figures_from, trial = trial, with_later_columns(plan, trial)
    one_value = len(plan.channels) == 1 and VALUE.fullmatch(plan.channels[0].header)
    if one_value and plan.owner.keys["take"] == "path":
        plan.owner.guesses.append(SIGNALS)
    measured = plan.channels[0].header
    if plan.owner.columns and len(plan.channels) == 1 and ANY_VALUE.fullmatch(measured.strip()):
        plan.owner.guesses += [IN_OWNER.format(h.strip(), measured) for h in plan.owner.columns]
    dialect = plan.samples[0].dialect
    if dialect is not None and dialect.encoding in ENCODINGS:
        plan.columns.guesses.append(ENCODING.format(dialect.encoding, _strange(plan.samples)))
    if plan.clock.local and trial.shows_twelve_hours:
        plan.clock.guesses.append(TWELVE_HOURS)
    plan.clock.guesses += trial.out_of_line
    if one and not plan.owner.columns and plan.columns.long is None:
        said = plan.owner.guesses
        said += [*seem_to_name_vehicles(trial, plan.channels, said)]
    plan.columns.guesses += state_words.told_of(plan.channels)
    if doubles := likely_doubles(np.unique(trial.vehicle_N).tolist()):
        spelt = (" = ".join(map(repr, ids)) for ids in doubles)
        plan.owner.guesses.append(DOUBLES.format(some(spelt)))
    for channel in plan.channels:
        if not trial.nulls[channel.name]:  # such words stand only in rows that are refused
            channel.nulls = [null for null in channel.nulls if not isinstance(null, str)]
    order_N, recording_N = trial.recordings
    for at, (channel, value_N) in enumerate(zip(plan.channels, trial.value_NC.T, strict=True)):
        scaled = other_scale.files_of_other_scale(trial, at)
        if scaled:
            plan.columns.guesses.append(other_scale.told_of(channel.header, scaled, trial.paths))
            value_N = np.where(np.isin(trial.file_N, [*scaled]), np.nan, value_N)
        describe(channel, value_N[order_N], recording_N)
    plan.sparse |= plan.format in ("csv", "json") and is_sparse(figures_from)
    sparse = plan.sparse or plan.columns.long is not None
    fixed = plan.period if plan.clock.take == "index" else None
    figures = figures_of(figures_from, sparse=sparse, period=fixed)
    plan.period = figures.period
    if not figures.sure:
        plan.clock.guesses.append(APART)
    return Draft(text=fleet_file(plan, trial, figures), lines=summary(plan, trial))


def _told_apart(plan: Plan, trial: Trial) -> Trial | None:
    """Take a column for the vehicle that tells rows of one time apart; None if none does.

    Not where folders or lines before the header name the vehicles.
    """
    if plan.owner.keys["take"] not in ("constant", "path") or "folder" in plan.owner.seen:
        return None
    signal = plan.columns.long[0] if plan.columns.long else None
    apart = vehicles.told_apart(plan.samples, plan.clock.keys.get("column"), signal)
    if apart is None:
        return None
    own = _with_owner(plan, apart)
    for header in apart.columns if own else ():
        plan.columns.left_out.pop(header, None)
    return own


def _with_owner(plan: Plan, owner: vehicles.Owner) -> Trial | None:
    """The trial with another owner; None, and the plan stays, if many rows contradict others."""
    before = plan.owner, plan.channels
    plan.owner = owner
    plan.channels = [c for c in plan.channels if c.header not in owner.columns]
    if plan.channels:
        own = try_out(plan.fleet(), plan.root, plan.samples, plan.parts)
        if own.repeats <= MOST_REPEATS * own.rows:
            return own
    plan.owner, plan.channels = before
    return None


def _own_files(plan: Plan, why: str) -> vehicles.Owner:
    """Each file as a vehicle's own; what seems to name the vehicle is still told."""
    owner = vehicles.each_its_own(plan.paths)
    owner.unread, owner.seen = plan.owner.unread, f"{owner.seen} ({why})"
    return owner


def _place_recordings(plan: Plan) -> None:
    """Where a row's place tells its time, put a gap between the recordings of a vehicle."""
    if plan.clock.take != "index":
        return
    pattern = str(plan.owner.keys.get("pattern", ""))  # a constant vehicle has no pattern
    found = (re.search(pattern, path) for path in plan.paths)
    owners = {match[match.re.groups] for match in found if match}
    if len(plan.paths) > len(owners) and not plan.has_parts:
        plan.clock.keys["gap_between_files"] = GAP_SECONDS
        plan.clock.guesses.append(
            f"each file is a recording, {GAP_SECONDS} seconds after the one before"
        )


def _alike(found: list[Sampled], *, older: bool) -> tuple[list[Sampled], Clock, dict[str, str]]:
    """The largest group of files that one fleet file can read, its clock, and why others differ.

    Files that only lack columns are not in the group, but ingest will find and refuse them.
    """
    groups: dict[tuple, list[Sampled]] = {}
    for sample in found:
        groups.setdefault(sample.form, []).append(sample)
    group = max(groups.values(), key=_size)
    otherwise = of_other_decimal(group)
    group = [sample for sample in group if sample not in otherwise]
    samples = with_shared_headers(group, older=older)
    why = {s.path: OTHERWISE.format(_difference(s, group[0])) for s in found if s not in group}
    first = samples[0].columns
    common = {name for name in first if all(s.header_of(name) is not None for s in samples)}
    why |= {s.path: _why_lacking(s, common) for s in group if s not in samples}
    clock = clock_of(samples)
    if clock.take == "index" and len(samples) > 1:
        clocks: dict[str, list[Sampled]] = {}
        for sample in samples:
            keys = clock_of([sample]).keys
            clocks.setdefault(repr({**keys, "start_pattern": 0}), []).append(sample)
        best = max(clocks.values(), key=lambda group: (len(group), _size(group)))
        if clock_of(best).take != "index":
            others = (s.path for s in samples if s not in best)
            why |= dict.fromkeys(others, OTHERWISE.format("its times have another form"))
            samples, clock = best, clock_of(best)
    return samples, clock, why


def _why_lacking(sample: Sampled, common: set[str]) -> str:
    """Why a file is left out that lacks some of the columns ``common``, and what to do about it."""
    missing = sorted(name for name in common if sample.header_of(name) is None)
    if len(missing) == len(common):
        return ANOTHER
    if all(any(map(kind.fullmatch, missing)) for kind in (SIGNAL, VALUE)):
        return OTHERWISE.format("the others have one value per row")
    twin_of = Headers([*sample.headers]).in_another_unit
    told = (IN_ANOTHER.format(twin, name) for name in missing if (twin := twin_of(name)))
    return LACKS.format(some(missing), next(told, ADD_IT))


def _difference(sample: Sampled, usual: Sampled) -> str:
    """How a file is written, and how those are that the draft is of."""
    for what, told, other in zip(FORM, sample.form, usual.form, strict=False):
        if told != other:
            return f"its {what} is {told!r}, and not {other!r}"
    return "its fractions have another decimal mark, or its points set thousands apart"


def _twice(root: Path, found: list[Sampled]) -> tuple[dict[str, str], list[str]]:
    """File -> the file that it is a copy of, by its name and its content; and other pairs.

    The names of these, as ``a.csv = b.csv``, are not alike, and their content is.
    """
    copies: dict[str, str] = {}
    pairs: list[str] = []
    by_size: dict[int, list[str]] = {}
    for sample in sorted(found, key=lambda sample: len(sample.path)):
        others = by_size.setdefault(sample.size, [])
        same = [o for o in others if filecmp.cmp(root / o, root / sample.path, shallow=False)]
        of = next((other for other in same if _of_copy(other) == _of_copy(sample.path)), None)
        if of is not None:
            copies[sample.path] = of
            continue
        others.append(sample.path)
        pairs += [f"{other} = {sample.path}" for other in same[:1]]
    return copies, pairs


def _of_copy(path: str) -> Path:
    """The path without what file managers add to the name of a copy."""
    return Path(path).with_name(COPY.sub("", Path(path).stem))


def _strange(samples: list[Sampled]) -> str:
    """A header with letters that are not ASCII."""
    headers = (header for sample in samples for header in sample.headers)
    return next((f", as in {header.strip()!r}" for header in headers if not header.isascii()), "")


def _size(group: list[Sampled]) -> int:
    return sum(sample.size for sample in group)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder(root: Path, settings: Settings) -> str:
    """The value of ``source.folder``: relative to the data folder if it is below it."""
    if root.is_relative_to(settings.data_dir):
        return root.relative_to(settings.data_dir).as_posix()
    return root.as_posix()
