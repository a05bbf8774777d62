"""python -m pipelines.report

The page of the fleet's last scoring run: data/<fleet>/report.html.
"""

from pathlib import Path

from amad.config import Params, PartlyDoneError, Settings, Stage
from amad.config.console import say
from amad.config.wording import count, some
from amad.report import Report, build_report
from pipelines import follows_storage, stage_main


@follows_storage("report")
def run(params: Params, settings: Settings, out: Path | None = None) -> Report:
    """Write the page (to ``out``, default ``data/<fleet>/report.html``) and return what it shows.

    Raises:
        DataError: the fleet was never scored, or a score table is damaged.
        PartlyDoneError: the page is written, but does without a file that could not be read.
    """
    report = build_report(Stage.of(params, settings), out)
    say(str(report))
    if report.unread:
        raise PartlyDoneError(
            f"fleet {report.fleet}: the report is written, but does without "
            f"{count(len(report.unread), 'file')}: {some(report.unread, separator='; ')}"
        )
    return report


if __name__ == "__main__":
    stage_main(run, lasting="report.html")
