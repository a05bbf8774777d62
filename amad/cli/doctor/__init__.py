"""``amad doctor``: is everything here that a run needs, and if not, what to do about it."""

from amad.cli.doctor.check import Check, Patient, diagnose
from amad.cli.doctor.show import as_json, as_table

__all__ = ["Check", "Patient", "as_json", "as_table", "diagnose"]
