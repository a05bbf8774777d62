"""python -m pipelines.report

The page of the fleet's last scoring run: data/<fleet>/report.html.
"""

from pathlib import Path

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.report import build_report
from amad.report import page_text as text
from pipelines import stage_main


def run(params: Params, settings: Settings, out: Path | None = None) -> dict:
    """Write the page (to ``out``, default ``data/<fleet>/report.html``) and return what it shows.

    Raises:
        DataError: the fleet was never scored, or a file that is read is damaged.
    """
    fleet = load_fleet(params.fleet, settings)
    path = (out or settings.fleet_dir(fleet.name) / "report.html").absolute()
    page = build_report(fleet, settings, path)
    told = f"{text.count(page['troubles'], 'finding')} under Fleet health, in {path}"
    if page["unscored"]:
        say(f"report without scores, since fleet {fleet.name} has no champion; {told}")
    else:
        dates = " to ".join(dict.fromkeys((page["dates"][0], page["dates"][-1])))
        say(
            f"report of {dates}: "
            f"{text.count(page['incidents'], 'incident')} on {page['affected']} of "
            f"{text.count(page['vehicles'], 'vehicle')}; {told}"
        )
    return page


if __name__ == "__main__":
    stage_main(run, lasting="report.html")
