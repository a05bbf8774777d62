"""``amad simulate``: the simulator with some settings of the fleet file overridden."""

from pathlib import Path

from amad.config import ConfigError, Fleet, Settings, load_fleet


def simulated(
    name: str,
    settings: Settings,
    *,
    vehicles: int | None = None,
    days: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
) -> dict:
    """Simulate the fleet ``name`` into ``out`` and return the simulator's summary and the path.

    Raises:
        ConfigError: the fleet has real data and ``out`` is not given, or is not simulated.
    """
    from amad.simulator.fleet import simulate

    fleet = load_fleet(name, settings)
    if fleet.source.format != "simulator":
        raise ConfigError(
            f"fleet {fleet.name} reads real data (source.format: {fleet.source.format}); "
            "simulate a fleet whose file says format: simulator, such as demo"
        )
    changes = {"vehicles": vehicles, "days": days, "seed": seed}
    changes = {key: value for key, value in changes.items() if value is not None}
    content = fleet.model_dump()
    content["source"]["simulator"] |= changes
    path = (out or fleet.source_folder(settings)).absolute()
    return simulate(Fleet.model_validate(content), path) | {"path": str(path)}
