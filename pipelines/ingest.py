"""python -m pipelines.ingest

Raw files into data/<fleet>/lake; what cannot be read into data/<fleet>/rejected.
"""

from amad.config import Params, Settings, Stage
from amad.engines.shared.unit_engines import unit_engine
from amad.ingest.ingestion import ingest_fleet
from amad.telemetry.ingest_result import IngestResult
from pipelines import follows_storage, stage_main


@follows_storage("ingest")
def run(params: Params, settings: Settings, rebuild: bool = False) -> IngestResult:
    """Bring the lake up to date and return the counts, also in ``ingest.json``.

    rebuild: make the lake anew of the raw files that are there.

    Raises:
        DataError: raw data is missing or unreadable, or the lake is damaged.
        ConfigError: the fleet file contradicts itself.
    """
    stage = Stage.of(params, settings)
    with unit_engine(stage) as engine:
        return ingest_fleet(stage, rebuild=rebuild, run=engine)


if __name__ == "__main__":
    stage_main(run)
