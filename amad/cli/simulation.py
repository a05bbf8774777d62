"""``amad simulate``: the simulator with some settings of the fleet file overridden."""

from pathlib import Path

from amad.config import ConfigError, Fleet, Stage
from amad.config.wording import count


def simulated(
    stage: Stage,
    *,
    vehicles: int | None = None,
    days: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
) -> str:
    """Simulate the fleet into ``out`` and return a sentence that says what was written.

    Raises:
        ConfigError: the fleet has real data and ``out`` is not given, or is not simulated.
    """
    from amad.simulator.fleet import simulate

    fleet = stage.fleet
    if fleet.source.format != "simulator":
        raise ConfigError(
            f"fleet {fleet.name} reads real data (source.format: {fleet.source.format}); "
            "simulate a fleet whose file says format: simulator, such as demo"
        )
    changes = {"vehicles": vehicles, "days": days, "seed": seed}
    changes = {key: value for key, value in changes.items() if value is not None}
    content = fleet.model_dump()
    content["source"]["simulator"] |= changes
    path = (out or fleet.source_folder(stage.settings)).absolute()
    made = simulate(Fleet.model_validate(content), path)
    return (
        f"{count(made['rows'], 'row')} and {count(made['faults'], 'fault')} of "
        f"{count(made['vehicles'], 'vehicle')} on {count(made['days'], 'day')} in {path}"
    )
