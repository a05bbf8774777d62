"""python -m pipelines.tune

Search for the best masks and loss weights of AMAD. Writes data/<fleet>/best.json and
data/<fleet>/sweep/.
"""

from amad.config import Params, Settings, Stage
from amad.engines.tune.sweep import sweep_fleet
from amad.engines.tune.sweep_result import SweepResult
from pipelines import follows_storage, stage_main


@follows_storage("tune")
def run(params: Params, settings: Settings) -> SweepResult:
    """Run the sweep.

    Raises:
        DataError: prepare has not run, or its rows are too few to judge a trial on.
        ServiceError: Ray or the tracking store does not answer, or every trial failed.
    """
    return sweep_fleet(Stage.of(params, settings))


if __name__ == "__main__":
    stage_main(run)
