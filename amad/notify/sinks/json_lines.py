"""A file that gets one line of JSON per notice."""

import fcntl
import json
import os
from pathlib import Path

from amad.notify.ledger import Parcel
from amad.telemetry.files import flush_folder, full_disk_named


def append(parcel: Parcel, file: Path) -> None:
    """Append the messages that the file does not hold yet; each line reaches the disk as a whole.

    Fleets whose jobs run at the same time may share the file, and take turns.

    A line that a killed job or a full disk cut short is completed: what is there of it is removed,
    and the line is written again.

    Raises:
        OSError: the file cannot be written; names it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with full_disk_named(file), file.open("a+b") as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        out.seek(0)
        lines = out.read().split(b"\n")
        if lines[-1]:
            out.truncate(out.tell() - len(lines[-1]))
        known = {key for line in lines[:-1] if (key := _key(line)) is not None}
        for notice in parcel.messages:
            if notice.key not in known:
                line = json.dumps(notice.model_dump(mode="json"), sort_keys=True)
                out.write(line.encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
    flush_folder(file.parent)


def _key(line: bytes) -> str | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content.get("key") if isinstance(content, dict) else None
