"""python -m pipelines.report

The page of the fleet's last scoring run: data/<fleet>/report.html.
"""

from pathlib import Path

from amad.config import Params, Settings, Stage
from amad.config.console import say
from amad.report import Report, build_report
from pipelines import follows_storage, stage_main


@follows_storage("report")
def run(params: Params, settings: Settings, out: Path | None = None) -> Report:
    """Write the page (to ``out``, default ``data/<fleet>/report.html``) and return what it shows.

    Raises:
        DataError: the fleet was never scored, or a file that is read is damaged.
    """
    report = build_report(Stage.of(params, settings), out)
    say(str(report))
    return report


if __name__ == "__main__":
    stage_main(run, lasting="report.html")
