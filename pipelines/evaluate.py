"""python -m pipelines.evaluate

Fit the detector, judge it on the test part beside floors and baselines: data/<fleet>/detector and
data/<fleet>/evaluation (metrics.json, plots). For DVC ten figures of it, data/<fleet>/metrics.json,
and the detector's curve, data/<fleet>/precision_recall.csv.
"""

from rich.console import Console
from rich.table import Table

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.detect.detector import build_detector
from amad.detect.storage import folder_digest, save_detector
from amad.engines.shared.datasets import data_hash
from amad.engines.shared.evaluation_run import evaluation_run
from amad.engines.shared.tracking import connect
from amad.engines.shared.train_result import TrainResult
from amad.evaluation.harness import Evaluation, examine
from amad.evaluation.headline import headline, write_curve
from amad.evaluation.plots import write_plots
from amad.evaluation.units import fitting_parts
from amad.model.bundle import read_bundle
from amad.telemetry.files import staged, write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import stage_main

SHOWN = ("vus_pr", "auc_pr", "vus_roc", "event_f1", "affiliation_f1")  # of the table


def run(params: Params, settings: Settings) -> dict:
    """Write the detector and the evaluation, log a run of its own, return the metrics.

    The metrics name the detector (its digest) and the data (the lake's hash) that they are of.

    Raises:
        DataError: an earlier stage has not run, or there is nothing to fit on.
        ServiceError: the tracking store does not answer.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    store = WindowStore.checked(folder / "store")
    training = TrainResult.require(folder)
    events = Lake(folder / "lake", fleet).events()
    bundle = read_bundle(folder / "bundle")
    detector = build_detector(bundle, params.detect)
    say(f"fit the detector on {len(store.vehicles)} vehicles")
    detector.fit(*fitting_parts(store))
    save_detector(detector, folder / "detector")
    evaluation = examine(store, detector, fleet, params, events)
    metrics = evaluation.metrics | {
        "detector_digest": folder_digest(folder / "detector"),
        "data_hash": data_hash(store),
    }
    with staged(folder / "evaluation") as stage:
        stage.mkdir()
        write_json(stage / "metrics.json", metrics, sealed=True)
        write_plots(evaluation, detector, store, fleet, events, stage)
    write_curve(evaluation, folder / "precision_recall.csv")
    write_json(folder / "metrics.json", headline(metrics))
    write_json(settings.runs_dir(fleet.name) / "timings.json", evaluation.timings)
    client = connect(settings)
    used = bundle.params.model_copy(update={"detect": params.detect, "evaluate": params.evaluate})
    evaluation_run(client, used, store, folder, metrics, training)
    _show(evaluation)
    return metrics


def _show(evaluation: Evaluation) -> None:
    content = evaluation.metrics
    console = Console(stderr=True)
    if not content["units"]:
        say(f"No {content['unit']} of fleet {content['fleet']} can be judged:")
    else:
        noun = f"{content['unit']}{'' if content['units'] == 1 else 's'}"
        table = Table(title=f"{content['fleet']}: mean over {content['units']} {noun}")
        table.add_column("method")
        for metric in SHOWN:
            table.add_column(metric, justify="right")
        methods = content["methods"]
        for name in sorted(methods, key=lambda n: -methods[n]["mean"]["vus_pr"]):
            style = "bold" if name == content["detector"] else None
            row = (f"{methods[name]['mean'][metric]:.3f}" for metric in SHOWN)
            table.add_row(name, *row, style=style)
        console.print(table)
    for unit, reason in content["unscorable"].items():
        say(f"  {unit}: {reason}")
    point = content["operating_point"]
    achieved = point["normal_test"]["incidents_per_vehicle_day"]
    text = f"Incidents per vehicle-day: {point['alarm_budget']:g} promised"
    if achieved is not None:
        text += f", {achieved:.2f} on normal rows of the test part"
    if point["events"]:
        text += f"; {point['events_found']} of {point['events']} events found"
    say(text)


if __name__ == "__main__":
    stage_main(run)
