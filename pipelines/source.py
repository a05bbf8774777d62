"""python -m pipelines.source

Find the raw files (or simulate them) and write their fingerprint, data/<fleet>/source.json.
"""

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.ingest.raw_files import Source, fingerprint
from pipelines import follows_storage, stage_main


@follows_storage("source")
def run(params: Params, settings: Settings) -> Source:
    """Write the fingerprint and return it.

    Raises:
        DataError: raw data is missing.
    """
    stage = Stage.of(params, settings)
    source = fingerprint(stage.fleet, settings)
    source.write(stage.folder)
    size = sum(file.bytes for file in source.files) / 1e6
    say(f"source of fleet {stage.fleet.name}: {len(source.files)} files, {size:.1f} MB")
    return source


if __name__ == "__main__":
    stage_main(run)
