"""python -m pipelines.score

The champion scores every date that is new: runs/<fleet>/scores, runs/<fleet>/incidents and the
receipt data/<fleet>/scoring.json, which lists what is published of each date.
"""

from datetime import date

from amad.config import Params, Settings, load_fleet
from amad.config.console import say
from amad.engines.batch import published, score_fleet
from amad.telemetry.files import write_json
from pipelines import stage_main

# The hash stands for the scores themselves: the page is made anew where they alone have changed.
SHOWN = ("model_version", "vehicle_days", "rows", "scored", "alarms", "incidents", "sha256")


def run(
    params: Params,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    engine: str | None = None,
) -> dict:
    """Score from ``first`` to ``last`` (inclusive; None: everything new) and return the receipt.

    engine: ``process``, ``ray`` or ``auto``; default: the cluster profile's.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no rows on the dates asked for, or a model of another contract.
    """
    fleet = load_fleet(params.fleet, settings)
    log = score_fleet(fleet, settings, first=first, last=last, engine=engine)
    dates = {
        day: {name: manifest[name] for name in SHOWN}
        for day, manifest in published(settings, fleet.name, log["model_version"]).items()
    }
    receipt = {
        "fleet": fleet.name,
        "model_version": log["model_version"],
        "dates": sorted(dates),
        "by_date": dates,
        "rows": sum(item["rows"] for item in dates.values()),
        "incidents": sum(item["incidents"] for item in dates.values()),
    }
    write_json(settings.fleet_dir(fleet.name) / "scoring.json", receipt)
    if log["dates"]:
        say(
            f"scored {log['rows']:,} rows of {len(log['dates'])} dates with version "
            f"{log['model_version']}: {log['incidents']} incidents"
        )
    return receipt


if __name__ == "__main__":
    stage_main(run)
