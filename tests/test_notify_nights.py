"""Fourteen nights with a fault in each: what was told in the end is what is published."""

import random
from contextlib import suppress
from dataclasses import replace

import pytest
from notify_kit import HttpServer, SmtpServer, Yard, an_incident, at, closing, patience

from amad.config import NotifyError
from amad.incidents.incident import level_of
from amad.notify.changes import RANK
from amad.notify.delivery import tell
from amad.notify.ledger import Ledger
from amad.notify.published import read_window
from amad.notify.sinks import http

NIGHTS = 14
FAULTS = ("well", "500", "lost", "400", "hang", "killed", "killed later", "down")


class Killed(BaseException):
    """Ends the work as a kill would: nothing catches it, and nothing is cleaned up."""


def a_night(night: int, before: list, draw: random.Random) -> list:
    """The incidents of a night: some go on from the night before, some are new."""
    made = []
    for item in before:
        if item.end == at(night):  # it goes on over midnight
            severity = min(99.0, item.severity + draw.choice((0, 0, 30)))
            end = at(night, draw.choice((1, 3, 24)))
            worse = {"severity": severity, "level": level_of(severity)}
            made.append(replace(item, end=end, continued=True, **worse))
    for vehicle in ("van-1", "van-2", "van-3", "van-4"):
        if draw.random() < 0.4 and not any(item.vehicle == vehicle for item in made):
            hour = draw.choice((2, 9, 22))
            hours = 2 if hour == 22 else 0.5
            made.append(an_incident(vehicle, night, hour, hours, draw.choice((10, 40, 80))))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_fourteen_nights_with_faults_end_with_what_is_published(tmp_path, monkeypatch, seed):
    """The server is in trouble, the job is killed, and a date is scored again with other results.

    A receiver that takes each key once then knows of each incident whether it goes on, and never
    heard of the same change twice.
    """
    monkeypatch.setenv("AMAD_NOTIFY_WEBHOOK_KEY", "key")
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(http, "ATTEMPTS", 2)
    draw = random.Random(seed)
    yard, before = Yard(tmp_path / "home"), []
    with closing(HttpServer()) as web, closing(SmtpServer()) as post:
        sinks = {"webhook": {"url": web.url}, "mail": post.mail(), "file": {}}
        for night in range(NIGHTS):
            if night and draw.random() < 0.3:  # late rows change the night before
                kept = [item for item in before if item.continued or draw.random() < 0.5]
                yard.publish(night - 1, *kept)
                before = kept
            before = a_night(night, before, draw)
            yard.publish(night, *before)
            fault = draw.choice(FAULTS)
            yard.sinks(**sinks, **patience(fault))
            a_job_with_a_fault(yard, web, post, fault, monkeypatch, draw)
        yard.sinks(**sinks)
        web.fail, post.fail = [], []
        tell(yard.stage)
        got = len(web.got), len(post.got)
        tell(yard.stage)
        assert (len(web.got), len(post.got)) == got, "in the end there is nothing left to tell"
        known = replayed([request.json for request in web.taken])
        assert len(set(post.ids)) <= NIGHTS + 1
    window = read_window(yard.runs, "1")
    now = {name: "open" if i.ongoing else "over" for name, i in window.incidents.items()}
    assert {name: state for name, (state, _) in known.items() if state != "withdrawn"} == now
    for name, item in window.incidents.items():
        assert RANK[known[name][1]] >= RANK[item.incident.level], "a rise was told"


def a_job_with_a_fault(yard, web, post, fault, monkeypatch, draw) -> None:
    web.fail = {"500": ["500"] * 2, "lost": ["lost"] * 2, "400": ["400"], "hang": ["hang"]}.get(
        fault, []
    )
    post.fail = {"500": ["451"], "lost": ["lost"], "400": ["554"]}.get(fault, [])
    if fault == "down":
        return  # the job did not run
    with monkeypatch.context() as patch:
        if fault.startswith("killed"):
            left = draw.randrange(1, 3 if fault == "killed" else 6)
            write = Ledger.write_file

            def cut_short(ledger, path) -> None:
                nonlocal left
                left -= 1
                if not left:
                    raise Killed
                write(ledger, path)

            patch.setattr(Ledger, "write_file", cut_short)
        with suppress(NotifyError, Killed):
            tell(yard.stage)


def replayed(notices: list[dict]) -> dict[str, tuple[str, str]]:
    """What a receiver knows of each incident: its state, and the highest level it heard."""
    known: dict[str, tuple[str, str]] = {}
    heard = set()
    for item in (item for notice in notices for item in notice["incidents"]):
        assert item["key"] not in heard, "each change is told once"
        heard.add(item["key"])
        state, highest = known.get(item["incident_id"], ("withdrawn", "low"))
        legal = {"new": state == "withdrawn", "ongoing": state != "withdrawn",
                 "over": state != "withdrawn", "withdrawn": state != "withdrawn"}  # fmt: skip
        assert legal[item["state"]], (item, state)
        level = (
            item["level"] if item["state"] == "new" else max(highest, item["level"], key=RANK.get)
        )
        after = "withdrawn" if item["state"] == "withdrawn" else None
        known[item["incident_id"]] = after or ("open" if item["ongoing"] else "over"), level
    return known
