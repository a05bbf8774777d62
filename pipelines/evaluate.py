"""python -m pipelines.evaluate

Fit the detector, judge it on the test part beside floors and baselines: data/<fleet>/detector and
data/<fleet>/evaluation (metrics.json, timings.json, plots).
"""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amad.config import DataError, Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.detect.detector import build_detector
from amad.engines.tracking import connect, open_run
from amad.evaluation.harness import Evaluation, examine
from amad.evaluation.plots import write_plots
from amad.evaluation.units import fitting_parts
from amad.model.bundle import read_bundle
from amad.telemetry.files import staged, write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import stage_main

SHOWN = ("vus_pr", "auc_pr", "vus_roc", "event_f1", "affiliation_f1")  # of the table


def run(params: Params, settings: Settings) -> dict:
    """Write the detector and the evaluation, log both to the training's run, return the metrics.

    Raises:
        DataError: an earlier stage has not run, or there is nothing to fit on.
        ServiceError: the tracking store does not answer.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    store = WindowStore.open(folder / "store")
    run_id = _training_run(folder / "train.json")
    events = Lake(folder / "lake", fleet).events()
    detector = build_detector(read_bundle(folder / "bundle"), params.detect)
    say(f"fit the detector on {len(store.vehicles)} vehicles")
    detector.fit(*fitting_parts(store))
    detector.save(folder / "detector")
    evaluation = examine(store, detector, fleet, params, events)
    with staged(folder / "evaluation") as stage:
        stage.mkdir()
        write_json(stage / "metrics.json", evaluation.metrics)
        write_json(stage / "timings.json", evaluation.timings)
        write_plots(evaluation, detector, store, fleet, events, stage)
    _log(evaluation.metrics, folder / "evaluation", fleet, settings, run_id)
    _show(evaluation)
    return evaluation.metrics


def _training_run(path: Path) -> str | None:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("run_id")
    except FileNotFoundError:
        raise DataError(f"there is no {path}; run the stage train first") from None


def _log(content: dict, folder: Path, fleet: Fleet, settings: Settings, run_id: str | None) -> None:
    """Metrics and files to the run that trained the model."""
    client = connect(settings)
    names = {"test": content["detector"], "floor": content["floor"]}
    if content["best_baseline"]:
        names["baseline"] = content["best_baseline"]
    with open_run(client, fleet.name, "evaluate", run_id=run_id) as active:
        own = active.info.run_id
        for prefix, name in names.items():
            for metric, value in content["methods"][name]["mean"].items():
                client.log_metric(own, f"{prefix}_{metric}", value)
        for key in ("event_recall", "median_delay_seconds"):
            if content["operating_point"][key] is not None:
                client.log_metric(own, f"test_{key}", content["operating_point"][key])
        client.log_artifacts(own, str(folder), "evaluation")


def _show(evaluation: Evaluation) -> None:
    content = evaluation.metrics
    console = Console(stderr=True)
    if not content["units"]:
        console.print(f"No {content['unit']} of fleet {content['fleet']} can be judged:")
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
        console.print(f"  {unit}: {reason}", highlight=False)
    point = content["operating_point"]
    achieved = point["normal_test"]["incidents_a_vehicle_day"]
    text = f"Incidents a vehicle-day: {point['alarm_budget']:g} promised"
    if achieved is not None:
        text += f", {achieved:.2f} on normal rows of the test part"
    if point["events"]:
        text += f"; {point['events_found']} of {point['events']} events found"
    console.print(text, highlight=False)


if __name__ == "__main__":
    stage_main(run)
