"""python -m pipelines.score

The champion scores every date that is new: runs/<fleet>/scores, runs/<fleet>/incidents and the
receipt data/<fleet>/scoring.json, which lists what is published of each date.
"""

from datetime import date

from amad.config import Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.engines.batch import published, score_fleet
from amad.engines.registry import CHAMPION, alias_version
from amad.engines.tracking import connect
from amad.telemetry.files import read_json, write_json
from pipelines import stage_main

# The hash stands for the scores themselves: the page is made anew where they alone have changed.
SHOWN = ("model_version", "vehicle_days", "rows", "scored", "alarms", "incidents", "sha256")
TOLD = 5  # findings of each kind on the screen; the job's log has them all


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
    Where the gate has refused every model so far and no date is asked for, nothing is scored: the
    receipt says so under ``no_champion``.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no rows on the dates asked for, or a model of another contract.
    """
    fleet = load_fleet(params.fleet, settings)
    if first is None and last is None and (why := _without_champion(fleet, settings)):
        say(f"nothing is scored: {why}")
        receipt = {
            "fleet": fleet.name, "model_version": None, "dates": [], "by_date": {}, "rows": 0,
            "incidents": 0, "no_champion": why,
        }  # fmt: skip
        write_json(settings.fleet_dir(fleet.name) / "scoring.json", receipt)
        return receipt
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
        unscored = log["rows"] - log["scored"]
        without = (
            f"; {unscored:,} rows have no score ({log['quarantined']} of {log['vehicle_days']:,} "
            "vehicle-days are quarantined; other rows lack a neighbourhood or a history)"
        )
        say(
            f"scored {log['scored']:,} of {log['rows']:,} rows of {len(log['dates'])} dates with "
            f"version {log['model_version']}: {log['incidents']} incidents"
            + (without if unscored else "")
        )
    for kind, found in log["health"].items():
        say(f"fleet health, {kind}: {'; '.join(found[:TOLD])}" + _more(len(found) - TOLD))
    return receipt


def _without_champion(fleet: Fleet, settings: Settings) -> str | None:
    """Why the fleet has no champion, where the gate has refused what there is; else None.

    A fleet that had a champion and has lost it is an error of the registry, not this.
    """
    path = settings.fleet_dir(fleet.name) / "receipt.json"
    refused = read_json(path, "run 'amad register'", keys=["version", "champion", "reasons"])
    if refused is None or refused["champion"] is not None:
        return None
    if alias_version(connect(settings), fleet.name, CHAMPION) is not None:
        return None
    return (
        f"fleet {fleet.name} has no champion; version {refused['version']} was not promoted "
        f"({refused['reasons'][-1]})"
    )


def _more(count: int) -> str:
    return f"; and {count} more" if count > 0 else ""


if __name__ == "__main__":
    stage_main(run)
