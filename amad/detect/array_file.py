"""Arrays of many owners in one file, of which memory holds those of a few at a time.

The file is one of safetensors: eight bytes with the length of the header, the header (JSON: the
type, shape and place of each array by name), and the arrays. A name is ``<owner>/<group>/<array>``.
The library writes such a file as a whole; here it is written owner by owner, and the bytes are the
same. It is also read here: the library maps the file, so the process would end without a message if
the file was cut meanwhile, and it keeps the header's entry of each array of each owner in memory.
"""

import json
import os
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Self

import numpy as np

from amad.config import DataError
from amad.telemetry.files import full_disk_named

HELD = 16  # owners whose arrays stay in memory after they were read
# The names of the types, in the order in which the arrays lie in the file.
TYPES = {
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4",
    "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
NAMES = {kind: name for name, kind in TYPES.items()}
ALIGNMENT = 8  # of the first array

Groups = Mapping[str, Mapping[str, np.ndarray]]  # group -> name -> array
Field = tuple[str, str, tuple[int, ...], int]  # name, type, shape, place (in a layout: after begin)
Layout = tuple[Field, ...]
Place = tuple[int, Layout]  # of the first array in the file


class ArrayFile:
    """Reads the arrays of one owner at a time; the file may be deleted meanwhile.

    Most owners have arrays of the same names and shapes, which are noted once for all of them.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        """descriptor: of the open file; it is closed with this object."""
        weakref.finalize(self, os.close, descriptor)
        self._descriptor, self._end = descriptor, 0
        self._places: dict[str, list[Place]] = {}
        self._layouts: dict[Layout, Layout] = {}
        self._cached = lru_cache(HELD)(partial(_read, descriptor, path, self._places))

    @classmethod
    def open(cls, path: Path) -> Self:
        """A file of ``write_arrays``."""
        found = cls(os.open(path, os.O_RDONLY), path)
        size = int.from_bytes(os.pread(found._descriptor, 8, 0), "little")
        header = os.pread(found._descriptor, size, 8).decode()
        owner = ""
        fields: list[Field] = []
        for name, about in _entries(header):
            its, _, rest = name.partition("/")
            if its != owner:
                found._note(owner, fields)
                owner, fields = its, []
            place = 8 + size + about["data_offsets"][0]
            fields.append((rest, TYPES[about["dtype"]], tuple(about["shape"]), place))
        found._note(owner, fields)
        return found

    @classmethod
    def temporary(cls) -> Self:
        """An empty file without a name."""
        with TemporaryFile() as file:
            return cls(os.dup(file.fileno()), Path(gettempdir()))

    def __contains__(self, owner: str) -> bool:
        return owner in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, owner: str) -> dict[str, dict[str, np.ndarray]]:
        """The arrays of an owner, by group."""
        return self._cached(owner)

    def add(self, owner: str, groups: Groups) -> None:
        """Write the arrays of an owner to the end of the file, in the place of earlier ones."""
        fields = []
        for name, array in sorted(_flat(groups).items()):
            fields.append((name, array.dtype.str, array.shape, self._end))
            self._append(array)
        if self._places.pop(owner, None) is not None:
            self._cached.cache_clear()
        self._places[owner] = []  # so that an owner without arrays is known, too
        self._note(owner, fields)

    def rename(self, names: Sequence[str]) -> None:
        """Call the owner ``k`` ``names[k]`` from now on; one without arrays has no groups."""
        places = {name: self._places.get(str(k), []) for k, name in enumerate(names)}
        self._places.clear()
        self._places.update(places)

    def _append(self, array: np.ndarray) -> None:
        rest = memoryview(array.tobytes())
        with full_disk_named(Path(gettempdir())):
            while rest:
                written = os.pwrite(self._descriptor, rest, self._end)
                self._end, rest = self._end + written, rest[written:]

    def _note(self, owner: str, fields: list[Field]) -> None:
        if fields:
            begin = fields[0][-1]
            layout = tuple((name, kind, shape, at - begin) for name, kind, shape, at in fields)
            place = begin, self._layouts.setdefault(layout, layout)
            self._places.setdefault(owner, []).append(place)


def write_arrays(path: Path, owners: Collection[str], groups_of: Callable[[str], Groups]) -> None:
    """Write the arrays of the owners.

    groups_of: called twice for each owner, so that no more than one owner's arrays are held.
    """
    ordered = sorted(owners, key=lambda owner: f"{owner}/")
    layouts: dict[tuple, tuple] = {}
    of_owner = []
    for owner in ordered:
        arrays = sorted(_flat(groups_of(owner)).items())
        layout = tuple((name, array.dtype.str, array.shape, array.nbytes) for name, array in arrays)
        of_owner.append(layouts.setdefault(layout, layout))
    known = {kind for layout in layouts for _, kind, _, _ in layout}
    kinds = [kind for kind in TYPES.values() if kind in known]
    assert len(kinds) == len(known), f"a type that the file cannot hold, of {known}"
    with path.open("wb") as out:
        size = out.seek(8)
        out.write(b"{")
        begin, comma = 0, ""
        for kind in kinds:
            for owner, layout in zip(ordered, of_owner, strict=True):
                for name, its, shape, length in layout:
                    if its == kind:
                        out.write(_entry(comma, f"{owner}/{name}", kind, shape, begin, length))
                        begin, comma = begin + length, ","
        out.write(b"}")
        out.write(b" " * (-out.tell() % ALIGNMENT))
        size = out.tell() - 8
        for kind in kinds:
            for owner in ordered:
                for _, array in sorted(_flat(groups_of(owner)).items()):
                    if array.dtype.str == kind and array.size:
                        out.write(array.data)
        out.seek(0)
        out.write(size.to_bytes(8, "little"))


def _flat(groups: Groups) -> dict[str, np.ndarray]:
    return {
        f"{group}/{name}": np.ascontiguousarray(array)
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }


def _entry(
    comma: str, name: str, kind: str, shape: Sequence[int], begin: int, length: int
) -> bytes:
    about = {"dtype": NAMES[kind], "shape": shape, "data_offsets": [begin, begin + length]}
    text = json.dumps({name: about}, separators=(",", ":"), ensure_ascii=False)
    return (comma + text[1:-1]).encode()


def _entries(header: str) -> Iterator[tuple[str, dict]]:
    """The arrays of a header, one at a time; as Python objects they take twenty times the bytes."""
    decoder, at = json.JSONDecoder(), 1
    while header[at] != "}":
        name, at = decoder.raw_decode(header, at + (header[at] == ","))
        about, at = decoder.raw_decode(header, at + 1)
        yield name, about


def _read(
    descriptor: int, path: Path, places: Mapping[str, list[Place]], owner: str
) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for begin, layout in places[owner]:
        for name, kind, shape, at in layout:
            array = np.empty(shape, kind)
            if array.size and os.preadv(descriptor, [array.data], begin + at) != array.nbytes:
                raise DataError(f"{path}: became shorter while it was in use; run the job again")
            group, _, last = name.rpartition("/")
            found.setdefault(group, {})[last] = array
    return found
