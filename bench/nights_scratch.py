"""The same scores from scratch: a fresh home, the final raw files, and the same models."""

import shutil
from datetime import date
from pathlib import Path

from bench.nights_fleet import FLEET

FILES = {
    "scores": ("part.parquet", "_manifest.json"),
    "incidents": ("incidents.parquet", "incidents.jsonl"),
}


def from_scratch(home: Path, fresh: Path, wanted: list[tuple[str, str]]) -> int:
    """Score dates in a fresh home, each with the version whose partition of it counts.

    home: whose raw files, contract and models are taken. wanted: version and date.
    """
    from amad.config import Settings, Stage, load_fleet, load_params
    from amad.engines.register.promotion import promote
    from amad.engines.score.fleet_scoring import score_fleet
    from amad.engines.score.scoring_plan import ScoringRequest
    from pipelines import ingest, validate

    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(home / "conf", fresh / "conf")
    shutil.copytree(home / "raw", fresh / "raw")
    for name in ("params.yaml", "mlflow.db"):
        shutil.copy(home / name, fresh / name)
    settings = Settings(home=fresh, data_dir=fresh / "raw")
    params = load_params(settings.params_file, FLEET)
    ingest.run(params, settings)
    validate.run(params, settings)
    stage = Stage(fleet=load_fleet(FLEET, settings), settings=settings, params=params)
    # What went on over midnight is read from the day before, so the days come in order.
    scoring = ""
    for version, day in sorted(wanted, key=lambda item: item[1]):
        if version != scoring:
            promote(settings, FLEET, version, force=True, reason="from scratch")
            scoring = version
        dates = (date.fromisoformat(day), date.fromisoformat(day))
        score_fleet(stage, ScoringRequest(dates=dates))
    return 0
