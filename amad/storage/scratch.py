"""A fleet's folders on this disk, made equal to the storage before a step and put there after it.

What this disk has is remembered in ``runs/<fleet>/storage.json``. An artifact in which a step was
killed here, and which nobody else has changed since, is kept as it is: a job goes on where it was.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from amad.config import DataError, ServiceError, Stage
from amad.config.digest import DIGITS, sha256_of
from amad.storage.lease import Lease
from amad.storage.objects import Objects
from amad.storage.on_demand import ON_DEMAND, StoredFiles
from amad.storage.roots import (
    Content,
    FileContent,
    Root,
    commit,
    fetch,
    file_key,
    manifest_key,
    manifest_text,
    read_manifest,
)
from amad.telemetry import disk
from amad.telemetry.checksums import Checksums
from amad.telemetry.files import read_json, write_json
from amad.telemetry.holder import HOLDER

MEMORY, SUMS = "storage.json", "storage_checksums.json"
# Below runs/<fleet>, of this machine alone: caches, and what has an address of its own.
LOCAL = {
    f"runs/{name}"
    for name in (
        MEMORY, SUMS, "ray", "raw", "hashes.json", "checksums.json", "champion.json",
        "scoring.holder.json", HOLDER,
    )
}  # fmt: skip
UNFINISHED = (".stage-", ".old")  # of writers; ``.old`` is for readers of the lake on this disk
PENDING = ("data/lake", ".pending")  # a change of the lake and rejected/ that is not whole
CHANGED_TOGETHER = ("data/lake", "data/rejected")


class Scratch:
    """``data/<fleet>`` and ``runs/<fleet>`` of one home, and the storage that they follow."""

    def __init__(self, stage: Stage, objects: Objects) -> None:
        self._objects = objects
        self._tops = {"data": stage.folder, "runs": stage.runs}
        self._sums = Checksums(stage.settings.home, stage.runs / SUMS)
        self._memory = stage.runs / MEMORY
        found: dict = {}
        with suppress(DataError):
            found = read_json(self._memory, "delete it") or {}
        if found.get("address") != objects.address:
            found = {}
        self._known: dict[str, str] = found.get("artifacts", {})
        self._manifests: dict[str, dict[str, FileContent]] = {}  # by key
        # Of each artifact that comes when it is read, all of its files.
        self._stored: dict[str, dict[str, FileContent]] = {}
        self._unfinished: set[str] = set(found.get("unfinished", ()))

    @property
    def is_unfinished(self) -> bool:
        """Is a step running here, or was one killed whose work is not in the storage?"""
        return bool(self._unfinished)

    def version_of(self, name: str) -> str | None:
        """The hash of an artifact as the storage had it when this disk was last made equal."""
        return self._known.get(name)

    def bring(self, wanted: Callable[[str], bool], *, for_work: bool = True) -> Root:
        """Make this disk equal to the storage in all wanted artifacts; returns its root.

        An artifact that the storage has never had stays as it is.
        for_work: whether a step follows that may change them.

        Raises:
            ServiceError: the storage does not answer, or lacks an object or has a damaged one.
        """
        for attempt in range(3):
            root = Root.newest(self._objects)
            stored = {name: item for name, item in root.artifacts.items() if wanted(name)}
            if root.number == 0:  # nothing was ever put, or the roots were deleted
                self._known = {}
            names = set(stored) | {name for name in self._known if wanted(name)}
            same = all(
                (stored[name].sha256 if name in stored else None) == self._known.get(name)
                for name in names
            )
            # Nobody else has put anything since a step was cut short here: it goes on.
            kept = {name for name in self._unfinished if same and self._place(name).exists()}
            for name in names - set(stored) - kept:
                self._remove(name)
            try:
                self._fetch({name: item for name, item in stored.items() if name not in kept})
                break
            except FileNotFoundError as error:
                if attempt == 2 or Root.newest(self._objects).number == root.number:
                    raise ServiceError(
                        f"{self._objects.address} lacks a file that its newest root names "
                        f"({' '.join(str(error).split())[:200]}); bring it back (an earlier "
                        "version of it, where the bucket keeps versions)"
                    ) from None
        for name in ON_DEMAND.keys() & stored.keys():
            self._bring_when_read(name, stored[name])
        self._known = {name: sha for name, sha in self._known.items() if name not in names}
        self._known |= {name: item.sha256 for name, item in stored.items()}
        if for_work:
            here = {name for name in self._here() if wanted(name)}
            self._unfinished = {name for name in self._unfinished if not wanted(name)}
            self._unfinished |= here | set(stored)
        self._remember()
        return root

    def put(
        self,
        base: Root,
        wanted: Callable[[str], bool],
        work: str,
        lease: Lease | None,
        *,
        done: bool = True,
    ) -> Root:
        """Put what differs from ``base`` in the wanted artifacts; returns the root that now counts.

        done: whether the step is over, and does not change more.

        Raises:
            ServiceError: the storage failed, or the lease was lost; nothing that was put counts.
        """
        unfinished = set(CHANGED_TOGETHER) if self._place(*PENDING).exists() else ()
        here = [name for name in self._here() if wanted(name) and name not in unfinished]
        changed: dict[str, Content | None] = {
            name: None
            for name in base.artifacts
            if wanted(name) and name not in here and name not in unfinished
        }
        files: dict[str, FileContent] = {}
        manifests: dict[str, bytes] = {}
        for name in here:
            found = self._files(name) | self._elsewhere(name)
            content, text = _content(name, found)
            if content != base.artifacts.get(name):
                changed[name] = content
                files |= found
                if content.folder:
                    manifests[manifest_key(name, content.sha256)] = text
        if changed:
            there = self._there(changed)
            self._put_missing(files, there)
            for key, text in manifests.items():
                self._objects.put(key, text)
            base = commit(self._objects, base, changed, work, lease)
            named = {file_key(path, file.sha256) for path, file in files.items()} | set(manifests)
            self._objects.delete(sorted(set(there) - named))
        for name, item in changed.items():
            self._known.pop(name, None)
            if item is not None:
                self._known[name] = item.sha256
        if done:
            self._unfinished = {
                name for name in self._unfinished if not wanted(name) or name in unfinished
            }
        else:
            self._unfinished |= set(here)
        self._remember()
        return base

    def _put_missing(self, files: dict[str, FileContent], there: dict[str, int]) -> None:
        """Put the files that the storage does not have. there: the size of each of its objects."""
        missing = {
            path: file
            for path, file in files.items()
            if there.get(file_key(path, file.sha256)) != file.bytes
        }
        self._objects.all_at_once(
            lambda path: self._objects.put(file_key(path, missing[path].sha256), self._place(path)),
            missing,
            f"put files into {self._objects.address}",
        )

    def _there(self, names: Iterable[str]) -> dict[str, int]:
        """The size of each object of some artifacts, also of those that no root names."""
        found: dict[str, int] = {}
        levels: dict[str, dict[str, int]] = {}
        for name in names:
            found |= {item.key: item.size for item in self._objects.list(name)}
            for example in (file_key(name, "0" * DIGITS), manifest_key(name, "0" * DIGITS)):
                level, _, file = example.rpartition("/")
                if level not in levels:
                    levels[level] = {item.key: item.size for item in self._objects.level(level)}
                stem, _, suffix = file.rpartition("0" * DIGITS)
                pattern = f"{re.escape(stem)}[0-9a-f]{{{DIGITS}}}{re.escape(suffix)}"
                found |= {
                    key: size
                    for key, size in levels[level].items()
                    if re.fullmatch(pattern, key.rpartition("/")[2])
                }
        return found

    def _fetch(self, wanted: dict[str, Content]) -> None:
        """Bring what is missing or different, and remove what the storage does not have.

        Raises:
            FileNotFoundError: an object is gone.
        """
        missing: dict[str, FileContent] = {}
        for name, content in wanted.items():
            place = self._place(name)
            if content.folder:
                place.mkdir(parents=True, exist_ok=True)
                files = self._manifest(name, content)
                here = set(self._paths(name))
                for path in here - set(files):
                    self._place(path).unlink()
                for folder, _, _ in os.walk(place, topdown=False):
                    with suppress(OSError):  # it is not empty
                        Path(folder).rmdir()
                place.mkdir(parents=True, exist_ok=True)
                # DVC compares the folders that its stages make, so to these all files belong.
                if name in ON_DEMAND and "DVC_STAGE" not in os.environ:
                    direct = {path for path in files if path.count("/") == 2}  # in no folder there
                    files = {path: files[path] for path in files if path in here | direct}
            else:
                files = {name: FileContent(content.sha256, 0)}
            missing |= {
                path: file
                for path, file in files.items()
                if self._sums.of(self._place(path)) != file.sha256
            }
        fetch(self._objects, missing, self._place, f"fetch files from {self._objects.address}")

    def _bring_when_read(self, name: str, content: Content) -> None:
        """Let what is missing of an artifact be fetched by whoever reads it."""
        files = self._stored[name] = self._manifest(name, content)
        place, address = self._place(name), self._objects.address
        disk.fetch_from({
            place: StoredFiles(address=address, name=name, place=place, files=files)
        })  # fmt: skip

    def _manifest(self, name: str, content: Content) -> dict[str, FileContent]:
        """The files of a version of a folder; it is read once."""
        key = manifest_key(name, content.sha256)
        if key not in self._manifests:
            self._manifests[key] = read_manifest(self._objects, name, content.sha256)
        return self._manifests[key]

    def _elsewhere(self, name: str) -> dict[str, FileContent]:
        """The files of an artifact that belong to it and were never fetched."""
        if name not in self._stored:
            return {}
        stays = {f"{name}/{path.as_posix()}" for path in ON_DEMAND[name](self._place(name))}
        return {
            path: file
            for path, file in self._stored[name].items()
            if path in stays and not self._place(path).exists()
        }

    def _remove(self, name: str) -> None:
        """Remove an artifact that the storage had and does not have any more."""
        place = self._place(name)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _here(self) -> list[str]:
        """The artifacts on this disk."""
        return [
            f"{top}/{path.name}"
            for top, folder in self._tops.items()
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if not path.name.startswith((".", "_")) and not path.name.endswith(".lock")
            if f"{top}/{path.name}" not in LOCAL and not path.is_symlink()
        ]

    def _files(self, name: str) -> dict[str, FileContent]:
        """The content of every file of an artifact, by path; what no writer has finished is not."""
        found = {}
        for path in self._paths(name):
            if any(part.startswith(UNFINISHED) for part in path.split("/")):
                continue
            file = self._place(path)
            sha256 = self._sums.of(file)
            if sha256 is None:
                raise DataError(f"{file} cannot be read; see that this user may read it")
            found[path] = FileContent(sha256, file.stat().st_size)
        return found

    def _paths(self, name: str) -> Iterator[str]:
        """The path of every file of an artifact, below ``data`` and ``runs``."""
        place = self._place(name)
        if place.is_file():
            yield name
        for folder, _, files in os.walk(place):
            below = Path(folder).relative_to(place).as_posix()
            prefix = name if below == "." else f"{name}/{below}"
            yield from (f"{prefix}/{file}" for file in files if not file.endswith(".lock"))

    def _place(self, name: str, *below: str) -> Path:
        top, _, rest = name.partition("/")
        return self._tops[top].joinpath(rest, *below)

    def _remember(self) -> None:
        self._sums.save(keep=True)
        content = {
            "address": self._objects.address,
            "artifacts": self._known,
            "unfinished": sorted(self._unfinished),
        }
        write_json(self._memory, content)


def _content(name: str, files: dict[str, FileContent]) -> tuple[Content, bytes]:
    """The content of an artifact, and the text of its manifest; a single file has none."""
    if name in files:
        return Content(sha256=files[name].sha256, folder=False), b""
    text = manifest_text(files)
    return Content(sha256=sha256_of(text), folder=True), text
