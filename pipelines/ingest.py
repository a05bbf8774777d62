"""python -m pipelines.ingest

Raw files into data/<fleet>/lake; what cannot be read into data/<fleet>/rejected.
"""

from collections.abc import Iterator

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.ingest.run import ingest
from amad.telemetry.files import write_json
from pipelines import stage_main

NAMED = 5  # of each kind in the messages


def run(params: Params, settings: Settings, rebuild: bool = False) -> dict:
    """Bring the lake up to date and return the counts, also in ``ingest.json``.

    rebuild: make the lake anew of the raw files that are there.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    counts = ingest(fleet, settings, folder / "lake", folder / "rejected", rebuild=rebuild)
    write_json(folder / "ingest.json", counts, sealed=True)
    for line in _sentences(fleet.name, str(fleet.source_folder(settings)), counts):
        say(line)
    return counts


def _sentences(fleet: str, folder: str, counts: dict) -> Iterator[str]:
    """What was done, what the lake holds now, and what waits for a person."""
    yield (
        f"ingested fleet {fleet}: {counts['files_read']:,} files read now, "
        f"{counts['rows_added']:+,} rows, {counts['days_changed']:,} vehicle-days written"
    )
    merged = f" + {counts['rows_merged']:,} merged into others" if counts["rows_merged"] else ""
    yield (
        f"the lake: {counts['rows_in']:,} rows in = {counts['rows_lake']:,} in the lake{merged} + "
        f"{counts['rows_rejected']:,} rejected; {len(counts['vehicles']):,} vehicles, "
        f"{counts['days']:,} vehicle-days"
    )
    for reason, rows in counts["rejected_by_reason"].items():
        yield f"  rejected, {reason}: {rows:,}"
    for what, lines in counts["ignored"].items():
        yield f"  no rows and left out, {what}: {lines:,}"
    refused = [f"{file['path']}: {file['reason']}" for file in counts["files_refused"]]
    yield from _list("raw files refused, until they are mended", refused)
    twice = [f"{file['path']} is {file['original']}" for file in counts["files_twice"]]
    yield from _list("raw files delivered twice, whose rows are refused as repeats", twice)
    unknown = [f"{vehicle} ({rows:,} rows)" for vehicle, rows in counts["vehicles_unknown"].items()]
    yield from _list("vehicles in no vehicle class of the fleet file", unknown)
    doubles = [" = ".join(map(repr, ids)) for ids in counts["likely_doubles"]]
    yield from _list("ids that may be one vehicle, which source.vehicle.aliases joins", doubles)
    gone = counts["files_gone"]
    rows, days = (sum(file[name] for file in gone) for name in ("rows", "days"))
    yield from _list(
        f"raw files gone from {folder}; the lake keeps their {rows:,} rows on {days:,} "
        "vehicle-days (`amad ingest --rebuild` would drop them)",
        [file["path"] for file in gone],
    )


def _list(what: str, items: list[str]) -> Iterator[str]:
    if items:
        yield f"{what}: {len(items):,}"
        yield from (f"  {item}" for item in items[:NAMED])
    if len(items) > NAMED:
        yield f"  and {len(items) - NAMED:,} more, in ingest.json"


if __name__ == "__main__":
    stage_main(run)
