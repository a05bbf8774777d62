"""The commands that tell people what changed, and that hear what people say of it."""

from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from amad.cli.error_sentences import complain
from amad.cli.running import for_each_fleet, load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from amad.config import Params, Settings, Stage
    from amad.engines.score.scoring_plan import ScoringRequest
    from amad.scores.feedback import Feedback, Verdict


def score(
    context: typer.Context,
    fleets: list[str] | None,
    cluster: str | None,
    request: "ScoringRequest",
    then: "Callable[[Params, Settings, bool], int | None]" = lambda params, settings, scored: None,
) -> None:
    """Score each fleet and tell its sinks what changed, also after a job that did only a part.

    then: called after a fleet's job went well, before its sinks are told, with whether there was a
    champion to score; it returns the exit code of what it found.

    If scoring and telling both fail, the error of scoring decides the exit code.

    Raises:
        NothingScoredError: no row of the newest date could get a score.
    """
    from amad.config import NothingScoredError

    run = import_module("pipelines.score").run

    def work(params: "Params", settings: "Settings") -> int | None:
        if request.vehicles:
            _check_vehicles(params, settings, request)
        with _failure_told(params, settings):
            receipt = run(params, settings, request=request)
            if receipt.blank is not None:
                raise NothingScoredError(receipt.blank)
        found = then(params, settings, receipt.no_champion is None)
        # A night in which no champion scored is no error, but nobody may think that all is watched.
        _tell(params, settings, well=receipt.no_champion is None)
        return found

    for_each_fleet(context, fleets, work, cluster)


def _check_vehicles(params: "Params", settings: "Settings", request: "ScoringRequest") -> None:
    """Refuse a mistyped id before a job begins: nobody is to be told of a job that failed."""
    from amad.config import DataError, Stage
    from amad.engines.score.fleet_scoring import check_vehicles
    from amad.storage import look
    from amad.telemetry.lake import Lake

    stage = Stage.of(params, settings)
    look(stage, "status")
    with suppress(DataError):  # of the lake, which the job tells
        check_vehicles(Lake(stage.folder / "lake", stage.fleet), request)


def run_daily(
    name: str,
    context: typer.Context,
    fleets: list[str] | None,
    told: "Callable[[Any], None]" = lambda result: None,
    **options: Any,
) -> None:
    """Run another stage of the night on each fleet; where it fails, its sinks are told.

    told: what to do with each result.
    """
    run = import_module(f"pipelines.{name}").run

    def work(params: "Params", settings: "Settings") -> None:
        with _failure_told(params, settings):
            result = run(params, settings, **options)
        told(result)

    for_each_fleet(context, fleets, work)


@contextmanager
def _failure_told(params: "Params", settings: "Settings") -> "Iterator[None]":
    """Tell the fleet's sinks where the body fails; the error of the body comes first."""
    from amad.config import AmadError, InterruptionError, usable_error

    try:
        yield
    except InterruptionError:
        raise
    except Exception as error:
        try:
            _tell(params, settings, well=False)
        except (AmadError, OSError) as second:
            text = str(usable_error(second) or second)
            if text != str(error):  # a storage that is held, or away, stops both alike
                complain(text)
        raise


def notify(context: typer.Context, fleets: list[str] | None, *, dry_run: bool) -> None:
    """Tell the sinks of each fleet, or print what they would be told."""
    work = _preview if dry_run else _tell_alone
    for_each_fleet(context, fleets, work)


def feedback(
    context: typer.Context,
    fleet: list[str] | None,
    incident: str | None,
    verdict: "Verdict | None",
    note: str,
    file: "Path | None",
) -> None:
    """Keep verdicts, or list those there are; say how precise alarms were, and what was learnt."""
    from amad.config.wording import count
    from amad.notify.ledger import moved_ids
    from amad.scores.feedback import Feedback, Said, keep, read_feedback, read_verdicts
    from amad.storage import edit, look

    if (incident is None) != (verdict is None) or (file is not None and incident is not None):
        raise typer.BadParameter(
            "give the incident and the verdict, or --csv with a file, or neither to list them."
        )
    stage = load(context, fleet)
    look(stage, "feedback")
    said = list[Said]()
    if incident is not None and verdict is not None:
        said = [Said(incident_id=incident, verdict=verdict, note=note)]
    elif file is not None:
        said = read_verdicts(file)
    kept: Collection[str] = ()
    if said:
        with edit(stage, f"runs/{Feedback.FILE}"):
            kept = keep(stage.runs, said, moved_ids(stage.runs))
    if file is not None:
        print(f"{count(len(kept), 'verdict')} kept")
    found = read_feedback(stage.runs)
    for name, item in found.incidents.items():
        if not (incident or file) or name in kept:
            after = f": {item.note}" if item.note else ""
            print(f"{name}  {item.verdict:7}  {item.vehicle}, {item.level}, {item.type}, "
                  f"by {item.by} on {item.at:%Y-%m-%d}{after}")  # fmt: skip
    true, judged = found.precision
    told = f"{true} of {count(judged, 'judged incident')} true" if judged else "none judged yet"
    print(f"fleet {stage.fleet.name}: {told}")
    if any(item.verdict == "false" for item in found.incidents.values()):
        _say_learnt(stage, found)


def _say_learnt(stage: "Stage", found: "Feedback") -> None:
    """The incidents of which nobody is told for the sake of verdicts on others."""
    from amad.notify.hushed import followed
    from amad.notify.learnt import in_words, learnt
    from amad.notify.published import read_window
    from amad.scores.job_log import job_logs

    versions = [job.model_version for job in job_logs(stage.runs)[0] if job.model_version]
    window = read_window(stage.runs, versions[-1] if versions else None)
    for name, lesson in learnt(window, followed(found, window)).items():
        print(f"{name}  not told: {in_words(lesson)}")


def _tell(params: "Params", settings: "Settings", well: bool | None) -> bool:
    """Tell the fleet's sinks; False where it has none, so that nothing heavy is imported."""
    from amad.config import Stage
    from amad.config.sinks import load_sinks

    stage = Stage.of(params, settings)  # the fleet may be named by a path; its sinks by its name
    if load_sinks(stage.fleet.name, settings) is None:
        return False
    from amad.notify.delivery import tell
    from amad.storage import step

    with step(stage, "notify"):
        tell(stage, well=well)
    return True


def _tell_alone(params: "Params", settings: "Settings") -> None:
    if not _tell(params, settings, well=None):
        print(_nobody(params, settings))


def _preview(params: "Params", settings: "Settings") -> None:
    from amad.config import Stage
    from amad.notify.delivery import preview
    from amad.notify.wording import plain_text, subject
    from amad.storage import look

    stage = Stage.of(params, settings)
    look(stage, "notify")
    found = preview(stage)
    for sink, parcels in found.sinks.items():
        notices = [notice for parcel in parcels for notice in parcel.notices]
        told = subject(notices, stage.fleet.name) if parcels else "nothing to tell"
        print(f"{sink}: {told}")
        if parcels:
            health = list(dict.fromkeys(line for parcel in parcels for line in parcel.health))
            print("\n" + plain_text(notices, health, parcels[-1].report))
    if found.not_told:
        print(found.not_told)
    if not found.sinks:
        print(_nobody(params, settings))
    if found.missing:
        print(f"not set, and needed to send it: {', '.join(found.missing)}")


def _nobody(params: "Params", settings: "Settings") -> str:
    from amad.config import Stage

    fleet = Stage.of(params, settings).fleet.name
    file = settings.conf_dir / "notify" / f"{fleet}.yaml"
    return f"fleet {fleet} has no sinks of notices; name them in {file}"
