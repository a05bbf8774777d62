"""A run per evaluation, its own for ever, and the version that is registered from it."""

import json
from pathlib import Path

import pytest
from engine_kit import with_tracking_store
from evaluation_kit import evaluation_metrics, method_figures
from scoring_kit import make_artifacts, make_lake, read_json

from amad.config import load_fleet
from amad.engines.shared import evaluation_run as module
from amad.engines.shared import model_registry
from amad.engines.shared.datasets import FITTED, JUDGED, extent, log_datasets
from amad.engines.shared.evaluation_run import evaluation_digest, evaluation_run
from amad.engines.shared.tracking import connect, experiment_id, open_run
from amad.engines.shared.train_result import TrainResult
from amad.evaluation.evaluation_metrics import EvaluationMetrics, Vote
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import register

pytestmark = pytest.mark.slow

FLEET = "nights"
VOTE = Vote(weight=0.0, reason="it is not proven to add anything")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory):
    """(settings, params, client) of a home with an evaluation and a training's run."""
    home = tmp_path_factory.mktemp("evaluated") / "home"
    fleet, settings = make_lake(with_tracking_store(home))
    params = make_artifacts(fleet, settings)
    client = connect(settings)
    with open_run(client, FLEET, "train-1", {"stage": "train", "digest": "d1"}) as run:
        client.log_metric(run.info.run_id, "loss", 0.5, step=1)
    train = {"digest": "d1", "epochs": [{"loss": 0.5}]}
    write_json(settings.fleet_dir(FLEET) / "train.json", train)
    metrics = EvaluationMetrics.require(settings.fleet_dir(FLEET))
    metrics.model_copy(update={"vote": VOTE}).write(settings.fleet_dir(FLEET))
    return settings, params, client


def trained_run(client) -> str:
    """The id of the training's run."""
    query = "tags.stage = 'train'"
    return client.search_runs([experiment_id(client, FLEET)], query)[0].info.run_id


def log(evaluated, **changes: object) -> str:
    """The run of the evaluation, with figures of its own where ``changes`` are given."""
    settings, params, client = evaluated
    folder = settings.fleet_dir(FLEET)
    metrics = EvaluationMetrics.require(folder).model_copy(update=changes)
    store = WindowStore.open(folder / "store")
    return evaluation_run(client, params, store, folder, metrics, TrainResult.require(folder))


def test_the_same_evaluation_is_the_same_run_and_another_one_another(evaluated):
    _, _, client = evaluated
    first = log(evaluated)
    before = client.get_run(first).info.end_time
    assert log(evaluated) == first
    assert client.get_run(first).info.end_time == before  # not even opened again
    second = log(evaluated, confidence=0.5)
    assert second != first and log(evaluated, confidence=0.5) == second


def test_the_run_names_what_it_is_of(evaluated):
    settings, params, client = evaluated
    folder = settings.fleet_dir(FLEET)
    metrics, trained = read_json(folder / "evaluation" / "metrics.json"), trained_run(client)
    run = client.get_run(log(evaluated))
    tags = run.data.tags
    assert tags["training_run_id"] == trained != run.info.run_id
    assert tags["detector_digest"] == metrics["detector_digest"]
    assert (
        tags["data_hash"]
        == metrics["data_hash"]
        == Lake(folder / "lake", load_fleet(FLEET, settings)).hash()
    )
    assert run.data.params["evaluate.bootstrap"] == str(params.evaluate.bootstrap)
    groups = {name.partition("/")[0] for name in run.data.metrics}
    assert groups == {"test", "floor", "baseline", "vote"}
    ours = metrics["methods"]["amad"]["mean"]["vus_pr"]
    assert run.data.metrics["test/vus_pr"] == pytest.approx(ours)
    assert "test/event_recall" in run.data.metrics
    assert client.list_artifacts(run.info.run_id, "evaluation")
    assert client.get_run(trained).data.metrics == {"loss": 0.5}  # stays as it was


def test_the_data_is_listed_with_its_hash_and_span(evaluated):
    settings, _, client = evaluated
    folder = settings.fleet_dir(FLEET)
    store = WindowStore.open(folder / "store")
    inputs = client.get_run(log(evaluated)).inputs.dataset_inputs
    found = {item.tags[0].value: item.dataset for item in inputs}
    assert set(found) == {"train", "test"}
    for context, parts in (("train", FITTED), ("test", JUDGED)):
        dataset = found[context]
        assert dataset.name == f"{FLEET}/{context}"
        assert dataset.digest == store.meta["data_hash"]
        assert str(folder / "lake") in dataset.source
        assert json.loads(dataset.profile) == extent(store, parts)
        assert '"speed"' in dataset.schema
    assert extent(store, FITTED)["last"] <= extent(store, JUDGED)["first"]
    assert extent(store)["vehicles"] == 3 and extent(store, ()) == {
        "rows": 0, "vehicles": 0, "first": None, "last": None,
    }  # fmt: skip


def test_a_training_lists_its_rows_alone_and_once(evaluated):
    settings, _, client = evaluated
    folder = settings.fleet_dir(FLEET)
    store, run_id = WindowStore.open(folder / "store"), trained_run(client)
    for _ in range(2):  # a training that is resumed
        log_datasets(client, run_id, store, folder / "lake")
    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert [item.dataset.name for item in inputs] == [f"{FLEET}/train"]


def test_a_run_that_was_cut_short_is_completed(evaluated, monkeypatch):
    _, _, client = evaluated

    def refuse(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "points", refuse)
        with pytest.raises(KeyboardInterrupt):
            log(evaluated, confidence=0.75)
    run_id = log(evaluated, confidence=0.75)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and "test/vus_pr" in run.data.metrics
    query = f"tags.evaluation_digest = '{run.data.tags['evaluation_digest']}'"
    assert len(client.search_runs([experiment_id(client, FLEET)], query)) == 1


def test_a_version_has_the_run_of_its_evaluation(evaluated):
    settings, params, client = evaluated
    register.run(params, settings)
    version = model_registry.champion_version(client, FLEET)
    assert version.run_id == version.tags["run_id"] == log(evaluated)
    run = client.get_run(version.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [version.tags["model_id"]]
    assert version.tags["training_run_id"] == run.data.tags["training_run_id"]
    model = client.get_logged_model(version.tags["model_id"])
    named = json.loads(model.tags["mlflow.modelVersions"])
    assert named == [{"name": version.name, "version": str(version.version)}]
    figures = {metric.key: metric.value for metric in model.metrics}
    assert figures["test/vus_pr"] == run.data.metrics["test/vus_pr"]
    card = Path(client.get_model_version_download_uri(version.name, "1").removeprefix("file://"))
    text = (card / "model_card.md").read_text()
    assert VOTE.sentence in text
    assert version.tags["detector_digest"] in text and version.tags["data_hash"] in text
    # Figures of another evaluation of the same detector are another run; the version keeps its own.
    folder = settings.fleet_dir(FLEET)
    metrics = read_json(folder / "evaluation" / "metrics.json")
    write_json(folder / "evaluation" / "metrics.json", metrics | {"confidence": 0.6})
    register.run(params, settings)
    write_json(folder / "evaluation" / "metrics.json", metrics)
    assert model_registry.champion_version(client, FLEET).run_id == version.run_id


def test_an_evaluation_of_another_machine_is_registered_here(evaluated, tmp_path):
    """Its outputs came by ``dvc pull``: this store knows neither of its runs."""
    settings, params, _ = evaluated
    here = settings.model_copy(update={"mlflow_uri": f"sqlite:///{tmp_path}/other.db"})
    receipt = register.run(params, here).content()
    client = connect(here)
    run = client.get_run(model_registry.get_version(client, FLEET, receipt["version"]).run_id)
    assert run.data.tags["training_run_id"] == "none"
    assert "test/vus_pr" in run.data.metrics


def test_the_digest_is_of_what_the_file_says():
    methods = {"random": method_figures([0.1, 0.2]), "amad": method_figures([0.6, 0.7])}
    metrics = evaluation_metrics(methods)
    same = evaluation_metrics(dict(reversed(methods.items())))
    assert evaluation_digest(metrics) == evaluation_digest(same)
    assert evaluation_digest(metrics) != evaluation_digest(
        metrics.model_copy(update={"confidence": 0.9})
    )
