"""The stage ``validate``: profile the lake, judge it, write the verdict and the Data Docs."""

import pyarrow as pa

from amad.config import DataError, Stage
from amad.config.console import say
from amad.engines.shared.unit_engines import unit_engine
from amad.engines.validate.quality import judge
from amad.telemetry.files import read_table, write_parquet
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.refusals import PassedFiles, intake_of, too_many
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import Validation

NAMED = 10  # warnings in the sentence; validation.json and the Data Docs have them all


def validate_fleet(stage: Stage) -> Validation:
    """Judge the lake as it is; write the tables, the Data Docs and ``validation.json``.

    Raises:
        DataError: too many vehicle-days fail, or too much of what was sent was refused; the outputs
            are written first, to look into.
    """
    fleet, folder = stage.fleet, stage.folder
    lake = Lake(folder / "lake", fleet)
    with unit_engine(stage) as run:
        table = profile(lake, fleet, run=run, known=_profile_before(stage))
    intake = intake_of(lake, _passed_before(stage))
    health = fleet_health(fleet, stage.settings, lake, fresh=table)
    verdict = judge(table, fleet, folder / "docs", intake, health)
    write_parquet(table, folder / "profile.parquet", PROFILE)
    write_parquet(verdict.quarantine, folder / "quarantine.parquet", QUARANTINE)
    refused = None if verdict.intake_ok else too_many(intake, fleet, folder / "rejected")
    validation = Validation(
        ok=verdict.ok,
        vehicle_days=verdict.vehicle_days,
        quarantined=verdict.quarantined,
        checks=verdict.checks,
        refused=[scope.to_json() for scope in intake.scopes],
        refused_because=refused,
        warnings=health.sentences(),
        events=health.events,
        profile_rows=table.num_rows,
        data_hash=lake.hash(),
        digest=fleet.digest,
        tables=Validation.tables_in(folder),
    )
    validation.write(folder)
    docs = folder / "docs" / "index.html"
    troubles = [str(trouble) for trouble in health.troubles]
    more = f"; and {len(troubles) - NAMED} more" if len(troubles) > NAMED else ""
    warned = f". Warning: {'; '.join(troubles[:NAMED])}{more}" if troubles else ""
    told = f". {'; '.join(health.events[:NAMED])}" if health.events else ""
    failures = [refused] if refused else []
    if not verdict.days_ok:
        days = (
            f"{verdict.summary()}. Vehicles with the most failing days: "
            f"{verdict.worst_vehicles()}. At most {fleet.quality.max_failing_share:.0%} may fail "
            "(quality.max_failing_share); mend the data or the limits under quality: in the fleet "
            "file"
        )
        failures.insert(0, days)
    if failures:
        raise DataError(
            f"fleet {fleet.name} fails its contract: {'. And '.join(failures)}. See {docs}{warned}"
        )
    PassedFiles.of(lake).write(stage.runs)
    say(f"validated fleet {fleet.name}: {verdict.summary()}; Data Docs: {docs}{told}{warned}")
    return validation


def _profile_before(stage: Stage) -> pa.Table | None:
    """The profile that the last validation left, so that a night measures its own days alone."""
    file = stage.folder / "profile.parquet"
    if not file.exists():
        return None
    try:
        return read_table(file, PROFILE, "it is measured again")
    except DataError as error:
        say(str(error))
        return None


def _passed_before(stage: Stage) -> PassedFiles | None:
    """The raw files of the last validation that passed; None where none has, or it is not known."""
    try:
        return PassedFiles.read(stage.runs)
    except DataError as error:
        say(str(error))
        return None
