"""Judges any fleet file with every method under one rule: ``python -m bench.quality``."""
