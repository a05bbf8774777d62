"""What a scoring job would do, found out without doing it."""

from amad.config import Stage
from amad.config.wording import count
from amad.detect.detector_folder import load_detector
from amad.engines.score.fleet_scoring import check_vehicles
from amad.engines.score.lake_snapshot import take_snapshot
from amad.engines.score.scoring_plan import Plan, ScoringRequest, make_plan
from amad.engines.shared.lost_registry import existing_registry
from amad.engines.shared.model_registry import (
    champion_version,
    digests,
    fetched,
    scores_from,
    version_title,
)
from amad.scores import partitions
from amad.scores.daily import check_contract
from amad.scores.retention import Retention
from amad.telemetry.checksums import Checksums


def dry_run(stage: Stage, request: ScoringRequest) -> tuple[Plan, str]:
    """The plan of a job, and the version that would score. Nothing is written.

    Dates after those in the plan may follow, where an incident then goes on over midnight.
    Vehicle-days that no job has judged as they are count as they did before.

    Raises:
        ServiceError: no champion, or no registry.
        DataError: no lake, a model of another contract or format, or no rows on any date that is
            asked for.
        ConfigError: the request names vehicles of which the lake has no rows.
    """
    with existing_registry(stage.settings, stage.fleet.name) as client:
        champion = champion_version(client, stage.fleet.name)
        others = partitions.of_other_detectors(stage.runs, digests(client, stage.fleet.name))
    with fetched(client, champion) as folder:  # else the job could not score what is predicted
        detector = load_detector(folder, to_score=True, called=version_title(champion))
        check_contract(detector, stage.fleet)
    snapshot = take_snapshot(stage, request.dates and request.dates[1], look=True)
    check_vehicles(snapshot.lake, request)
    start = scores_from(champion)
    if (kept := Retention.read(stage.runs)) is not None:
        start = max(start, kept.first)
    version = str(champion.version)
    left_out = {(item.date, item.model_version) for item in others}
    plan = make_plan(snapshot, stage.runs, version, start, Checksums(stage.runs), request, left_out)
    if others:
        plan.told.append(
            f"the scores of {count(len(left_out), 'date')} by other detectors under the numbers of "
            "present versions (the registry was begun anew?) would be set aside"
        )
    return plan, version
