"""The counts of bench.limits are those of known work."""

import torch

from amad.config.params import ModelParams
from bench import limits
from bench.model import training_steps


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
    assert counts["amad, every loss"] > counts["plain transformer"] > 0
    assert counts["anomaly transformer, published form"] > counts["plain transformer"]
