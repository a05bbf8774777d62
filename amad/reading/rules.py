"""The rules by which the raw files of a fleet are read."""

from amad.config import Fleet
from amad.config.source import FileSet, Source

PARTS = ("train", "all", "test")  # the order in which a vehicle's files are read
# Files and folders whose names begin so are no raw data; "~$" is the lock of a file open in Office.
LEFT_OUT = (".", "_", "~$", "lost+found")


def is_left_out(path: str) -> bool:
    """Does the name of the file, or of a folder above it, say that it is no raw data?"""
    return any(name.startswith(LEFT_OUT) for name in path.split("/"))


def reading_rules(fleet: Fleet) -> Source:
    """The fleet's ``source`` section; for a simulated fleet, the fixed form of its files."""
    if fleet.source.format != "simulator":
        return fleet.source
    return Source(format="parquet", files=[FileSet(glob="*/*.parquet")])
