"""The draft of a fleet file: look, guess, try it on the sample, measure, write it down."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amad.config import DataError, Fleet, Settings
from amad.telemetry.draft import vehicles
from amad.telemetry.draft.channels import Drafted, describe, named
from amad.telemetry.draft.clock import GAP_SECONDS, Clock, clock_of
from amad.telemetry.draft.columns import LABEL, Columns, columns_of, decimal_of
from amad.telemetry.draft.figures import Figures, figures_of, is_sparse, up_to
from amad.telemetry.draft.sample import Sampled, list_files, look, suffix_of
from amad.telemetry.draft.text import channel_lines, comment, flow, section
from amad.telemetry.draft.trial import Trial, try_out
from amad.telemetry.draft.vehicles import Owner

WINDOW_ROWS = 100  # of the models, unless params.yaml says otherwise
NULL_SHARE, GAP_SHARE = 0.2, 0.5  # the limits of the fleet file where it tells none
SHOWN = 8  # names in a comment


@dataclass(slots=True, kw_only=True)
class Draft:
    """The text of a fleet file, and what was decided in it, a plain line each."""

    text: str
    lines: list[str]


@dataclass(slots=True, kw_only=True)
class _Plan:
    """All that is known of the fleet while it is drafted."""

    name: str
    folder: str  # as the fleet file has it
    root: Path
    samples: list[Sampled]
    paths: list[str]
    others: list[str]  # files of the folder that are not this fleet's
    clock: Clock
    decimal: str | None
    owner: Owner
    columns: Columns
    culprits: str | None
    channels: list[Drafted] = field(default_factory=list)
    sparse: bool = False
    period: float = 1.0
    notes: list[str] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, str]:
        return vehicles.parts_of(self.paths)

    @property
    def format(self) -> str:
        if self.samples[0].dialect is None:
            return "parquet"
        if self.columns.long is not None:
            return "csv_long"
        return "csv_sparse" if self.sparse else "csv"

    def source(self) -> dict[str, object]:
        """The ``source`` section."""
        told: dict[str, object] = {"format": self.format, "folder": self.folder}
        told["files"] = [
            {"glob": item["glob"]} | ({} if item["part"] == "all" else {"part": item["part"]})
            for item in vehicles.file_sets(self.root, self.paths, self.others)
        ]
        dialect = self.samples[0].dialect
        if dialect is not None:
            if dialect.delimiter != ",":
                told["delimiter"] = dialect.delimiter
            if self.decimal is not None:
                told["decimal"] = self.decimal
            if dialect.encoding != "utf-8":
                told["encoding"] = dialect.encoding
        if self.columns.long is not None:
            told["long"] = dict(zip(("signal", "value"), self.columns.long, strict=True))
        told["vehicle"] = dict(self.owner.keys)
        told["timestamp"] = dict(self.clock.keys)
        return told

    def labels(self) -> dict[str, object]:
        """The ``labels`` section."""
        if self.columns.label is None:
            return {"kind": "injected"}
        told: dict[str, object] = {"kind": "column"}
        if self.columns.label != "label":
            told["column"] = self.columns.label
        if self.culprits is not None:
            told |= {"culprits": self.culprits, "culprits_by": "row"}
        return told

    def fleet(self) -> Fleet:
        """The fleet file so far, as the pipeline reads it."""
        return Fleet.model_validate(
            {
                "name": self.name,
                "period_seconds": self.period,
                "source": self.source(),
                "labels": {k: v for k, v in self.labels().items() if not k.startswith("culprits")},
                "channels": [
                    {"name": c.name, "column": c.header, "nulls": c.nulls} for c in self.channels
                ],
            }
        )


def draft(folder: Path, name: str, settings: Settings) -> Draft:
    """Write a fleet file for the raw files of ``folder``.

    Raises:
        DataError: there are no files, or none of them can be read; the message says what was seen.
    """
    root = folder.absolute()
    names = list_files(root)
    culprits = next((path for path in names if _is_culprits(root / path)), None)
    names = [path for path in names if path != culprits]
    found, refused = look(root, names)
    if not found:
        first = next(iter(refused.items()), ("it", "no files"))
        raise DataError(f"{root}: none of {len(names)} files can be read; {first[0]}: {first[1]}")
    samples, clock, notes = _alike(found)
    kept = {sample.path for sample in samples}
    looked_at = {sample.path for sample in found} | set(refused)
    endings = {suffix_of(path) for path in kept}
    paths = [p for p in names if p in kept or (p not in looked_at and suffix_of(p) in endings)]
    others = [path for path in names if path not in paths]
    decimal = decimal_of(samples)
    owner = vehicles.owner_of(samples, name, paths)
    plan = _Plan(
        name=name,
        folder=_folder(root, settings),
        root=root,
        samples=samples,
        paths=paths,
        others=others,
        clock=clock,
        decimal=decimal,
        owner=owner,
        columns=columns_of(samples, owner.columns | clock.columns | {_header(clock)}, decimal),
        culprits=culprits if _has_parts(paths) else None,
        notes=notes + [f"left out: {path}: {why}" for path, why in sorted(refused.items())],
    )
    if not plan.columns.measured:
        why = "; ".join(f"{h!r}: {w}" for h, w in list(plan.columns.left_out.items())[:SHOWN])
        raise DataError(f"{root}: no column of {samples[0].path} holds numbers to watch ({why})")
    plan.channels = named(plan.columns.measured)
    return _finished(plan)


def _finished(plan: _Plan) -> Draft:
    _place_recordings(plan)
    parts = plan.parts
    trial = try_out(plan.fleet(), plan.root, plan.samples, parts)
    placed = plan.clock.take == "index" or plan.clock.keys.get("start_from") == "modified"
    one = plan.owner.keys["take"] == "constant" and not placed
    if one and vehicles.overlap(trial.spans):
        plan.owner = vehicles.each_its_own(plan.paths)
        plan.owner.seen += " (they run at the same time, as one vehicle cannot)"
        trial = try_out(plan.fleet(), plan.root, plan.samples, parts)
    if not trial.files:
        reason = next(iter([*trial.refused.values(), *trial.reasons]), "no rows")
        raise DataError(f"{plan.root}: not one row of the sample can be read: {reason}")
    value_NC = np.concatenate([file.value_TC for file in trial.files])
    file_N = np.repeat(np.arange(len(trial.files)), [len(f.timestamp_T) for f in trial.files])
    for channel, value_N in zip(plan.channels, value_NC.T, strict=True):
        describe(channel, value_N, file_N)
    plan.sparse = plan.format == "csv" and is_sparse(trial)
    sparse = plan.format in ("csv_sparse", "csv_long")
    fixed = plan.period if plan.clock.take == "index" else None
    figures = figures_of(trial, sparse=sparse, period=fixed)
    plan.period = figures.period
    text = _text(plan, trial, figures)
    return Draft(text=text, lines=_lines(plan, trial))


def _place_recordings(plan: _Plan) -> None:
    """Rows told by their place: several recordings of a vehicle are set apart."""
    if plan.clock.take != "index":
        return
    several = plan.owner.keys["take"] == "constant" and len(plan.paths) > 1
    if several and not _has_parts(plan.paths):
        plan.clock.keys["gap_between_files"] = GAP_SECONDS
        plan.clock.guesses.append(
            f"each file is a recording, {GAP_SECONDS} seconds after the one before"
        )


def _alike(found: list[Sampled]) -> tuple[list[Sampled], Clock, list[str]]:
    """The largest group of files that one fleet file can read, its clock, and who is left out."""
    groups: dict[tuple, list[Sampled]] = {}
    for sample in found:
        groups.setdefault(sample.form, []).append(sample)
    samples = _with_shared_headers(max(groups.values(), key=_size))
    clock = clock_of(samples)
    if clock.take == "index" and len(samples) > 1:
        clocks: dict[str, list[Sampled]] = {}
        for sample in samples:
            keys = clock_of([sample]).keys
            clocks.setdefault(repr({**keys, "start_pattern": 0}), []).append(sample)
        best = max(clocks.values(), key=lambda group: (len(group), _size(group)))
        if clock_of(best).take != "index":
            samples, clock = best, clock_of(best)
    kept = {sample.path for sample in samples}
    rest = [sample.path for sample in found if sample.path not in kept]
    notes = [f"left out, as it is written otherwise (draft it by itself): {p}" for p in rest]
    return samples, clock, notes


def _size(group: list[Sampled]) -> int:
    return sum(sample.size for sample in group)


def _with_shared_headers(samples: list[Sampled]) -> list[Sampled]:
    """The files that have nearly the columns of the commonest kind of file."""
    kinds: dict[frozenset, list[Sampled]] = {}
    for sample in samples:
        names = frozenset(name for name in sample.columns if not LABEL.fullmatch(name))
        kinds.setdefault(names, []).append(sample)
    common = max(kinds.items(), key=lambda item: (_size(item[1]), len(item[1])))[0]
    return [s for s in samples if len(common & set(s.columns)) >= 0.8 * len(common)]


def _is_culprits(path: Path) -> bool:
    """A table of known events: entity, start, end, channels."""
    if path.suffix != ".csv" or path.stat().st_size > 1 << 22:
        return False
    try:
        with path.open(encoding="utf-8") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeError, csv.Error):
        return False
    return {"start", "end", "channels"} <= {name.strip() for name in header}


def _has_parts(paths: list[str]) -> bool:
    return set(vehicles.parts_of(paths).values()) != {"all"}


def _header(clock: Clock) -> str:
    return str(clock.keys.get("column", ""))


def _folder(root: Path, settings: Settings) -> str:
    """As ``source.folder`` has it: relative to the data folder where it lies below."""
    if root.is_relative_to(settings.data_dir):
        return root.relative_to(settings.data_dir).as_posix()
    return root.as_posix()


def _text(plan: _Plan, trial: Trial, figures: Figures) -> str:
    clock = plan.clock
    some = f"{len(plan.samples)} of {len(plan.paths)}"
    whole = all(sample.whole for sample in plan.samples)
    how = "read whole" if whole else "their first rows"
    lines = comment(
        f"Drafted by 'amad init' from {some} files ({how}, {trial.rows:,} rows). What is marked as "
        "a guess is one: look at it, then delete the remark."
    )
    lines += [f"name: {plan.name}"]
    if clock.take == "index":
        lines += comment("A guess: nothing in the files tells how far apart the rows are.")
    lines += [f"period_seconds: {_plain(figures.period)}"]
    lines += _source_lines(plan)
    lines += _label_lines(plan)
    if len({name for file in trial.files for name in file.vehicle_T}) < 4 and (
        plan.columns.label is None
    ):
        lines += section("evaluation", {"unit": "case"})
    lines += _limit_lines(plan, figures)
    lines += _channel_section(plan)
    return "\n".join(lines) + "\n"


def _source_lines(plan: _Plan) -> list[str]:
    source = plan.source()
    lines = ["source:"]
    remarks = {
        "vehicle": [plan.owner.seen, *(f"A guess: {text}" for text in plan.owner.guesses)],
        "timestamp": [plan.clock.seen, *(f"A guess: {text}" for text in plan.clock.guesses)],
    }
    for key, value in source.items():
        for remark in remarks.get(key, []):
            lines += comment(_sentence(remark), 2)
        if key == "files":
            lines.append("  files:")
            lines += [f"    - {flow(item)}" for item in value]  # type: ignore[union-attr]
        else:
            if key == "timestamp" and plan.clock.take != "index":
                value = {**value, "timezone": "UTC"}  # type: ignore[dict-item]
                lines += comment(
                    "timezone: of times that are told without an offset; Europe/Berlin, for one", 2
                )
            lines += section("x", {key: value})[1:]
    return lines


def _label_lines(plan: _Plan) -> list[str]:
    if plan.columns.label is None:
        remark = "No column tells anomalies, so faults are injected into copies to judge detectors."
        content: dict[str, object] = {"kind": "injected"}
        if plan.owner.keys["take"] == "constant":
            content["injection"] = {"cases_per_vehicle": 48}
        return comment(remark) + section("labels", content)
    return section("labels", plan.labels())


def _limit_lines(plan: _Plan, figures: Figures) -> list[str]:
    few = figures.rows < 20 * WINDOW_ROWS
    shortest = min(WINDOW_ROWS, max(10, figures.rows // 10)) if few else WINDOW_ROWS
    lines = section("missing", {"max_gap_seconds": figures.max_gap, "min_segment_rows": shortest})
    quality: dict[str, object] = {"min_rows": min(60, max(1, figures.rows // 4))}
    if figures.null_share > 0.75 * NULL_SHARE:
        quality["max_null_share"] = up_to(figures.null_share)
    if figures.gap_share > 0.75 * GAP_SHARE:
        quality["max_gap_share"] = up_to(figures.gap_share)
    if len(quality) > 1:
        lines += comment(
            "A guess: so wide that the sample passes. Tighten it to what you would keep out."
        )
    lines += section("quality", quality)
    if few:
        lines += section("split", {"purge_rows": max(0, figures.rows // 20)})
    return lines


def _channel_section(plan: _Plan) -> list[str]:
    lines = comment(
        "Ranges are guesses: what was seen, made wider by as much. A value outside is taken for "
        "impossible and as null, so set each to what the quantity can be."
    )
    lines.append("channels:")
    for channel in plan.channels:
        lines += channel_lines(channel)
    for header, why in plan.columns.left_out.items():
        lines += comment(f"left out: {header.strip()!r}: {why}", 2)
    return lines


def _lines(plan: _Plan, trial: Trial) -> list[str]:
    """What was decided, for the terminal."""
    source = plan.source()
    kinds = [c.kind for c in plan.channels]
    told = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    names = {name for file in trial.files for name in file.vehicle_T}
    refused = sum(trial.reasons.values())
    lines = [
        f"files: {len(plan.paths)} in the format {plan.format}"
        + "".join(f", {key} {source[key]!r}" for key in ("delimiter", "decimal", "encoding")
                  if key in source),
        f"vehicle: {plan.owner.seen}",
        f"time: {plan.clock.seen}; a row every {_plain(plan.period)} s",
        f"channels: {len(plan.channels)} ({', '.join(told)})",
    ]  # fmt: skip
    if plan.columns.left_out:
        left = [f"{h.strip()!r} ({why})" for h, why in plan.columns.left_out.items()]
        lines.append(f"columns left out: {', '.join(left[:SHOWN])}{', ...' * (len(left) > SHOWN)}")
    suspects = [f"{c.name} {', '.join(map(_plain, c.nulls))}" for c in plan.channels if c.nulls]
    if suspects:
        lines.append(f"values taken for 'not available': {'; '.join(suspects[:SHOWN])}")
    label = plan.columns.label
    lines.append(f"labels: column {label!r}" if label else "labels: none, faults are injected")
    lines.append(
        f"tried on the sample: {trial.rows:,} rows of {len(names)} vehicles read, "
        f"{refused:,} refused"
    )
    lines += [f"  refused: {why}: {count:,}" for why, count in trial.reasons.most_common(3)]
    lines += [f"  refused: {path}: {why}" for path, why in list(trial.refused.items())[:3]]
    lines += plan.notes[:SHOWN] + ["..."] * (len(plan.notes) > SHOWN)
    return lines


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _plain(value: float) -> str:
    return f"{value:g}"
