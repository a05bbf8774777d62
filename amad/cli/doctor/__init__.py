"""``amad doctor``: is everything here that a run needs, and if not, what to do about it."""

from amad.cli.doctor.check import Check
from amad.cli.doctor.run import diagnose
from amad.cli.doctor.show import as_json, as_table

__all__ = ["Check", "as_json", "as_table", "diagnose"]
