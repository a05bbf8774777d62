"""From a fleet file to window stores, by the stages of the pipeline, one store per protocol.

- test: the store as it is.
- injected: ``CleanStretches``, which has the longest stretch of each test part without an event;
  its labels are then those of the injected faults.
- unseen: two stores. Each has the train and calibration rows of one half of the vehicles, the test
  rows of the other half, and a scaler fitted on the first half alone.

Shape legend: T rows of a vehicle, C channels.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amad.config import AmadError, ConfigError, DataError, Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.config.fleet import fleet_path
from amad.engines.shared.identity import code_digest
from amad.evaluation.units import is_injected
from amad.metrics import events_of
from amad.simulator.faults import FAULT_TYPES
from amad.telemetry.files import staged, write_json
from amad.windows.scaler import Scaler
from amad.windows.series import PURGED, TEST, Series
from amad.windows.store import PARTS, WindowStore, write_store
from pipelines import ingest, prepare, source, validate

CODE = ("amad.telemetry", "amad.windows")  # the content of a store depends on it
PROTOCOLS = ("test", "injected", "unseen")
HALVES = ("unseen-0", "unseen-1")  # the two passes of the protocol ``unseen``
CASES = 96  # about so many injected faults in all
TYPES = len(FAULT_TYPES)
UNSEEN_VEHICLES = 4  # fewer are not halved, nor drawn by the bootstrap where there are cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A fleet on disk.

    stores: the folder of each store: ``whole``, and ``unseen-0`` and ``unseen-1`` where the fleet
    can be halved. skipped: protocols that this fleet does not have, with the reason.
    """

    fleet: Fleet
    file: Path
    folder: Path
    stores: dict[str, Path]
    skipped: dict[str, str]

    @property
    def store(self) -> WindowStore:
        """The store of the whole fleet."""
        return WindowStore.open(self.stores["whole"])


def find_fleet(name: str, settings: Settings) -> tuple[Fleet, Path]:
    """A fleet by path or by its name in conf/fleet, and its file.

    Raises:
        ConfigError: no such fleet file, or a wrong key in it.
    """
    return load_fleet(name, settings), fleet_path(name, settings)


def prepare_fleet(
    file: Path, params: Params, home: Path, data_dir: Path, protocols: list[str]
) -> Prepared:
    """Run source, ingest, validate and prepare into ``home`` where that is not done already.

    Raises:
        DataError: the raw data is missing, fails its contract or leaves nothing to train on.
        ConfigError: the contract contradicts itself.
    """
    fleet = load_fleet(str(file))
    settings = Settings(home=home / f"{fleet.name}-{fleet.digest}", data_dir=data_dir)
    params = params.model_copy(update={"fleet": str(file)})
    folder = settings.fleet_dir(fleet.name)
    stamp = {
        "source": source.run(params, settings).digest,
        "prepare": params.prepare.model_dump(mode="json"),
        "code": code_digest(*CODE),
    }
    done = folder / "prepared.json"
    if not done.is_file() or json.loads(done.read_text(encoding="utf-8")) != stamp:
        for stage in (ingest, validate, prepare):
            stage.run(params, settings)
        write_json(done, stamp)
    else:
        say(f"fleet {fleet.name} is prepared already")
    stores, skipped = {"whole": folder / "store"}, {}
    if "injected" in protocols and is_injected(fleet):
        skipped["injected"] = "the protocol test injects faults already: the fleet has no labels"
    if "unseen" in protocols:
        try:
            stores |= halved(WindowStore.open(stores["whole"]), fleet, folder / "halves")
        except DataError as error:
            skipped["unseen"] = str(error)
    return Prepared(fleet=fleet, file=file, folder=folder, stores=stores, skipped=skipped)


def prepare_fleets(
    names: Sequence[str], params: Params, home: Path, settings: Settings, protocols: list[str]
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Prepare fleets, named by path or by a name in conf/fleet, each once and in their order.

    Returns: the fleets by name, and the errors of those that could not be prepared.

    Raises:
        ConfigError: an unknown fleet or key; two fleets of one name.
    """
    files: dict[str, Path] = {}
    for given in names:
        fleet, path = find_fleet(given, settings)
        if files.setdefault(fleet.name, path) != path:
            raise ConfigError(f"--fleet: {files[fleet.name]} and {path} are both {fleet.name!r}")
    prepared: dict[str, Prepared] = {}
    errors: dict[str, str] = {}
    for name, path in files.items():
        try:
            prepared[name] = prepare_fleet(path, params, home, settings.data_dir, protocols)
        except AmadError as error:
            say(f"error: {error}")
            errors[name] = str(error)
    return prepared, errors


class CleanStretches(WindowStore):
    """A store without labels whose test parts are cut down to their longest clean stretch."""

    @classmethod
    def of(cls, store: WindowStore) -> "CleanStretches":
        """View an opened store in this way; nothing is written."""
        view = cls(path=store.path, content=store.content, scaler=store.scaler)
        entries = {}
        for vehicle, entry in store.content["vehicles"].items():
            rows = np.bincount(view.series(vehicle).split_T, minlength=len(PARTS))
            parts = {name: int(rows[value]) for name, value in PARTS.items()}
            entries[vehicle] = {**entry, "parts": parts}
        return replace(view, content={**store.content, "vehicles": entries})

    def series(self, vehicle: str) -> Series:
        """The vehicle; test rows outside the stretch are marked as purged."""
        series = WindowStore.series(self, vehicle)
        test = np.flatnonzero(series.split_T == TEST)
        split_T = series.split_T.copy()
        if series.label_T is not None and len(test):
            first, last = longest_clean(series.label_T[test] > 0)
            split_T[test] = PURGED
            split_T[test[first:last]] = TEST
        return replace(series, split_T=split_T, label_T=None)


def longest_clean(label_T: np.ndarray) -> tuple[int, int]:
    """First row and end (exclusive) of the longest stretch without a label."""
    starts, ends = events_of(~label_T)
    if len(starts) == 0:
        return 0, 0
    best = int(np.argmax(np.subtract(ends, starts)))
    return int(starts[best]), int(ends[best])


def judged_fleet(fleet: Fleet, protocol: str, vehicles: int) -> Fleet:
    """The fleet file under which a protocol, or a half of ``unseen``, is judged.

    ``injected`` makes about ``CASES`` faults, with equally many of each type where a vehicle gets
    enough of them. The bootstrap draws cases where faults are injected and vehicles are too few.
    """
    if protocol == "injected":
        cases = max(1, round(CASES / vehicles))
        if cases > TYPES:
            cases = round(cases / TYPES) * TYPES
        injection = fleet.labels.injection.model_copy(update={"cases_per_vehicle": cases})
        labels = fleet.labels.model_copy(update={"kind": "injected", "injection": injection})
        fleet = fleet.model_copy(update={"labels": labels})
    unit = fleet.evaluation.unit
    if protocol == "injected":
        unit = "vehicle"
    if is_injected(fleet) and vehicles < UNSEEN_VEHICLES:
        unit = "case"
    evaluation = fleet.evaluation.model_copy(update={"unit": unit})
    return fleet.model_copy(update={"evaluation": evaluation})


def halved(store: WindowStore, fleet: Fleet, folder: Path) -> dict[str, Path]:
    """Write the two stores of the protocol ``unseen`` where they are missing; their folders.

    Vehicles alternate in order of class and name, so that both halves hold every class of two or
    more vehicles.

    Raises:
        DataError: too few vehicles.
    """
    ordered = sorted(store.vehicles, key=lambda v: (store.vehicle_class(v), v))
    if len(ordered) < UNSEEN_VEHICLES:
        raise DataError(
            f"it needs {UNSEEN_VEHICLES} vehicles to be halved, and there are {len(ordered)}"
        )
    folder = folder / store.digest
    if not folder.is_dir():
        with staged(folder) as stage:
            for half, name in enumerate(HALVES):
                known = set(ordered[half::2])
                normalise = store.meta["normalise"]
                scaler = Scaler.fit(_half(store, known), fleet, normalise)
                meta = {"normalise": normalise, "hidden": sorted(set(ordered) - known)}
                write_store(stage / name, _half(store, known), fleet, scaler, meta)
    return {name: folder / name for name in HALVES}


def _half(store: WindowStore, known: set[str]) -> Iterator[Series]:
    """Known vehicles without their test part, and the test parts of the others.

    Values that the whole store filled with a mean are missing again, because that mean was computed
    from rows that are hidden here.
    """
    for vehicle in store.vehicles:
        series = store.series(vehicle)
        mean_C, _ = store.scaler.figures(vehicle, series.vehicle_class)
        filled_TC = (series.valid_TC == 0) & (series.value_TC == mean_C)
        series = series.with_values(np.where(filled_TC, np.nan, series.value_TC))
        if vehicle not in known:
            yield series.part(TEST)
            continue
        others = np.flatnonzero(series.split_T != TEST)
        first, last = (others[0], others[-1] + 1) if len(others) else (0, 0)
        assert last - first == len(others), "the test part stands at an end of the vehicle"
        yield series.rows_between(int(first), int(last))
