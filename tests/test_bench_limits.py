"""The counts of bench.limits are those of known work."""

import torch

from amad.config.params import ModelParams
from bench import limits
from bench.model import ENCODER, PUBLISHED, SHIPPED, ratio, training_steps


def test_the_operations_and_bytes_of_one_product():
    left, right = torch.randn(30, 20, requires_grad=True), torch.randn(20, 10)
    assert limits.operations(lambda: left.detach() @ right) == 2 * 30 * 20 * 10
    # Backwards, the gradient of the left side is a product of the same size.
    assert limits.operations(lambda: (left @ right).sum().backward()) == 4 * 30 * 20 * 10
    assert limits.kept_bytes(lambda: (left @ right).sum().backward()) == 20 * 10 * 4


def test_a_step_has_more_operations_with_every_loss():
    size = ModelParams(width=16, layers=1, heads=2, window=20)
    steps = training_steps(5, size, batch=4)
    counts = {name: limits.operations(step) for name, step in steps.items()}
    assert counts["amad, every loss"] > counts[SHIPPED] > counts[ENCODER] > 0
    assert counts[PUBLISHED] > counts[ENCODER]


def test_a_ratio_is_the_median_of_those_within_a_round():
    """A round in which the machine was ten times slower changes nothing."""
    assert ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == 2.0
