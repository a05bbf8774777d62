"""Both forms of a detector from one fit are byte for byte what each is when it is fitted alone."""

import pytest
import torch
from detect_kit import fleet_of, waves

from amad.config import Params
from amad.config.params import DetectParams, ModelParams
from amad.detect.detector import Detector, build_detector
from amad.detect.detector_folder import detector_digest
from amad.detect.forms import fit_forms, other_form
from amad.detect.members.relation import RelationMember
from amad.model import Amad, Bundle
from amad.windows import Scaler
from amad.windows.series import Series

TRAIN_ROWS = {"b-1": 900, "b-2": 800, "b-3": 150, "a-1": 700}  # b-3 is moved towards its class
FLEET = fleet_of()


def still(series: Series, value: float = 0.0) -> Series:
    """Channel 3 of one vehicle never moves, but for a new value at the end of its calibration."""
    if series.vehicle == "b-2":
        series.value_TC[:, 3] = 0.0
        series.value_TC[-50:, 3] = value
    return series


@pytest.fixture(scope="module")
def given() -> tuple[list[Series], list[Series], Scaler]:
    train = [still(waves(v, rows, seed=1)) for v, rows in TRAIN_ROWS.items()]
    later = [still(waves(v, 300, seed=2, begin=1000), 1.0) for v in TRAIN_ROWS]
    scaler = Scaler.fit(train, FLEET, "vehicle")
    return [scaler.apply(s) for s in train], [scaler.apply(s) for s in later], scaler


def detector_of(detect: DetectParams, scaler: Scaler) -> Detector:
    small = ModelParams(window=20, width=8, layers=1, heads=2)
    params = Params(model=small, detect=detect)
    torch.manual_seed(0)
    model = Amad(len(FLEET.channels), small, block=params.mask.block).eval()
    return build_detector(
        Bundle(model=model, params=params, fleet=FLEET, scaler=scaler, meta={}), detect
    )


@pytest.mark.parametrize("members", [DetectParams().members, ["innovation", "amad"]])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_each_form_is_as_fitted_alone(given, monkeypatch, members, weight):
    train, calibration, scaler = given
    detector = detector_of(DetectParams(members=members, amad_weight=weight), scaler)
    alone = [detector_of(detector.params, scaler), other_form(detector)]
    solved, solve = [], RelationMember.solve_folds
    monkeypatch.setattr(
        RelationMember, "solve_folds", lambda *given: solved.append(1) or solve(*given)
    )
    both = [detector, fit_forms(detector, train, calibration)]
    once = len(solved)
    for form in alone:
        form.fit(train, calibration)
    assert list(map(detector_digest, both)) == list(map(detector_digest, alone))
    assert len(solved) == 3 * once, "alone, each form solves what both have in common"
    assert {len(form.members) for form in both} == {len(form.members) for form in alone}


@pytest.mark.parametrize("members", [["amad"], ["innovation"]])
def test_a_detector_of_one_kind_of_member_has_no_other_form(given, members):
    train, calibration, scaler = given
    detector = detector_of(DetectParams(members=members, amad_weight=1.0), scaler)
    assert fit_forms(detector, train, calibration) is None
    assert detector.operating_point is not None, "it is fitted all the same"
