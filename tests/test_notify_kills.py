"""Whatever is killed, run again or run at the same time: each change reaches a person once.

The processes are real, and so is SIGKILL: it comes right before a rename, and every step of telling
(the ledger says what is on its way; it was sent; the ledger says so) ends in a rename.
"""

import fcntl
import json
import threading
from pathlib import Path

import pytest
from notify_kit import Yard, an_incident, lines
from stop_kit import KILL, stopped

from amad.config import NotifyError
from amad.notify import delivery
from amad.notify.delivery import tell
from amad.notify.ledger import Ledger, read_ledger
from amad.notify.sinks import http

pytestmark = pytest.mark.slow


@pytest.fixture
def yard(tmp_path, monkeypatch) -> Yard:
    monkeypatch.setenv("AMAD_NOTIFY_WEBHOOK_KEY", "key")
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)
    return Yard(tmp_path / "home")


def tell_kit(home: Path) -> None:
    """What the process does that is killed."""
    tell(Yard(home).stage)


def keys_in(file: Path) -> list[str]:
    return [json.loads(line)["key"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize("where", ["told/", "jobs/"])
def test_a_kill_at_any_step_of_telling_loses_and_repeats_nothing(yard, web, post, where):
    """Two notices for the webhook, a digest, two lines; each kill comes at another rename."""
    yard.sinks(webhook={"url": web.url}, mail=post.mail(), file={})
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    kills = 0
    while stopped(tell_kit, yard.home, number=KILL, where=where, at=1 + kills % 3)[0] != 0:
        kills += 1
        assert kills < 12
    assert kills >= (5 if where == "told/" else 1)
    expected = {"van-1", "van-2"}
    assert (
        len(web.taken) == 2 and {r.json["incidents"][0]["vehicle"] for r in web.taken} == expected
    )
    bodies: dict[str, set] = {}
    for request in web.got:
        bodies.setdefault(request.headers["idempotency-key"], set()).add(request.body)
    assert all(len(same) == 1 for same in bodies.values()), "the same key is the same message"
    assert len(set(post.ids)) == 1
    assert len(keys_in(yard.runs / "alerts.jsonl")) == 2
    assert not list((yard.runs / "told").glob(".stage-*"))
    before = len(web.got), len(post.got)
    tell(yard.stage)
    assert (len(web.got), len(post.got)) == before


def test_nights_with_kills_tell_each_change_once(yard, web):
    """New, worse, over and withdrawn, with a kill in every night and a run after it."""
    yard.sinks(webhook={"url": web.url}, file={})
    a = an_incident("van-1", hour=23.5, hours=0.5, severity=30)
    rest = an_incident("van-1", hour=23.5, hours=8.0, severity=80)
    gone = an_incident("van-2", hour=10)
    nights = [
        (0, [a, gone]),
        (1, [an_incident("van-1", hour=23.5, hours=24.4, severity=80)]),
        (0, [a]),
        (1, [rest]),
    ]
    for step, (night, incidents) in enumerate(nights):
        yard.publish(night, *incidents)
        code, said = stopped(tell_kit, yard.home, number=KILL, where="told/", at=1 + step % 4)
        assert code == -KILL, said
        tell(yard.stage)
    states = [r.json["incidents"][0]["state"] for r in web.taken]
    assert states == ["new", "new", "ongoing", "withdrawn", "over"]
    lines = [json.loads(x) for x in (yard.runs / "alerts.jsonl").read_text().splitlines()]
    assert sorted(line["key"] for line in lines) == sorted(r.json["key"] for r in web.taken)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_finding_of_fleet_health_is_told_once_when_it_is_new_and_once_when_it_is_mended(
    yard, web, at
):
    """Each job is killed at another step, and run again; one between them cannot look."""
    yard.sinks(webhook={"url": web.url}, file={})
    yard.publish(0)
    silent = {"silent": ["van-8 is silent", "van-9 is silent"], "refused": ["a.csv was refused"]}
    names = ["silent: van-8", "silent: van-9", "refused: a.csv"]
    logs = [
        {"health": silent, "findings": names},
        {"findings": None},
        {"health": {"silent": ["van-8 is silent for long"]}, "findings": ["silent: van-8"]},
        {"health": silent, "findings": names},
    ]
    for night, content in enumerate(logs):
        yard.log(night, **content)
        code, said = stopped(tell_kit, yard.home, number=KILL, where="told/", at=at)
        assert code in (0, -KILL), said
        for _ in range(2):
            tell(yard.stage)
    told = [(r.json["state"], [f["finding_id"] for f in r.json["findings"]]) for r in web.taken]
    mendable = [["silent: van-9"], ["refused: a.csv"]]
    assert told == [
        ("new", names[:2]), ("new", names[2:]), *(("mended", ids) for ids in mendable),
        *(("new", ids) for ids in mendable),
    ]  # fmt: skip
    assert len({f["key"] for r in web.taken for f in r.json["findings"]}) == 7
    bodies = [r.json for r in web.taken]
    assert [json.loads(x) for x in (yard.runs / "alerts.jsonl").read_text().splitlines()] == bodies
    assert len(web.got) <= len(bodies) + len(logs), "a kill repeats one message at most"


def test_a_kill_after_the_answer_was_lost_sends_the_same_key_again(yard, web):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    web.fail = ["lost"]
    assert stopped(tell_kit, yard.home, number=KILL, where="told/", at=2)[0] == -KILL
    tell(yard.stage)
    assert len(web.got) == 3 and len(web.taken) == 1


def test_two_jobs_at_once_tell_each_change_once(yard, web, post):
    """The second waits for the first, which the server keeps waiting for a moment."""
    yard.sinks(webhook={"url": web.url}, mail=post.mail())
    yard.publish(0, an_incident("van-1"), an_incident("van-2", hour=12))
    web.fail = ["503", "503"]
    jobs = [threading.Thread(target=tell, args=(yard.stage,)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(web.got) == 4 and len(web.taken) == 2 and len(post.got) == 1


def test_a_job_does_not_wait_for_ever_for_another_one(yard, web, monkeypatch):
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, an_incident())
    monkeypatch.setattr(delivery, "LOCK_SECONDS", 0.1)
    with delivery._lock(yard.runs, "kit"), pytest.raises(NotifyError, match="another job"):
        tell(yard.stage)
    tell(yard.stage)
    assert len(web.got) == 1


def test_a_file_in_a_place_that_is_gone_stops_no_other_sink(yard):
    (yard.home / "mount").symlink_to(yard.home / "nowhere")
    yard.sinks(file={"path": "mount/alerts.jsonl"}, prometheus={"textfile": "kit.prom"})
    yard.publish(0, an_incident())
    with pytest.raises(NotifyError, match=r"file: .*mount"):
        tell(yard.stage)
    assert 'amad_sink_ok{fleet="kit",sink="file"} 0.0' in (yard.home / "kit.prom").read_text()


def test_fleets_that_share_a_file_take_turns(yard):
    yard.sinks(file={})
    yard.publish(0, an_incident())
    file = yard.runs / "alerts.jsonl"
    with file.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write('{"key": "half')
        other.flush()
        job = threading.Thread(target=tell, args=(yard.stage,))
        job.start()
        job.join(0.5)
        other.write(' a line"}\n')
        other.flush()
        fcntl.flock(other, fcntl.LOCK_UN)
    job.join()
    assert [line["key"] for line in lines(yard)] == [
        "half a line", f"{an_incident().incident_id}-1-new",
    ]  # fmt: skip


def test_a_flood_writes_no_ledger_after_each_message(yard, web, monkeypatch):
    """Else the time to tell n incidents would grow with the square of n."""
    writes = []
    real = Ledger.write_file
    monkeypatch.setattr(Ledger, "write_file", lambda *given: (writes.append(given), real(*given)))
    monkeypatch.setattr(delivery, "FEW", 3)
    monkeypatch.setattr(delivery, "SECONDS_UNKEPT", 600.0)
    yard.vehicles = [f"van-{n}" for n in range(40)]
    yard.sinks(webhook={"url": web.url})
    yard.publish(0, *(an_incident(f"van-{n}", hour=n / 2) for n in range(40)))
    tell(yard.stage)
    assert len(web.taken) == 40 and len(writes) <= 6
    assert read_ledger(yard.runs, "webhook").parcels == []
