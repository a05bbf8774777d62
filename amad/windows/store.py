"""The window store: one memory-mapped Arrow file per vehicle; windows are views into it.

Layout: ``store.json`` (format, fleet, channels, scaler, meta, one digest per vehicle) and
``vehicles/<id>.arrow``, each one record batch of: timestamp (us, UTC), value (fixed-size list of
C float64, engineering units), valid (fixed-size list of C uint8), segment int32, split uint8, and
label int8 if there are labels. Nothing is copied before a batch is gathered.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.digest import DIGITS, file_sha256, json_digest
from amad.telemetry.files import damaged, read_json, staged, write_json
from amad.telemetry.lake import NAME_BYTES, id_in_path
from amad.telemetry.schemas import TIMESTAMP
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN, Series

REMEDY = "run the stage prepare"
FORMAT = 2  # of what the values mean; 2: increments of counters and angles, places of codes
PARTS = {"train": TRAIN, "calibration": CALIBRATION, "test": TEST, "purged": PURGED}


def write_store(
    path: Path, series: Iterable[Series], fleet: Fleet, scaler: Scaler, meta: dict
) -> dict:
    """Write the series (engineering units, finite) one at a time, or nothing if it fails.

    Returns: the content of ``store.json``: meta, and for each vehicle its class, its rows, its rows
    per part and the digest of its file.
    """
    vehicles: dict[str, dict] = {}
    with staged(path) as stage:
        (stage / "vehicles").mkdir(parents=True)
        for item in series:
            assert np.isfinite(item.value_TC).all(), f"{item.vehicle}: values must be finite"
            file = stage / "vehicles" / _file_name(item.vehicle)
            _write_vehicle(file, item)
            counts = np.bincount(item.split_T, minlength=len(PARTS))
            vehicles[item.vehicle] = {
                "class": item.vehicle_class,
                "rows": item.rows,
                "segments": len(item.segments()),
                "parts": {name: int(counts[value]) for name, value in PARTS.items()},
                "digest": file_sha256(file)[:DIGITS],
            }
        content = {
            "format": FORMAT,
            "fleet": fleet.name,
            "fleet_digest": fleet.digest,
            "channels": fleet.channel_names,
            "period_us": fleet.period_us,
            "vehicles": dict(sorted(vehicles.items())),
            "scaler": scaler.to_json(),
            "meta": meta,
        }
        write_json(stage / "store.json", content, sealed=True)
    return content


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
            file = store.path / "vehicles" / _file_name(vehicle)
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
            DataError: the store holds no such vehicle.
        """
        entry = self._entry(vehicle)
        file = self.path / "vehicles" / _file_name(vehicle)
        with pa.memory_map(str(file)) as source:
            batch = pa.ipc.open_file(source).get_batch(0)
        shape = (batch.num_rows, len(self.channels))
        names = batch.schema.names
        return Series(
            vehicle=vehicle,
            vehicle_class=entry["class"],
            timestamp_T=batch["timestamp"].view(pa.int64()).to_numpy(),
            value_TC=batch["value"].values.to_numpy().reshape(shape),
            valid_TC=batch["valid"].values.to_numpy().reshape(shape),
            segment_T=batch["segment"].to_numpy(),
            split_T=batch["split"].to_numpy(),
            label_T=batch["label"].to_numpy() if "label" in names else None,
        )

    def scaled(self, vehicle: str) -> Series:
        """The vehicle in scaled units, a new array of values."""
        return self.scaler.apply(self.series(vehicle))

    def _entry(self, vehicle: str) -> dict:
        try:
            return self.content["vehicles"][vehicle]
        except KeyError:
            raise DataError(
                f"{self.path}: holds no vehicle {vehicle!r}; it has {', '.join(self.vehicles[:20])}"
            ) from None


def _file_name(vehicle: str) -> str:
    return id_in_path(vehicle, NAME_BYTES - len(".arrow")) + ".arrow"


def _write_vehicle(file: Path, series: Series) -> None:
    channels = series.value_TC.shape[1]
    flat = {
        "value": np.ascontiguousarray(series.value_TC, np.float64).reshape(-1),
        "valid": np.ascontiguousarray(series.valid_TC, np.uint8).reshape(-1),
    }
    columns = {
        "timestamp": pa.array(series.timestamp_T, pa.int64()).view(TIMESTAMP),
        **{k: pa.FixedSizeListArray.from_arrays(pa.array(v), channels) for k, v in flat.items()},
        "segment": pa.array(series.segment_T, pa.int32()),
        "split": pa.array(series.split_T, pa.uint8()),
    }
    if series.label_T is not None:
        columns["label"] = pa.array(series.label_T, pa.int8())
    batch = pa.record_batch(columns)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
