"""python -m pipelines.prepare

The lake and the quarantine to the window store, data/<fleet>/store.
"""

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.config.wording import count
from amad.engines.shared.unit_engines import unit_engine
from amad.telemetry.files import read_table
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import QUARANTINE
from amad.telemetry.validation import Validation
from amad.windows.build import build_store, quarantined_days
from amad.windows.store import PARTS
from pipelines import follows_storage, stage_main


@follows_storage("prepare")
def run(params: Params, settings: Settings) -> dict:
    """Write the store and return its ``store.json``.

    Raises:
        DataError: validate has not run or left damage, or no vehicle has rows to train on.
    """
    stage = Stage.of(params, settings)
    fleet, folder = stage.fleet, stage.folder
    table = read_table(folder / "quarantine.parquet", QUARANTINE, Validation.REMEDY)
    lake = Lake(folder / "lake", fleet)
    days = quarantined_days(table)
    normalise = params.prepare.normalise
    with unit_engine(stage) as engine:
        content = build_store(lake, fleet, normalise, folder / "store", days, engine)
    vehicles, meta = content["vehicles"], content["meta"]
    rows = {name: sum(v["parts"][name] for v in vehicles.values()) for name in PARTS}
    say(
        f"prepared {count(len(vehicles), 'vehicle')} of fleet {fleet.name} on a grid of "
        f"{fleet.period_seconds:g} s: "
        + ", ".join(f"{number:,} rows {name}" for name, number in rows.items())
    )
    for key, text in (
        ("cold", "too few train rows, scaled like their class"),
        ("empty", "every day quarantined"),
        ("unlearnt", "no train row has a value, so the model will say nothing about"),
    ):
        if meta[key]:
            say(f"  {text}: {', '.join(meta[key])}")
    if meta["made_null"]:
        cells = ", ".join(f"{name} {number:,}" for name, number in meta["made_null"].items())
        say(f"  impossible values (out of range, or a word for null), read as null: {cells}")
    return content


if __name__ == "__main__":
    stage_main(run)
