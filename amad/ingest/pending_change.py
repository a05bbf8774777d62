"""Change a lake and its rejected/ folder in one step that a kill or a power loss cannot break.

New files are written under ``lake/.pending``; then ``commit.json`` there says that they are
complete, and they are moved into place. What they replace moves to ``lake/.old``. The manifest is
moved last, and that is the moment of the change: until then every reader finds the old lake, partly
in ``.old``, and from then on the new one. A kill before ``commit.json`` leaves the old lake, a kill
after it a commit that the next ingest carries to its end.
"""

import filecmp
import shutil
from pathlib import Path

from amad.config import DataError
from amad.telemetry.files import files_below, flush, flush_folder, listed, write_json
from amad.telemetry.lake import OLD, named_files
from amad.telemetry.manifest import Manifest

PENDING, COMMIT = ".pending", "commit.json"


class Pending:
    """A change of a lake that is being prepared.

    Example::

        pending = Pending(lake, rejected)
        pending.recover()
        with pending:
            ...  # write to pending.lake_file(...) and pending.rejected_file(...)
            pending.commit(rebuild=False)
    """

    def __init__(self, lake: Path, rejected: Path) -> None:
        self._targets = {"rejected": rejected, "lake": lake}
        self._folder = lake / PENDING
        self._old = lake / OLD

    def recover(self, *, forget: bool = False) -> None:
        """Finish a commit that was killed, or clear away work that never came to one.

        forget: clear away also a commit that is damaged.

        Raises:
            DataError: a commit that was killed is damaged.
        """
        try:
            if (self._folder / COMMIT).is_file():
                self._carry_out()
        except DataError:
            if not forget:
                raise
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Pending":
        shutil.rmtree(self._old, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        if not (self._folder / COMMIT).is_file():
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def scratch(self) -> Path:
        """A folder for working files that never become part of the lake."""
        return self._folder / "scratch"

    def lake_file(self, relative: Path | str) -> Path:
        """Where to write a file that is to stand at ``relative`` in the lake."""
        return self._place("lake", relative)

    def rejected_file(self, relative: Path | str) -> Path:
        """Where to write a file that is to stand at ``relative`` in the rejected folder."""
        return self._place("rejected", relative)

    def commit(self, *, rebuild: bool) -> None:
        """Put all new files in place; ``rebuild``: remove the parts that are no longer listed.

        Before, the new manifest and day table must have been written with ``lake_file``.
        """
        shutil.rmtree(self._folder / "scratch", ignore_errors=True)
        flush(self._folder)  # all is on the disk before commit.json says so
        write_json(self._folder / COMMIT, {"rebuild": rebuild})
        flush_folder(self._folder.parent)
        self._carry_out()

    def _place(self, target: str, relative: Path | str) -> Path:
        return self._folder / target / relative

    def _carry_out(self) -> None:
        rebuild = '"rebuild": true' in (self._folder / COMMIT).read_text(encoding="utf-8")
        manifest, touched = Path(Manifest.FILE), set()
        for name, target in self._targets.items():
            target.mkdir(parents=True, exist_ok=True)
            source = self._folder / name
            for relative in [path.relative_to(source) for path in files_below(source)]:
                if relative != manifest:
                    self._move(source / relative, target, relative)
                    touched |= {target, *list((target / relative).parents)[:2]}
        for folder in touched:  # the new names are on the disk before the manifest tells of them
            flush_folder(folder)
        if (self._folder / "lake" / manifest).is_file():
            self._move(self._folder / "lake" / manifest, self._targets["lake"], manifest)
            flush_folder(self._targets["lake"])
        self._prune(rebuild)
        shutil.rmtree(self._folder)

    def _move(self, new: Path, target: Path, relative: Path) -> None:
        """Put a file in place; the one that it replaces moves to ``.old``."""
        place = target / relative
        if place.is_file() and target == self._targets["lake"] and relative != Path(Manifest.FILE):
            if filecmp.cmp(place, new, shallow=False):
                new.unlink()
                return
            self._retire(relative)
        place.parent.mkdir(parents=True, exist_ok=True)
        new.replace(place)

    def _retire(self, relative: Path) -> None:
        old = self._old / relative
        old.parent.mkdir(parents=True, exist_ok=True)
        (self._targets["lake"] / relative).replace(old)

    def _prune(self, rebuild: bool) -> None:
        lake, rejected = self._targets["lake"], self._targets["rejected"]
        manifest = Manifest.require(lake)
        for path in listed(rejected, "*.parquet"):
            if path.name not in manifest.rejected:
                path.unlink()
        stays = named_files(lake)
        if not rebuild:
            return
        for path in listed(lake, "vehicle=*", "date=*", "*.parquet"):
            if path.relative_to(lake) not in stays:
                self._retire(path.relative_to(lake))
        for patterns in (("vehicle=*", "date=*"), ("vehicle=*",)):
            for folder in listed(lake, *patterns):
                if not any(folder.iterdir()):
                    folder.rmdir()
