"""The lease of a storage, while its holder works."""

import threading
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from storage_kit import FLEET, small, stage_of

from amad.config import ServiceError
from amad.scores.job_log import job_logs, scoring_job
from amad.scores.step_log import noted, step_logs
from amad.storage import lease, look, put_finished, step, steps
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


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=-2)])
def test_whether_a_holder_is_silent_is_told_by_the_clock_of_the_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + ahead

    objects = Objects(str(tmp_path))
    with lease.held(objects, "score") as held, monkeypatch.context() as wrong:
        wrong.setattr(lease, "datetime", Wrong)
        for _ in range(2):
            with pytest.raises(ServiceError, match="is held by 'score'"), lease.held(objects, "x"):
                pytest.fail("two at once")
        held.check()
        wrong.setattr(lease, "EXPIRES", -1.0)
        with lease.held(objects, "ingest"), pytest.raises(lease.LostLeaseError, match="'ingest'"):
            held.check()


def test_a_damaged_lease_names_nobody_and_is_not_free(tmp_path: Path) -> None:
    objects = Objects(str(tmp_path))
    for content in (b"", b"[1]", b"{", b"\xff"):
        objects.put("leases/0000000001.json", content)
        assert lease.named(lease.holder_of(objects) or {}) == "another process"


def test_a_job_at_work_on_one_machine_is_not_called_killed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = (small(tmp_path, name, str(tmp_path / "shared")) for name in ("one", "two"))
    monkeypatch.setattr(steps, "PUT_SECONDS", 0.0)
    runs, elsewhere = one.runs_dir(FLEET), two.runs_dir(FLEET)

    def seen() -> list[str]:
        look(stage_of(two), "status")
        return [log.status for log in (*step_logs(elsewhere), *job_logs(elsewhere)[0])]

    with step(stage_of(one), "score"), noted(runs, "score"), scoring_job(runs, FLEET):
        put_finished()
        assert seen() == ["running", "running"]
        with monkeypatch.context() as later:
            later.setattr(lease, "EXPIRES", -1.0)
            assert seen() == ["killed", "killed"], "it gave no sign of life"
    assert seen() == ["done", "done"]
