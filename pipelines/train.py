"""python -m pipelines.train

Train AMAD with the best settings of the sweep: data/<fleet>/bundle and data/<fleet>/train.json.
Neither holds a time or a run's id, so that the same training gives the same bytes.
"""

from amad.config import Params, Settings, load_cluster, load_fleet
from amad.config.console import say
from amad.engines.shared.datasets import log_datasets
from amad.engines.shared.tracking import connect, told
from amad.engines.shared.train_result import TrainResult
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep_outputs import with_settings
from amad.telemetry.files import damaged, read_json
from amad.windows.store import WindowStore
from pipelines import stage_main


def run(params: Params, settings: Settings) -> TrainResult:
    """Train and return the content of ``train.json``.

    Raises:
        DataError: prepare or tune has not run, or no window fits into the train rows.
        ConfigError: the training diverged.
        ServiceError: the cluster or the tracking store does not answer.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    best, remedy = folder / "best.json", "run `amad tune`"
    chosen = read_json(best, remedy, keys=["settings"], required=True)
    try:
        params = with_settings(params, chosen["settings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(best, remedy, str(error)) from None
    result = train_fleet(
        folder / "store",
        params,
        fleet,
        settings,
        load_cluster(settings=settings),
        folder / "bundle",
    )
    client = connect(settings)
    with told(client.tracking_uri):
        store = WindowStore.open(folder / "store")
        log_datasets(client, result.run_id, store, folder / "lake")
    result.write(folder)
    say(
        f"trained {result.parameters:,} parameters for {len(result.epochs)} epochs; "
        f"bundle in {folder / 'bundle'}"
    )
    return result


if __name__ == "__main__":
    stage_main(run)
