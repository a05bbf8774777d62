"""The draft of a fleet file: look at a sample, guess, try the guess, write it down."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import DataError, Settings
from amad.config.wording import some
from amad.draft import other_scale, state_words, vehicles
from amad.draft.alike import LACKING, WAYS, Alike, alike, twice
from amad.draft.channels import describe
from amad.draft.clock import GAP_SECONDS
from amad.draft.columns import HOLDS_JSON
from amad.draft.dialect import GUESSED
from amad.draft.figures import figures_of, is_sparse
from amad.draft.later import NotLaterError, check_lacking, with_later_columns, with_own_columns
from amad.draft.listing import Listed, list_files, suffix_of
from amad.draft.long_columns import IN_HEADERS, apart_in_names, columns_of, stands
from amad.draft.long_names import ANY_VALUE, VALUE
from amad.draft.marks import marks_of
from amad.draft.plan import Plan, drafted
from amad.draft.sample import Sampled, look, shared_columns
from amad.draft.trial import Trial, try_out
from amad.draft.turns import seem_to_name_vehicles
from amad.draft.write import fleet_file, left_out_lines, summary
from amad.reading.headers import name_and_unit
from amad.reading.vehicle_spellings import likely_doubles
from amad.telemetry.temporary import temporary_folder

MOST_REPEATS = 0.1  # share of rows that may contradict another one of their time
MOST_LOST = (0.9, 0.5)  # the same for a draft of any use; where a column of vehicles is unread
# In a list or behind a key of JSON.
NUMBER_IN = re.compile(r'[\[,: ]"?-?\d[\d.eE+-]*"?(?=\s*[],}]| )')
SHOWN = 8  # columns in a message
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

SAME_DATE = (
    "in {} the time of day goes on over midnight while the date stays the same, so that the rows "
    "behind midnight are read a day too early: write each row's date, or leave out the column of "
    "the date and write it into the file's name, as in log_2026-01-05.csv"
)
NEWEST_FIRST = (
    "in {} the newest rows stand first, and go on over midnight on the same date, so that those "
    "before or behind midnight are read on another day: write each row's date"
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
    root = folder.resolve() if ".." in folder.parts else folder.absolute()
    listed = list_files(root)
    tried: list[Sampled] = []
    with temporary_folder("init") as scratch:
        found, refused = look(root, listed.names, scratch)
        refused |= dict.fromkeys(listed.unnamed, "its name is no UTF-8")
        if not found:
            path, why = next(iter(refused.items()), ("it", "no files"))
            raise DataError(f"{root}: none of {len(listed.names)} files can be read; {path}: {why}")
        copies, same = twice(root, found)
        found = [sample for sample in found if sample.path not in copies]
        notes = [f"{path} is a copy of {of}" for path, of in sorted(copies.items())]
        notes += [SAME.format(some(same))] if same else []
        for way in WAYS:
            group = alike(found, way=way)
            if group[0] != tried:
                try:
                    return _draft(listed, group, refused, notes, name, settings)
                except (NotLaterError, DataError) as error:
                    failed, tried = error, group[0]
    raise failed


def _draft(
    listed: Listed, group: Alike, refused: dict[str, str], notes: list[str], name: str,
    settings: Settings,
) -> Draft:  # fmt: skip
    """The draft of a group of files. refused: files that cannot be read, and why.

    Raises:
        NotLaterError: some lack columns of others, for a reason that is not known.
    """
    samples, clock, strange = group
    root, names = listed.folder, listed.names
    if clock.unread:
        raise DataError(f"{root}: {samples[0].path}: {'; '.join(clock.unread)}")
    kept = {sample.path for sample in samples}
    looked_at = kept | strange.keys() | refused.keys()
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
        culprits=listed.culprits if set(vehicles.parts_of(paths).values()) != {"all"} else None,
        notes=notes
        + left_out_lines(strange | refused)
        + ([f"no raw data by their ending: {some(listed.no_data)}"] if listed.no_data else [])
        + ([LINKS.format(some(listed.links))] if listed.links else [])
        + ([CLOSED.format(some(listed.closed))] if listed.closed else [])
        + [STALE.format(path) for path in listed.logs[:1]],
    )
    nested = {h: w for h, w in plan.columns.left_out.items() if w.startswith(HOLDS_JSON)}
    within = sum(_numbers_in(samples[0].column(header)) for header in nested)
    read = set(plan.columns.measured) - plan.columns.codes.keys()
    still = plan.columns.long is None and all(
        stands(shared_columns(samples).get(h, [])) for h in read
    )
    if nested and (clock.take == "index" or within > (0 if still else 2 * len(read))):
        why = "; ".join(f"{h!r}: {w}" for h, w in [*nested.items()][:SHOWN])
        what = "tells the time" if clock.take == "index" else "holds most of what is told"
        raise DataError(f"{root}: no column of {samples[0].path} {what} ({why})")
    if not plan.columns.measured:
        why = "; ".join(f"{h!r}: {w}" for h, w in list(plan.columns.left_out.items())[:SHOWN])
        raise DataError(f"{root}: no column of {samples[0].path} holds numbers to watch ({why})")
    above = [] if plan.columns.long else apart_in_names(plan.columns.measured)
    if above and owner.keys["take"] == "constant":
        plan.columns.guesses.append(IN_HEADERS.format(some(above)))
    plan.channels = drafted(plan.columns, plan.columns.measured)
    finished = _finished(plan)
    check_lacking(plan)
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
    trial = with_own_columns(plan, trial)
    figures_from, trial = trial, with_later_columns(plan, trial)
    measured = name_and_unit(plan.channels[0].header)[0].strip()
    if len(plan.channels) == 1 and VALUE.fullmatch(measured) and plan.owner.keys["take"] == "path":
        plan.owner.guesses.append(SIGNALS)
    if plan.owner.columns and len(plan.channels) == 1 and ANY_VALUE.fullmatch(measured):
        plan.owner.guesses += [IN_OWNER.format(h.strip(), measured) for h in plan.owner.columns]
    dialect = plan.samples[0].dialect
    if dialect is not None and dialect.encoding in GUESSED:
        plan.columns.guesses.append(ENCODING.format(dialect.encoding, _strange(plan.samples)))
    if plan.clock.local and trial.shows_twelve_hours:
        plan.clock.guesses.append(TWELVE_HOURS)
    if plan.clock.take in ("column", "time_of_day") and plan.columns.long is None:
        plan.clock.guesses += [
            (SAME_DATE, NEWEST_FIRST)[b].format(p) for p, b in trial.midnights[:1]
        ]
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
    if plan.sparse and plan.classes:  # are all keys that files lack of other classes?
        plan.sparse = False
        plan.sparse = try_out(plan.fleet(), plan.root, plan.samples, parts).rows < trial.rows
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


def _numbers_in(column: pa.Array | None) -> int:
    """How many numbers the first cell of a column holds in its lists and objects of JSON."""
    told = [] if column is None else pc.drop_null(column)
    return len(NUMBER_IN.findall(str(told[0]))) if len(told) else 0


def _strange(samples: list[Sampled]) -> str:
    """A header with letters that are not ASCII."""
    headers = (header for sample in samples for header in sample.headers)
    return next((f", as in {header.strip()!r}" for header in headers if not header.isascii()), "")


def _folder(root: Path, settings: Settings) -> str:
    """The value of ``source.folder``: relative to the data folder if it is below it."""
    if root.is_relative_to(settings.data_dir):
        return root.relative_to(settings.data_dir).as_posix()
    return root.as_posix()
