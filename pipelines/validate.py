"""python -m pipelines.validate

Profile the lake in one pass and judge it, and what was refused on the way into it: profile.parquet,
quarantine.parquet, validation.json and the Data Docs under data/<fleet>/docs.
"""

from amad.config import DataError, Params, Settings, load_fleet
from amad.config.console import say
from amad.engines.validate.quality import judge
from amad.telemetry.files import write_parquet
from amad.telemetry.health import Trouble, fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.refusals import intake_of, read_passed, too_many, write_passed
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import Validation
from pipelines import stage_main

TOLD = 10  # warnings in the sentence; validation.json and the Data Docs have them all


def run(params: Params, settings: Settings) -> Validation:
    """Write the verdict and return ``validation.json``.

    Raises:
        DataError: too many vehicle-days fail, or too much of what was sent was refused; the outputs
            are written first, to look into.
    """
    fleet = load_fleet(params.fleet, settings)
    folder, runs = settings.fleet_dir(fleet.name), settings.runs_dir(fleet.name)
    lake = Lake(folder / "lake", fleet)
    table = profile(lake, fleet)
    intake = intake_of(lake, read_passed(runs))
    health = fleet_health(fleet, settings, lake, fresh=table)
    verdict = judge(table, fleet, folder / "docs", intake, health)
    write_parquet(table, folder / "profile.parquet", PROFILE)
    write_parquet(verdict.quarantine, folder / "quarantine.parquet", QUARANTINE)
    docs = folder / "docs" / "index.html"
    refused = None if verdict.intake_ok else too_many(intake, fleet, folder / "rejected")
    warned = _warned(health.troubles)
    validation = Validation(
        ok=verdict.ok,
        vehicle_days=verdict.vehicle_days,
        quarantined=verdict.quarantined,
        checks=verdict.checks,
        refused=[scope.to_json() for scope in intake.scopes],
        refused_because=refused,
        warnings=health.sentences(),
        profile_rows=table.num_rows,
        data_hash=lake.hash(),
        digest=fleet.digest,
    )
    validation.write(folder)
    failures = []
    if not verdict.days_ok:
        failures.append(
            f"{verdict.summary()}. Vehicles with the most failing days: "
            f"{verdict.worst_vehicles()}. At most {fleet.quality.max_failing_share:.0%} may fail "
            "(quality.max_failing_share); mend the data or the limits under quality: in the fleet "
            "file"
        )
    if refused:
        failures.append(refused)
    if failures:
        raise DataError(
            f"fleet {fleet.name} fails its contract: {'. And '.join(failures)}. See {docs}{warned}"
        )
    write_passed(runs, lake)
    say(f"validated fleet {fleet.name}: {verdict.summary()}; Data Docs: {docs}{warned}")
    return validation


def _warned(troubles: list[Trouble]) -> str:
    """What is missing, as the rest of the sentence."""
    more = f"; and {len(troubles) - TOLD} more" if len(troubles) > TOLD else ""
    return f". Warning: {'; '.join(map(str, troubles[:TOLD]))}{more}" if troubles else ""


if __name__ == "__main__":
    stage_main(run)
