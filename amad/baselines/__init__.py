"""Simple methods, all but the floor and the criterion with the detector's evidence chain."""

from amad.baselines.registry import baseline_names, make_baseline

__all__ = ["baseline_names", "make_baseline"]
