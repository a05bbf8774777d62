"""Figures of the last scoring job, and of drift, for Prometheus: a text file, or a Pushgateway."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from amad.config import DataError, NotifyError, Stage
from amad.config.sinks import Sinks, load_sinks
from amad.drift.findings import Drift
from amad.notify.changes import RANK
from amad.notify.grouping import causes
from amad.notify.published import Window
from amad.notify.sinks import http
from amad.notify.sinks.errors import NotTakenError, RefusedError
from amad.scores import partitions
from amad.scores.job_log import JobLog, last_look
from amad.scores.unscored import undone
from amad.telemetry.files import staged
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.temporary import remove_unfinished
from amad.telemetry.trouble import KINDS, UNDONE

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class _Gauges:
    """Gauges with the label ``fleet``, each made when its first value comes."""

    def __init__(self, fleet: str) -> None:
        self.registry = CollectorRegistry()
        self._fleet, self._known = fleet, dict[str, Gauge]()

    def set(self, name: str, meaning: str, value: float | None, **labels: str) -> None:
        """Set ``amad_<name>``; a value that is not known is left out."""
        if value is None:
            return
        if name not in self._known:
            names = ["fleet", *labels]
            self._known[name] = Gauge(f"amad_{name}", meaning, names, registry=self.registry)
        self._known[name].labels(fleet=self._fleet, **labels).set(value)


def job_metrics(
    stage: Stage, jobs: list[JobLog], window: Window, took: dict[str, bool], well: bool | None
) -> CollectorRegistry:
    """The figures after a job.

    jobs: the logs of those that have ended, the newest last. took: whether each sink of notices
    took what it was sent. well: whether the last job did all it should; None: as the logs say.
    """
    if well is None:
        well = bool(jobs) and not undone(jobs, stage.runs)
    gauges = _Gauges(stage.fleet.name)
    done = [job for job in jobs if job.status == "done" and job.ended is not None]
    if done and done[-1].ended is not None:
        gauges.set(
            "last_success_timestamp_seconds", "End of the last job that ended well",
            done[-1].ended.timestamp(),
        )  # fmt: skip
    gauges.set("job_ok", "1: the last job did all it should", well)
    if jobs:
        _of_job(gauges, jobs[-1])
    if (looked := last_look(jobs)) is not None:
        gauges.set("silent_vehicles", "Silent vehicles", len(looked.health.get("silent", [])))
        for kind in KINDS:
            many = len(looked.health.get(kind.name, []))
            if kind.name == UNDONE:  # the log has these under failed and refused
                many = len(undone(jobs, stage.runs))
            gauges.set("health_findings", "Findings under fleet health", many, kind=kind.name)
    with suppress(DataError):  # a damaged file of an earlier stage is told by `amad doctor`
        _of_input(gauges, IngestResult.read(stage.folder))
    suppressed = jobs[-1].suppressed if jobs else {}
    going_on = (
        [c.told.level for c in cause.changes if c.ongoing and c.incident_id not in suppressed]
        for cause in causes(window)
    )
    open_ = [max(levels, key=RANK.__getitem__) for levels in going_on if levels]
    meaning = "Causes with incidents that go on and are told, by the highest level of these"
    for level in RANK:
        gauges.set("open_causes", meaning, open_.count(level), level=level)
    for name, value in _quantiles(stage.runs, window).items():
        gauges.set("score", "Quantiles of the newest date's scores", value, quantile=name)
    for sink, taken in took.items():
        gauges.set("sink_ok", "1: the sink took what it was sent", taken, sink=sink)
    return gauges.registry


def drift_metrics(found: Drift) -> CollectorRegistry:
    """The figures of `amad drift`."""
    gauges = _Gauges(found.fleet)
    gauges.set("retrain", "1: `amad drift` recommends to retrain", found.retrain)
    gauges.set("drifted_channels", "Channels that drifted, of all classes", len(found.drifted))
    gauges.set("model_age_days", "Days from the last train day to the newest row", found.age_days)
    above = "Share of the scores of the median vehicle above its usual 95 % quantile"
    gauges.set("scores_above_usual", above, found.above_usual)
    gauges.set("uncovered_share", "Share of rows outside what training covered", found.uncovered)
    return gauges.registry


def tell_drift(stage: Stage, found: Drift) -> None:
    """Give the figures of `amad drift` to the fleet's Prometheus, where its sinks name one.

    They have a textfile, and a group of the Pushgateway, of their own, since a job does not know
    them: ``demo.prom`` and ``demo-drift.prom``.

    Raises:
        NotifyError: the file could not be written, or the Pushgateway did not take them.
        ConfigError: the file of sinks is wrong.
    """
    fleet, sinks = stage.fleet.name, load_sinks(stage.fleet.name, stage.settings)
    if sinks is None or sinks.prometheus is None:
        return
    try:
        for work in to_prometheus(drift_metrics(found), stage, sinks, drift=True).values():
            work()
    except (NotTakenError, RefusedError, OSError) as error:
        raise NotifyError(
            f"fleet {fleet}: the drift is measured, but not told to Prometheus: {error}; the next "
            "'amad drift' tells it"
        ) from error


def to_prometheus(
    figures: CollectorRegistry, stage: Stage, sinks: Sinks, *, drift: bool = False
) -> dict[str, Callable[[], str]]:
    """By sink, the work that gives the figures of a job, or of drift, to the fleet's Prometheus."""
    fleet, wanted, found = stage.fleet.name, sinks.prometheus, dict[str, Callable[[], str]]()
    if wanted is not None and wanted.textfile is not None:
        path = stage.settings.home / wanted.textfile.replace("{fleet}", fleet)
        path = path.with_stem(f"{path.stem}-drift") if drift else path
        found["textfile"] = lambda: write_textfile(figures, path, fleet)
    if wanted is not None and (address := wanted.pushgateway) is not None:
        job = "amad_drift" if drift else "amad"
        found["pushgateway"] = lambda: push(figures, address, fleet, sinks.timeout_seconds, job)
    return found


def write_textfile(registry: CollectorRegistry, path: Path, fleet: str) -> str:
    """Write the figures for the textfile collector, in one piece; say what was done.

    Raises:
        RefusedError: the file holds the figures of another fleet, which would be lost.
        OSError: the file cannot be written; names it.
    """
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if others := set(re.findall(r'[{,]fleet="([^"]*)"', before)) - {fleet}:
        raise RefusedError(
            f"{path} holds the figures of fleet {', '.join(sorted(others))}; write {{fleet}} into "
            "prometheus.textfile, so that each fleet has a file of its own, or delete the file"
        )
    remove_unfinished(path.parent, of=path.name)  # the collector would read its figures, too
    with staged(path) as stage:
        stage.write_bytes(generate_latest(registry))
        stage.chmod(0o644)  # the collector is another user
    return f"written to {path}"


def push(registry: CollectorRegistry, address: str, fleet: str, timeout: float, job: str) -> str:
    """Replace the fleet's figures of a job in a Pushgateway; raises as ``http.send`` does."""
    url = f"{address.rstrip('/')}/metrics/job/{job}/fleet/{fleet}"
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    http.send("PUT", url, timeout, data=generate_latest(registry), headers=headers)
    return "pushed"


def _of_job(gauges: _Gauges, job: JobLog) -> None:
    if job.ended is not None:
        seconds = (job.ended - job.started).total_seconds()
        gauges.set("job_seconds", "Duration of the last job", seconds)
    gauges.set("job_dates", "Dates that the last job published", len(job.dates))
    gauges.set("job_rows", "Rows of these dates", job.rows)
    gauges.set("job_scored_rows", "Rows of them with a score", job.scored)
    gauges.set("job_alarms", "Rows of them over the threshold", job.alarms)
    meaning = "Causes of the incidents of these dates; incidents that are told as one have one"
    gauges.set("job_causes", meaning, job.causes)
    gauges.set("job_failed_vehicle_days", "Vehicle-days that have no scores", len(job.failed))
    gauges.set("threshold", "Scores above it are alarms, while scores are as usual", job.threshold)
    version = None if job.model_version is None else float(job.model_version)
    gauges.set("model_version", "Version that the last job scored with", version)


def _of_input(gauges: _Gauges, ingested: IngestResult | None) -> None:
    if ingested is None:
        return
    if ingested.newest:
        newest = max(datetime.fromisoformat(at).timestamp() for at in ingested.newest.values())
        gauges.set("newest_row_timestamp_seconds", "Time of the newest row of the lake", newest)
    share = ingested.rows_rejected / ingested.rows_in if ingested.rows_in else 0.0
    gauges.set("refused_share", "Share of the rows that ingest refused", share)


def _quantiles(runs: Path, window: Window) -> dict[str, float]:
    """Quantiles of the scores of the newest date; none where nothing was scored."""
    if not window.dates:
        return {}
    day = max(window.dates)
    score = partitions.read_scores(runs, window.versions[day], day, ["score"])["score"]
    if score.null_count == len(score):
        return {}
    values = pc.quantile(score.cast(pa.float64()), list(QUANTILES)).to_pylist()
    return dict(zip((f"{q:g}" for q in QUANTILES), values, strict=True))
