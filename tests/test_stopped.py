"""Real signals in the middle of stages: what an interruption and a kill leave, and the next run."""

import shutil
from pathlib import Path

import pytest
import yaml
from engine_kit import with_tracking_store
from scoring_kit import AFTER, FAULTY, FLEET, REGISTERED, digests, kit_params, run_job, versions
from stop_kit import INTERRUPTS, KILL, stage, stopped
from test_full_disk import content_of

from amad.config import InterruptionError, Settings, load_fleet
from amad.detect.detector_folder import load_detector
from amad.engines.register import promotion
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.model.bundle import write_bundle
from amad.scores import partitions
from pipelines import evaluate, register, report, score

pytestmark = pytest.mark.engine
# Whether the network has a vote is not asked with injected faults: half of the time of evaluate.
PARAMS = kit_params(members=["innovation", "amad"], amad_weight=1.0)


@pytest.fixture
def place(champion_home: Path, tmp_path: Path) -> Settings:
    """The settings of a home with all that the stages from evaluate on read."""
    home = tmp_path / "home"
    shutil.copytree(champion_home, home)
    settings = Settings(home=home, data_dir=home / "raw")
    (home / "params.yaml").write_text(yaml.safe_dump(PARAMS.model_dump(mode="json")))
    folder = settings.fleet_dir(FLEET)
    write_bundle(folder / "bundle", load_detector(folder / "detector").bundle)
    return settings


def fresh_store(settings: Settings) -> None:
    """A registry that knows nothing yet, and no receipt."""
    for file in settings.home.glob("mlflow.db*"):
        file.unlink()
    (settings.fleet_dir(FLEET) / "receipt.json").unlink()
    with_tracking_store(settings.home)


# Of each stage: what it is about to do when a signal comes, early and late in its work.
VERSION, ALIAS = "INSERT INTO model_versions", "INTO registered_model_aliases"
ALIASES = "registered_model_aliases"  # also where one is changed or taken away
MOMENTS = {
    "register": ("INTO logged_models", VERSION, "receipt.json"),
    "evaluate": ("nights/detector", "nights/metrics.json"),  # each takes long
    "report": ("report.html", "report.html", "report.html"),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_an_interrupted_stage_leaves_no_half_state_and_completes_the_next_time(
    name: str, place: Settings
) -> None:
    if name == "register":
        fresh_store(place)
    if name == "report":
        score.run(PARAMS, place)
        report.run(PARAMS, place)
        # The same page again would not be written.
        (place.fleet_dir(FLEET) / "report.html").write_text("an older page", encoding="utf-8")
    folder = place.fleet_dir(FLEET)
    before = content_of(folder)
    for number, where in zip(INTERRUPTS, MOMENTS[name], strict=False):
        code, said = stopped(stage, place.home, number=number, where=where, arguments=(name,))
        assert code == InterruptionError.exit_code, (where, said)
        assert "interrupted; what was finished is kept" in said and "Traceback" not in said, said
        assert not list(folder.rglob(".stage-*")) and not list(folder.rglob(".old-*"))
        left = content_of(folder)
        assert {k: v for k, v in left.items() if k in before} == before or name == "evaluate"
    run = {"register": register, "evaluate": evaluate, "report": report}[name].run
    told = run(PARAMS, place)
    if name == "register":
        assert versions(place) == [told.version] == [told.champion]
    if name == "evaluate":
        assert EvaluationMetrics.require(folder) == told
        assert register.run(PARAMS, place).champion


def test_a_register_that_is_killed_at_several_moments_makes_one_version(place: Settings) -> None:
    fresh_store(place)
    moments = [("INTO registered_models", 1), (VERSION, 1), (ALIAS, 1), (ALIAS, 2)]
    for where, at in (*moments, ("receipt.json", 1)):
        code, said = stopped(
            stage, place.home, number=KILL, where=where, at=at, arguments=("register",)
        )
        assert code == -KILL, (where, said)
        assert not (place.fleet_dir(FLEET) / "receipt.json").exists()
    receipt = register.run(PARAMS, place)
    assert versions(place) == [receipt.version] == [receipt.champion]
    champion = model_registry.champion_version(connect(place), FLEET)
    assert f"Champion since {champion.tags['champion_since']} UTC" in champion.description


def promote(home: Path, version: str) -> None:
    settings = Settings(home=home, data_dir=home / "raw")
    promotion.promote(settings, FLEET, version, force=True, reason="a test")


def rollback(home: Path) -> None:
    promotion.rollback(Settings(home=home, data_dir=home / "raw"), FLEET)


def test_a_promotion_and_a_rollback_that_are_killed_are_finished_by_the_next_run(
    place: Settings,
) -> None:
    client = connect(place)
    first = model_registry.champion_version(client, FLEET)
    client.create_model_version(REGISTERED, first.source, tags=first.tags)

    def state() -> tuple[int | None, ...]:
        found = (model_registry.standing(client, FLEET, a) for a in ("champion", "previous"))
        return tuple(model_registry.version_number(version) for version in found)

    # Before the alias moves, between it and the alias of the one before, before the last line.
    for where, at in ((ALIASES, 1), (ALIASES, 2), ("INTO registered_model_tags", 1)):
        code, said = stopped(promote, place.home, number=KILL, where=where, at=at, arguments=("2",))
        assert code == -KILL, (where, said)
        assert state()[0] == (1 if (where, at) == (ALIASES, 1) else 2)
        promote(place.home, "2")
        assert state() == (2, 1)
        code, said = stopped(rollback, place.home, number=KILL, where=where, at=at)
        assert code == -KILL, (where, said)
        if state()[0] == 2:
            rollback(place.home)
        promotion.settle(client, FLEET)
        assert state() == (1, None)


def night(home: Path) -> None:
    settings = Settings(home=home, data_dir=home / "raw")
    run_job(load_fleet(FLEET, settings), settings, first=FAULTY, last=FAULTY, force=True)


def test_a_kill_at_any_rename_of_a_published_date_is_mended_by_the_next_job(
    place: Settings,
) -> None:
    """A date that is replaced: out of its place, into it, for incidents and for scores."""
    fleet = load_fleet(FLEET, place)
    run_job(fleet, place, first=FAULTY, last=AFTER)
    whole, runs = digests(place), place.runs_dir(FLEET)
    for at in (1, 2, 3, 4, 5):
        part = partitions.folder(runs, "scores", "1", FAULTY) / "part.parquet"
        part.write_bytes(part.read_bytes()[:100])
        code, said = stopped(night, place.home, number=KILL, at=at, where=f"date={FAULTY}")
        assert code == -KILL, said
        assert any(runs.rglob(".old-*")) == (at in (2, 5)), "between two renames"
        run_job(fleet, place)
        assert {name: digests(place)[name] for name in whole} == whole
        assert not any(runs.rglob(".old-*")) and not any(runs.rglob(".stage-*"))
