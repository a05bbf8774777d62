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
        "Vehicle.Speed with unit km/h, and the fleet file says mph"
    ]
    assert list(learnt_otherwise(stage.fleet, changed(1, kind="counter"))) == [
        "Vehicle.Coolant with kind continuous, and the fleet file says counter"
    ]
    assert not list(learnt_otherwise(changed(0, unit=""), stage.fleet)), "it was not told before"
