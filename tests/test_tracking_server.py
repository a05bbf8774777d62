"""Register and score against a real MLflow server, also one that fails in the middle of the work.

The faults are made by a proxy before the server: an error for every request from one on, no answer,
an answer that is lost on its way back.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scoring_kit import FLEET, digests, kit_params
from server_kit import Proxy, mlflow_server

from amad.config import ServiceError, Settings, load_fleet
from amad.engines.register import registry_writes
from amad.engines.register.challenge import defend
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import register, score

pytestmark = pytest.mark.cluster
NAME = "amad-nights"
PARAMS = kit_params(members=["ridge", "amad"])


@pytest.fixture(scope="module")
def served(
    champion_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, Settings]]:
    """A server with its proxy, and a home whose detector nobody has registered there yet."""
    folder = tmp_path_factory.mktemp("served")
    home = folder / "home"
    shutil.copytree(champion_home, home, ignore=shutil.ignore_patterns("mlflow.db*", "mlart*"))
    (home / "data" / FLEET / "receipt.json").unlink()
    with mlflow_server(folder) as port:
        proxy = Proxy(port)
        try:
            yield proxy, Settings(home=home, data_dir=home / "raw", mlflow_uri=proxy.uri)
        finally:
            proxy.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is waited for a moment, and asked twice."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


def failing(proxy: Proxy, settings: Settings, work, how: str, **when: object) -> str:
    """Run ``work`` while the server fails; the sentence that tells it."""
    proxy.fail(how, **when)
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        work()
    assert time.monotonic() - began < 60
    proxy.mend()
    told = str(caught.value)
    assert settings.mlflow_uri in told and "run the command again" in told, told
    assert len(told) < 600
    return told


def versions(settings: Settings) -> list[int]:
    found = connect(settings).search_model_versions(f"name = '{NAME}'")
    return sorted(model_registry.number(version) for version in found)


def test_register_and_score_survive_a_server_that_fails_in_the_middle(served):
    proxy, settings = served

    def submit() -> dict:
        return register.run(PARAMS, settings).content()

    failing(proxy, settings, submit, "500", after=3)
    failing(proxy, settings, submit, "hang", where="mlflow-artifacts", after=5)
    # The version is made, and nobody is told: MLflow asks again, and another one is made.
    failing(proxy, settings, submit, "lost", where="model-versions/create")
    assert len(versions(settings)) == 2
    assert not (settings.fleet_dir(FLEET) / "receipt.json").exists()
    receipt = submit()
    assert [receipt["version"]] == [receipt["champion"]] == versions(settings)

    def night() -> dict:
        return score.run(PARAMS, settings).content()

    failing(proxy, settings, night, "500", after=4)
    failing(proxy, settings, night, "hang", where="mlflow-artifacts", after=1)
    assert not digests(settings)
    assert night()["dates"] and digests(settings)


def test_a_server_that_fails_is_not_one_without_the_model(served):
    """Taken for lost, the same detector would be registered twice and its rival promoted."""
    proxy, settings = served
    receipt = register.run(PARAMS, settings).content()
    client, fleet = connect(settings), load_fleet(FLEET, settings)
    champion = model_registry.champion_version(client, FLEET)
    folder = settings.fleet_dir(FLEET)
    store, events = WindowStore.open(folder / "store"), Lake(folder / "lake", fleet).events()
    failing(
        proxy, settings, lambda: registry_writes.find_version(client, FLEET, receipt), "500",
        where="mlflow-artifacts",
    )  # fmt: skip
    failing(
        proxy, settings, lambda: defend(client, champion, store, fleet, PARAMS, events), "500",
        where="mlflow-artifacts",
    )  # fmt: skip
    failing(
        proxy, settings, lambda: model_registry.alias_version(client, FLEET, "champion"), "500",
        where="alias",
    )  # fmt: skip
    # What is really gone is told as such, and registered anew.
    shutil.rmtree(settings.home.parent / "artifacts")
    with pytest.raises(model_registry.LostError, match="bring the artifact store back"):
        model_registry.fetched(client, champion).__enter__()
    assert registry_writes.find_version(client, FLEET, receipt) is None
