"""What a piece of work depends on, as one short hash: the name under which it can be resumed.

Ray resumes a run by its name alone and asks no questions: fitting the name of a finished run again
with other settings trains nothing and returns the old weights. So the name is the content.
"""

import importlib.util
from pathlib import Path

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
    """The few facts about a named run that outlive this process: a JSON file beside its folder.

    Reading raises DataError where the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, key: str):
        """The fact, or None."""
        return self._read().get(key)

    def put(self, key: str, value: object) -> None:
        """Note the fact down at once."""
        write_json(self.path, self._read() | {key: value}, sealed=True)

    def _read(self) -> dict:
        return read_json(self.path, "delete it, and its run begins anew") or {}
