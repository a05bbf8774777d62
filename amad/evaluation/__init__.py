"""Judging detectors honestly: one split, one calibration rule, floors and intervals for all.

Where to look for what:

- judging: ``units`` (what is judged), ``harness`` (every method in one way), ``method_result``,
  ``typed_events`` (severity and type)
- figures: ``evaluation_metrics`` (the file), ``summary`` (makes them), ``chance``
- for people: ``results_table``, ``headline`` (for DVC), ``plots``, ``timelines``, ``canvas``
- without labels: ``objective`` (of a sweep), ``vote`` (of the network)
"""
