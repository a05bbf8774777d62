"""MLflow on PostgreSQL with artifacts in an object store: the same code, other addresses."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from engine_kit import PROFILE, engine_params, engine_store, toy_stage
from postgres_kit import Server
from s3_kit import keys, s3_server
from scoring_kit import FLEET, digests, kit_params
from server_kit import mlflow_server

from amad.config import ServiceError, Settings, load_fleet
from amad.engines.register import promotion
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.engines.train.training import train_fleet
from amad.telemetry.lake import Lake
from pipelines import register, score

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
BUCKET = "amad-models"
PARAMS = kit_params(members=["innovation", "amad"])


@pytest.fixture
def postgres(database_server: Server) -> Server:
    return database_server


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[str]:
    with s3_server(BUCKET) as address:
        yield address


@pytest.fixture(scope="module")
def in_files(champion_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of what the default, files and SQLite, scores."""
    home = tmp_path_factory.mktemp("files") / "home"
    shutil.copytree(champion_home, home)
    settings = Settings(home=home, data_dir=home / "raw")
    score.run(PARAMS, settings)
    return digests(settings)


def unregistered(champion_home: Path, folder: Path) -> Path:
    """A copy of the home whose detector nobody has registered yet."""
    home = folder / "home"
    shutil.copytree(champion_home, home, ignore=shutil.ignore_patterns("mlflow.db*", "mlart*"))
    (home / "data" / FLEET / "receipt.json").unlink()
    return home


def test_a_server_with_postgres_and_an_object_store_behind_it(
    champion_home: Path, in_files: dict, postgres: Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    """Trained, registered, promoted, scored and loaded through it; nothing is kept beside it."""
    place = f"s3://{BUCKET}/server"
    database = postgres.database("server").replace("postgresql:", "postgresql+psycopg:")
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", store=database, artifacts=place) as port:
        # The clients know the server alone, neither the object store nor its keys.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        uri = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("AMAD_MLFLOW_URI", uri)
        profile = PROFILE.model_copy(update={"workers": 0})
        toy = toy_stage(tmp_path / "toy", engine_params(), profile, engine_store(tmp_path / "s"))
        trained = train_fleet(toy)
        client = connect(Settings(home=tmp_path / "toy"))
        assert len(client.get_metric_history(trained.run_id, "loss")) == len(trained.epochs)

        home = unregistered(champion_home, tmp_path)
        settings = Settings(home=home, data_dir=home / "raw")
        receipt = register.run(PARAMS, settings)
        assert receipt.decision == "promote" and receipt.champion == 1
        score.run(PARAMS, settings)
        assert digests(settings) == in_files

        fleet = load_fleet(FLEET, settings)
        rows = Lake(settings.fleet_dir(FLEET) / "lake", fleet).read("a-1").to_pandas().head(300)
        rows.insert(0, "vehicle", "a-1")
        path = list(sys.path)
        model = mlflow.pyfunc.load_model(f"models:/amad-{FLEET}@champion")
        sys.path[:] = path
        assert len(model.predict(rows)) == len(rows)
        with pytest.raises(ServiceError, match="nothing to roll back to"):
            promotion.rollback(settings, FLEET)
    for kept in (tmp_path / "toy", home):
        assert not [*kept.rglob("mlflow.db"), *kept.rglob("mlartifacts")]


def test_postgres_and_an_object_store_without_a_server(
    champion_home: Path, in_files: dict, postgres: Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres.database("direct"))
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", f"s3://{BUCKET}/direct")
    home = unregistered(champion_home, tmp_path)
    settings = Settings(home=home, data_dir=home / "raw")
    assert register.run(PARAMS, settings).champion == 1
    score.run(PARAMS, settings)
    assert digests(settings) == in_files
    written = keys(BUCKET, "direct")
    assert [key for key in written if key.endswith("detector.json")]
    assert not [*home.rglob("mlflow.db"), *home.rglob("mlartifacts")]

    # An object that is lost, and an object store that is gone, are told apart.
    import boto3

    client = connect(settings)
    champion = model_registry.champion_version(client, FLEET)
    for key in written:
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(model_registry.LostError, match="bring the artifact store back"):
        model_registry.fetched(client, champion).__enter__()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match="once the store answers") as caught:
        model_registry.fetched(client, champion).__enter__()
    assert not isinstance(caught.value, model_registry.LostError)
