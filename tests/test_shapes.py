"""The type of a fault, guessed from the errors of one channel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from detect_kit import waves

from amad.incidents.shapes import RIGHT, TYPES, Shape, guess_type
from amad.simulator.faults import FAULT_TYPES

BEFORE, ROWS, TOLERANCE = 200, 80, 0.2

FAULTS: dict[str, Callable] = {  # what the values become, from the ordinary ones in the incident
    "level_shift": lambda x, rng: x + 4,
    "drift": lambda x, rng: x + np.linspace(0, 6, len(x)),
    "stuck": lambda x, rng: np.full(len(x), x[0] + 2),
    "noise_burst": lambda x, rng: x + 4 * rng.normal(size=len(x)),
    "spike": lambda x, rng: x + np.where(np.arange(len(x)) == len(x) // 2, 8, 0),
    "relation": lambda x, rng: x + 2 * np.sin(np.arange(len(x)) / 4),
}


def shape_of(kind: str, seed: int, rows: int = ROWS) -> Shape:
    """A channel that is expected up to a small error, with a fault in its last rows."""
    rng = np.random.default_rng(seed)
    expected_E = waves("b-1", BEFORE + rows, seed=seed).value_TC[:, 1].astype(np.float64)
    value_E = expected_E + TOLERANCE * rng.normal(size=len(expected_E))
    inside = slice(BEFORE, None)
    if kind == "delay":
        value_E[inside] = np.roll(expected_E, 7)[inside]
    else:
        value_E[inside] = FAULTS[kind](value_E[inside], rng)
    error_E = value_E - expected_E
    own_E = np.diff(error_E, prepend=error_E[0]) / TOLERANCE
    return Shape(value_E=value_E, error_E=error_E, own_E=own_E, tolerance=TOLERANCE, start=BEFORE)


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_is_guessed_from_the_shape_of_the_errors(kind: str) -> None:
    right = sum(guess_type(shape_of(kind, seed)) == kind for seed in range(20))
    assert right >= 15


@pytest.mark.parametrize("kind", ["level_shift", "drift", "noise_burst"])
def test_a_few_rows_do_not_name_an_incident_that_lasts(kind: str) -> None:
    """Three rows that are a hundred times as far off as the others, in an incident of 600 rows."""
    shape = shape_of(kind, 0, rows=600)
    impulses_E = np.zeros(len(shape.error_E))
    impulses_E[[BEFORE + 50, BEFORE + 250, BEFORE + 450]] = 400
    error_E = shape.error_E + impulses_E
    own_E = np.diff(error_E, prepend=error_E[0]) / TOLERANCE
    loud = replace(shape, value_E=shape.value_E + impulses_E, error_E=error_E, own_E=own_E)
    assert guess_type(loud) == guess_type(shape) == kind


def test_what_the_vehicle_does_meanwhile_does_not_hide_a_step() -> None:
    """The values rise and fall by ten times the step, and the members expect that."""
    shape = shape_of("level_shift", 0)
    swing_E = 40 * np.sin(np.arange(len(shape.value_E)) / 9)
    moving = Shape(
        value_E=shape.value_E + swing_E, error_E=shape.error_E, own_E=shape.own_E,
        tolerance=TOLERANCE, start=BEFORE,
    )  # fmt: skip
    assert guess_type(shape) == guess_type(moving) == "level_shift"


def test_a_value_that_stands_still_as_expected_is_not_stuck() -> None:
    rng = np.random.default_rng(0)
    value_E = np.concatenate([rng.normal(size=BEFORE), np.zeros(ROWS)])
    error_E = np.concatenate([TOLERANCE * rng.normal(size=BEFORE), np.zeros(ROWS)])
    error_E[-3:] = 5.0
    shape = Shape(
        value_E=value_E, error_E=error_E, own_E=error_E / TOLERANCE, tolerance=TOLERANCE,
        start=BEFORE,
    )  # fmt: skip
    assert guess_type(shape) != "stuck"


def test_one_row_without_history_has_a_type() -> None:
    for error in (0.0, 3.0):
        one = np.array([error])
        shape = Shape(value_E=one, error_E=one, own_E=one, tolerance=1.0, start=0)
        assert guess_type(shape) in TYPES


def test_every_fault_type_has_a_right_guess() -> None:
    assert set(RIGHT) == set(FAULT_TYPES)
    assert all(set(guesses) <= set(TYPES) for guesses in RIGHT.values())
