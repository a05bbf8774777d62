"""python -m pipelines.tune

Sweep AMAD's masks and loss weights: data/<fleet>/best.json and data/<fleet>/sweep/.
"""

from amad.config import Params, Settings, load_cluster, load_fleet
from amad.engines.tune.sweep import sweep_fleet
from pipelines import stage_main


def run(params: Params, settings: Settings) -> dict:
    """Run the sweep and return the content of ``best.json``.

    Raises:
        DataError: prepare has not run, or its rows are too few to judge a trial on.
        ServiceError: Ray or the tracking store does not answer, or every trial failed.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    return sweep_fleet(
        folder / "store",
        params,
        fleet,
        settings,
        load_cluster(settings=settings),
        folder / "best.json",
        folder / "sweep",
    )


if __name__ == "__main__":
    stage_main(run)
