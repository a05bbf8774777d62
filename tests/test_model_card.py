"""Sentences of the model card that do not need a registry."""

import pytest

from amad.engines.register.model_card import _histories


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([9000, 2000], "every vehicle has 2,000 train rows or more"),
        ([9000, 1999, 59, 0], "of 4 vehicles, 1 with fewer than 2,000 train rows are judged in"),
        ([9000, 1999, 59, 0], "and 2 with fewer than 60 by their class alone"),
    ],
)
def test_it_says_how_many_vehicles_are_little_known(rows: list[int], words: str) -> None:
    assert words in _histories(rows)
