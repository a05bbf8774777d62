"""Moves of the champion that are cut short, met by another, or led to a damaged version."""

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from engine_kit import with_tracking_store
from mlflow import MlflowClient
from scoring_kit import FLEET, REGISTERED, make_artifacts, make_lake, read_json, run_job, versions
from stop_kit import stage, twice_at_once

import amad
from amad.config import DataError, ServiceError, Settings, load_fleet
from amad.engines.register import promotion
from amad.engines.register.challenge import defend
from amad.engines.register.gate import Decision
from amad.engines.register.registry_lock import registry_lock
from amad.engines.shared import model_registry
from amad.engines.shared.model_registry import alias_version, get_version, version_number
from amad.engines.shared.tracking import connect
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore
from pipelines import register

pytestmark = pytest.mark.slow

WRITES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_registered_model_tag",
    "set_model_version_tag",
    "delete_model_version_tag",
    "update_model_version",
)


class Killed(BaseException):
    """As a kill: no handler of errors catches it."""


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two versions: the first is champion, the second was refused."""
    home = tmp_path_factory.mktemp("promotion") / "home"
    fleet, settings = make_lake(with_tracking_store(home))
    params = make_artifacts(fleet, settings)
    register.run(params, settings)
    make_artifacts(fleet, settings, alarm_budget=2.0)
    register.run(params, settings)
    (home / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    shutil.copytree(Path(amad.__file__).parents[1] / "conf" / "cluster", home / "conf" / "cluster")
    return home


@pytest.fixture
def place(registered: Path, tmp_path: Path) -> Settings:
    """The settings of a copy of it; artifacts stay where they were registered."""
    home = tmp_path / "home"
    shutil.copytree(registered, home, ignore=shutil.ignore_patterns("mlartifacts"))
    return Settings(home=home, data_dir=home / "raw")


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, work) -> bool:
    """Run ``work`` and stop it before its n-th write; was it stopped?"""
    count = 0

    def watched(name: str):
        write = getattr(MlflowClient, name)

        def one(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                raise Killed
            return write(*args, **kwargs)

        return one

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(MlflowClient, name, watched(name))
        try:
            work()
        except Killed:
            return True
    return False


def state(client: MlflowClient) -> tuple[int | None, ...]:
    """The champion and the one before it."""
    aliases = (model_registry.CHAMPION, model_registry.PREVIOUS)
    return tuple(version_number(alias_version(client, FLEET, a)) for a in aliases)


def whole(client: MlflowClient) -> None:
    """All that is told of the champion agrees with where the alias points."""
    champion = model_registry.champion_version(client, FLEET)
    assert "rolled_back" not in champion.tags
    assert f"Champion since {champion.tags['champion_since']} UTC" in champion.description
    last = champion.tags["gate_reasons"].splitlines()[-1]
    assert f"- {last}\n\n## Intended use" in champion.description, "what the gate found"
    history = client.get_registered_model(REGISTERED).tags
    moves = sorted(key for key in history if key.startswith("champion moved"))
    assert f"-> version {champion.version}, by " in history[moves[-1]]


def test_a_promotion_and_a_rollback_may_be_killed_at_any_step(place, monkeypatch):
    client = connect(place)

    def promote():
        promotion.promote(place, FLEET, "2", force=True, reason="a test")

    def rollback():
        promotion.rollback(place, FLEET)

    step = 1
    stopped = True
    while stopped:
        stopped = killed_at(step, monkeypatch, promote)
        champion = version_number(model_registry.champion_version(client, FLEET))
        assert champion in (1, 2)
        promote()
        assert state(client) == (2, 1)
        whole(client)
        killed_at(step, monkeypatch, rollback)
        if version_number(model_registry.champion_version(client, FLEET)) == 2:
            rollback()  # as whoever saw the first one die would do
        with registry_lock(place, FLEET):
            promotion.settle(client, FLEET)
        assert state(client) == (1, None)
        whole(client)
        assert "rolled_back" in get_version(client, FLEET, "2").tags
        assert "Rolled back to version 1" in get_version(client, FLEET, "2").description
        step += 1
    assert step > 8


def test_what_a_kill_left_out_is_done_by_the_next_register(place, monkeypatch):
    client = connect(place)
    step = 1
    while state(client)[0] != 2:  # the first step after which the champion is another
        killed_at(
            step, monkeypatch, lambda: promotion.promote(place, FLEET, "2", force=True, reason="x")
        )
        step += 1
    params = make_params(place)
    register.run(params, place)
    assert state(client) == (2, 1)
    whole(client)


def test_an_alias_that_somebody_moved_in_mlflow_is_noted_by_the_next_command(place):
    client = connect(place)
    promotion.promote(place, FLEET, "2", force=True, reason="a test")
    assert "Champion from 20" in get_version(client, FLEET, "1").description
    client.set_registered_model_alias(REGISTERED, model_registry.CHAMPION, "1")
    register.run(make_params(place), place)
    assert state(client) == (1, 2)
    whole(client)
    champion = model_registry.champion_version(client, FLEET)
    assert champion.tags["champion_why"] == "somebody moved the alias in MLflow before"
    told = get_version(client, FLEET, "2").description
    assert "version 1 replaced it" in told and "Champion since" not in told
    assert version_number(promotion.rollback(place, FLEET)) == 2, "the champion before the move"


def make_params(settings: Settings):
    from amad.config import load_params

    return load_params(settings.params_file)


def test_a_newer_decision_leaves_no_figure_of_the_one_before(place):
    client = connect(place)
    for figures in ({"champion_problem": "gone", "floor": 0.1}, {"floor": 0.2}):
        version = get_version(client, FLEET, "2")
        promotion.record(client, version, Decision(reasons=["refused"], figures=figures))
    found = promotion.recorded(get_version(client, FLEET, "2"))
    assert found is not None and found.figures == {"floor": 0.2}


def test_of_two_rollbacks_at_once_one_goes_back(place, monkeypatch, capsys):
    """The second one waits for the first, and must not go back a version more."""
    client = connect(place)
    promotion.promote(place, FLEET, "2", force=True, reason="a test")
    promotion.promote(place, FLEET, "2", force=True, reason="another")
    assert "notes no reason" in capsys.readouterr().err
    assert "a test" in model_registry.champion_version(client, FLEET).tags["champion_why"]

    @contextmanager
    def after_another(settings: Settings, fleet: str):
        monkeypatch.undo()
        promotion.rollback(settings, fleet)
        with registry_lock(settings, fleet):
            yield

    monkeypatch.setattr(promotion, "registry_lock", after_another)
    with pytest.raises(ServiceError, match=r"version 1 the champion .* place of version 2"):
        promotion.rollback(place, FLEET)
    assert state(client) == (1, None)


@pytest.mark.engine
def test_two_registers_at_once_make_one_version(place):
    """As two processes, on a detector that the registry does not know yet."""
    fleet = load_fleet(FLEET, place)
    make_artifacts(fleet, place, widths=[5, 9])
    codes, told = zip(*twice_at_once(stage, place.home, ("register",)), strict=True)
    assert codes == (0, 0), told
    assert sum("registered amad-nights version 3" in text for text in told) == 1
    assert sum("version 3 is this detector on this data already" in text for text in told) == 1
    assert versions(place) == [1, 2, 3]


def test_a_version_that_another_machine_made_meanwhile_is_taken(place, monkeypatch):
    """Where the store has no lock: the first of two equal versions stays, by number."""
    fleet = load_fleet(FLEET, place)
    params = make_artifacts(fleet, place, widths=[5, 9])
    create = MlflowClient.create_model_version

    def raced(client, name, **about):
        create(client, name, **about)  # the other machine's
        return create(client, name, **about)

    monkeypatch.setattr(MlflowClient, "create_model_version", raced)
    assert register.run(params, place).content()["version"] == 3
    assert versions(place) == [1, 2, 3]


def test_whoever_holds_the_registry_too_long_is_named(place):
    with (
        registry_lock(place, FLEET),
        pytest.raises(ServiceError, match=r"held the registry .*mlflow\.db\.nights\.lock"),
        registry_lock(place, FLEET, seconds=0.1),
    ):
        pass


@pytest.fixture
def flipped(place: Settings):
    """Flips a byte of a version's registered detector; set right again afterwards."""
    client, kept = connect(place), {}

    def flip(number: str) -> None:
        version = get_version(client, FLEET, number)
        uri = client.get_model_version_download_uri(REGISTERED, number)
        file = Path(uri.removeprefix("file://")) / "data" / "detector" / "state.safetensors"
        kept[file] = file.read_bytes()
        flip_byte(file)
        assert version.tags["detector_digest"]

    yield flip
    for file, content in kept.items():
        file.write_bytes(content)


def flip_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)


def test_a_damaged_champion_neither_scores_nor_defends_itself(place, flipped):
    fleet = load_fleet(FLEET, place)
    flipped("1")
    with pytest.raises(ServiceError, match=r"version 1 has the digest .* damaged or replaced"):
        run_job(fleet, place)
    client, folder = connect(place), place.fleet_dir(FLEET)
    store, events = WindowStore.open(folder / "store"), Lake(folder / "lake", fleet).events()
    champion = model_registry.champion_version(client, FLEET)
    theirs, problem = defend(client, champion, store, fleet, events)
    assert theirs is None and "has the digest" in problem


def test_a_damaged_version_does_not_become_champion(place, flipped):
    client = connect(place)
    flipped("2")
    with pytest.raises(ServiceError, match="version 2 has the digest"):
        promotion.promote(place, FLEET, "2", force=True, reason="a test")
    assert state(client) == (1, None)


def test_a_damaged_version_is_not_rolled_back_to(place, flipped):
    client = connect(place)
    promotion.promote(place, FLEET, "2", force=True, reason="a test")
    flipped("1")
    with pytest.raises(ServiceError, match="version 1 has the digest"):
        promotion.rollback(place, FLEET)
    assert state(client) == (2, 1)
    assert "rolled_back" not in model_registry.champion_version(client, FLEET).tags


def test_a_damaged_version_is_registered_anew(place, flipped):
    flipped("2")
    assert register.run(make_params(place), place).content()["version"] == 3


def test_another_detector_under_the_number_of_a_lost_one_is_no_champion(place):
    """The digest counts: a version whose tag names another detector is refused."""
    client = connect(place)
    client.set_model_version_tag(REGISTERED, "1", "detector_digest", "0123456789abcdef")
    with pytest.raises(ServiceError, match="and 0123456789abcdef was registered"):
        run_job(load_fleet(FLEET, place), place)


def test_figures_of_another_detector_register_nothing(place):
    """A flipped byte of the candidate, an older metrics.json, one without a digest."""
    folder, params = place.fleet_dir(FLEET), make_params(place)
    metrics = read_json(folder / "evaluation" / "metrics.json")
    unnamed = {key: value for key, value in metrics.items() if key != "detector_digest"}
    for wrong in (metrics | {"detector_digest": "f" * 16}, unnamed):
        write_json(folder / "evaluation" / "metrics.json", wrong)
        with pytest.raises(DataError, match="changed or damaged since; run 'amad evaluate' again"):
            register.run(params, place)
    write_json(folder / "evaluation" / "metrics.json", metrics)
    flip_byte(folder / "detector" / "state.safetensors")
    with pytest.raises(DataError, match="changed or damaged since; run 'amad evaluate' again"):
        register.run(params, place)
    assert versions(place) == [1, 2]


def test_a_person_may_have_deleted_the_version_before_and_tags(place):
    client, name = connect(place), f"amad-{FLEET}"
    promotion.promote(place, FLEET, "2", force=True, reason="a test")
    client.delete_model_version(name, "1")
    client.delete_model_version_tag(name, "2", "champion_why")
    assert register.run(make_params(place), place).content()["champion"] == 2
    client.set_model_version_tag(name, "2", "test_start", "soon")
    with pytest.raises(ServiceError, match=r"test_start='soon'.*such as 2026-01-31"):
        model_registry.scores_from(model_registry.champion_version(client, FLEET))
