"""Scales each channel to about zero mean and unit spread, learnt from train rows only.

Only measured cells of train rows count. A vehicle without enough of them takes the figures (mean
and scale) of its class, and a class without any takes those of the fleet. Unknown vehicles are
scaled in the same way. The figures of a vehicle with a short history lie between its own and those
of its class (``amad.windows.short_history``).

Least scale: if a channel hardly moves in the train rows, its first later step must not become a
score of thousands. So its scale is at least a tenth of the spread of its class (the train cells of
all vehicles pooled) and at least a hundredth of its physical range. A channel that never moves in a
vehicle's train rows takes the spread of its class. One that never moves in the fleet takes a tenth
of its physical range, or 1 if the fleet file gives no range. The range of a counter or an angle is
none of its increments, which is what is scaled here.

Shape legend: T rows of a vehicle, C channels, N vehicles.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np

from amad.config import Fleet
from amad.windows.codes import UNSEEN, CodeCounts, Codes, places
from amad.windows.learning import Learnt, Moments, categorical
from amad.windows.series import Behaviour, Series
from amad.windows.short_history import Known, shrunk

CLASS_SHARE, RANGE_SHARE = 0.1, 0.01  # least scale, of the spread of the class and of the range
NEVER_SHARE = 0.1  # scale of what never moved in the fleet, of the range
CONSTANT = 1e-6  # a spread below this share of the physical range counts as none
DIGITS = 1e-9  # and so does one below this share of the mean; float64 is more precise than that
CHUNK = 2048  # rows that are scaled at once; they stay in the processor's cache


def serving(vehicle: str, vehicle_class: str, knows: Callable[[str, str], bool]) -> tuple[str, str]:
    """Whose figures serve a vehicle: its own, else those of its class, else those of the fleet.

    knows: whether there are figures of a kind (``vehicle`` or ``class``) and name.

    Returns: kind and name; ("fleet", "") if there are neither.
    """
    own = (("vehicle", vehicle), ("class", vehicle_class))
    return next((owner for owner in own if knows(*owner)), ("fleet", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaler:
    """Mean and scale of each channel, of vehicles, of classes and of the fleet.

    tables: ``{"vehicle": {id: (mean_C, scale_C)}, "class": {...}, "fleet": {"": ...}}``. They are
    float64, because the mean of a large counter has more digits than float32.
    has_channel: for each class, which channels it has, bool (C,). codes: of categorical channels,
    whose places are scaled and not the codes (``amad.windows.codes``). increments: the counters and
    angles. long_rows: by class, the train rows from which a vehicle is known by its own alone.
    unlearnt: channels of which no train row has a value.
    """

    channels: list[str]
    tables: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]
    has_channel: dict[str, np.ndarray]
    codes: dict[str, Codes] = field(default_factory=dict)
    increments: list[str] = field(default_factory=list)
    long_rows: dict[str, int] = field(default_factory=dict)
    unlearnt: list[str] = field(default_factory=list)

    @classmethod
    def identity(cls, channels: Sequence[str]) -> "Scaler":
        """A scaler for series that need none: it leaves every value as it is."""
        same = (np.zeros(len(channels)), np.ones(len(channels)))
        return cls(
            channels=list(channels),
            tables={"vehicle": {}, "class": {}, "fleet": {"": same}},
            has_channel={},
        )

    @classmethod
    def fit(cls, series: Iterable[Series], fleet: Fleet, normalise: str) -> "Scaler":
        """Learn from the measured cells of the train rows of each series.

        series: one per vehicle; they are taken one at a time, so memory is bounded. normalise:
        ``vehicle`` or ``class``, whose figures a vehicle is scaled with. A vehicle with fewer than
        ``fleet.missing.min_segment_rows`` train rows gets no figures of its own.
        """
        return cls.of([Learnt.of(item, fleet) for item in series], fleet, normalise)

    @classmethod
    def of(cls, learnt: Sequence[Learnt], fleet: Fleet, normalise: str) -> "Scaler":
        """``fit``, of what was learnt of each vehicle, maybe elsewhere."""
        names, coded = fleet.channel_names, categorical(fleet)
        counts = {c: [item.counts[c] for item in learnt] for c in coded}
        codes, moments_of = _placed(counts, [item.moments for item in learnt])
        fleet_moments = Moments.none(len(names))
        class_moments: dict[str, Moments] = {}
        vehicle_moments: dict[str, tuple[str, Moments]] = {}
        for item, moments in zip(learnt, moments_of, strict=True):
            kind = item.vehicle_class
            fleet_moments += moments
            class_moments[kind] = class_moments.get(kind, Moments.none(len(names))) + moments
            if normalise == "vehicle" and item.rows >= fleet.missing.min_segment_rows:
                vehicle_moments[item.vehicle] = (kind, moments)

        width_C, middle_C = _ranges(fleet, codes)
        never_C = np.where(width_C > 0, NEVER_SHARE * width_C, 1.0)
        top = _figures(fleet_moments, middle_C, np.zeros(len(names)), never_C, width_C)
        classes = {
            name: _figures(moments, top[0], top[1], top[1], width_C)
            for name, moments in sorted(class_moments.items())
        }
        vehicles = {
            name: _figures(moments, classes[kind][0], classes[kind][1], classes[kind][1], width_C)
            for name, (kind, moments) in sorted(vehicle_moments.items())
        }
        coded_C = np.isin(np.arange(len(names)), coded)
        long_rows = _move_short_histories(vehicles, learnt, coded_C)
        return cls(
            channels=names,
            tables={"vehicle": vehicles, "class": classes, "fleet": {"": top}},
            has_channel={
                k.name: np.array(fleet.has_channel(k.name)) for k in fleet.vehicle_classes
            },
            codes={names[c]: known for c, known in codes.items()},
            increments=[item.name for item in fleet.channels if item.is_increment],
            long_rows=long_rows,
            unlearnt=[c for c, n in zip(names, fleet_moments.count_C, strict=True) if not n],
        )

    def figures(self, vehicle: str, vehicle_class: str) -> tuple[np.ndarray, np.ndarray]:
        """(mean_C, scale_C), float64: the vehicle's, else its class's, else the fleet's."""
        kind, name = serving(vehicle, vehicle_class, lambda kind, name: name in self.tables[kind])
        return self.tables[kind][name]

    def standardise(self, value_TC: np.ndarray, vehicle: str, vehicle_class: str) -> np.ndarray:
        """The values (..., C) scaled, float32; 0 if unknown or if the class lacks the channel."""
        mean_C, scale_C = self.figures(vehicle, vehicle_class)
        has_C = self._has(vehicle_class)
        scaled = np.zeros(value_TC.shape, np.float32)
        for first in range(0, len(value_TC), CHUNK):  # no float64 copy of all rows
            rows = slice(first, first + CHUNK)
            value_RC = value_TC[rows] - mean_C
            for name, codes in self.codes.items():
                c = self.channels.index(name)
                place_R = codes.placed(value_TC[rows, ..., c], mean_C[c] + UNSEEN * scale_C[c])
                value_RC[..., c] = place_R - mean_C[c]
            value_RC /= scale_C
            value_RC[..., ~has_C] = 0.0
            if not (known_RC := np.isfinite(value_RC)).all():
                value_RC[~known_RC] = 0.0
            scaled[rows] = value_RC
        return scaled

    def apply(self, series: Series) -> Series:
        """The series in scaled units; only the values are copied."""
        value_TC = self.standardise(series.value_TC, series.vehicle, series.vehicle_class)
        mean_C, scale_C = self.figures(series.vehicle, series.vehicle_class)
        behaviour = Behaviour(
            still_C=np.where(np.isin(self.channels, self.increments), -mean_C / scale_C, np.nan),
            coded_C=np.isin(self.channels, list(self.codes)),
        )
        return replace(series.with_values(value_TC), behaviour=behaviour)

    def unscaled(self, series: Series, channels: Sequence[int]) -> np.ndarray:
        """The values of K channels of a scaled series in engineering units, float64 (T, K).

        A code that no train row had is infinite, because nothing is known of it any more.
        """
        mean_C, scale_C = self.figures(series.vehicle, series.vehicle_class)
        own = series.value_TC[:, channels]
        value_TK = own.astype(np.float64) * scale_C[channels] + mean_C[channels]
        for k, c in enumerate(channels):
            if (codes := self.codes.get(self.channels[c])) is not None:
                code_T = codes.code_at(value_TK[:, k])
                value_TK[:, k] = np.where(is_unseen(own[:, k]), np.inf, code_T)
        return value_TK

    def unseen_codes(self, series: Series) -> dict[str, int]:
        """How many measured cells have a code that no train row had, by channel and code.

        series: in engineering units. Example of a key: ``Vehicle.Gear: code 7``.
        """
        found = {}
        for name, codes in self.codes.items():
            c = self.channels.index(name)
            value_M = series.value_TC[series.valid_TC[:, c] == 1, c]
            for code, cells in zip(*np.unique(value_M[~codes.known(value_M)], return_counts=True),
                                   strict=True):  # fmt: skip
                found[f"{name}: code {code:g}"] = int(cells)
        return found

    def as_unknown(self, series: Series, others: Sequence[str] = ()) -> Series:
        """A scaled series as it would be scaled if its vehicle were unknown.

        others: the vehicles that would be known, each with the same weight. If none of them has
        figures of its own, those of the class are used, as for a new vehicle. Cells for which
        nothing is known stay 0.
        """
        own_mean_C, own_scale_C = self.figures(series.vehicle, series.vehicle_class)
        known = [self.tables["vehicle"][name] for name in others if name in self.tables["vehicle"]]
        if known:
            mean_NC, scale_NC = (np.stack(part) for part in zip(*known, strict=True))
            mean_C = mean_NC.mean(axis=0)
            scale_C = np.sqrt((scale_NC**2 + (mean_NC - mean_C) ** 2).mean(axis=0))
        else:
            mean_C, scale_C = self.figures("", series.vehicle_class)
        factor_C, shift_C = own_scale_C / scale_C, (own_mean_C - mean_C) / scale_C
        if (factor_C == 1).all() and not shift_C.any():
            return series
        value_TC = (series.value_TC * factor_C + shift_C).astype(np.float32)
        value_TC[(series.valid_TC == 0) & (series.value_TC == 0)] = 0.0
        value_TC[:, ~self._has(series.vehicle_class)] = 0.0
        behaviour = series.behaviour
        if behaviour is not None:
            still_C = behaviour.still_C * factor_C + shift_C
            behaviour = replace(behaviour, still_C=still_C)
        return replace(series.with_values(value_TC), behaviour=behaviour)

    def filled(self, value_TC: np.ndarray, vehicle: str, vehicle_class: str) -> np.ndarray | None:
        """The values (T, C) of some rows, with the train mean or usual code for unknown ones.

        value_TC: in engineering units. Returns None where no value is unknown.
        """
        unknown_TC = ~np.isfinite(value_TC)
        if not unknown_TC.any():
            return None
        mean_C = self.figures(vehicle, vehicle_class)[0].copy()
        for name, codes in self.codes.items():
            mean_C[self.channels.index(name)] = codes.usual
        return np.where(unknown_TC, mean_C, value_TC)

    def _has(self, vehicle_class: str) -> np.ndarray:
        return self.has_channel.get(vehicle_class, np.ones(len(self.channels), bool))

    def to_json(self) -> dict:
        """Plain lists and dicts; ``from_json`` restores exactly the same float64."""
        return {
            "channels": self.channels,
            "has_channel": {k: v.tolist() for k, v in self.has_channel.items()},
            "codes": {name: codes.to_json() for name, codes in self.codes.items()},
            "increments": self.increments,
            "long_rows": self.long_rows,
            "unlearnt": self.unlearnt,
            "tables": {
                kind: {
                    key: {"mean": mean_C.tolist(), "scale": scale_C.tolist()}
                    for key, (mean_C, scale_C) in table.items()
                }
                for kind, table in self.tables.items()
            },
        }

    @classmethod
    def from_json(cls, content: dict) -> "Scaler":
        """The inverse of ``to_json``."""
        tables = {
            kind: {
                key: (np.array(v["mean"], float), np.array(v["scale"], float))
                for key, v in table.items()
            }
            for kind, table in content["tables"].items()
        }
        has = {k: np.array(v, bool) for k, v in content["has_channel"].items()}
        codes = {name: Codes.from_json(rows) for name, rows in content["codes"].items()}
        return cls(
            channels=list(content["channels"]),
            tables=tables,
            has_channel=has,
            codes=codes,
            increments=list(content["increments"]),
            long_rows=content.get("long_rows", {}),  # an earlier release wrote neither
            unlearnt=content.get("unlearnt", []),
        )


@dataclass(frozen=True, slots=True)
class UnknownVehicles:
    """Scales vehicles as if they were unknown, to learn pooled figures from them.

    An unknown vehicle is scaled with the figures of others, so its channels are not centred. Pooled
    figures serve such vehicles and are therefore learnt from vehicles that are scaled in the same
    way. classes: the class of each known vehicle.

    Example: ``UnknownVehicles(scaler, {"b-1": "b", "b-2": "b"}).of(series, whole_fleet=False)``
    """

    scaler: Scaler
    classes: Mapping[str, str]

    def of(self, series: Series, *, whole_fleet: bool) -> Series:
        """A scaled series, scaled with the figures of the other vehicles of its class.

        whole_fleet: with those of the vehicles of other classes, because the figures of the fleet
        also serve vehicles of an unknown class. In a fleet of one class, with those of its other
        vehicles.
        """
        own = series.vehicle_class
        within = not whole_fleet or set(self.classes.values()) <= {own}
        others = [name for name, kind in self.classes.items() if (kind == own) == within]
        rest = [name for name in others if name != series.vehicle]
        return self.scaler.as_unknown(series, rest)


def is_unseen(value: np.ndarray) -> np.ndarray:
    """Which scaled values of a categorical channel stand for an unseen code, bool."""
    return np.isclose(value, UNSEEN, rtol=1e-5, atol=0)


def _placed(
    counts: Mapping[int, list[CodeCounts]], moments: Sequence[Moments]
) -> tuple[dict[int, Codes], list[Moments]]:
    """The codes of each categorical channel, and the moments with those of places for codes."""
    found, of_places = {}, deepcopy(list(moments))
    mean_VC = np.array([m.mean_C for m in moments])
    spread_VC = np.array([m.spread_C for m in moments])
    spread_VC[:, list(counts)] = 0.0  # the numbers of other codes tell nothing
    for c, of_vehicles in counts.items():
        if not (placed := places(of_vehicles, mean_VC, spread_VC)):
            continue
        found[c] = codes = Codes.of(placed)
        for own, item in zip(of_vehicles, of_places, strict=True):
            place_K = codes.placed(own.code_K, 0.0)
            rows = max(int(own.count_K.sum()), 1)
            item.mean_C[c] = own.count_K @ place_K / rows
            item.square_C[c] = own.count_K @ np.square(place_K - item.mean_C[c])
    return found, of_places


def _ranges(fleet: Fleet, codes: Collection[int]) -> tuple[np.ndarray, np.ndarray]:
    """Width and middle of the physical range of each channel, (C,); 0 where there is none.

    What is scaled of an increment, or in ``codes`` of the place of a code, has none.
    """
    ranges = [
        None if item.is_increment or c in codes else item.range
        for c, item in enumerate(fleet.channels)
    ]
    width_C = np.array([limits[1] - limits[0] if limits else 0.0 for limits in ranges])
    return width_C, np.array([sum(limits) / 2 if limits else 0.0 for limits in ranges])


def _move_short_histories(
    vehicles: dict[str, tuple[np.ndarray, np.ndarray]],
    learnt: Sequence[Learnt],
    coded_C: np.ndarray,
) -> dict[str, int]:
    """Move the figures of short histories towards those of their class, in place.

    Returns: the ``long_rows`` of each class in which vehicles have figures of their own.
    """
    long_rows = {}
    for kind in sorted({item.vehicle_class for item in learnt}):
        like = {item.vehicle: item for item in learnt if item.vehicle_class == kind}
        own = {name: figures for name, figures in vehicles.items() if name in like}
        if not own:
            continue
        longest = max(like[name].rows for name in own)
        known = Known(own, {name: like[name].stretches for name in own}, longest)
        long_rows[kind] = known.long_rows
        for name in own:
            if like[name].rows < known.long_rows:
                vehicles[name] = shrunk(name, own[name], like[name].rows, known, coded_C)
    return long_rows


def _figures(
    moments: Moments,
    else_mean_C: np.ndarray,
    pooled_C: np.ndarray,
    constant_C: np.ndarray,
    width_C: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(mean_C, scale_C) with the least scales that the docstring of this module describes.

    else_mean_C: the mean if nothing was measured. constant_C: the scale if nothing moved.
    pooled_C: the spread of the class (for a class, of the fleet), which limits the scale.
    """
    mean_C = np.where(moments.count_C > 0, moments.mean_C, else_mean_C)
    least_C = np.maximum(np.maximum(DIGITS * np.abs(mean_C), CONSTANT * width_C), 1e-36)
    moved_C = (moments.count_C > 1) & (moments.spread_C > least_C)
    floor_C = np.maximum(CLASS_SHARE * pooled_C, RANGE_SHARE * width_C)
    return mean_C, np.where(moved_C, np.maximum(moments.spread_C, floor_C), constant_C)
