"""``amad doctor``: is everything here that a run needs, and if not, what to do about it."""

from amad.cli.doctor.check import Check
from amad.cli.doctor.check_output import as_json, print_table
from amad.cli.doctor.diagnosis import diagnose

__all__ = ["Check", "as_json", "diagnose", "print_table"]
