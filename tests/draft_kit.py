"""Small folders of raw files, and what a draft makes of them."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from amad.cli.drafting import write_draft
from amad.config import DataError, Settings, load_fleet
from amad.ingest.ingestion import ingest
from amad.telemetry.lake import Lake

ROWS = 240
MONDAY = datetime(2026, 1, 5, 8)


class Field:
    """A folder of raw files, a project's home, and what a draft makes of them."""

    def __init__(self, folder):
        self.settings = Settings(home=folder / "home", data_dir=folder)
        self.raw = folder / "raw"
        self.raw.mkdir()

    def write(self, name, lines, encoding="utf-8"):
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(("\n".join(lines) + "\n").encode(encoding))

    def draft(self, force=False):
        told = write_draft(self.raw, "vans", self.settings, force=force)
        return load_fleet("vans", self.settings), "\n".join(told)

    def refusal(self):
        with pytest.raises(DataError) as told:
            self.draft()
        return str(told.value)

    def ingest(self, fleet):
        return ingest(fleet, self.settings)

    def lake(self, fleet):
        return Lake(self.settings.fleet_dir("vans") / "lake", fleet)

    def first_row(self, fleet):
        lake = self.lake(fleet)
        return lake.read(lake.vehicles()[0]).to_pylist()[0]


def wave(n, low=10.0, high=90.0):
    return round(low + (high - low) * (0.5 + 0.5 * np.sin(n / 9)), 2)


def stamp(seconds):
    return (MONDAY + timedelta(seconds=seconds)).isoformat()


def log(form="%Y-%m-%d %H:%M:%S", step=1.0, mark=",", start=MONDAY, rows=ROWS, **columns):
    """A wide log: a time in a form, a speed, and more columns by their header."""
    columns = {"Speed [km/h]": wave} | columns
    lines = [mark.join(["time", *columns])]
    for n in range(rows):
        told = (start + timedelta(seconds=n * step)).strftime(form)
        lines.append(mark.join([told, *(str(cell(n)) for cell in columns.values())]))
    return lines


def times_of(field, fleet):
    """First and last time of the lake after an ingest."""
    field.ingest(fleet)
    lake = field.lake(fleet)
    told = [t for vehicle in lake.vehicles() for t in lake.read(vehicle)["timestamp"].to_pylist()]
    return min(told), max(told)
