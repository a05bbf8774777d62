"""Folders that may not be read, for root too, whom rights do not bind."""

import os
from pathlib import Path

import pytest

REAL = {name: getattr(os, name) for name in ("scandir", "listdir")}


def close_folders(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """From now on folders of these names cannot be opened, and only these."""

    def refusing(real):
        def work(path="."):
            if not isinstance(path, int) and Path(path).name in names:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return work

    for name, real in REAL.items():
        monkeypatch.setattr(os, name, refusing(real))
