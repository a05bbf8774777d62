"""The page of results of bench.kinds."""

from collections.abc import Mapping

from bench.carry_over_tables import differences_table, means_table
from bench.kinds.fleets import KINDS
from bench.quality.tables import named, or_dash, table

DAY = 86_400  # seconds
BEHIND = 0.02  # of VUS-PR: a gap to the best other method that is told
DETECTOR = "amad_without_network"


def page(report: Mapping) -> list[str]:
    """The lines of the page."""
    lines = [
        "# Kinds that nobody tuned on",
        "",
        "Made by `python -m bench.tables`. Brackets are bootstrap intervals; "
        "[how it was measured](index.md#how-it-was-measured) explains the columns.",
        "",
        "`python -m bench.kinds` simulates fifteen fleets of kinds on which the detector was not "
        "settled, with labelled faults in their test parts. "
        f"`{DETECTOR}` is the detector as shipped without the network; the other methods have "
        "the same chain of evidence and calibration. Every fleet weighs the same; seeds of what is "
        f"random: {report['seeds']}, of the floor five.",
        "",
        *[_summary(form, found) for form, found in sorted(report["forms"].items())],
        "",
        "**A check of the mechanism, not a proof.** The fleets were simulated by the authors of "
        "the detector, and the faults are those that they thought of. Six fleets have hidden "
        "states, which were chosen to differ in what the past of a channel and what the other "
        "channels explain. One thing was settled in their sight: a draft of them, with other "
        "random numbers, showed that relations went unheard where the past explains half and the "
        "channels explain each other firmly, and this was mended. The three fleets with channels "
        "of events are three of the others once more, with a door, a count of fault codes, a set "
        "point and a mode that have nothing to do with the faults: what they cost is the "
        "difference. How such channels are weighed was settled on six fleets like these, with "
        "other random numbers. A fleet has a few dozen faults, "
        "and its figures depend on their draw: those of this one and of the draft differ by up to "
        ".2. So read the means and the paired differences.",
        "",
        *_fewer(report),
        *[f"Not judged: {name}: {error}." for name, error in report["errors"].items()],
        "## What they simulate",
        "",
        *[_fleet(kind.name, report["fleets"]) for kind in KINDS if kind.name in report["fleets"]],
        "",
        "A fault lasts as long as its label. Where a state is slow, its effect fades for some rows "
        "after. A fault may not show in some of its rows, or in any, such as a limit of power at "
        "night or a leak while the pump stands; nobody can find those. Vehicles differ by a gain "
        "of about 5 % and an offset of each channel; in the fleets of hidden states two vehicles "
        "in a row have the same mixture.",
        "",
    ]
    for form, found in sorted(report["forms"].items()):
        lines += [f"## {form.capitalize()}", "", *_form(report, found)]
    return lines


def _fewer(report: Mapping) -> list[str]:
    """A sentence where the run had fewer vehicles than the fleets have."""
    known = {kind.name: kind.vehicles for kind in KINDS}
    run = {name: fleet["vehicles"] for name, fleet in report["fleets"].items()}
    short = [name for name, count in run.items() if count < known.get(name, count)]
    if not short:
        return []
    return [f"This run had fewer vehicles than there are: at most {max(run.values())} each.", ""]


def _summary(form: str, found: Mapping) -> str:
    """The means of all methods in a sentence, the best first."""
    ranked = sorted(found["mean"].items(), key=lambda item: -item[1][0])
    means = ", ".join(f"{method} {mean[0]:.3f}" for method, mean in ranked)
    return f"- {form.capitalize()}, mean VUS-PR: {means}."


def _fleet(name: str, fleets: Mapping[str, Mapping]) -> str:
    fleet = fleets[name]
    return (
        f"- **{name}**: {fleet['what']}. Vehicles: {fleet['vehicles']}, channels: "
        f"{fleet['channels']}, test rows: {fleet['rows']['test']:,}, faults: {fleet['events']}."
    )


def _form(report: Mapping, found: Mapping) -> list[str]:
    names = sorted(found["mean"], key=lambda name: -found["mean"][name][0])
    partly = [name for name in found["vus_pr"] if name not in found["mean"]]
    told = [name for name, fleet in report["fleets"].items() if _test_days(fleet) >= 1]
    alarms = {
        method: {fleet: rate if fleet in told else None for fleet, rate in rates.items()}
        for method, rates in found["false_alarms"].items()
    }
    rows = [
        [named(name), *(or_dash(alarms[name].get(fleet), ".2f") for fleet in found["fleets"])]
        for name in names
    ]
    lines = [*means_table({**found, "false_alarms": alarms}, [*names, *partly]), "", *_gaps(found)]
    for ours in found["difference"]:
        lines += [f"### {ours} minus another method", "", *differences_table(found, ours), ""]
    lines += [
        "### False alarms per vehicle-day",
        "",
        f"Incidents on normal test rows; {report['alarm_budget']} were promised.",
        *[
            f"The test part of {name} is {_test_days(fleet) * 24 * 60:.0f} minutes long in all: "
            "too short to count false alarms per day."
            for name, fleet in report["fleets"].items()
            if name not in told
        ],
        "",
        *table(["", *found["fleets"]], rows),
        "",
    ]
    return lines


def _gaps(found: Mapping) -> list[str]:
    """Where the detector is clearly below the best other method."""
    gaps, ours = [], found["vus_pr"][DETECTOR]
    for fleet in found["fleets"]:
        values = {m: own[fleet] for m, own in found["vus_pr"].items() if fleet in own}
        best = max(values, key=lambda name: values[name])
        behind = values[best] - ours.get(fleet, 0)
        if behind > BEHIND:
            gaps.append(f"{fleet} ({best} is ahead by {behind:.3f})")
    where = ", ".join(gaps) if gaps else "nowhere"
    return [f"More than {BEHIND} below the best other method: {where}.", ""]


def _test_days(fleet: Mapping) -> float:
    """Days of test rows of all vehicles together."""
    return fleet["rows"]["test"] * fleet["period_seconds"] / DAY
