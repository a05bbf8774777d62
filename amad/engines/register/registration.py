"""Registering a detector: the same detector on the same data is one version, which the gate judges.

The champion, and a version that was rolled back, keep the decision that the gate made before. Every
other version is judged again, against the present champion on the present data.
"""

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import amad
from amad.config import DataError, Stage
from amad.config.console import say
from amad.config.wording import count
from amad.detect.detector import Detector
from amad.detect.detector_folder import folder_digest, load_detector
from amad.engines.register import promotion
from amad.engines.register.challenge import DATA, changes, defend, unlike
from amad.engines.register.gate import Decision, decide
from amad.engines.register.model_card import model_card
from amad.engines.register.registry_lock import registry_lock
from amad.engines.register.registry_writes import find_version, log_detector, move_alias
from amad.engines.shared.datasets import extent
from amad.engines.shared.evaluation_run import evaluation_run, training_run
from amad.engines.shared.lost_registry import known_champion
from amad.engines.shared.model_registry import (
    CHALLENGER,
    CHAMPION,
    DATA_HASH,
    DIGEST,
    TEST_START,
    alias_version,
    has_model,
    version_number,
    version_title,
)
from amad.engines.shared.tracking import connect, open_run
from amad.engines.shared.train_result import TrainResult
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.units import vehicle_of
from amad.scores.receipts import RegistrationReceipt
from amad.telemetry.lake import Lake
from amad.telemetry.validation import Validation
from amad.windows.series import TEST, TRAIN
from amad.windows.store import WindowStore

EXAMPLE_ROWS = 120


def register(stage: Stage) -> RegistrationReceipt:
    """Register the fleet's detector, let the gate decide, and promote it where it may.

    Raises:
        DataError: an earlier stage has not run, or the detector is not the one that was evaluated.
        ServiceError: the tracking store does not answer.
    """
    name = stage.fleet.name
    metrics = EvaluationMetrics.require(stage.folder)
    candidate = _Candidate(
        stage=stage,
        client=connect(stage.settings),
        metrics=metrics,
        identity=_identity(stage, metrics),
        detector=load_detector(stage.folder / "detector"),
        lake=Lake(stage.folder / "lake", stage.fleet),
    )
    client, identity = candidate.client, candidate.identity
    with registry_lock(stage.settings, name):
        promotion.settle(client, name)
        version = find_version(client, name, identity)
        champion = alias_version(client, name, CHAMPION)
        known = known_champion(stage.settings, name)
        if known is not None and not has_model(client, name):
            say(
                f"the registry has no model of fleet {name}, whose champion was version {known}: "
                "versions are counted from 1 again"
            )
        decision = None
        if version is not None and (
            version_number(champion) == version_number(version) or "rolled_back" in version.tags
        ):
            decision = promotion.recorded(version)
        if decision is None:
            decision = candidate.judge(champion)
        if version is None:
            version = candidate.log(decision)
            say(f"registered {version_title(version)}")
        else:
            say(f"{version_title(version)} is this detector on this data already")
        promotion.record(client, version, decision)
        move_alias(client, name, CHALLENGER, version.version, "the newest candidate")
        if decision.promote and "rolled_back" not in version.tags:
            promotion.make_champion(client, name, version.version, decision.reasons[-1])
        champion = alias_version(client, name, CHAMPION)
    return RegistrationReceipt(
        fleet=name,
        version=version_number(version),
        champion=version_number(champion),
        decision="promote" if decision.promote else "refuse",
        reasons=decision.reasons,
        figures=decision.figures,
        detector_digest=identity[DIGEST],
        data_hash=identity[DATA_HASH],
    )


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A detector that may become a version.

    metrics: of its evaluation. identity: the digest and the data's hash, as tags.
    """

    stage: Stage
    client: MlflowClient
    metrics: EvaluationMetrics
    identity: dict[str, str]
    detector: Detector
    lake: Lake

    def judge(self, champion: ModelVersion | None) -> Decision:
        """The gate's decision, with the champion scored on the same data."""
        stage = self.stage
        if champion is None:
            return decide(self.metrics, None, stage.params.gate)
        store = WindowStore.checked(stage.folder / "store")
        say(f"score the champion, version {champion.version}, on the same data")
        theirs, problem = defend(self.client, champion, store, stage.fleet, self.lake.events())
        if theirs is not None:
            told = changes(champion, theirs.detector, self.detector, self.lineage)
            remarks = [*theirs.events_found(self.metrics), told]
            remarks += unlike(theirs.detector.fleet, self.detector.fleet)
            remarks += _seen(champion, _test_start(store))
        else:
            remarks = _once(champion, stage.params.gate.metric)
        decision = decide(
            self.metrics,
            theirs.per_unit if theirs else None,
            stage.params.gate,
            champion_version=champion.version,
            champion_problem=problem,
            unknown=theirs.unknown if theirs else (),
            remarks=remarks,
            class_of=lambda unit: stage.fleet.class_of(vehicle_of(unit, stage.fleet)),
        )
        if theirs is not None:
            decision.figures["champion_events_found"] = theirs.found[""]
        return decision

    @cached_property
    def lineage(self) -> dict[str, str]:
        """What it was made of, as tags. It reads the whole store, and asks git."""
        stage, store = self.stage, WindowStore.open(self.stage.folder / "store")
        about = extent(store)
        return {
            **self.identity,
            **code_state(Path(amad.__file__).parents[1]),
            DATA: f"{about['rows']:,} rows of {count(about['vehicles'], 'vehicle')}, "
            f"{about['first']} to {about['last']}",
            "params_digest": stage.params.digest,
            "fleet_digest": stage.fleet.digest,
            TEST_START: _test_start(store),
        }

    def log(self, decision: Decision) -> ModelVersion:
        """Log the model to the run of its evaluation, with its card and lineage."""
        stage, folder, client, fleet = self.stage, self.stage.folder, self.client, self.stage.fleet
        detector = self.detector
        validation, training = Validation.require(folder), TrainResult.require(folder)
        store = WindowStore.open(folder / "store")
        # The bundle may be older than the present settings: training is described by its own.
        trained = detector.bundle.params if detector.bundle else stage.params
        used = trained.model_copy(
            update={"detect": detector.params, "evaluate": stage.params.evaluate}
        )
        run_id = evaluation_run(client, used, store, folder, self.metrics, training)
        data_hash = self.identity[DATA_HASH]
        lineage = self.lineage | {
            "run_id": run_id,
            "training_run_id": training_run(client, fleet.name, training),
            "validation": _verdict(validation, data_hash),
        }
        card = model_card(
            fleet=fleet,
            params=used,
            metrics=self.metrics,
            validation=validation,
            data={
                "train_rows": store.rows_of(TRAIN),
                "long_rows": [store.long_rows(vehicle) for vehicle in store.vehicles],
            },
            training=training,
            lineage=lineage,
            decision=decision,
        )
        with open_run(client, fleet.name, "register", run_id=run_id):
            return log_detector(
                client,
                fleet,
                folder / "detector",
                run_id=run_id,
                example=_example(self.lake),
                card=card,
                tags=lineage,
                metadata={
                    "context_rows": detector.history_rows,
                    "fleet": fleet.name,
                    DIGEST: self.identity[DIGEST],
                },
            )


def _identity(stage: Stage, metrics: EvaluationMetrics) -> dict[str, str]:
    """The detector and the data that were evaluated, after a check that the detector is the same.

    Raises:
        DataError: the detector is another one, or damaged.
    """
    folder = stage.folder
    found, measured = folder_digest(folder / "detector"), metrics.detector_digest
    if found != measured:
        raise DataError(
            f"{folder / 'detector'} has the digest {found}, and the figures of "
            f"{folder / metrics.FILE} are of {measured or 'an unknown one'}: one "
            f"of them was changed or damaged since; {metrics.REMEDY} again"
        )
    return {DIGEST: found, DATA_HASH: metrics.data_hash}


def _verdict(validation: Validation, data_hash: str) -> str:
    verdict = "passed" if validation.ok else "failed"
    if validation.data_hash != data_hash:
        verdict += ", on other data than the detector's"
    return verdict


def _test_start(store: WindowStore) -> str:
    """The date on which the first vehicle's test part starts: scoring starts there."""
    first = extent(store, (TEST,))["first"]
    if first is None:
        raise DataError(f"{store.path}: no vehicle has a test part; raise split.test_share")
    return first


def _seen(champion: ModelVersion, test_start: str) -> list[str]:
    """That the champion learnt from days of this test part, if it did; dates are ISO 8601."""
    own = champion.tags.get(TEST_START, "")
    if own <= test_start:
        return []
    return [
        f"no fair comparison: the champion's own test part begins on {own}, so it learnt from days "
        f"of this one, which begins on {test_start}"
    ]


def _once(champion: ModelVersion, metric: str) -> list[str]:
    """What the champion had when the gate judged it, for one that cannot be scored any more."""
    tags = champion.tags
    if tags.get("gate_metric") != metric or "gate_challenger" not in tags:
        return []
    began = tags.get(TEST_START, "an unknown date")
    return [
        f"the champion had {metric} {float(tags['gate_challenger']):.3f} when the gate judged it, "
        f"on a test part that began on {began}"
    ]


def _example(lake: Lake):
    """A few rows as the model takes them, with the first vehicle's id, as a pandas frame."""
    vehicle = lake.vehicles()[0]
    table = lake.read_day(vehicle, lake.dates(vehicle)[0]).slice(0, EXAMPLE_ROWS)
    table = table.select(["timestamp", *lake.fleet.channel_names])
    frame = table.add_column(0, "vehicle", pa.array([vehicle] * table.num_rows)).to_pandas()
    return frame.assign(timestamp=frame["timestamp"].dt.tz_localize(None))


def code_state(folder: Path) -> dict[str, str]:
    """Which code ran: ``amad_version``, ``git_commit`` and ``git_dirty``.

    The last two are ``none`` where the code is no checkout, such as a wheel's, which may well lie
    in a folder of somebody else's repository. Changes to the figures and hashes that the pipeline
    itself writes for git do not count as dirty.

    folder: the one that holds the package ``amad``.
    """
    found = {"amad_version": amad.__version__, "git_commit": "none", "git_dirty": "none"}
    try:
        _, commit, status = (
            subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (
                ("ls-files", "--error-unmatch", "amad/__init__.py"),
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--", ".", ":(exclude)data", ":(exclude)dvc.lock"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return found
    return found | {"git_commit": commit, "git_dirty": "true" if status else "false"}
