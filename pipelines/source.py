"""python -m pipelines.source

Find the raw files (or simulate them) and write their fingerprint, data/<fleet>/source.json.
"""

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.ingest.raw_files import fingerprint
from amad.telemetry.files import write_json
from pipelines import stage_main


def run(params: Params, settings: Settings) -> dict:
    """Write the fingerprint and return it."""
    fleet = load_fleet(params.fleet, settings)
    content = fingerprint(fleet, settings)
    write_json(settings.fleet_dir(fleet.name) / "source.json", content)
    size = sum(file["bytes"] for file in content["files"]) / 1e6
    say(f"source of fleet {fleet.name}: {len(content['files'])} files, {size:.1f} MB")
    return content


if __name__ == "__main__":
    stage_main(run)
