"""A short hash of all that a piece of work depends on: the name under which it can be resumed.

Ray resumes a run by its name alone. A run with the name of a finished run but other settings would
train nothing and return the old weights, so the name follows from the content.
"""

import importlib.util
from pathlib import Path
from typing import Any

from amad.config.digest import json_digest, text_digest
from amad.telemetry.files import read_json, write_json


def work_digest(inputs: dict, packages: tuple[str, ...]) -> str:
    """16 hex digits of ``inputs`` (JSON-able) and of the source code of ``packages``."""
    return json_digest({"inputs": inputs, "code": code_digest(*packages)})


def code_digest(*packages: str) -> str:
    """16 hex digits of every Python file of the packages (or modules), in order of path."""
    code = b""
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.origin is not None, package
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
        for file in files:
            code += f"{package} {file.relative_to(origin.parent)}\n".encode() + file.read_bytes()
    return text_digest(code)


class RunState:
    """Facts about a named run that outlive this process, in a JSON file beside the run's folder.

    Reading raises DataError if the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, key: str) -> Any:
        """The fact, or None."""
        return self._read().get(key)

    def put(self, key: str, value: object) -> None:
        """Write the fact to the file at once."""
        write_json(self.path, self._read() | {key: value}, sealed=True)

    def _read(self) -> dict:
        return read_json(self.path, "delete it, and its run begins anew") or {}
