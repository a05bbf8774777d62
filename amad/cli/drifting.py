"""The commands ``drift`` and ``retrain``: has the fleet moved away from its champion's training?"""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amad.cli.running import FleetsOption, for_each_fleet

if TYPE_CHECKING:
    from amad.config import Stage
    from amad.drift.findings import Drift

SHOWN = 8  # channels in the table; drift.json has them all


DaysOption = Annotated[int, typer.Option(min=1, help="Number of newest dates to compare.")]


def drift(
    context: typer.Context,
    days: DaysOption = 7,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON per fleet.")
    ] = False,
    fleet: FleetsOption = None,
) -> None:
    """Compare the last days with those that the champion was trained on; say whether to retrain.

    All channels are in runs/<fleet>/drift.json. Prometheus gets the figures where conf/notify/
    names it.
    """

    def work(stage: "Stage") -> None:
        from amad.config.sinks import load_sinks

        found = _measured(stage, days)
        print(json.dumps(found.content()) if as_json else "\n".join(lines_of(found)))
        if load_sinks(stage.fleet.name, stage.settings) is not None:
            from amad.notify.metrics import tell_drift

            tell_drift(stage, found)

    for_each_fleet(context, fleet, work)


def retrain(
    context: typer.Context,
    days: DaysOption = 7,
    force: Annotated[bool, typer.Option("--force", help="Train even if nothing drifted.")] = False,
    fleet: FleetsOption = None,
) -> None:
    """Where `amad drift` recommends it, train a challenger on all data there is; the gate decides.

    It runs `dvc repro register@<fleet>`. The champion stays unless the challenger beats it.
    """
    for_each_fleet(context, fleet, lambda stage: _retrain(stage, days, force))


def _measured(stage: "Stage", days: int) -> "Drift":
    """Measure against the champion, and write the artifact.

    Raises:
        ServiceError: the fleet has no champion, or the registry does not answer.
    """
    from amad.detect.detector_folder import load_detector
    from amad.drift.measure import measure
    from amad.engines.shared.lost_registry import existing_registry
    from amad.engines.shared.model_registry import (
        champion_version,
        fetched,
        scores_from,
        version_title,
    )
    from amad.scores.daily import new_channels
    from amad.scores.step_log import noted
    from amad.storage import step

    with step(stage, "drift"), noted(stage.runs, "drift"):
        with existing_registry(stage.settings, stage.fleet.name) as client:
            champion = champion_version(client, stage.fleet.name)
        with fetched(client, champion) as folder:
            detector = load_detector(folder, to_score=True, called=version_title(champion))
        point = detector.operating_point
        assert point is not None, "a saved detector is fitted"
        found = measure(
            stage,
            version=str(champion.version),
            test_start=scores_from(champion),
            point=point,
            days=days,
            knows=lambda *vehicle: detector.owner_for(*vehicle).startswith("vehicle/"),
            unlearnt=new_channels(detector, stage.fleet),
        )
        found.write(stage.runs)
    return found


def lines_of(found: "Drift") -> list[str]:
    """The figures, the channels that are the furthest away, and the recommendation."""
    from amad.config.wording import some
    from amad.drift.distance import MOST

    lines = [f"fleet {found.fleet}, champion version {found.model_version}"]
    if found.train and found.recent:
        lines.append(
            f"  {'compared':<26}{found.recent[0]} to {found.recent[1]}, with training: "
            f"{found.train[0]} to {found.train[1]}"
        )
    age = "not known" if found.age_days is None else f"{found.age_days} days"
    lines.append(f"  {'age of the model':<26}{age}, newest row {found.newest}")
    if found.above_usual is not None and found.moved_threshold is not None:
        lines.append(
            f"  {'scores above usual 95 %':<26}{found.above_usual:.1%} in the median vehicle, "
            f"threshold moved by {found.moved_threshold:+.2f}"
        )
    if found.uncovered is not None and found.uncovered_limit is not None:
        within = "no limit, since as many of the train days lie outside the others"
        if found.uncovered_limit < 1:
            within = f"limit {found.uncovered_limit:.1%}"
        lines.append(f"  {'rows outside training':<26}{found.uncovered:.1%} ({within})")
    if found.unknown:
        lines.append(f"  {'vehicles not in training':<26}{len(found.unknown)} of {found.vehicles}")
    if found.unlearnt:
        names = ", ".join(item.channel for item in found.unlearnt)
        lines.append(f"  {'channels not learnt':<26}{names}")
    if found.channels:
        many = f"{len(found.drifted)} of {len(found.channels)} drifted"
        most = f"{MOST:g} at most; for codes, the share of rows with another"
        lines.append(f"  {'channels':<26}{many}; distance in train spreads ({most}), and limit:")
    for item in found.channels[:SHOWN]:
        mark = "*" if item.drifted else " "
        name = f"{item.channel} ({item.vehicle_class})"
        lines.append(f"   {mark} {item.distance:6.2f} {item.limit:6.2f}  {name}")
    if (more := len(found.drifted) - SHOWN) > 0:
        file = f"runs/{found.fleet}/{found.FILE}"
        lines.append(f"     and {more:,} more that drifted; all channels are in {file}")
    if found.strayed:
        each = (
            f"{item.vehicle} ({item.channel} {item.distance:.2f}, limit {item.limit:.2f})"
            for item in found.strayed
        )
        lines.append(f"  {'vehicles by themselves':<26}{some(each, SHOWN)}: look at them")
    return [*lines, f"  {'retrain':<26}{found.reason}"]


def _retrain(stage: "Stage", days: int, force: bool) -> None:
    """Measure, and run the stages up to ``register`` where that is recommended.

    Raises:
        ConfigError: ``params.yaml`` does not name the fleet.
        ServiceError: another retraining of the fleet is running, or see ``_challenge``.
    """
    from amad.config import ConfigError, ServiceError, read_params
    from amad.config.file_lock import locked

    name, settings = stage.fleet.name, stage.settings
    if name not in read_params(settings.params_file).fleets:
        raise ConfigError(
            f"{settings.params_file}: fleets does not name {name}, so dvc has no stages of it; "
            "add it there"
        )
    busy = f"fleet {name} is being retrained already; wait for that"
    with locked(stage.runs / "retrain.lock", lambda: ServiceError(busy)):
        found = _measured(stage, days)
        if found.retrain or force:
            why = found.reason.removeprefix("yes: ") if found.retrain else "by --force"
            print(f"fleet {name} is retrained: {why}", flush=True)
            _challenge(stage, found.model_version)
        else:
            print(f"fleet {name} is not retrained: {found.reason.removeprefix('no: ')}")


def _challenge(stage: "Stage", champion: str) -> None:
    """Run the stages and say what the gate decided.

    Raises:
        ServiceError: a stage failed; it has said why.
    """
    from amad.config import ServiceError
    from amad.config.console import say
    from amad.config.interruption import run_group
    from amad.scores.receipts import RegistrationReceipt

    name = f"register@{stage.fleet.name}"
    command = shutil.which("dvc") or str(Path(sys.executable).with_name("dvc"))
    say(f"dvc repro {name}")  # what runs from here on, and says the rest
    code = run_group([command, "repro", name], stage.settings.home)
    if code:
        raise ServiceError(
            f"'dvc repro {name}' ended with code {code}, for the reason that stands above; the "
            f"champion, version {champion}, goes on scoring"
        )
    receipt = RegistrationReceipt.require(stage.folder)
    if str(receipt.version) == champion:
        print(f"the data gives the same detector again: version {champion} stays the champion")
        return
    print(f"version {receipt.version} is the challenger; {receipt.reasons[-1]}")
    print(f"version {receipt.champion} is the champion")
