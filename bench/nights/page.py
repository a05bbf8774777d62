"""The page of results of bench.nights."""

from bench.quality.tables import table

MEANING = {
    "rows": "every raw row is in the lake with its values, or refused with its reason",
    "scores": "each lake row of a scored date has one score row; the job did all it should",
    "from scratch": "in the end each file of scores and incidents has the bytes of a run from "
    "scratch over the final raw files, with the same models",
    "incidents": "no id twice on a date, and on consecutive dates only",
    "over midnight": "what goes on over midnight keeps its id",
    "one incident an event": "a fault of the script is one incident of its vehicle",
    "told": "to each sink each change once, in order, and in the end what is published",
    "where": "each event in its place: an incident of its vehicle and channels, one notice of the "
    "fleet, or the health of the fleet from the right night on",
    "nothing open": "`amad status` ends with 0 after the night",
    "run twice": "a second run changes no file and tells nothing",
    "exit code": "0; 7 while the receiver is down; 10 for the second run with `--fail-on "
    "nothing-new`",
}


def page(result: dict) -> list[str]:
    """The lines of the page."""
    runs = result["runs"]
    first, machine = runs[0], result["machine"]
    kinds = [kind for kind in MEANING if kind in first["checks"]]
    assert set(kinds) == set(first["checks"]), "each kind of check has its meaning"
    rows = [
        [
            kind,
            MEANING[kind],
            f"{sum(run['checks'][kind]['checked'] for run in runs):,}",
            f"{sum(run['checks'][kind]['violated'] for run in runs):,}",
        ]
        for kind in kinds
    ]
    refused = " + ".join(
        f"{number:,} refused ({why})" for why, number in first["refused_rows"].items()
    )
    repeated = sum(run["messages_repeated"] for run in runs)
    lines = [
        "# Fourteen nights",
        "",
        f"`python -m bench.nights`, seeds of the kills: {len(runs)}; "
        f"{sum(run['commands'] for run in runs):,} commands in processes of their own, "
        f"{sum(run['kills'] for run in runs):,} of them killed by SIGKILL; {machine['cpu']}, "
        f"{machine['cores']} cores, {sum(run['seconds'] for run in runs) / 60:.0f} minutes.",
        "",
        "Six simulated vehicles, a sample per 30 s from 21:00 to 03:00, and the closed-form "
        "members. Each night `amad ingest`, `validate` and `score` are killed at a seeded moment, "
        "run, and run once more. A file and a webhook on a real HTTP server are told. Over the "
        "nights: half a file comes a night late and a whole one five nights late; a file and "
        "single rows come twice; a file is replaced by a corrected one; rows of 2044 and of a "
        "vehicle of no class come; a vehicle falls silent, and a new one comes; a fault goes on "
        "over midnight, once in the night after which the model changes; two sensors of a vehicle "
        "are swapped; the whole fleet changes the unit of a channel; the receiver is down for a "
        "night; a second model is trained, registered and promoted, and later rolled back.",
        "",
        f"{first['raw_rows']:,} raw rows = {first['lake_rows']:,} in the lake + {refused}. "
        f"{first['dates']} dates scored, {first['incidents']} incidents, "
        f"{first['notices']['webhook']} messages; {repeated} came once more with the same key, "
        "after a kill between sending and noting it.",
        "",
        *table(["what", "must hold", "checked", "violated"], rows),
        "",
    ]
    texts = list(dict.fromkeys(text for run in runs for text in run["texts"]))
    if texts:
        lines += ["## What was violated", "", *(f"- {text}" for text in texts), ""]
        lines += ["`[]` stands for a fault in which the detector raises no alarm.", ""]
    return [
        *lines,
        "## What it does not show",
        "",
        "The processes are forked from one that has imported the packages, which a cron job does "
        "anew. The disk, the network and the clock are healthy.",
    ]
