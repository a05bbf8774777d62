"""Channels of events: doors, counts of fault codes and set points drown no other channel."""

import numpy as np
import pytest
from windows_kit import series_of

from amad.config.params import DetectParams
from amad.detect.chain import EvidenceChain
from amad.detect.event_channels import events_scale, is_of_events, share_of_others
from amad.detect.foretold import foretold_by

ROWS = 6000


def noise(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, channels))


def events(share: float, seed: int = 1) -> np.ndarray:
    """Errors that are small but for about this share of the rows."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((ROWS, 1)) < share, 8.0, 0.01) * rng.normal(size=(ROWS, 1))


def test_almost_all_error_of_a_channel_of_events_lies_in_a_hundredth_of_the_rows() -> None:
    heavy = np.random.default_rng(2).standard_t(3, size=(ROWS, 1))
    residual_TC = np.hstack([noise(1), heavy, events(0.004), events(0.05), np.zeros((ROWS, 1))])
    residual_TC[: ROWS // 2, 2] = np.nan
    assert is_of_events(residual_TC).tolist() == [False, False, True, False, False]
    assert share_of_others(np.square(noise(1)[:, 0])) == pytest.approx(0.92, abs=0.01)
    assert np.isnan(share_of_others(np.ones(5))) and np.isnan(share_of_others(np.zeros(ROWS)))


def test_an_ordinary_event_counts_as_the_largest_errors_of_noise_do() -> None:
    square_R = np.square(events(0.004)[:, 0])
    scale = events_scale(square_R)
    assert np.quantile(square_R / scale**2, 0.999) == pytest.approx(10.83)
    assert scale > 5 * np.sqrt(square_R.mean()), "the root mean square is far less"
    assert events_scale(np.square(noise(1)[:, 0])) == 0.0


def chain_of(residual_TC: np.ndarray) -> tuple:
    chain, present_C = EvidenceChain(DetectParams()), np.ones(residual_TC.shape[1], bool)
    layout = chain.layout([series_of(residual_TC)], [present_C])
    return chain, layout, chain.calibrate(residual_TC, layout)[0]


def test_events_do_not_drown_a_fault_of_another_channel_and_a_burst_is_heard() -> None:
    train_TC, test_TC = (
        np.hstack([noise(5), events(0.004)]),
        np.hstack([noise(5, 3), events(0.004, 4)]),
    )
    chain, _, calibration = chain_of(train_TC)
    faulty_TC, burst_TC = test_TC.copy(), test_TC.copy()
    faulty_TC[3000:3060, 2] *= 4
    burst_TC[3000:3060, 5] = 8.0
    layout = chain.layout([series_of(test_TC)], [np.ones(6, bool)])

    def evidence(residual_TC: np.ndarray) -> np.ndarray:
        return chain.evidence(residual_TC, layout, calibration)[0]

    healthy = np.delete(evidence(test_TC), np.s_[2950:3110])
    assert evidence(faulty_TC)[3010:3050].min() > np.quantile(healthy, 0.999)
    assert evidence(burst_TC)[3010:3050].min() > healthy.max()


def test_a_channel_of_events_does_not_tell_how_firm_relations_are() -> None:
    shared_T, error_TC = noise(1, 5), 0.5 * noise(3, 6)
    without = foretold_by(error_TC, [series_of(shared_T + error_TC)])
    door_TC = events(0.004)
    values_TC = np.hstack([shared_T + error_TC, door_TC])
    with_door = foretold_by(np.hstack([error_TC, door_TC]), [series_of(values_TC)])
    assert with_door.firm == pytest.approx(without.firm)
    assert with_door.explained == pytest.approx(0.75 * without.explained, abs=0.01)
