"""The check of the sinks: are they named rightly, are their secrets there, were they told?"""

from amad.cli.doctor.check import Finding, fail, ok, warn
from amad.config import Stage
from amad.config.sinks import load_sinks, missing_secrets
from amad.scores.job_log import job_logs


def sinks(stage: Stage) -> Finding:
    """Who is told what changed, and could everybody be told after the last job?"""
    file = stage.settings.conf_dir / "notify" / f"{stage.fleet.name}.yaml"
    found = load_sinks(stage.fleet.name, stage.settings)
    if found is None:
        return ok(f"nobody is told: there is no {file}")
    if missing := missing_secrets(found):
        return fail(f"{file} needs {', '.join(missing)}", "set them where 'amad score' runs")
    jobs = [job for job in job_logs(stage.runs)[0] if job.ended is not None]
    if not jobs:
        return ok("not told yet, as no job has ended")
    if not jobs[-1].sinks:
        remedy = "run 'amad notify', or wait for the next 'amad score'"
        return warn(f"nobody was told after job {jobs[-1].id}", remedy)
    if untold := jobs[-1].untold:
        return warn("; ".join(untold), f"mend that, then run {jobs[-1].tells_again}")
    return ok(f"told after job {jobs[-1].id}: {', '.join(jobs[-1].sinks)}")
