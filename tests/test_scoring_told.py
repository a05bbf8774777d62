"""What a scoring job says before it scores."""

from pathlib import Path

import pytest
from report_kit import stage_of, write_fleet

from amad.config import Fleet, Settings, Stage
from amad.engines.score.fleet_scoring import learnt_otherwise
from amad.engines.score.score_stage import _without_champion
from amad.scores.receipts import RegistrationReceipt


@pytest.fixture
def stage(home: Path) -> Stage:
    return stage_of(write_fleet(home), Settings(home=home, data_dir=home / "raw"))


def test_a_damaged_receipt_does_not_keep_a_fleet_from_being_scored(stage: Stage, capsys):
    stage.folder.mkdir(parents=True)
    (stage.folder / RegistrationReceipt.FILE).write_text("{")
    assert _without_champion(stage) is None
    assert "receipt.json is damaged" in capsys.readouterr().err


def test_another_unit_or_kind_than_the_model_learnt_is_told(stage: Stage):
    def changed(at: int, **changes: str) -> Fleet:
        channels = list(stage.fleet.channels)
        channels[at] = channels[at].model_copy(update=changes)
        return stage.fleet.model_copy(update={"channels": channels})

    assert list(learnt_otherwise(stage.fleet, changed(0, unit="mph"))) == [
        "learnt Vehicle.Speed with unit km/h, and the fleet file says mph: if its values changed, "
        "they look abnormal"
    ]
    (told,) = learnt_otherwise(stage.fleet, changed(1, kind="counter"))
    assert "Vehicle.Coolant with kind continuous, and the fleet file says counter" in told
    assert not list(learnt_otherwise(changed(0, unit=""), stage.fleet)), "it was not told before"


def test_what_the_model_goes_on_with_until_the_next_training_is_told(stage: Stage):
    fleet = stage.fleet
    channels = [fleet.channels[0].model_copy(update={"range": (0.0, 400.0)}), *fleet.channels[1:]]
    missing = fleet.missing.model_copy(update={"max_gap_seconds": 7.0})
    changes = {"channels": channels, "period_seconds": 20.0, "missing": missing}
    told = list(learnt_otherwise(fleet, fleet.model_copy(update=changes)))
    old = list(fleet.channels[0].range or ())
    assert told == [
        f"learnt Vehicle.Speed with range {old}, and the fleet file says [0.0, 400.0]: it goes on "
        f"with {old}",
        f"learnt period_seconds {fleet.period_seconds}, and the fleet file says 20.0: it goes on "
        f"with {fleet.period_seconds}",
        f"learnt missing.max_gap_seconds {fleet.missing.max_gap_seconds}, and the fleet file says "
        f"7.0: it goes on with {fleet.missing.max_gap_seconds}",
    ]
    assert not list(learnt_otherwise(fleet, fleet))
