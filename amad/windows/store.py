"""The window store: one memory-mapped Arrow file per vehicle; windows are views into it.

Layout: ``store.json`` (format, fleet, channels, scaler, meta, one digest per vehicle) and
``vehicles/<id>.arrow`` (``amad.windows.vehicle_file``). Nothing is copied before a batch is
gathered.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.digest import DIGITS, file_sha256, json_digest
from amad.config.wording import some
from amad.telemetry.files import damaged, read_json, staged, write_json
from amad.telemetry.lake import NAME_BYTES, id_in_path
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN, Series
from amad.windows.short_history import LONG_ROWS
from amad.windows.vehicle_file import VehicleFile, pieces, read_series

REMEDY = "run 'amad prepare'"
FORMAT = 2  # of what the values mean; 2: increments of counters and angles, places of codes
PARTS = {"train": TRAIN, "calibration": CALIBRATION, "test": TEST, "purged": PURGED}


class StoreWriter:
    """Writes a store vehicle by vehicle, or nothing if it fails.

    A vehicle may be added before the scaler is known, with NaN for values that only the scaler can
    fill. So the rows are resampled once, and memory holds a piece of one vehicle.

    Example::

        with StoreWriter(path, fleet) as writer:
            for series in vehicles:
                writer.add(series)
            content = writer.finish(scaler, meta)
    """

    def __init__(self, path: Path, fleet: Fleet) -> None:
        self._fleet = fleet
        self._entries: dict[str, dict] = {}  # vehicle -> what store.json says of it
        self._unfilled: set[str] = set()  # vehicles with NaN in their files
        self._staged = staged(path)

    def __enter__(self) -> "StoreWriter":
        self._stage = self._staged.__enter__()
        (self._stage / "vehicles").mkdir(parents=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._staged.__exit__(*error)

    @property
    def folder(self) -> Path:
        """Where the files are written until all of them are there."""
        return self._stage

    def add(self, series: Series) -> None:
        """Write the file of a vehicle, in engineering units."""
        self.take(write_vehicle(self._stage, series))

    def take(self, written: "WrittenVehicle") -> None:
        """Note a vehicle whose file was written into ``folder``."""
        self._entries[written.vehicle] = written.entry
        if written.unfilled:
            self._unfilled.add(written.vehicle)

    def finish(self, scaler: Scaler, meta: dict) -> dict:
        """Fill what is unknown and write ``store.json``; returns its content.

        That is meta, and for each vehicle its class, its rows, its rows per part and the digest of
        its file.
        """
        for vehicle, entry in self._entries.items():
            file = file_of(self._stage, vehicle)
            if vehicle in self._unfilled:
                self._fill(file, scaler, vehicle, entry)
            entry["digest"] = file_sha256(file)[:DIGITS]
        content = {
            "format": FORMAT,
            "fleet": self._fleet.name,
            "fleet_digest": self._fleet.digest,
            "channels": self._fleet.channel_names,
            "period_us": self._fleet.period_us,
            "vehicles": dict(sorted(self._entries.items())),
            "scaler": scaler.to_json(),
            "meta": meta,
        }
        write_json(self._stage / "store.json", content, sealed=True)
        return content

    def _fill(self, file: Path, scaler: Scaler, vehicle: str, entry: dict) -> None:
        """Put what the scaler says in the place of the values of a file that are unknown."""
        with VehicleFile.open(file, channels=len(self._fleet.channels)) as opened:
            for first, last in pieces(entry["rows"]):
                value_TC = opened.values(first, last)
                filled_TC = scaler.filled(value_TC, vehicle, entry["class"])
                if filled_TC is not None:
                    assert np.isfinite(filled_TC).all(), f"{vehicle}: values must be finite"
                    opened.write_values(first, filled_TC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenVehicle:
    """A file of a store that is being written.

    entry: what ``store.json`` says of the vehicle, without the digest. unfilled: it holds NaN.
    """

    vehicle: str
    entry: dict
    unfilled: bool


def write_vehicle(folder: Path, series: Series) -> WrittenVehicle:
    """Write the file of a vehicle, in engineering units, into the store ``folder``."""
    path, channels = file_of(folder, series.vehicle), series.value_TC.shape[1]
    labels = series.label_T is not None
    with VehicleFile.create(path, rows=series.rows, channels=channels, labels=labels) as file:
        file.write(0, series)
    return written_vehicle(
        series,
        rows=series.rows,
        segments=len(series.segments()),
        parts=np.bincount(series.split_T, minlength=len(PARTS)),
        unfilled=not np.isfinite(series.value_TC).all(),
    )


def written_vehicle(
    series: Series, *, rows: int, segments: int, parts: np.ndarray, unfilled: bool
) -> WrittenVehicle:
    """What ``store.json`` says of a vehicle.

    series: some rows of it. parts: rows of each part, by the value of the part.
    """
    entry = {
        "class": series.vehicle_class,
        "rows": rows,
        "segments": segments,
        "parts": {name: int(parts[value]) for name, value in PARTS.items()},
    }
    return WrittenVehicle(vehicle=series.vehicle, entry=entry, unfilled=unfilled)


def write_store(
    path: Path, series: Iterable[Series], fleet: Fleet, scaler: Scaler, meta: dict
) -> dict:
    """Write the series one at a time, or nothing if it fails; see ``StoreWriter``."""
    with StoreWriter(path, fleet) as writer:
        for item in series:
            writer.add(item)
        return writer.finish(scaler, meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStore:
    """An opened store; opening it again in each worker costs little.

    Example: ``WindowStore.open(path).scaled("bev-03").value_TC``
    """

    path: Path
    content: dict
    scaler: Scaler

    @classmethod
    def open(cls, path: Path) -> "WindowStore":
        """Read ``store.json``; the file of a vehicle is mapped when it is read.

        Raises:
            DataError: there is no store at ``path``, or its ``store.json`` is damaged or of another
                format.
        """
        content = read_json(Path(path) / "store.json", REMEDY, keys=["vehicles", "scaler"])
        if content is None:
            raise DataError(f"there is no window store at {path}; {REMEDY}")
        if content.get("format") != FORMAT:
            raise DataError(
                f"{path}: store of format {content.get('format', 1)}, this version reads {FORMAT}; "
                f"{REMEDY}"
            )
        return cls(
            path=Path(path).absolute(),
            content=content,
            scaler=Scaler.from_json(content["scaler"]),
        )

    @classmethod
    def checked(cls, path: Path) -> "WindowStore":
        """``open``, after comparing the file of each vehicle with its digest.

        Raises:
            DataError: there is no store at ``path``, or a file of it is damaged or missing.
        """
        store = cls.open(path)
        for vehicle, entry in store.content["vehicles"].items():
            file = file_of(store.path, vehicle)
            try:
                found = file_sha256(file)[:DIGITS]
            except (FileNotFoundError, IsADirectoryError) as error:
                raise damaged(file, REMEDY, str(error.strerror)) from None
            if found != entry["digest"]:
                raise damaged(file, REMEDY, "its content is not what was written")
        return store

    @property
    def vehicles(self) -> list[str]:
        """Vehicle ids, in order."""
        return list(self.content["vehicles"])

    @property
    def channels(self) -> list[str]:
        """Channel names in the order of the columns (C)."""
        return self.content["channels"]

    def rows_of(self, part: int) -> list[int]:
        """How many rows of a part each vehicle has, in the order of ``vehicles``."""
        name = next(name for name, value in PARTS.items() if value == part)
        return [entry["parts"][name] for entry in self.content["vehicles"].values()]

    def long_rows(self, vehicle: str) -> int:
        """The train rows from which a vehicle is known by its own rows alone."""
        return self.scaler.long_rows.get(self.vehicle_class(vehicle), LONG_ROWS)

    @property
    def meta(self) -> dict:
        """What ``build_store`` noted (hash of the data, cold vehicles, ...)."""
        return self.content["meta"]

    @property
    def digest(self) -> str:
        """A short hash of everything in the store, the data version of a trained model."""
        return json_digest(self.content)

    def vehicle_class(self, vehicle: str) -> str:
        """The class that the vehicle had when the store was written."""
        return self._entry(vehicle)["class"]

    def has_channel(self, vehicle: str) -> np.ndarray:
        """Which channels the vehicle's class has, bool (C,)."""
        return self.scaler.has_channel[self.vehicle_class(vehicle)]

    def series(self, vehicle: str) -> Series:
        """The vehicle in engineering units: read-only views into the mapped file, nothing copied.

        Raises:
            DataError: the store holds no such vehicle, or its file is damaged or missing.
        """
        entry = self._entry(vehicle)
        file = file_of(self.path, vehicle)
        try:
            return read_series(file, vehicle, entry["class"], len(self.channels))
        except PermissionError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise damaged(file, REMEDY, str(error)) from None

    def scaled(self, vehicle: str) -> Series:
        """The vehicle in scaled units, a new array of values."""
        return self.scaler.apply(self.series(vehicle))

    def _entry(self, vehicle: str) -> dict:
        try:
            return self.content["vehicles"][vehicle]
        except KeyError:
            raise DataError(
                f"{self.path}: holds no vehicle {vehicle!r}, but {some(self.vehicles)}; if the "
                f"lake has rows of it that passed validation, {REMEDY}"
            ) from None


def file_of(folder: Path, vehicle: str) -> Path:
    """The file of a vehicle in the store ``folder``."""
    return folder / "vehicles" / (id_in_path(vehicle, NAME_BYTES - len(".arrow")) + ".arrow")
