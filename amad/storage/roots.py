"""What counts in a storage: numbered roots, each of which names the content of every artifact.

An artifact is a file or folder directly below ``data/<fleet>`` or ``runs/<fleet>``, such as
``data/lake``. Putting a change is creating the next number, which one writer alone can.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from amad.config import ServiceError
from amad.config.digest import DIGITS, sha256_of
from amad.storage.lease import Lease
from amad.storage.objects import Objects
from amad.telemetry.files import SEAL, seal

ROOTS, MANIFESTS = "roots", "manifests"
KEPT = 10  # roots that stay, to see what happened


class FileContent(NamedTuple):
    """The content of a file: its hash and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of an artifact. sha256: of the file, or of the manifest of a folder."""

    sha256: str
    folder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What a storage holds. number: 0 for one that holds nothing yet."""

    number: int = 0
    artifacts: dict[str, Content] = field(default_factory=dict)

    @classmethod
    def newest(cls, objects: Objects) -> "Root":
        """The root that counts.

        Raises:
            ServiceError: it is damaged.
        """
        for _ in range(3):  # one that is read while the next ones are made may be gone
            key = max((item.key for item in objects.list(ROOTS)), default=None)
            if key is None:
                return cls()
            if (content := objects.read(key)) is not None:
                return _parsed(objects, key, content)
        raise ServiceError(f"{objects.address}/{ROOTS} changes too fast; run the command again")


def _parsed(objects: Objects, key: str, content: bytes) -> Root:
    try:
        found = json.loads(content)
        if found[SEAL] != seal(found):
            raise ValueError("its content is not what was written")
        return Root(
            number=int(PurePosixPath(key).stem),
            artifacts={name: Content(**item) for name, item in found["artifacts"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceError(
            f"{objects.address}/{key} is damaged ({error}); bring it back (an earlier version of "
            f"it, where the bucket keeps versions), or delete everything in {ROOTS}/: the next "
            "step on a machine that has the files puts them anew"
        ) from None


def commit(
    objects: Objects,
    base: Root,
    changed: Mapping[str, Content | None],
    work: str,
    lease: Lease | None,
) -> Root:
    """Make a change of some artifacts count, and return the new root.

    base: what the change was made from. changed: None for an artifact that is gone. lease: of the
    writer; None where whoever comes first is right.

    Raises:
        ServiceError: the lease was lost, or somebody else has changed one of these artifacts.
    """
    while True:
        if lease is not None:
            lease.check()
        newest = Root.newest(objects)
        clash = [
            name
            for name, content in changed.items()
            if newest.artifacts.get(name) not in (base.artifacts.get(name), content)
        ]
        if clash:
            raise ServiceError(
                f"{', '.join(sorted(clash))} in {objects.address} was changed by somebody else "
                "meanwhile, and nothing of this job was put there; run the command again"
            )
        merged = {**newest.artifacts, **changed}
        kept = {name: content for name, content in merged.items() if content is not None}
        content = {
            "work": work,
            "artifacts": {
                name: {"sha256": item.sha256, "folder": item.folder} for name, item in kept.items()
            },
        }
        text = json.dumps(content | {SEAL: seal(content)}, indent=1, sort_keys=True)
        number = newest.number + 1
        if objects.create(f"{ROOTS}/{number:010d}.json", text.encode()):
            past = sorted(item.key for item in objects.list(ROOTS))[:-KEPT]
            objects.delete(past)
            return Root(number=number, artifacts=kept)


def file_key(path: str, sha256: str) -> str:
    """The key of a file: its path, with the beginning of its hash in the name."""
    place = PurePosixPath(path)
    return str(place.with_name(f"{place.stem}-{sha256[:DIGITS]}{place.suffix}"))


def fetch(
    objects: Objects, files: Mapping[str, FileContent], place: Callable[[str], Path], what: str
) -> None:
    """Bring files to this disk, each to its place; raises as ``Objects.download``."""
    objects.all_at_once(
        lambda path: objects.download(
            file_key(path, files[path].sha256), place(path), files[path].sha256
        ),
        files,
        what,
    )


def manifest_key(name: str, sha256: str) -> str:
    """The key of the manifest of a folder."""
    return f"{MANIFESTS}/{name}-{sha256[:DIGITS]}.json"


def manifest_text(files: Mapping[str, FileContent]) -> bytes:
    """The manifest of a folder. files: by path below ``data`` and ``runs``."""
    return json.dumps({path: list(file) for path, file in sorted(files.items())}, indent=0).encode()


def read_manifest(objects: Objects, name: str, sha256: str) -> dict[str, FileContent]:
    """The files of a version of a folder, as ``manifest_text`` was given them.

    Raises:
        FileNotFoundError: there is no such manifest.
        ServiceError: it is damaged.
    """
    key = manifest_key(name, sha256)
    text = objects.read(key)
    if text is None:
        raise FileNotFoundError(key)
    if sha256_of(text) != sha256:
        raise objects.damaged(key)
    return {path: FileContent(*file) for path, file in json.loads(text).items()}
