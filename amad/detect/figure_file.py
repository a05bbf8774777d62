"""Keeps the arrays of learnt figures in a file, and reads those of an owner when it is their turn.

A vehicle's coefficients are by far the most of what a detector knows, and only those of the vehicle
that is fitted or scored are needed. So the memory that a detector takes hardly grows with the
fleet.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict

from amad.detect.array_file import ArrayFile, Groups
from amad.detect.chain import Calibration
from amad.detect.members import Member
from amad.detect.residual_cache import Arrays

COEFFICIENT, CALIBRATION = "coefficient", "calibration"  # what an array is of, in its name


class Coefficients(MutableMapping[str, Arrays]):
    """A member's coefficients by owner: in memory since they were learnt, or in a file."""

    def __init__(self, member: str, held: MutableMapping[str, Arrays], file: ArrayFile) -> None:
        self._group, self._held, self._file = f"{member}/{COEFFICIENT}", held, file

    def __getitem__(self, owner: str) -> Arrays:
        if owner in self._held:
            return self._held[owner]
        if owner not in self._file:
            raise KeyError(owner)
        return self._file.read(owner).get(self._group, {})

    def __setitem__(self, owner: str, arrays: Arrays) -> None:
        self._held[owner] = arrays

    def __delitem__(self, owner: str) -> None:
        """Take what is in memory away, so that what the file holds counts."""
        del self._held[owner]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._file), **dict.fromkeys(self._held)})

    def __len__(self) -> int:
        return len({*self._file, *self._held})


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
        member.coefficients = Coefficients(member.name, member.coefficients, file)


def put_away(
    members: Sequence[Member], owner: str, calibration: Mapping[str, Calibration], file: ArrayFile
) -> SavedCalibration:
    """Write the arrays of an owner into a file that the members use, and take them from memory."""
    file.add(owner, groups_of(members, owner, calibration))
    for member in members:
        member.coefficients.pop(owner, None)
    return SavedCalibration(file, owner)
