"""The commands that tell people what changed, and that hear what people say of it."""

from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from amad.cli.error_sentences import complain
from amad.cli.running import FleetOption, FleetsOption, for_each_fleet, load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from amad.config import Stage
    from amad.scores.feedback import Feedback, Judgement


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

    def work(stage: "Stage") -> None:
        with failure_told(stage):
            result = run(stage.params, stage.settings, **options)
        told(result)

    for_each_fleet(context, fleets, work)


@contextmanager
def failure_told(stage: "Stage") -> "Iterator[None]":
    """Tell the fleet's sinks where the body fails; the error of the body comes first."""
    from amad.config import AmadError, InterruptionError, usable_error

    try:
        yield
    except InterruptionError:
        raise
    except Exception as error:
        try:
            tell_sinks(stage, well=False)
        except (AmadError, OSError) as second:
            text = str(usable_error(second) or second)
            if text != str(usable_error(error) or error):  # a storage that is away stops both
                complain(text)
        raise


def notify(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what each sink would be told; tell nobody.")
    ] = False,
    fleet: FleetsOption = None,
) -> None:
    """Tell the sinks of conf/notify/ what changed, and what they could not be told before.

    `amad score` does the same after each job, so this is for a sink that did not answer.
    """
    for_each_fleet(context, fleet, _preview if dry_run else _tell_alone)


def feedback(
    context: typer.Context,
    incident: Annotated[
        str | None, typer.Argument(help="The incident's id, as in the message and the report.")
    ] = None,
    verdict: Annotated[
        Literal["true", "false", "planned"] | None,
        typer.Argument(
            help="true: something was wrong with the vehicle; false: nothing was; planned: work "
            "that was known."
        ),
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with your name.")] = "",
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep all verdicts of a file that the report saved."),
    ] = None,
    fleet: FleetOption = None,
) -> None:
    """Say whether an incident was true. Without arguments: list what was said so far.

    Nobody is told any more of an incident that was false or planned, nor of later ones like several
    false ones. Each call says how many of the judged incidents were true.

    For example: `amad feedback 20260110T071200-3f9c1b22aa false --note "a cold start"`
    """
    from amad.config.wording import count
    from amad.notify.ledger import moved_ids
    from amad.scores.feedback import Feedback, Said, keep, read_feedback, read_verdicts
    from amad.storage import edit, look

    if (incident is None) != (verdict is None) or (csv is not None and incident is not None):
        raise typer.BadParameter(
            "give the incident and the verdict, or --csv with a file, or neither to list them."
        )
    stage = load(context, fleet)
    look(stage, "feedback")
    said = list[Said]()
    if incident is not None and verdict is not None:
        said = [Said(incident_id=incident, verdict=verdict, note=note)]
    elif csv is not None:
        said = read_verdicts(csv)
    kept: Collection[str] = ()
    if said:
        with edit(stage, f"runs/{Feedback.FILE}"):
            kept = keep(stage.runs, said, moved_ids(stage.runs))
    if csv is not None:
        print(f"{count(len(kept), 'verdict')} kept")
    found = read_feedback(stage.runs)
    listed = kept if incident or csv else found.incidents
    _print_verdicts({name: item for name, item in found.incidents.items() if name in listed})
    true, judged = found.precision
    told = f"{true} of {count(judged, 'judged incident')} true" if judged else "none judged yet"
    print(f"fleet {stage.fleet.name}: {told}")
    if any(item.verdict == "false" for item in found.incidents.values()):
        _say_learnt(stage, found)


def _print_verdicts(verdicts: "Mapping[str, Judgement]") -> None:
    """A line for each; verdicts: by the incident's id."""
    for name, item in verdicts.items():
        after = f": {item.note}" if item.note else ""
        print(
            f"{name}  {item.verdict:7}  {item.vehicle}, {item.level}, {item.type}, "
            f"by {item.by} on {item.at:%Y-%m-%d}{after}"
        )


def _say_learnt(stage: "Stage", found: "Feedback") -> None:
    """The incidents of which nobody is told for the sake of verdicts on others."""
    from amad.notify.learnt import in_words, learnt
    from amad.notify.published import read_window
    from amad.notify.suppressed import followed
    from amad.scores.job_log import job_logs, last_version

    window = read_window(stage.runs, last_version(job_logs(stage.runs)[0]))
    for name, lesson in learnt(window, followed(found, window)).items():
        print(f"{name}  not told: {in_words(lesson)}")


def tell_sinks(stage: "Stage", well: bool | None) -> bool:
    """Tell the fleet's sinks; False where it has none, so that nothing heavy is imported."""
    from amad.config import ConfigError
    from amad.config.sinks import load_sinks
    from amad.scores.job_log import job_logs

    nobody = False
    with suppress(ConfigError, OSError):  # ``tell`` notes it
        nobody = load_sinks(stage.fleet.name, stage.settings) is None
    if nobody and not any(job.untold for job in job_logs(stage.runs)[0][-1:]):
        return False
    from amad.notify.delivery import tell
    from amad.storage import step

    with step(stage, "notify"):
        tell(stage, well=well)
    return not nobody


def _tell_alone(stage: "Stage") -> None:
    if not tell_sinks(stage, well=None):
        print(_nobody(stage))


def _preview(stage: "Stage") -> None:
    from amad.notify.delivery import preview
    from amad.notify.wording import plain_text, subject
    from amad.storage import look

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
        print(_nobody(stage))
    if found.missing:
        print(f"not set, and needed to send it: {', '.join(found.missing)}")


def _nobody(stage: "Stage") -> str:
    fleet = stage.fleet.name
    file = stage.settings.conf_dir / "notify" / f"{fleet}.yaml"
    return f"fleet {fleet} has no sinks of notices; name them in {file}"
