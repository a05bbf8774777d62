"""The whole pipeline and four nights without a disk that lasts.

Raw files, lake, store, bundle, scores and checkpoints lie in an object store, runs and models in an
MLflow server with PostgreSQL and the same object store behind it.
"""

import io
import shutil
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
import yaml
from postgres_kit import Server
from s3_kit import keys, s3_server
from scoring_kit import AFTER, CONTENT, FLEET, NIGHTS, START, VEHICLES, kit_params, night
from server_kit import mlflow_server
from storage_kit import machine
from storage_nights_kit import bytes_of

from amad.config import Params, Settings
from amad.storage.objects import Objects

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
BUCKET = "amad-team"
PIPELINE = ("source", "ingest", "validate", "prepare", "tune", "train", "evaluate", "register")
EVERY_NIGHT = ("ingest", "score")  # scoring judges the days that ``validate`` has not seen
LATER = [AFTER + timedelta(days=n) for n in range(4)]


def send(raw: Objects, days: list[date]) -> None:
    for day in days:
        for vehicle in VEHICLES:
            file = io.BytesIO()
            pq.write_table(night(day, vehicle), file)
            raw.put(f"{day}-{vehicle}.parquet", file.getvalue())


def run(settings: Settings, params: Params, *stages: str) -> None:
    for stage in stages:
        import_module(f"pipelines.{stage}").run(params, settings)


def small_params() -> Params:
    """One trial, one epoch."""
    given = kit_params(members=["innovation", "amad"])
    return Params.model_validate(
        given.model_dump(mode="json")
        | {
            "train": {"epochs": 1, "max_windows": 60, "batch": 16},
            "tune": {"trials": 1, "epochs": 1, "cases": 2},
        }
    )


@pytest.mark.timeout(900)
def test_every_step_is_taken_by_another_machine(
    database_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    params = small_params()
    home = tmp_path / "home"
    (home / "conf" / "fleet").mkdir(parents=True)
    source = CONTENT["source"] | {"folder": f"s3://{BUCKET}/raw"}
    (home / "conf" / "fleet" / f"{FLEET}.yaml").write_text(
        yaml.safe_dump(CONTENT | {"source": source}), encoding="utf-8"
    )
    database = database_server.database("team").replace("postgresql:", "postgresql+psycopg:")
    (tmp_path / "server").mkdir()
    with (
        s3_server(BUCKET),
        mlflow_server(tmp_path / "server", database, f"s3://{BUCKET}/mlflow") as port,
    ):
        monkeypatch.setenv("AMAD_MLFLOW_URI", f"http://127.0.0.1:{port}")
        raw = Objects(f"s3://{BUCKET}/raw")
        send(raw, [START + timedelta(days=n) for n in range(NIGHTS)])
        made = 0

        def empty(address: str | None = f"s3://{BUCKET}/fleets") -> Settings:
            """A machine that has never seen the fleet."""
            nonlocal made
            made += 1
            own = machine(home, f"machine-{made}", address, workers=0, cpus=2, object_store_mb=100)
            return own.model_copy(update={"mlflow_uri": f"http://127.0.0.1:{port}"})

        on = {stage: empty() for stage in PIPELINE}
        for stage, settings in on.items():
            run(settings, params, stage)
        ray.shutdown()
        for number, day in enumerate(LATER):
            send(raw, [day])
            settings = empty() if number == 0 else settings if number % 2 else empty()
            run(settings, params, *EVERY_NIGHT)
        run(empty(), params, "validate", "report")
        # One disk that sees it all at once; the sweep is not searched again.
        alone = empty(None)
        raw_then = [key for key in keys(BUCKET, "raw/") if str(AFTER) <= key.split("/")[1]]
        assert len(raw_then) == len(LATER) * len(VEHICLES)
        for key in raw_then:
            raw.delete([key.removeprefix("raw/")])
        run(alone, params, *PIPELINE[:4])
        shutil.copytree(on["tune"].fleet_dir(FLEET) / "sweep", alone.fleet_dir(FLEET) / "sweep")
        shutil.copy(on["tune"].fleet_dir(FLEET) / "best.json", alone.fleet_dir(FLEET))
        run(alone, params, *PIPELINE[5:])
        send(raw, LATER)
        run(alone, params, *EVERY_NIGHT)

        same = ("runs/scores/", "runs/incidents/", "data/detector/", "data/bundle/", "data/evalua")
        found = {path: sha for path, sha in bytes_of(settings).items() if path.startswith(same)}
        wanted = {path: sha for path, sha in bytes_of(alone).items() if path.startswith(same)}
        assert found == wanted
        scored = {path.split("date=")[1][:10] for path in found if "runs/scores/" in path}
        assert scored >= {str(day) for day in LATER}
        assert [key for key in keys(BUCKET, "mlflow/") if key.endswith("detector.json")]
        assert [key for key in keys(BUCKET, f"fleets/{FLEET}/ray/")]
        assert not [*tmp_path.rglob("mlflow.db"), *tmp_path.rglob("mlartifacts")]
