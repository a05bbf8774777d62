"""``amad score`` tells the sinks after its job, and ``amad notify`` tells what is left."""

import errno
from importlib import import_module
from pathlib import Path

import pytest
from notify_kit import Yard, an_incident, lines
from scoring_kit import AFTER, FAULTY, run_job
from stop_kit import KILL, stopped

from amad.cli.__main__ import run
from amad.cli.doctor import diagnose
from amad.config import DataError, NotifyError, PartlyDoneError, ServiceError, usable_error
from amad.config.console import never_silent
from amad.engines.score.ledger import Ledger
from amad.notify import delivery, grouping
from amad.notify.delivery import tell
from amad.notify.sinks import http
from amad.scores.job_log import job_logs
from amad.scores.receipts import ScoringReceipt


@pytest.fixture
def yard(home, monkeypatch) -> Yard:
    """In the home of the command line; scoring publishes one night instead of running a model."""
    monkeypatch.setenv("AMAD_NOTIFY_WEBHOOK_KEY", "key")
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)
    return Yard(home)


def scoring(
    yard: Yard, monkeypatch, error: Exception | None = None, no_champion: str | None = None
) -> None:
    def stage(params, settings, request):
        yard.publish(0, an_incident("van-1"))
        if error is not None:
            raise error
        return ScoringReceipt(dates=[], no_champion=no_champion)

    monkeypatch.setattr(import_module("pipelines.score"), "run", stage)


def test_score_tells_the_sinks_after_the_job(yard, web, monkeypatch, capsys):
    scoring(yard, monkeypatch)
    assert run(["score"]) == 0 and web.got == []
    yard.sinks(webhook={"url": web.url})
    assert run(["score"]) == run(["score"]) == 0
    assert len(web.got) == 1
    assert "webhook: 1 notice sent" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        DataError("van-9 cannot be scored"),
        ServiceError("no registry"),
        OSError(errno.ENOSPC, "", "/srv/amad/part.parquet"),
    ],
)
def test_what_a_job_did_before_it_failed_is_told_and_its_error_counts(
    error, yard, web, monkeypatch, capsys
):
    yard.sinks(webhook={"url": web.url}, prometheus={"textfile": "kit.prom"})
    scoring(yard, monkeypatch, error)
    known = usable_error(error)
    assert known is not None and run(["score"]) == known.exit_code
    assert 'amad_job_ok{fleet="kit"} 0.0' in (yard.home / "kit.prom").read_text()
    assert len(web.taken) == 1
    web.fail = ["400"]
    (yard.runs / "told" / "webhook.json").unlink()
    assert run(["score"]) == known.exit_code
    told = capsys.readouterr().err
    assert "webhook: 127.0.0.1 answered 400" in told and str(known) in told


def test_a_sink_that_fails_has_an_exit_code_of_its_own_and_notify_tells_it(
    yard, web, monkeypatch, capsys
):
    yard.sinks(webhook={"url": web.url})
    scoring(yard, monkeypatch)
    web.fail = ["500"] * http.ATTEMPTS
    assert run(["score"]) == 7
    assert "1 sink failed, and the next job, or 'amad notify'" in capsys.readouterr().err
    assert run(["notify"]) == 0 and len(web.taken) == 1
    assert run(["notify"]) == 0 and len(web.got) == http.ATTEMPTS + 1


def test_a_fleet_that_is_named_by_a_path_has_the_sinks_of_its_name(yard, web, capsys):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident("van-1"))
    path = str(yard.home / "conf" / "fleet" / "kit.yaml")
    assert run(["notify", "-f", path, "--dry-run"]) == 0
    assert "webhook: amad kit: 1 new" in capsys.readouterr().out
    assert run(["notify", "-f", path]) == 0 and len(web.got) == 1


def test_no_heartbeat_comes_from_a_job_that_another_one_kept_from_running(yard, web, monkeypatch):
    """The newest log is that of a job that ended well, and a job that hangs holds the lock."""
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", web.url + "/beat")
    yard.sinks(heartbeat=True)
    scoring(yard, monkeypatch, ServiceError("fleet kit is being scored by another job"))
    assert run(["score"]) == 4 and web.got == []
    scoring(yard, monkeypatch)
    assert run(["score"]) == 0 and [r.path for r in web.got] == ["/beat"]


def test_what_stops_the_job_and_the_telling_alike_is_said_once(yard, monkeypatch, capsys):
    yard.sinks(file={})
    held = ServiceError("s3://x is held by 'score'")
    scoring(yard, monkeypatch, error=held)

    def telling(stage, *, well: bool) -> None:
        raise ServiceError(str(held))

    monkeypatch.setattr(delivery, "tell", telling)
    assert run(["score", "--fleet", "kit"]) == held.exit_code
    assert capsys.readouterr().err.count("is held by") == 1


def test_no_heartbeat_comes_from_a_night_without_a_champion(yard, web, monkeypatch):
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", web.url + "/beat")
    yard.sinks(heartbeat=True)
    scoring(yard, monkeypatch, no_champion="the gate refused every version")
    assert run(["score"]) == 0 and web.got == []


def test_notify_shows_what_it_would_send(yard, web, capsys, monkeypatch):
    assert run(["notify", "--dry-run"]) == run(["notify"]) == 0
    assert capsys.readouterr().out.count("has no sinks of notices; name them in") == 2
    yard.sinks(webhook={"url": web.url}, file={})
    yard.publish(0, an_incident("van-1"))
    assert run(["notify", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("1. van-1: new incident; high") == 2 and "webhook: amad kit:" in shown
    assert not web.got
    assert run(["notify"]) == run(["notify", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "webhook: nothing to tell" in shown and "AMAD_NOTIFY" not in shown
    monkeypatch.delenv("AMAD_NOTIFY_WEBHOOK_KEY")
    assert run(["notify", "--dry-run"]) == 0
    assert "needed to send it: AMAD_NOTIFY_WEBHOOK_KEY\n" in capsys.readouterr().out
    yard.sinks(heartbeat=True)
    assert run(["notify", "--dry-run"]) == 0
    assert "has no sinks of notices; name them in" in capsys.readouterr().out


def score_and_tell(home: Path) -> None:
    import sys

    sys.exit(run(["score", "-f", "nights"]))


@pytest.mark.engine
def test_a_real_job_that_is_killed_between_scoring_and_telling_is_told_by_the_next_one(
    place, web, monkeypatch
):
    fleet, settings = place
    home = settings.home
    for name, value in {"HOME": home, "DATA_DIR": home / "raw", "NOTIFY_WEBHOOK_KEY": "k"}.items():
        monkeypatch.setenv(f"AMAD_{name}", str(value))
    (home / "params.yaml").write_text("fleets: [nights]\n", encoding="utf-8")
    (home / "conf" / "notify").mkdir()
    file = home / "conf" / "notify" / "nights.yaml"
    file.write_text(f"webhook: {{url: '{web.url}'}}\nfile: {{}}\n", encoding="utf-8")
    code, said = stopped(score_and_tell, home, number=KILL, where="told/", at=1)
    assert code == -KILL and web.got == [], said
    assert run(["score", "-f", "nights"]) == 0
    told = [r.json["incidents"] for r in web.taken]
    faulty = [i for incidents in told for i in incidents if i["vehicle"] == "b-1"]
    assert any(
        i["start"].startswith(str(FAULTY)) and i["end"].startswith(str(AFTER)) for i in faulty
    )
    again = len(web.got)
    run_job(fleet, settings, first=FAULTY, last=AFTER)
    assert run(["notify", "-f", "nights"]) == 0
    assert len(web.got) == again, "the same dates scored again change nothing that is told"


def test_the_error_of_scoring_counts_also_where_the_file_of_sinks_is_wrong(
    yard, monkeypatch, capsys
):
    yard.sinks(files={})
    scoring(yard, monkeypatch, PartlyDoneError("van-9 cannot be scored"))
    assert run(["score"]) == 8
    told = capsys.readouterr().err
    assert "files: unknown key" in told and "error: van-9 cannot be scored" in told


def test_a_file_of_sinks_that_would_never_be_read_is_told(yard, capsys):
    yard.sinks(file={})
    file = yard.home / "conf" / "notify" / "kit.yaml"
    file.rename(file.with_suffix(".yml"))
    assert run(["notify"]) == 2
    assert "kit.yml is not read; name it kit.yaml" in capsys.readouterr().err


def test_doctor_names_a_missing_secret_and_a_sink_that_was_not_told(yard, web, monkeypatch):
    def found():
        (check,) = (c for c in diagnose(yard.settings, "kit") if c.name == "sinks")
        return check.status, f"{check.finding} {check.remedy}"

    monkeypatch.delenv("AMAD_NOTIFY_HEARTBEAT_URL", raising=False)
    assert found()[0] == "ok" and "nobody is told" in found()[1]
    yard.sinks(webhook={"url": web.url}, heartbeat=True)
    assert found()[0] == "fail" and "AMAD_NOTIFY_HEARTBEAT_URL" in found()[1]
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", " \n")
    assert found()[0] == "fail", "blanks are no address"
    yard.sinks(webhook={"url": web.url})
    scoring(yard, monkeypatch)
    web.fail = ["400"]
    assert run(["score"]) == 7
    assert found()[0] == "warn" and "answered 400" in found()[1]
    assert run(["notify"]) == 0
    assert found()[0] == "ok" and "told after job" in found()[1] and "webhook" in found()[1]
    yard.log(1)  # as of a job that was killed before it told anybody
    assert found()[0] == "warn" and "nobody was told after job 2026" in found()[1]


def test_status_is_not_well_while_a_sink_could_not_be_told(yard, web, monkeypatch, capsys):
    def troubles() -> list[str]:
        (last,) = job_logs(yard.runs)[0][-1:]
        entry = Ledger(
            fleet="kit", dates=[], first=None, newest_row=None, newest_scored=None, behind=0,
            unjudged=0, job=last, damaged_logs=[],
        )  # fmt: skip
        assert entry.is_well == (not entry.troubles)
        return entry.troubles

    yard.sinks(webhook={"url": web.url})
    scoring(yard, monkeypatch)
    web.fail = ["400"]
    assert run(["score"]) == 7
    assert "webhook failed: 127.0.0.1 answered 400" in troubles()[0]
    assert "'amad notify'" in troubles()[0]
    yard.sinks(webhok={"url": web.url})
    assert run(["notify"]) == 2
    assert any("conf/notify failed: " in text and "webhok" in text for text in troubles())
    yard.sinks(webhook={"url": web.url})
    assert run(["notify"]) == 0 and not troubles()
    yard.sinks(webhook={"url": web.url}, heartbeat=True)
    monkeypatch.setenv("AMAD_NOTIFY_HEARTBEAT_URL", web.url)
    web.fail = ["400"]
    assert run(["score"]) == 7
    assert "heartbeat failed" in troubles()[0] and troubles()[0].endswith("run 'amad score'")
    assert run(["score"]) == 0 and not troubles()
    web.fail = ["400", "400"]
    assert run(["score"]) == 7 and troubles()
    yard.sinks(file={})
    assert run(["notify"]) == 0 and not troubles(), "nobody waits for sinks that are gone"
    yard.sinks(webhok={"url": web.url})
    assert run(["notify"]) == 2 and troubles()
    (yard.home / "conf" / "notify" / "kit.yaml").unlink()
    assert run(["notify"]) == 0 and not troubles(), "nor where their file is gone"
    yard.sinks(file={})
    capsys.readouterr()

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    scoring(
        yard, monkeypatch, error=OSError(errno.ENOLCK, "No locks", str(yard.runs / "told.lock"))
    )
    assert run(["score"]) == 3
    assert capsys.readouterr().err.count("no locks available") == 1, "what stops both is said once"


def test_a_sink_that_is_slow_is_named_while_it_is_waited_for(yard, web, capsys):
    yard.sinks(webhook={"url": web.url}, timeout_seconds=0.3)
    yard.publish(0, an_incident())
    web.fail = ["hang"]
    with never_silent(0.1):
        tell(yard.stage)
    assert "s after: telling the sink webhook" in capsys.readouterr().err


def test_an_address_that_has_moved_is_told_and_not_followed(yard, web):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    web.fail = ["307"]
    with pytest.raises(NotifyError, match=r"127\.0\.0\.1 answered 307: the address has moved"):
        tell(yard.stage)
    tell(yard.stage)
    assert len(web.taken) == 1


def test_a_slow_server_does_not_hold_up_the_night(yard, web, monkeypatch):
    yard.sinks(webhook={"url": web.url}, file={})
    yard.publish(0, *(an_incident(f"van-{n}", hour=5 * n) for n in range(1, 4)))
    slow = "webhook: 1 notice sent in 0 minutes, and 2 messages"
    with monkeypatch.context() as at_once, pytest.raises(NotifyError, match=slow):
        at_once.setattr(delivery, "LONGEST_SECONDS", 0.0)
        tell(yard.stage)
    assert len(lines(yard)) == 3, "a sink that gets all in one parcel"
    assert str(tell(yard.stage)["webhook"]) == "2 notices sent"
    keys = [request.headers["webhook-id"] for request in web.got]
    assert len(keys) == len(set(keys)) == 3


def test_the_causes_are_found_once_for_all_sinks(yard, web, monkeypatch):
    yard.sinks(file={}, webhook={"url": web.url}, heartbeat=False)
    yard.publish(0, an_incident("van-1"))
    found = []
    real = delivery.causes
    monkeypatch.setattr(delivery, "causes", lambda window: found.append(1) or real(window))
    monkeypatch.setattr(grouping, "causes", lambda window: pytest.fail("once per sink"))
    tell(yard.stage)
    assert len(found) == 1 and len(web.got) == 1
