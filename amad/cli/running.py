"""What the commands of ``amad`` share: options that name fleets and dates, and running a stage."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from amad.config import Settings, Stage

FleetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fleet", "-f", metavar="NAME", help="A fleet of conf/fleet/; default: params.yaml's."
    ),
]
FleetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fleet",
        "-f",
        metavar="NAME",
        help="A fleet of conf/fleet/, or several (-f one -f two); default: those of params.yaml.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A profile of conf/cluster/; default: $AMAD_CLUSTER, local."),
]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date like 2026-01-31.") from None


DAY = {"metavar": "YYYY-MM-DD", "parser": _date}
DateOption = Annotated[date | None, typer.Option(help="The only date to score.", **DAY)]


@dataclass(frozen=True)
class Call:
    """The options before the command: ``amad --fleet NAME --debug COMMAND``."""

    fleets: list[str]
    debug: bool


def load(context: typer.Context, fleet: list[str] | None, cluster: str | None = None) -> "Stage":
    """Read fleet file, ``params.yaml`` and settings for a command that works on one fleet.

    Raises:
        ConfigError: this is not the project's folder, a key is wrong, or ``params.yaml`` names
            several fleets and the command line none.
        BadParameter: the command line names several.
    """
    from amad.config import Stage, load_params

    settings = settings_of(cluster)
    return Stage.of(load_params(settings.params_file, one_fleet(context, fleet)), settings)


def one_fleet(context: typer.Context, fleet: list[str] | None) -> str | None:
    """The fleet that the command line names; None for the one of ``params.yaml``."""
    names = fleet or context.obj.fleets
    if len(names) > 1:
        raise typer.BadParameter(f"this command works on one fleet, not on {', '.join(names)}.")
    return names[0] if names else None


def settings_of(cluster: str | None, needs_params: bool = True) -> "Settings":
    """The settings of this machine, with the engines made quiet.

    Raises:
        ConfigError: this is not the project's folder.
    """
    from amad.config import ConfigError, Settings
    from amad.engines.shared.environment import quiet

    quiet()
    settings = Settings(cluster=cluster) if cluster else Settings()
    if needs_params and not settings.params_file.is_file():
        raise ConfigError(
            f"there is no params.yaml in {settings.home}; run amad in the project's folder, or "
            "name that folder in AMAD_HOME"
        )
    return settings


def run_stage(
    name: str,
    context: typer.Context,
    fleet: list[str] | None,
    cluster: str | None = None,
    **options: Any,
) -> Any:
    """Run the stage ``pipelines.<name>`` on one fleet and return its result."""
    stage = load(context, fleet, cluster)
    return import_module(f"pipelines.{name}").run(stage.params, stage.settings, **options)


def for_each_fleet(
    context: typer.Context,
    fleets: list[str] | None,
    work: "Callable[[Stage], int | None]",
    cluster: str | None = None,
) -> None:
    """Do the work on each fleet; a failure does not stop the others.

    The exit code is the highest of the errors. Without an error it is the lowest of the codes that
    the work returned, which says what was found although all is done. Of several fleets, the last
    lines say the outcome of each.

    fleets: those that the command line names after the command; default: those before it, else
    those of ``params.yaml``.

    Raises:
        Exit: with that code, where it is not 0.
    """
    from amad.cli.error_sentences import MEANINGS, explain
    from amad.config import Stage, load_params, read_params
    from amad.config.console import say

    settings = settings_of(cluster)
    named = read_params(settings.params_file).fleets
    names = list(dict.fromkeys(fleets or context.obj.fleets or named))
    errors, found = dict[str, int](), dict[str, int]()
    for fleet in names:
        try:
            if code := work(Stage.of(load_params(settings.params_file, fleet), settings)):
                found[fleet] = code
        except Exception as error:
            if len(names) == 1:
                raise
            errors[fleet] = explain(error, debug=context.obj.debug, fleet=fleet)
    codes = dict.fromkeys(names, 0) | found | errors
    if len(names) > 1:
        for fleet, code in codes.items():
            say(f"fleet {fleet} ended with code {code}: {MEANINGS.get(code, 'see above')}")
    if code := max(errors.values(), default=min(found.values(), default=0)):
        raise typer.Exit(code)
