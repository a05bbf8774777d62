"""python -m pipelines.ingest

Raw files into data/<fleet>/lake; what cannot be read into data/<fleet>/rejected.
"""

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.telemetry.files import write_json
from amad.telemetry.ingest import ingest
from pipelines import stage_main


def run(params: Params, settings: Settings) -> dict:
    """Bring the lake up to date and return the counts, also in ``ingest.json``."""
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    counts = ingest(fleet, settings, folder / "lake", folder / "rejected")
    write_json(folder / "ingest.json", counts)
    say(
        f"ingested fleet {fleet.name}: {counts['rows_in']:,} rows in = {counts['rows_lake']:,} in "
        f"the lake + {counts['rows_rejected']:,} rejected; {len(counts['vehicles'])} vehicles, "
        f"{counts['days']} vehicle-days"
    )
    for reason, rows in counts["rejected_by_reason"].items():
        say(f"  rejected, {reason}: {rows:,}")
    return counts


if __name__ == "__main__":
    stage_main(run)
