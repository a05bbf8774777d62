"""The command ``simulate``: the simulator with some settings of the fleet file overridden."""

from pathlib import Path
from typing import Annotated

import typer

from amad.cli.running import FleetOption, load


def simulate(
    context: typer.Context,
    vehicles: Annotated[
        int | None, typer.Option(min=1, help="Number of vehicles; default: the fleet file's.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Number of days; default: the fleet file's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default: the fleet file's.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to write it; default: data/<fleet>/raw."),
    ] = None,
    fleet: FleetOption = None,
) -> None:
    """Write raw telemetry of a simulated fleet, with faults: a demonstration, or a load."""
    from amad.config import ConfigError, Fleet
    from amad.config.wording import count
    from amad.simulator.fleet import simulate as write

    stage = load(context, fleet)
    contract = stage.fleet
    if contract.source.format != "simulator":
        raise ConfigError(
            f"fleet {contract.name} reads real data (source.format: {contract.source.format}); "
            "simulate a fleet whose file says format: simulator, such as demo"
        )
    changes = {"vehicles": vehicles, "days": days, "seed": seed}
    content = contract.model_dump()
    content["source"]["simulator"] |= {k: v for k, v in changes.items() if v is not None}
    path = (out or contract.source_folder(stage.settings)).absolute()
    made = write(Fleet.model_validate(content), path)
    print(
        f"{count(made['rows'], 'row')} and {count(made['faults'], 'fault')} of "
        f"{count(made['vehicles'], 'vehicle')} on {count(made['days'], 'day')} in {path}"
    )
