"""Write files so that none is ever half written, and read them so that damage is noticed.

A file is written beside its place, flushed to the disk, and then renamed.

Every file of state (JSON or Parquet) that a later command depends on is read with ``read_json`` or
``read_table``, so that a damaged one is told with its name and the way out.
"""

import errno
import json
import os
import resource
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from amad.config import AmadError, DataError
from amad.config.digest import json_digest, sha256_of
from amad.telemetry import disk
from amad.telemetry.temporary import OLD, STAGE, written_into

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

# Messages by which libraries tell of a full or limited disk.
NO_ROOM = {
    "No space left on device": errno.ENOSPC,
    "Not enough free space": errno.ENOSPC,
    "disk is full": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
CUT_SHORT = (" requested and ", "unexpected pos")  # NumPy and torch: less was written than asked
SEAL = "seal"  # the key of a JSON file's hash of itself
ROOM_BYTES = 1 << 16  # less than this free: whatever failed while writing failed for want of space


@contextmanager
def staged(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path beside ``target``; on success it is renamed over ``target``, else removed.

    Works for a file or a folder. What was written reaches the disk before the rename, and the
    rename before this returns, so that a power loss leaves the old content or the new. A folder
    that stands at ``target`` is swapped out first; a kill between the two renames leaves the old
    one beside it as ``.old-*``, never a mixture. What a kill leaves, ``remove_unfinished`` removes.

    durable: False for what is known by a hash in it and made again when it is lost, so that nobody
    waits for the disk.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_into(target.parent):
        yield from _staged(target, durable)


def _staged(target: Path, durable: bool) -> Iterator[Path]:
    token = uuid.uuid4().hex[:8]
    stage = target.parent / f"{STAGE}{token}-{target.name}"
    try:
        with full_disk_named(target):
            yield stage
            if durable:
                flush(stage)
        if stage.is_dir() and target.exists():
            old = target.parent / f"{OLD}{token}-{target.name}"
            target.rename(old)
            stage.rename(target)
            shutil.rmtree(old)
        else:
            stage.replace(target)
        if durable:
            flush_folder(target.parent)
    except BaseException as error:
        if isinstance(error, OSError) and str(error.filename).startswith(str(stage)):
            error.filename = str(error.filename).replace(str(stage), str(target), 1)
        if stage.is_dir():
            shutil.rmtree(stage, ignore_errors=True)
        else:
            with suppress(OSError):  # a file system that may only be read; the first error counts
                stage.unlink(missing_ok=True)
        raise


@contextmanager
def full_disk_named(target: Path) -> Iterator[None]:
    """Name ``target`` in an error of the body that comes from a full disk or a failing one.

    Libraries that write for us tell neither the file nor, some of them, what is wrong.

    Raises:
        OSError: with the file's name and what was wrong, where there was no room for it.
    """
    try:
        yield
    except AmadError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = error.filename or str(target)
            raise
        number = _want_of_room(error, target)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(target)) from error


def _want_of_room(error: Exception, target: Path) -> int | None:
    """ENOSPC, EDQUOT or EFBIG, where that is what an error without a number comes from."""
    for words, number in NO_ROOM.items():
        if words in str(error):
            return number
    cut = any(words in str(error) for words in CUT_SHORT)
    if cut and resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return errno.EFBIG
    if cut or shutil.disk_usage(Path(target).parent).free <= ROOM_BYTES:
        return errno.ENOSPC
    return None


def listed(folder: Path, *patterns: str) -> Iterator[Path]:
    """The paths below a folder that match a pattern per level, in order; none if it is not there.

    Raises:
        PermissionError: a folder may not be read; ``Path.glob`` takes such a one for empty.
    """
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        if not fnmatch(path.name, patterns[0]):
            continue
        if patterns[1:]:
            yield from listed(path, *patterns[1:])
        else:
            yield path


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and its subfolders, in order; none if it is not there.

    Raises:
        PermissionError: a folder may not be read; ``Path.rglob`` takes such a one for empty.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    walked = os.walk(folder, onerror=refuse)
    return sorted(Path(root, name) for root, _, names in walked for name in names)


def flush(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    if not path.is_dir():
        _fsync(path)
        return
    for folder, _, names in os.walk(path):
        for name in names:
            _fsync(Path(folder, name))
        flush_folder(Path(folder))


def flush_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk, where the file system can tell."""
    with suppress(OSError):
        _fsync(folder)


def _fsync(path: Path) -> None:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: dict, *, sealed: bool = False) -> None:
    """Write ``content`` as JSON, sorted and indented, in one piece.

    sealed: with a hash of the content under ``seal``, by which ``read_json`` knows damage that is
    still JSON, such as another digit in a figure.
    """
    if sealed:
        content = content | {SEAL: seal(content)}
    with staged(path) as stage:
        stage.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def seal(content: dict) -> str:
    """A short hash of a JSON object, of all but the seal that it may hold already."""
    kept = json.loads(json.dumps({name: v for name, v in content.items() if name != SEAL}))
    return json_digest(kept)


def write_parquet(table: "pa.Table", path: Path, schema: "pa.Schema") -> None:
    """Write a Parquet file in one piece, after checking it against ``schema``.

    Each page has a checksum: ``read_table`` refuses a file of which one bit has changed.
    """
    import pyarrow.parquet as pq

    from amad.telemetry.schemas import check

    check(table, schema, str(path))
    with staged(path) as stage:
        pq.write_table(table, stage, compression="zstd", write_page_checksum=True)


@overload
def read_json(
    path: Path, remedy: str, *, keys: Iterable[str] = (), required: Literal[True]
) -> dict: ...


@overload
def read_json(
    path: Path, remedy: str, *, keys: Iterable[str] = (), required: bool = False
) -> dict | None: ...


def read_json(
    path: Path, remedy: str, *, keys: Iterable[str] = (), required: bool = False
) -> dict | None:
    """The JSON object in a file of state that must hold ``keys``; None where there is no file.

    A seal that it was written with is compared and left out of what is returned.

    remedy: what the reader of the error should do, as the end of a sentence: "run 'amad train'".

    Raises:
        DataError: the file is damaged, or missing though ``required``; names it and the remedy.
    """
    try:
        content = json.loads(disk.read_bytes(Path(path)))
    except FileNotFoundError:
        if required:
            raise _missing(path, remedy) from None
        return None
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, remedy, str(error)) from None
    if not isinstance(content, dict):
        raise damaged(path, remedy, f"it holds a {type(content).__name__}, not an object")
    if lacks := [key for key in keys if key not in content]:
        raise damaged(path, remedy, f"it has no {', '.join(lacks)}")
    if SEAL in content and content.pop(SEAL) != json_digest(content):
        raise damaged(path, remedy, "its content is not what was written")
    return content


def read_table(
    path: Path,
    schema: "pa.Schema",
    remedy: str,
    hashes: dict[str, str] | None = None,
    columns: Sequence[str] | None = None,
    rows: "pc.Expression | None" = None,
) -> "pa.Table":
    """The table in a Parquet file of state, checked against ``schema``.

    hashes: gets the hash of the file's content by its name, so that it is read once. columns, rows:
    what is read of it; default: all.

    Raises:
        DataError: the file is missing or damaged, or it has other columns; names it and the remedy.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from amad.telemetry.schemas import check

    try:
        source: Path | pa.BufferReader = path
        if hashes is not None:
            content = path.read_bytes()
            hashes[path.name] = sha256_of(content)
            source = pa.BufferReader(content)
        # Without partitioning=None it would add the keys that stand in the path.
        table = pq.read_table(
            source,
            columns=None if columns is None else list(columns),
            filters=rows,
            partitioning=None,
            page_checksum_verification=True,
        )
        table.validate(full=True)
    except FileNotFoundError:
        raise _missing(path, remedy) from None
    except PermissionError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(path, remedy, str(error)) from None
    try:
        wanted = schema if columns is None else pa.schema(map(schema.field, columns))
        return check(table, wanted, str(path))
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from None


def damaged(path: Path, remedy: str, why: str) -> DataError:
    """The error for a file of state that cannot be used."""
    return DataError(f"{path} is damaged ({' '.join(why.split())}); {remedy}")


def _missing(path: Path, remedy: str) -> DataError:
    return DataError(f"{path} is missing; {remedy}")
