"""The draft as the text of a fleet file, and as lines for the terminal."""

import glob

from amad.config.number_text import moment
from amad.config.wording import some
from amad.draft.clock_rule import Clock
from amad.draft.figures import Figures, up_to
from amad.draft.plan import Plan
from amad.draft.trial import Trial
from amad.draft.yaml_text import channel_line, comment, flow, section
from amad.reading.cut_rows import of_short_rows
from amad.reading.row_times import MISSING

WINDOW_ROWS = 100  # rows in a window, unless params.yaml says otherwise
NULL_SHARE, GAP_SHARE = 0.2, 0.5  # the limits if the fleet file sets none
SHOWN = 8  # names in a line
LISTED = "no pattern finds these files without the ones left out, so each is listed; add new ones"
UNITS = "units: {}; values stay in the units of the files, and none is converted"
NO_PERIOD = (
    "nothing in the files tells how far apart the rows are; if you know it, set period_seconds: "
    "days and the promised number of incidents per vehicle-day follow from it"
)

FEW_TIMES = (
    "many rows have no time, and none is carried on from the row above: if a time stands only in "
    "the first row of its group, write it into each row of the group, then draft again"
)


def fleet_file(plan: Plan, trial: Trial, figures: Figures) -> str:
    """The text of the fleet file, with a comment wherever something is a guess."""
    clock = plan.clock
    share = f"{len(plan.samples)} of {len(plan.paths)}"
    whole = all(sample.whole for sample in plan.samples)
    how = "read whole" if whole else "a part of their rows"
    lines = comment(
        f"Drafted by 'amad init' from {share} files ({how}, {trial.rows:,} rows). Check each line "
        "that is marked as a guess, then delete the remark."
    )
    lines += [f"name: {flow(plan.name)}"]
    if clock.take == "index":
        lines += comment(f"A guess: {_why_period(clock)}.")
    lines += [f"period_seconds: {_plain(figures.period)}"]
    lines += _source_lines(plan)
    lines += _class_lines(plan)
    lines += _label_lines(plan)
    if trial.vehicles < 4 and plan.columns.label is None:
        lines += section("evaluation", {"unit": "case"})
    lines += _limit_lines(figures)
    lines += _channel_section(plan)
    return "\n".join(lines) + "\n"


def _source_lines(plan: Plan) -> list[str]:
    source = plan.source()
    lines = ["source:"]
    remarks = {
        "vehicle": [
            plan.owner.seen,
            *(f"A guess: {text}" for text in plan.owner.guesses + plan.owner.unread),
        ],
        "timestamp": [plan.clock.seen, *(f"A guess: {text}" for text in plan.clock.guesses)],
    }
    for key, value in source.items():
        for remark in remarks.get(key, []):
            lines += comment(_sentence(remark), 2)
        if key == "files":
            lines.append("  files:")
            lines += [f"    - {flow(item)}" for item in value]
        else:
            if key == "timestamp" and plan.clock.take != "index":
                value = {"timezone": "UTC", **value}
            lines += section("x", {key: value})[1:]
    return lines


def _class_lines(plan: Plan) -> list[str]:
    lines = [line for guess in plan.class_guesses for line in comment(f"A guess: {guess}.")]
    if plan.classes:
        lines.append("vehicle_classes:")
        lines += [f"  - {flow(item)}" for item in plan.classes]
    return lines


def _label_lines(plan: Plan) -> list[str]:
    if plan.columns.label is None:
        remark = "No column tells anomalies, so faults are injected into copies to judge detectors."
        content: dict[str, object] = {"kind": "injected"}
        if plan.owner.keys["take"] == "constant":
            content["injection"] = {"cases_per_vehicle": 48}
        return comment(remark) + section("labels", content)
    return section("labels", plan.labels())


def _limit_lines(figures: Figures) -> list[str]:
    few = figures.rows < 20 * WINDOW_ROWS
    shortest = min(WINDOW_ROWS, max(10, figures.rows // 10)) if few else WINDOW_ROWS
    lines = section("missing", {"max_gap_seconds": figures.max_gap, "min_segment_rows": shortest})
    quality: dict[str, object] = {"min_rows": min(60, max(1, figures.day_rows // 4))}
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


def _channel_section(plan: Plan) -> list[str]:
    lines = comment(
        "Ranges are guesses: what was seen, wider by as much on both sides. A value outside its "
        "range is read as null, so set each range to what the quantity can be. A sensor that is "
        "stuck at an ordinary value may be noticed by max_flat_seconds alone: set it, in seconds, "
        "where a quantity cannot stay the same for so long while its vehicle reports."
    )
    for guess in plan.columns.guesses:
        lines += comment(_sentence(f"A guess: {guess}"))
    for line in _units_line(plan):
        lines += comment(_sentence(line))
    lines.append("channels:")
    lines += map(channel_line, plan.channels)
    for header, why in plan.columns.left_out.items():
        lines += comment(f"left out: {header.strip()!r}: {why}", 2)
    return lines


def _units_line(plan: Plan) -> list[str]:
    """A sentence on the units, where the files tell any."""
    units = dict.fromkeys(channel.unit for channel in plan.channels if channel.unit)
    return [UNITS.format(some(units))] if units else []


def summary(plan: Plan, trial: Trial) -> list[str]:
    """What was decided, for the terminal."""
    source = plan.source()
    told_keys = ("delimiter", "decimal", "thousands", "encoding")
    kinds = [c.kind for c in plan.channels]
    told = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    refused = sum(trial.reasons.values())
    lines = [
        f"files: {len(plan.paths)} in the format {plan.format}"
        + "".join(f", {key} {source[key]!r}" for key in told_keys if key in source),
        f"vehicle: {plan.owner.seen}",
        f"time: {plan.clock.seen}; a row every {_plain(plan.period)} s",
        f"channels: {len(plan.channels)} ({', '.join(told)})",
    ]
    lines += _units_line(plan)
    if plan.columns.left_out:
        left = [f"{h.strip()!r} ({why})" for h, why in plan.columns.left_out.items()]
        lines.append(f"columns left out: {', '.join(left[:SHOWN])}{', ...' * (len(left) > SHOWN)}")
    suspects = [f"{c.name} {', '.join(map(_null, c.nulls))}" for c in plan.channels if c.nulls]
    if suspects:
        lines.append(f"values taken for 'not available': {'; '.join(suspects[:SHOWN])}")
    label = plan.columns.label
    lines.append(f"labels: column {label!r}" if label else "labels: none, faults are injected")
    if label and plan.culprits:
        lines[-1] += f", and the channels to blame in {plan.culprits}"
    guesses = [_why_period(plan.clock)] if plan.clock.take == "index" else []
    by_name = {glob.escape(path) for path in plan.paths}
    if sum(item["glob"] in by_name for item in source["files"]) > 1:  # type: ignore[attr-defined]
        guesses.append(LISTED)
    guesses += plan.clock.guesses + plan.owner.guesses + plan.owner.unread + plan.class_guesses
    guesses += plan.columns.guesses
    lines += [f"guess: {guess}" for guess in guesses]
    lines.append(
        f"tried on the sample: {trial.rows:,} rows of {trial.vehicles} "
        f"vehicle{'s' * (trial.vehicles != 1)} read, {refused:,} refused; "
        f"their times: {moment(trial.time_N.min())} to {moment(trial.time_N.max())} UTC"
    )
    if trial.repeats:
        lines.append(
            f"  of these, {trial.repeats:,} contradict another row of the same vehicle and time, "
            "so that ingest refuses them: is there a column that tells vehicles or times apart, "
            "does the export leave out the seconds, or does a local clock go back for the winter, "
            "so that timezone must be set?"
        )
    if trial.short:
        example = f", such as in {next(iter(trial.short))}"
        lines.append(f"  {of_short_rows(sum(trial.short.values()), example)}")
    lines += [f"  refused: {why}: {count:,}" for why, count in trial.reasons.most_common(3)]
    if 10 * trial.reasons[MISSING] > trial.rows + refused:
        lines.append(f"  {FEW_TIMES}")
    lines += [f"  refused: {path}: {why}" for path, why in list(trial.refused.items())[:3]]
    lines += plan.notes[:SHOWN] + ["..."] * (len(plan.notes) > SHOWN)
    return lines


def left_out_lines(why_of: dict[str, str]) -> list[str]:
    """A line for each reason why files are left out, with some of these files."""
    of_reason: dict[str, list[str]] = {}
    for path, why in sorted(why_of.items()):
        of_reason.setdefault(why, []).append(path)
    return [f"left out: {some(paths)}: {why}" for why, paths in of_reason.items()]


def _why_period(clock: Clock) -> str:
    """Where the period comes from, if a row's place tells its time."""
    if clock.period is None:
        return NO_PERIOD
    return f"rows are taken as {_plain(clock.period)} s apart, the usual step of the time of day"


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _null(null: float | str) -> str:
    return null if isinstance(null, str) else _plain(null)


def _plain(value: float) -> str:
    return f"{value:g}"
