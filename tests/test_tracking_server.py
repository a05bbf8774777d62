"""Register and score against a real MLflow server, also one that fails in the middle of the work.

The faults are made by a proxy before the server: an error for every request from one on, no answer,
an answer that is lost on its way back, a page or empty JSON of its own.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scoring_kit import FLEET, digests, kit_params, versions
from server_kit import Proxy, mlflow_server

from amad.cli.drifting import _measured
from amad.config import ServiceError, Settings, Stage, load_fleet
from amad.engines.register import promotion, registry_writes
from amad.engines.register.challenge import defend
from amad.engines.register.review import review
from amad.engines.score.dry_run import dry_run
from amad.engines.score.scoring_plan import ScoringRequest
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import register, score

pytestmark = pytest.mark.cluster
PARAMS = kit_params(members=["innovation", "amad"])


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


def test_what_a_proxy_answers_in_the_servers_place_is_told_and_taken_for_nothing(served):
    """Empty JSON became a bug, a version without number, or lost artifacts and so a double."""
    proxy, settings = served
    stage = Stage.of(PARAMS, settings)
    for after in (0, 6, 14):
        failing(proxy, settings, lambda: register.run(PARAMS, settings), "empty", after=after)
    register.run(PARAMS, settings)
    made = versions(settings)
    works = {
        "register": lambda: register.run(PARAMS, settings),
        "score": lambda: score.run(PARAMS, settings),
        "drift": lambda: _measured(stage, 7),
        "review": lambda: review(settings, FLEET),
        "promote": lambda: promotion.promote(settings, FLEET),
        "dry run": lambda: dry_run(stage, ScoringRequest()),
    }
    for name, work in works.items():
        for how in ("empty", "login"):
            for after in (0, 1):
                told = failing(proxy, settings, work, how, after=after)
                assert "amad promote" not in told and "backup" not in told, (name, how, after, told)
    failing(proxy, settings, works["review"], "gateway", after=2)
    for how in ("empty", "login"):  # also in the middle of fetching the artifacts
        for after in (4, 8, 12):
            failing(proxy, settings, works["register"], how, after=after)
        told = failing(proxy, settings, works["score"], how, after=9)
        assert "backup" not in told, told
    assert versions(settings) == made


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
        proxy, settings, lambda: defend(client, champion, store, fleet, events), "500",
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
