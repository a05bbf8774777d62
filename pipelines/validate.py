"""python -m pipelines.validate

Profile the lake in one pass and judge it, and what was refused on the way into it: profile.parquet,
quarantine.parquet, validation.json and the Data Docs under data/<fleet>/docs.
"""

from amad.config import Params, Settings, Stage
from amad.engines.validate.fleet_validation import validate_fleet
from amad.telemetry.validation import Validation
from pipelines import follows_storage, stage_main


@follows_storage("validate")
def run(params: Params, settings: Settings) -> Validation:
    """Write the verdict and return ``validation.json``.

    Raises:
        DataError: too many vehicle-days fail, or too much of what was sent was refused; the outputs
            are written first, to look into.
    """
    return validate_fleet(Stage.of(params, settings))


if __name__ == "__main__":
    stage_main(run)
