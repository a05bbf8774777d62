"""Simple detectors behind the detector's interface, all but the floor with its evidence chain."""

from amad.baselines.registry import baseline_names, make_baseline

__all__ = ["baseline_names", "make_baseline"]
