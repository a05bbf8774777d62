"""Nothing is ever half written: write beside the target, verify, rename."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target``; on success it is renamed over ``target``, else removed.

    Works for a file or a folder. A folder that stands at ``target`` is swapped out first; a kill
    between the two renames leaves the old one beside it as ``.old-*``, never a mixture.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    stage = target.parent / f".stage-{token}-{target.name}"
    try:
        yield stage
        if stage.is_dir() and target.exists():
            old = target.parent / f".old-{token}-{target.name}"
            target.rename(old)
            stage.rename(target)
            shutil.rmtree(old)
        else:
            stage.replace(target)
    finally:
        if stage.is_dir():
            shutil.rmtree(stage, ignore_errors=True)
        else:
            stage.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as JSON, sorted and indented, in one piece."""
    with staged(path) as stage:
        stage.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_parquet(table, path: Path, schema=None, **options) -> None:
    """Write a Parquet file in one piece, after checking it against ``schema`` where given."""
    import pyarrow.parquet as pq

    from amad.telemetry.schemas import check

    if schema is not None:
        check(table, schema, str(path))
    with staged(path) as stage:
        pq.write_table(table, stage, compression="zstd", **options)
