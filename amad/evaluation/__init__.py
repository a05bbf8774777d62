"""Judging detectors honestly: one split, one calibration rule, floors and intervals for all."""
