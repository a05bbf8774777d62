"""python -m pipelines.train

Train AMAD with the best settings of the sweep: data/<fleet>/bundle and data/<fleet>/train.json.
Neither holds a time or a run's id, so that the same training gives the same bytes.
"""

from dataclasses import replace

from amad.config import Params, Settings, Stage
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
    stage = Stage.of(params, settings)
    folder = stage.folder
    best, remedy = folder / "best.json", "run `amad tune`"
    chosen = read_json(best, remedy, keys=["settings"], required=True)
    try:
        stage = replace(stage, params=with_settings(params, chosen["settings"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(best, remedy, str(error)) from None
    result = train_fleet(stage)
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
