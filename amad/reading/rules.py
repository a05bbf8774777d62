"""The rules by which the raw files of a fleet are read."""

from amad.config import Fleet
from amad.config.source import FileSet, Source

PARTS = ("train", "all", "test")  # the order in which a vehicle's files are read


def reading_rules(fleet: Fleet) -> Source:
    """The fleet's ``source`` section; for a simulated fleet, the fixed form of its files."""
    if fleet.source.format != "simulator":
        return fleet.source
    return Source(format="parquet", files=[FileSet(glob="*/*.parquet")])
