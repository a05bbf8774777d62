"""Change a lake and its rejected/ folder in one step that a kill cannot break.

New files are written under ``lake/.pending``; then ``commit.json`` there says that they are
complete, and they are moved into place. A kill before leaves the old lake, a kill after it a
commit that the next start carries to its end. The manifest is moved last.
"""

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from amad.telemetry.files import write_json
from amad.telemetry.lake import DAYS_FILE, MANIFEST, part_path, read_manifest

PENDING, COMMIT = ".pending", "commit.json"


class Pending:
    """What is to become of a lake::

    pending = Pending(lake, rejected)
    pending.recover()
    with pending:
        ...  # write to pending.lake_file(...) and pending.rejected_file(...)
        pending.commit(rebuild=False)
    """

    def __init__(self, lake: Path, rejected: Path) -> None:
        self._targets = {"lake": lake, "rejected": rejected}
        self._folder = lake / PENDING

    def recover(self) -> None:
        """Finish a commit that was killed, or clear away work that never came to one."""
        if (self._folder / COMMIT).is_file():
            self._carry_out()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Pending":
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        if not (self._folder / COMMIT).is_file():
            shutil.rmtree(self._folder, ignore_errors=True)

    def scratch(self, name: str) -> Path:
        """A path for working files that never become part of the lake."""
        return self._folder / "scratch" / name

    def lake_file(self, relative: Path | str) -> Path:
        """Where to write a file that is to stand at ``relative`` in the lake."""
        return self._place("lake", relative)

    def rejected_file(self, relative: Path | str) -> Path:
        """Where to write a file that is to stand at ``relative`` in the rejected folder."""
        return self._place("rejected", relative)

    def commit(self, *, rebuild: bool) -> None:
        """Put all new files in place; ``rebuild``: remove whatever the manifest no longer lists.

        Before, the new manifest and day table must have been written with ``lake_file``.
        """
        write_json(self._folder / COMMIT, {"rebuild": rebuild})
        self._carry_out()

    def _place(self, target: str, relative: Path | str) -> Path:
        path = self._folder / target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _carry_out(self) -> None:
        rebuild = '"rebuild": true' in (self._folder / COMMIT).read_text(encoding="utf-8")
        for name, target in self._targets.items():
            target.mkdir(parents=True, exist_ok=True)
            source = self._folder / name
            files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
            for relative in sorted(files, key=lambda path: (path.name == MANIFEST, path)):
                (target / relative).parent.mkdir(parents=True, exist_ok=True)
                (source / relative).replace(target / relative)
        if rebuild:
            self._prune()
        shutil.rmtree(self._folder)

    def _prune(self) -> None:
        lake, rejected = self._targets["lake"], self._targets["rejected"]
        manifest = read_manifest(lake)
        assert manifest is not None, "a commit holds a manifest"
        table = pq.ParquetFile(lake / DAYS_FILE).read(columns=["vehicle", "date"])
        listed = {lake / part_path(row["vehicle"], row["date"]).parent for row in table.to_pylist()}
        for folder in lake.glob("vehicle=*/date=*"):
            if folder not in listed:
                shutil.rmtree(folder)
        for folder in lake.glob("vehicle=*"):
            if not any(folder.iterdir()):
                folder.rmdir()
        for path in rejected.glob("*.parquet"):
            if path.name not in manifest["rejected"]:
                path.unlink()
