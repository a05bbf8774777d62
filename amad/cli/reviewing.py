"""The command ``review``: what decides about a version of the registry."""

from typing import Annotated

import typer

from amad.cli.running import FleetOption, load


def review(
    context: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(
            help="A version of the registry; default: the challenger, else the champion."
        ),
    ] = None,
    fleet: FleetOption = None,
) -> None:
    """Print what decides about a version: the gate's verdict, figures, blind spots, false alarms.

    It is what the version's page in MLflow shows.
    """
    from amad.engines.register.review import review as text
    from amad.storage import look

    stage = load(context, fleet)
    look(stage, "feedback")
    print(text(stage.settings, stage.fleet.name, version))
