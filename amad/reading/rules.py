"""By which rules the raw files of a fleet are read."""

from amad.config import Fleet
from amad.config.source import FileSet, Source

PARTS = ("train", "all", "test")  # the order in which a vehicle's files are read


def reading_rules(fleet: Fleet) -> Source:
    """How the raw files are read; those of a simulated fleet have one fixed form."""
    if fleet.source.format != "simulator":
        return fleet.source
    return Source(format="parquet", files=[FileSet(glob="*/*.parquet")])
