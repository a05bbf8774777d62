"""The lease of a storage, while its holder works."""

import threading
from pathlib import Path

import pytest

from amad.storage import lease
from amad.storage.objects import Objects


def test_no_error_ends_the_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may raise what nobody has foreseen; the next sign of life may get through."""
    renew, told, again = lease.Lease.renew, [], threading.Event()

    def failing_once(self: lease.Lease) -> None:
        told.append("renew")
        if len(told) == 1:
            raise OSError("connection reset by peer")
        renew(self)
        again.set()

    monkeypatch.setattr(lease, "BEAT", 0.01)
    monkeypatch.setattr(lease.Lease, "renew", failing_once)
    with lease.held(Objects(str(tmp_path)), "score") as held:
        assert again.wait(20)
        held.check()


def test_a_damaged_lease_names_nobody_and_is_not_free(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    for content in (b"", b"[1]", b"{", b"\xff"):
        objects.put("leases/0000000001.json", content)
        assert lease.holder_of(objects) == "another process"
