"""Keeps the arrays of learnt figures in a file, and reads those of an owner when it is their turn.

A vehicle's coefficients are by far the most of what a detector knows, and only those of the vehicle
that is fitted or scored are needed. So the memory that a detector takes hardly grows with the
fleet.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, replace

from amad.detect.array_file import HELD, ArrayFile, Groups
from amad.detect.chain import Calibration
from amad.detect.learnt_figures import LearntFigures
from amad.detect.members.member import Member
from amad.detect.residual_cache import Arrays

COEFFICIENT, CALIBRATION = "coefficient", "calibration"  # what an array is of, in its name


class Coefficients(MutableMapping[str, Arrays]):
    """A member's coefficients by owner: in memory since they were learnt, or in a file."""

    def __init__(self, member: str, held: MutableMapping[str, Arrays], file: ArrayFile) -> None:
        self.held = held
        self._group, self._file = f"{member}/{COEFFICIENT}", file

    def __getitem__(self, owner: str) -> Arrays:
        if owner in self.held:
            return self.held[owner]
        if owner not in self._file:
            raise KeyError(owner)
        return self._file.read(owner).get(self._group, {})

    def __setitem__(self, owner: str, arrays: Arrays) -> None:
        self.held[owner] = arrays

    def __delitem__(self, owner: str) -> None:
        """Take what is in memory away, so that what the file holds counts."""
        del self.held[owner]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._file), **dict.fromkeys(self.held)})

    def __len__(self) -> int:
        return len({*self._file, *self.held})


class SavedCalibration(Mapping[str, Calibration]):
    """The calibrations of one owner by member, in a file."""

    __slots__ = ("_file", "_owner")

    def __init__(self, file: ArrayFile, owner: str) -> None:
        self._file, self._owner = file, owner

    def _groups(self) -> Groups:
        return self._file.read(self._owner) if self._owner in self._file else {}

    def __getitem__(self, member: str) -> Calibration:
        return Calibration(**self._groups()[f"{member}/{CALIBRATION}"])

    def __iter__(self) -> Iterator[str]:
        for group in self._groups():
            member, _, kind = group.rpartition("/")
            if kind == CALIBRATION:
                yield member

    def __len__(self) -> int:
        return len(list(iter(self)))


def groups_of(
    members: Sequence[Member], owner: str, calibration: Mapping[str, Calibration]
) -> Groups:
    """All arrays of an owner, by the group in which a file holds them."""
    groups: dict[str, Arrays] = {}
    for member in members:
        groups[f"{member.name}/{COEFFICIENT}"] = member.coefficients.get(owner, {})
        if (found := calibration.get(member.name)) is not None:
            groups[f"{member.name}/{CALIBRATION}"] = asdict(found)
    return groups


def use_file(members: Sequence[Member], file: ArrayFile) -> None:
    """Let the members find in a file what they do not hold."""
    for member in members:
        held = member.coefficients
        if isinstance(held, Coefficients):  # of an earlier fit, whose file is no longer used
            held = held.held
        member.coefficients = Coefficients(member.name, held, file)


class PutAway:
    """What is learnt of vehicle after vehicle: of the first ``HELD`` in memory, then in a file."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members, self._vehicles = members, 0
        self._file: ArrayFile | None = None

    def __call__(self, owner: str, figures: LearntFigures) -> LearntFigures:
        """The figures of a vehicle whose coefficients the members hold; they may not any more."""
        self._vehicles += 1
        if self._vehicles <= HELD:
            return figures
        if self._file is None:
            self._file = ArrayFile.temporary()
            use_file(self._members, self._file)
        groups = groups_of(self._members, owner, figures.calibration)
        for member in self._members:
            member.coefficients.pop(owner, None)
        self._file.add(owner, groups)
        return replace(figures, calibration=SavedCalibration(self._file, owner))
