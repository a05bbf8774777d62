"""The same scores from scratch: a fresh home, the final raw files, and the same models."""

import shutil
from datetime import date
from pathlib import Path

from bench.nights_fleet import FLEET

FILES = {
    "scores": ("part.parquet", "_manifest.json"),
    "incidents": ("incidents.parquet", "incidents.jsonl"),
}


def from_scratch(home: Path, fresh: Path, wanted: list[tuple[str, str]], champion: str) -> int:
    """Score dates in a fresh home, each with its version, those of ``champion`` last.

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
    versions = sorted({version for version, _ in wanted}, key=lambda v: (v == champion, int(v)))
    for version in versions:
        promote(settings, FLEET, version, force=True, reason="from scratch")
        for day in sorted(date.fromisoformat(day) for v, day in wanted if v == version):
            score_fleet(stage, ScoringRequest(dates=(day, day)))
    return 0
