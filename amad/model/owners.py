"""Whose figures serve a window inside the network: its vehicle's, its class's or the fleet's."""

from dataclasses import dataclass, field

import numpy as np

from amad.windows.scaler import serving
from amad.windows.series import TRAIN
from amad.windows.store import WindowStore

FLEET = 0  # the number of the fleet among the owners
OWN_ROWS = 500  # train rows from which a vehicle has figures of its own


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners of a network's figures, numbered: the fleet is 0, then classes, then vehicles.

    classes: names in order. vehicles: the class of each vehicle with figures of its own. A vehicle
    without them takes those of its class, and where the class is not known, the fleet's.

    Example: ``Owners.of(store).index("bev-03", "bev")``
    """

    classes: tuple[str, ...] = ()
    vehicles: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: WindowStore) -> "Owners":
        """The owners of a store: its classes, and its vehicles with OWN_ROWS train rows."""
        classes = {vehicle: store.vehicle_class(vehicle) for vehicle in store.vehicles}
        own = {
            vehicle: name
            for vehicle, name in classes.items()
            if np.sum(store.series(vehicle).split_T == TRAIN) >= OWN_ROWS
        }
        return cls(tuple(sorted(set(classes.values()))), own)

    def __len__(self) -> int:
        """V, the number of owners."""
        return 1 + len(self.classes) + len(self.vehicles)

    def index(self, vehicle: str, vehicle_class: str) -> int:
        """The number of the owner whose figures serve this vehicle."""
        known = {"vehicle": self.vehicles, "class": self.classes}
        owner, name = serving(vehicle, vehicle_class, lambda o, n: n in known[o])
        if owner == "vehicle":
            return 1 + len(self.classes) + list(self.vehicles).index(name)
        return self.class_number(name)

    def class_number(self, vehicle_class: str) -> int:
        """1 for the first class and so on; 0, the fleet's, for a class that is not known."""
        return 1 + self.classes.index(vehicle_class) if vehicle_class in self.classes else FLEET
