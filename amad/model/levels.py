"""Whose figures serve a window inside the network: its vehicle's, its class's or the fleet's."""

from dataclasses import dataclass, field

import numpy as np

from amad.windows.scaler import serving
from amad.windows.series import TRAIN
from amad.windows.store import WindowStore

FLEET = 0  # the index of the fleet's level
OWN_ROWS = 500  # train rows from which a vehicle has a level of its own


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a network, numbered: the fleet is 0, then the classes, then the vehicles.

    classes: names in order. vehicles: the class of each vehicle with a level of its own. A vehicle
    without one takes its class's, one of an unknown class the fleet's.

    Example: ``Levels.of(store).index("bev-03", "bev")``
    """

    classes: tuple[str, ...] = ()
    vehicles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: WindowStore) -> "Levels":
        """The levels of a store: its classes, and its vehicles with OWN_ROWS train rows."""
        own = {
            vehicle: store.vehicle_class(vehicle)
            for vehicle in store.vehicles
            if np.sum(store.series(vehicle).split_T == TRAIN) >= OWN_ROWS
        }
        classes = sorted({store.vehicle_class(vehicle) for vehicle in store.vehicles})
        return cls(tuple(classes), own)

    def __len__(self) -> int:
        """V, the number of levels."""
        return 1 + len(self.classes) + len(self.vehicles)

    def index(self, vehicle: str, vehicle_class: str) -> int:
        """The number of the level that serves this vehicle."""
        known = {"vehicle": self.vehicles, "class": self.classes}
        kind, name = serving(vehicle, vehicle_class, lambda k, n: n in known[k])
        if kind == "vehicle":
            return 1 + len(self.classes) + list(self.vehicles).index(name)
        return self.class_number(name)

    def class_number(self, vehicle_class: str) -> int:
        """1 for the first class and so on; 0 for one that is not known."""
        return 1 + self.classes.index(vehicle_class) if vehicle_class in self.classes else FLEET

    def to_json(self) -> dict:
        """Plain lists and dicts, which ``from_json`` reads."""
        return {"classes": list(self.classes), "vehicles": self.vehicles}

    @classmethod
    def from_json(cls, content: dict) -> "Levels":
        """The inverse of ``to_json``."""
        return cls(tuple(content["classes"]), dict(content["vehicles"]))
