"""python -m pipelines.evaluate

Decide whether the network votes, fit the detector, judge it on the test part beside floors and
baselines: data/<fleet>/detector and data/<fleet>/evaluation (metrics.json, plots). For DVC ten
figures of it, data/<fleet>/metrics.json, and the detector's curve,
data/<fleet>/precision_recall.csv.
"""

import time

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.config.wording import count
from amad.detect.detector import build_detector
from amad.detect.detector_folder import folder_digest, save_detector
from amad.detect.forms import fit_forms
from amad.detect.members.build import relation_left_out
from amad.engines.shared.datasets import data_hash
from amad.engines.shared.evaluation_run import evaluation_run
from amad.engines.shared.tracking import connected
from amad.engines.shared.train_result import TrainResult
from amad.engines.shared.unit_engines import unit_engine
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.harness import examine
from amad.evaluation.headline import headline, write_curve
from amad.evaluation.plots import write_plots
from amad.evaluation.results_table import show_results
from amad.evaluation.units import fitting_parts
from amad.evaluation.vote import decide_vote
from amad.model.bundle import read_bundle
from amad.telemetry.files import staged, write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import follows_storage, stage_main


@follows_storage("evaluate")
def run(params: Params, settings: Settings) -> EvaluationMetrics:
    """Write the detector and the evaluation, log a run of its own, return the metrics.

    The metrics name the detector (its digest) and the data (the lake's hash) that they are of.

    Raises:
        DataError: an earlier stage has not run, or there is nothing to fit on.
        ServiceError: the tracking store does not answer.
    """
    stage = Stage.of(params, settings)
    fleet, folder = stage.fleet, stage.folder
    store = WindowStore.checked(folder / "store")
    training = TrainResult.require(folder)
    lake = Lake(folder / "lake", fleet)
    events = lake.events()
    bundle = read_bundle(folder / "bundle")
    detect, vote = decide_vote(store, bundle, params)
    params = params.model_copy(update={"detect": detect})
    detector = build_detector(bundle, params.detect)
    say(f"fit the detector on {count(len(store.vehicles), 'vehicle')}")
    if left_out := relation_left_out(detect, fleet):
        say(left_out)
    with unit_engine(stage, scored_days=lake.day_table().num_rows) as engine:
        started = time.perf_counter()
        other = fit_forms(detector, *fitting_parts(store), engine)
        fit_seconds = time.perf_counter() - started
        save_detector(detector, folder / "detector")
        evaluation = examine(store, detector, fleet, params, events, other, engine)
    metrics = evaluation.metrics.model_copy(
        update={
            "detector_digest": folder_digest(folder / "detector"),
            "data_hash": data_hash(store),
            "vote": vote,
        }
    )
    with staged(folder / "evaluation") as stage_folder:
        stage_folder.mkdir()
        metrics.write_file(stage_folder / "metrics.json")
        write_plots(evaluation, detector, store, fleet, events, stage_folder)
    write_curve(evaluation, folder / "precision_recall.csv")
    write_json(folder / "metrics.json", headline(metrics))
    evaluation.timings["amad"]["fit_seconds"] = fit_seconds  # of both forms
    write_json(stage.runs / "timings.json", evaluation.timings)
    used = bundle.params.model_copy(update={"detect": params.detect, "evaluate": params.evaluate})
    with connected(settings) as client:
        evaluation_run(client, used, store, folder, metrics, training)
    show_results(metrics)
    return metrics


if __name__ == "__main__":
    stage_main(run)
