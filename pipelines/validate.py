"""python -m pipelines.validate

Profile the lake in one pass and judge it: profile.parquet, quarantine.parquet, validation.json and
the Data Docs under data/<fleet>/docs.
"""

from amad.config import DataError, Params, Settings, load_fleet
from amad.config.console import say
from amad.engines.quality import judge
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.schemas import PROFILE, QUARANTINE
from pipelines import stage_main


def run(params: Params, settings: Settings) -> dict:
    """Write the verdict and return ``validation.json``.

    Raises:
        DataError: too many vehicle-days fail; the outputs are written first, to look into.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    lake = Lake(folder / "lake", fleet)
    table = profile(lake, fleet)
    verdict = judge(table, fleet, folder / "docs")
    write_parquet(table, folder / "profile.parquet", PROFILE)
    write_parquet(verdict.quarantine, folder / "quarantine.parquet", QUARANTINE)
    content = {
        "ok": verdict.ok,
        "vehicle_days": verdict.vehicle_days,
        "quarantined": verdict.quarantined,
        "checks": verdict.checks,
        "profile_rows": table.num_rows,
        "data_hash": lake.hash(),
        "digest": fleet.digest,
    }
    write_json(folder / "validation.json", content)
    docs = folder / "docs" / "index.html"
    if not verdict.ok:
        raise DataError(
            f"fleet {fleet.name} fails its contract: {verdict.summary()}. Vehicles with the most "
            f"failing days: {verdict.worst_vehicles()}. At most "
            f"{fleet.quality.max_failing_share:.0%} may fail (quality.max_failing_share); see "
            f"{docs}, then mend the data or the limits under quality: in the fleet file"
        )
    say(f"validated fleet {fleet.name}: {verdict.summary()}; Data Docs: {docs}")
    return content


if __name__ == "__main__":
    stage_main(run)
