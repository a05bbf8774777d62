"""python -m bench.minutes --out bench/results/minutes.json

The scoring job every minute on what came in, and once more when the night is over. Six simulated
vehicles report a row per 30 seconds; each minute a file per vehicle comes, ``amad ingest`` and
``amad score`` run as the crontab runs them, and a webhook on a real HTTP server is told. Two faults
begin within the hour. Measured are the seconds from a minute's rows to the end of its job, and
those of processors that it took; the minutes from the first row of a fault to the first message
about it; and what the job of the whole night does with each incident that was told: it keeps its
id, replaces or withdraws it. All of it once for each form of the score: ``centred`` boxes, which
lack what lies ahead of the newest rows, and ``trailing`` ones, which look back alone.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from bench.facts import write_result
from bench.nights import make_artifacts
from bench.nights_fleet import OLD, PARAMS, Fault, clock, prepare_home, rows_of
from bench.nights_process import ALL, Receiver, amad, environment, preload, run
from bench.options import parser_of, positive
from bench.present import origin
from bench.quality.tables import or_dash, table

FIRST, MINUTES = 22.0, 60  # the hour that is lived through, and how many of its minutes
FAULTS = (
    Fault(what="noise", vehicles=("bus-1",), night=0, first=22.25, last=22.75),
    Fault(what="unit", vehicles=("van-2",), night=0, first=22.5, last=27.0),
)
LINE = ("state", "vehicle", "incident_id", "start", "end", "level", "replaces")
FORMS = ("centred", "trailing")
# As shipped but for the network.
DETECT = {"members": ["innovation", "two_sided", "relation", "window_range"]}


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=positive, default=MINUTES)
    parser.add_argument("--every", type=positive, default=1, help="minutes between two jobs")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    forms = {}
    for form in options.forms:
        with TemporaryDirectory() as folder:
            forms[form] = measure(Path(folder) / "home", form, options.minutes, options.every)
    result = {**origin(), "every_minutes": options.every, "forms": forms}
    write_result(result, options.out)
    return result


def measure(home: Path, form: str, minutes: int = MINUTES, every: int = 1) -> dict:
    """Live through the minutes in an empty folder, then score the whole night."""
    home.mkdir(parents=True)
    preload(ALL)
    with Receiver() as receiver:
        yard = prepare_home(home, receiver.url)
        detect = {**DETECT, "smoothing": form, "alarm_budget": 0.02}
        (home / "params.yaml").write_text(yaml.safe_dump({**PARAMS, "detect": detect}))
        for command in ("ingest", "validate"):
            _well(home, command)
        assert run(make_artifacts, home, (home,)).code == 0
        _well(home, "register")
        whole = {vehicle: rows_of(0, vehicle, FAULTS) for vehicle in OLD}
        came, seconds, busy, first_told = dict.fromkeys(OLD, 0), [], [], {}

        def come(name: str, now: float) -> None:
            for vehicle, rows in whole.items():
                at = np.asarray(rows["timestamp"].cast("int64")) / 1e6
                until = int((at < now).sum())
                yard.put(f"n00-{vehicle}-{name}", rows.slice(came[vehicle], until - came[vehicle]))
                came[vehicle] = until

        for minute in range(every, minutes + 1, every):
            now = clock(0, FIRST) + 60 * minute
            come(f"{minute:03}", now)
            began, before = time.monotonic(), _processor_seconds()
            _process(home, "ingest")
            _process(home, "score")
            seconds.append(time.monotonic() - began)
            busy.append(_processor_seconds() - before)
            for told in _told(receiver):
                first_told.setdefault(told["key"], (now + seconds[-1], told))
        come("rest", np.inf)
        by_minute = len(_told(receiver))
        _process(home, "ingest")
        _process(home, "score")
        messages = _told(receiver)
    shutil.rmtree(home)
    return {
        "vehicles": len(OLD),
        "jobs": len(seconds),
        "seconds_per_job": _median_and_largest(seconds),
        "processor_seconds_per_job": _median_and_largest(busy),
        "faults": [_fault(fault, first_told) for fault in FAULTS],
        "told_by_minute": [_line(told) for told in messages[:by_minute]],
        "told_by_the_night": [_line(told) for told in messages[by_minute:]],
    }  # fmt: skip


def page(result: dict) -> list[str]:
    """The lines of the page of results."""
    machine, forms = result["machine"], result["forms"]
    vehicles = next(iter(forms.values()))["vehicles"]
    seconds = [
        [form, str(found["jobs"]), *_both(found["seconds_per_job"]),
         *_both(found["processor_seconds_per_job"])]
        for form, found in forms.items()
    ]  # fmt: skip
    rows = [
        [fault["what"], fault["vehicle"], form, or_dash(fault["minutes_to_first_message"], ".1f"),
         or_dash(fault["minutes_after_the_alarm"], ".1f")]
        for form, found in forms.items()
        for fault in found["faults"]
    ]  # fmt: skip
    told = [
        [form, when, item["vehicle"], item["state"], item["level"], item["start"], item["end"],
         "yes" if item["replaces"] else "no"]
        for form, found in forms.items()
        for when, name in (("in the hour", "told_by_minute"), ("by the night", "told_by_the_night"))
        for item in found[name]
    ]  # fmt: skip
    return [
        "# Every minute",
        "",
        f"`python -m bench.minutes`, {vehicles} vehicles, a row per 30 s, one job per "
        f"{result['every_minutes']} min of the hour from 22:00; the closed-form members. The form "
        "`centred` is the one as shipped: its boxes lack what lies ahead of the newest rows. Those "
        "of the form `trailing` look back alone.",
        "",
        "A job is `amad ingest` and `amad score`, the start of both processes included "
        f"({machine['cpu']}, {machine['cores']} cores, load {machine['load']}; above the cores, "
        "other work made the job wait). Seconds, and of those how many of a processor:",
        "",
        *table(["form", "jobs", "median", "most", "of a processor", "most"], seconds),
        "",
        "Minutes to the first message about a fault, the job included: from the first row of the "
        "fault, and from the newest row of which the message says that it alarms. Between the two "
        "the score was still below the threshold, and a job waits up to a minute for its rows.",
        "",
        *table(["fault", "vehicle", "form", "from its first row", "from its newest alarm"], rows),
        "",
        "What was told, in order. *Moved*: the start of the incident has moved since it was told.",
        "",
        *table(["form", "told", "vehicle", "state", "level", "start", "end", "moved"], told),
        "",
    ]


def _both(figures: dict[str, float]) -> list[str]:
    return [f"{figures[name]:.1f}" for name in ("median", "largest")]


def _well(home: Path, command: str) -> None:
    ended = amad(home, command)
    assert ended.code == 0, f"{command} ended with code {ended.code}: {ended.said}"


def _process(home: Path, command: str) -> None:
    """Run a command as cron does, in a process that has to import everything."""
    ended = subprocess.run(
        [sys.executable, "-m", "amad.cli", command],
        cwd=home, env=os.environ | environment(home), capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, f"{command} ended with code {ended.returncode}: {ended.stderr}"


def _processor_seconds() -> float:
    """What all processes that were waited for have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _median_and_largest(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 1), "largest": round(max(values), 1)}


def _told(receiver: Receiver) -> list[dict]:
    """The incidents of all notices, in the order in which they came."""
    return [item for body in receiver.taken for item in json.loads(body)["incidents"]]


def _fault(fault: Fault, first_told: dict) -> dict:
    """When the first message about a fault came, in minutes after rows of the fault."""
    began = clock(fault.night, fault.first)
    found = [
        (at, datetime.fromisoformat(told["end"]).timestamp())
        for at, told in first_told.values()
        if told["state"] == "new" and told["vehicle"] in fault.vehicles and at >= began
    ]
    at, alarm = min(found, default=(None, None))
    return {
        "what": fault.what,
        "vehicle": fault.vehicles[0],
        "minutes_to_first_message": None if at is None else round((at - began) / 60, 1),
        "minutes_after_the_alarm": None if at is None else round((at - alarm) / 60, 1),
    }


def _line(told: dict) -> dict:
    return {name: told[name] for name in LINE}


if __name__ == "__main__":
    main()
