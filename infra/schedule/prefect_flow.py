"""The night of each fleet as a Prefect flow. Prefect runs it in an environment of its own.

    python infra/schedule/prefect_flow.py demo               # once, now
    python infra/schedule/prefect_flow.py --serve demo       # every night at 4:30 UTC

``amad`` must be on the PATH, and AMAD_HOME must name the project's folder.
"""

import subprocess
import sys

from prefect import flow, task
from prefect.logging import get_run_logger

PAUSES = [600, 600]  # seconds before another try
AWAY = 4  # the exit code where a service does not answer; only then is another try worth it


def _may_come_back(task, run, state) -> bool:
    """Whether the command failed because a service was away."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, subprocess.CalledProcessError) and error.returncode == AWAY


@task(retries=len(PAUSES), retry_delay_seconds=PAUSES, retry_condition_fn=_may_come_back,
      timeout_seconds=4 * 3600, task_run_name="{command} {fleet}")  # fmt: skip
def amad(command: str, fleet: str, *options: str) -> None:
    """Run one command; its exit code other than 0 fails the task."""
    arguments = ["amad", command, "--fleet", fleet, *options]
    result = subprocess.run(arguments, capture_output=True, text=True)
    get_run_logger().info("%s", result.stdout + result.stderr)
    result.check_returncode()


@flow
def night(fleet: str, date: str | None = None) -> None:
    """Ingest, validate and score one fleet: a date, or (none given) everything new; then report."""
    try:
        amad("ingest", fleet)
        amad("validate", fleet)
        amad("score", fleet, *(["--date", date] if date else []))
    finally:
        amad("report", fleet)


if __name__ == "__main__":
    fleet = sys.argv[-1]
    if "--serve" in sys.argv:
        night.serve(name=fleet, cron="30 4 * * *", parameters={"fleet": fleet}, limit=1)
    else:
        night(fleet)
