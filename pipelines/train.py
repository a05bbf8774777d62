"""python -m pipelines.train

Train AMAD with the best settings of the sweep. Writes data/<fleet>/bundle and
data/<fleet>/train.json. Neither holds a time or the id of a run, so the same training gives the
same bytes.
"""

from dataclasses import replace

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.config.wording import count
from amad.engines.shared.datasets import log_datasets
from amad.engines.shared.tracking import connected
from amad.engines.shared.train_result import TrainResult
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep_result import SweepResult, differences, with_settings
from amad.telemetry.files import damaged
from amad.windows.store import WindowStore
from pipelines import follows_storage, stage_main


@follows_storage("train")
def run(params: Params, settings: Settings) -> TrainResult:
    """Train the network of a fleet.

    Raises:
        DataError: prepare or tune has not run, or no window fits into the train rows.
        ConfigError: the training diverged.
        ServiceError: the cluster or the tracking store does not answer.
    """
    stage = Stage.of(params, settings)
    folder = stage.folder
    best = SweepResult.require(folder)
    try:
        stage = replace(stage, params=with_settings(params, best.settings))
    except (KeyError, ValueError) as error:
        raise damaged(folder / best.FILE, best.REMEDY, str(error)) from None
    if changed := differences(params, stage.params):
        say(f"trial {best.trial} of the sweep has other settings than params.yaml: {changed}")
    result = train_fleet(stage)
    with connected(settings) as client:
        store = WindowStore.open(folder / "store")
        log_datasets(client, result.run_id, store, folder / "lake")
    result.write(folder)
    say(
        f"trained {result.parameters:,} parameters for {count(len(result.epochs), 'epoch')}; "
        f"bundle in {folder / 'bundle'}"
    )
    return result


if __name__ == "__main__":
    stage_main(run)
