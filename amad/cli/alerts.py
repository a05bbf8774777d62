"""The commands that tell people what changed: ``score``, after its job, and ``notify``."""

from importlib import import_module
from typing import TYPE_CHECKING

import typer

from amad.cli.error_sentences import complain
from amad.cli.running import for_each_fleet

if TYPE_CHECKING:
    from amad.config import Params, Settings
    from amad.engines.score.scoring_plan import ScoringRequest


def score(
    context: typer.Context,
    fleets: list[str] | None,
    cluster: str | None,
    request: "ScoringRequest",
) -> None:
    """Score each fleet and tell its sinks what changed, also after a job that did only a part.

    If scoring and telling both fail, the error of scoring decides the exit code.
    """
    from amad.config import DataError, NotifyError, ServiceError

    run = import_module("pipelines.score").run

    def work(params: "Params", settings: "Settings") -> None:
        try:
            run(params, settings, request=request)
        except (DataError, ServiceError):
            try:
                _tell(params, settings)
            except NotifyError as error:
                complain(str(error))
            raise
        _tell(params, settings)

    for_each_fleet(context, fleets, work, cluster)


def notify(context: typer.Context, fleets: list[str] | None, *, dry_run: bool) -> None:
    """Tell the sinks of each fleet, or print what they would be told."""
    work = _preview if dry_run else _tell_alone
    for_each_fleet(context, fleets, work)


def _tell(params: "Params", settings: "Settings", scored: bool = True) -> bool:
    """Tell the fleet's sinks; False where it has none, so that nothing heavy is imported."""
    from amad.config import Stage
    from amad.config.sinks import load_sinks

    if load_sinks(params.fleet, settings) is None:
        return False
    from amad.notify.delivery import tell

    tell(Stage.of(params, settings), scored=scored)
    return True


def _tell_alone(params: "Params", settings: "Settings") -> None:
    if not _tell(params, settings, scored=False):
        print(_nobody(params, settings))


def _preview(params: "Params", settings: "Settings") -> None:
    from amad.config import Stage
    from amad.notify.delivery import preview
    from amad.notify.wording import plain_text, subject

    found = list(preview(Stage.of(params, settings)))
    for sink, notices in found:
        told = subject(notices, params.fleet) if notices else "nothing to tell"
        print(f"{sink}: {told}")
        if notices:
            print("\n" + plain_text(notices))
    if not found:
        print(_nobody(params, settings))


def _nobody(params: "Params", settings: "Settings") -> str:
    file = settings.conf_dir / "notify" / f"{params.fleet}.yaml"
    return f"fleet {params.fleet} has no sinks of notices; name them in {file}"
