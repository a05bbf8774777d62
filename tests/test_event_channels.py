"""Channels of events: doors, counts of fault codes and set points drown no other channel."""

from dataclasses import replace

import numpy as np
import pytest
from windows_kit import series_of

from amad.config.params import DetectParams
from amad.detect.chain import EvidenceChain
from amad.detect.event_channels import channels_of_events, events_scale, share_of_others
from amad.detect.predictability import predictability_of

ROWS = 6000
EVENTS_C = np.array([False] * 5 + [True])


def noise(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, channels))


def errors(share: float, seed: int = 1) -> np.ndarray:
    """Errors that are small but for about this share of the rows."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((ROWS, 1)) < share, 8.0, 0.01) * rng.normal(size=(ROWS, 1))


def test_almost_all_movement_of_a_channel_of_events_lies_in_a_hundredth_of_the_rows() -> None:
    rng = np.random.default_rng(2)
    heavy = rng.standard_t(3, size=ROWS).cumsum()
    door, set_point = rng.random(ROWS) < 1 / 300, np.cumsum(rng.random(ROWS) < 1 / 1000)
    busy = rng.random(ROWS) < 1 / 20
    value_TC = np.stack([noise(1)[:, 0], heavy, door, set_point, busy, np.zeros(ROWS)], axis=1)
    group = [series_of(value_TC[:2000]), series_of(value_TC[2000:])]
    expected = [False, False, True, True, False, False]
    assert channels_of_events(group).tolist() == expected
    # A level that is another one after a stop is no event.
    levels_TC = noise(1) + np.repeat([0.0, 500.0], ROWS // 2)[:, None]
    one = series_of(levels_TC)
    assert channels_of_events([one]).tolist() == [True]
    cut = replace(one, segment_T=np.repeat(np.array([0, 1], np.int32), ROWS // 2))
    assert channels_of_events([cut]).tolist() == [False]
    assert channels_of_events([series_of(value_TC[:5])]).tolist() == [False] * 6, "too few rows"


def test_an_ordinary_event_counts_as_the_largest_errors_of_noise_do() -> None:
    square_R = np.square(errors(0.004)[:, 0])
    scale = events_scale(square_R)
    assert np.quantile(square_R / scale**2, 0.999) == pytest.approx(10.83)
    assert scale > 5 * np.sqrt(square_R.mean()), "the root mean square is far less"
    assert share_of_others(np.square(noise(1)[:, 0])) == pytest.approx(0.92, abs=0.01)


def test_events_do_not_drown_a_fault_of_another_channel_and_a_burst_is_heard() -> None:
    train_TC = np.hstack([noise(5), errors(0.004)])
    test_TC = np.hstack([noise(5, 3), errors(0.004, 4)])
    chain, present_C = EvidenceChain(DetectParams()), np.ones(6, bool)
    layout = chain.layout([series_of(train_TC)], [present_C])
    plain, _ = chain.calibrate(train_TC, layout)
    known, _ = chain.calibrate(train_TC, layout, events_C=EVENTS_C)
    assert (known.scale_C[:5] == plain.scale_C[:5]).all() and known.scale_C[5] > plain.scale_C[5]
    faulty_TC, burst_TC = test_TC.copy(), test_TC.copy()
    faulty_TC[3000:3060, 2] *= 4
    burst_TC[3000:3060, 5] = 8.0

    def evidence(residual_TC: np.ndarray, calibration=known) -> np.ndarray:
        return chain.evidence(residual_TC, layout, calibration)[0]

    healthy, drowned = (np.delete(evidence(test_TC, c), np.s_[2950:3110]) for c in (known, plain))
    fault, drowned_fault = (evidence(faulty_TC, c)[3010:3050].min() for c in (known, plain))
    assert fault > np.quantile(healthy, 0.999) and drowned_fault < np.quantile(drowned, 0.99)
    assert evidence(burst_TC)[3010:3050].min() > healthy.max()


def test_a_channel_of_events_does_not_tell_how_firm_relations_are() -> None:
    shared_T, error_TC = noise(1, 5), 0.5 * noise(3, 6)
    without = predictability_of(error_TC, [series_of(shared_T + error_TC)])
    door_TC = errors(0.004)
    values_TC = np.hstack([shared_T + error_TC, door_TC])
    about = (np.hstack([error_TC, door_TC]), [series_of(values_TC)])
    with_door = predictability_of(*about, np.array([False, False, False, True]))
    assert with_door.firm == pytest.approx(without.firm) and predictability_of(*about).firm < 0.4
    assert with_door.explained == pytest.approx(0.75 * without.explained, abs=0.01)
